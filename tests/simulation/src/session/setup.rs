//! What stays the same during one schedule: how much room there is, and what becomes of a duplicated tab.

use std::fmt;
use std::str::FromStr;

use bonito_core::Limits;
use bonito_core::proto::resume::Takeover;

/// How narrow the limits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounds {
    /// As they are by default: nothing ever overflows.
    Wide,
    /// The window closes now and then.
    Small,
    /// Everything that can overflow does.
    Tiny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) bounds: Bounds,
    pub(super) takeover: Takeover,
    /// Frames that fit into the buffers between the server and the page.
    pub(super) room: usize,
}

impl Setup {
    pub(super) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        match self.bounds {
            Bounds::Wide => {}
            Bounds::Small => {
                limits.replay_messages = 6;
                limits.replay_bytes = 600;
                limits.congestion_bytes = 300;
                limits.queued_messages = 64;
                limits.queued_bytes = 8192;
            }
            Bounds::Tiny => {
                limits.replay_messages = 2;
                limits.replay_bytes = 100;
                limits.congestion_bytes = 60;
                limits.queued_messages = 6;
                limits.queued_bytes = 768;
            }
        }
        limits
    }

    /// Bytes that the page holds at most.
    pub(super) fn page_bytes(&self) -> usize {
        match self.bounds {
            Bounds::Wide => 8 << 20,
            Bounds::Small => 8192,
            Bounds::Tiny => 1024,
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = match self.bounds {
            Bounds::Wide => "wide",
            Bounds::Small => "small",
            Bounds::Tiny => "tiny",
        };
        let takeover = match self.takeover {
            Takeover::Newest => "newest",
            Takeover::Reject => "reject",
            _ => "fork",
        };
        write!(f, "setup {bounds} {takeover} {}", self.room)
    }
}

impl FromStr for Setup {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("{line}: expected setup wide|small|tiny newest|reject|fork <room>");
        let words: Vec<_> = line.split_whitespace().collect();
        let ["setup", bounds, takeover, room] = words[..] else { return Err(wrong()) };
        Ok(Self {
            bounds: match bounds {
                "wide" => Bounds::Wide,
                "small" => Bounds::Small,
                "tiny" => Bounds::Tiny,
                _ => return Err(wrong()),
            },
            takeover: match takeover {
                "newest" => Takeover::Newest,
                "reject" => Takeover::Reject,
                "fork" => Takeover::Fork,
                _ => return Err(wrong()),
            },
            room: room.parse().map_err(|_| wrong())?,
        })
    }
}
