//! When to acknowledge.

use std::time::{Duration, Instant};

use crate::proto::later;

/// So many data frames are acknowledged at once.
const FRAMES: u64 = 32;
/// So many bytes of them as well.
const BYTES: usize = 64 << 10;
/// None waits longer.
const PAUSE: Duration = Duration::from_secs(1);

/// Says when one side of a stream is to acknowledge what it has had: after 32 data frames, after 64 KiB of them, and 1 s
/// after the first. Source: protocol.md §18.3.
#[derive(Debug, Default)]
pub struct Acks {
    frames: u64,
    bytes: usize,
    /// When the first frame came that is not acknowledged.
    first: Option<Instant>,
}

impl Acks {
    /// Nothing is to be acknowledged.
    pub fn new() -> Self {
        Self::default()
    }

    /// A data frame of so many bytes has been had.
    pub fn handle_received(&mut self, bytes: usize, now: Instant) {
        self.frames += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.first.get_or_insert(now);
    }

    /// Whether to acknowledge now. If so, it counts as done.
    #[must_use = "what is due is to be sent"]
    pub fn poll(&mut self, now: Instant) -> bool {
        let due = self.frames >= FRAMES
            || self.bytes >= BYTES
            || self.poll_timeout().is_some_and(|timeout| timeout <= now);
        if due {
            *self = Self::new();
        }
        due
    }

    /// When to poll next, whether or not anything comes before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.first.map(|first| later(first, PAUSE))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start somewhere")]
mod tests {
    use super::*;

    #[test]
    fn after_32_frames() {
        let (mut acks, now) = (Acks::new(), Instant::now());
        for _ in 0..31 {
            acks.handle_received(1, now);
            assert!(!acks.poll(now));
        }
        acks.handle_received(1, now);
        assert!(acks.poll(now));
        assert!(!acks.poll(now), "once");
        assert_eq!(acks.poll_timeout(), None);
    }

    #[test]
    fn after_64_kib() {
        let (mut acks, now) = (Acks::new(), Instant::now());
        acks.handle_received((64 << 10) - 1, now);
        assert!(!acks.poll(now));
        acks.handle_received(1, now);
        assert!(acks.poll(now));
    }

    #[test]
    fn a_second_after_the_first() {
        let (mut acks, now) = (Acks::new(), Instant::now());
        acks.handle_received(1, now);
        acks.handle_received(1, now + PAUSE / 2);
        assert_eq!(acks.poll_timeout(), Some(now + PAUSE));
        assert!(!acks.poll(now + PAUSE - Duration::from_millis(1)));
        assert!(acks.poll(now + PAUSE));
        assert_eq!(acks.poll_timeout(), None);
    }
}
