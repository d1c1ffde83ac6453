//! Why a stream does not go on, as the page and as the application hear it.

use std::fmt;

use crate::frame::{CloseCode, CloseFrame};
use crate::proto::event::CloseReason;

/// Why a socket may not have the session. Source: the table of protocol.md §18.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The key opens nothing. The session and its page are left alone.
    Key,
    /// The page was loaded twice, and [stays](super::Takeover::Reject) where it is.
    Duplicate,
    /// The page was loaded twice, and this one is to [load afresh](super::Takeover::Fork).
    Fork,
    /// A socket that cannot resume came to a session that others resume.
    Plain,
    /// The page has a newer socket than this one.
    Stale,
    /// The page knows another stream than the session: the session is to be closed.
    Stream,
    /// The page has had what was never sent, or less than it said before: the session is to be closed.
    Count,
    /// The session is closed.
    Closed(CloseReason),
}

impl Refusal {
    /// Whether both sides disagree about what has been delivered, so that the session must be closed with
    /// [`CloseReason::Mismatch`]. Only who has the right key can bring this about.
    #[must_use = "a session that does not know what it has delivered must be closed"]
    pub fn is_mismatch(self) -> bool {
        matches!(self, Self::Stream | Self::Count)
    }

    /// What the page is told.
    pub fn close_frame(self) -> CloseFrame {
        let (code, word) = match self {
            Self::Key => (CloseCode::REFUSED, "key"),
            Self::Duplicate => (CloseCode::REFUSED, "duplicate"),
            Self::Fork => (CloseCode::CONTINUITY_LOST, "duplicate"),
            Self::Plain => (CloseCode::REFUSED, "plain"),
            Self::Stale => (CloseCode::SUPERSEDED, "the session has another socket now"),
            Self::Stream => (CloseCode::CONTINUITY_LOST, "stream"),
            Self::Count => (CloseCode::CONTINUITY_LOST, "count"),
            Self::Closed(reason) => match ContinuityLost::of(reason) {
                Some(lost) => (CloseCode::CONTINUITY_LOST, lost.word()),
                None => (CloseCode::SESSION_CLOSED, "the session is over"),
            },
        };
        CloseFrame::new(code, word)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "the key opens nothing",
            Self::Duplicate | Self::Fork => "the page was loaded twice",
            Self::Plain => "the session is resumed by others, and this socket cannot",
            Self::Stale => "the page has a newer socket",
            Self::Stream => "the page knows another stream",
            Self::Count => "the page has had what was never sent, or less than before",
            Self::Closed(_) => "the session is closed",
        })
    }
}

impl std::error::Error for Refusal {}

/// Why messages were lost, or may have been. It is never a part of them: what was delivered ends at one message, and nothing
/// behind that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContinuityLost {
    /// More waited for the browser than [`Limits`](crate::Limits) allow.
    Overflow,
    /// The browser did not come back in time, and something waited for it.
    Expired,
    /// The session had to make room for others, and something waited for its browser.
    Evicted,
    /// Another page has taken the session over: see [`Takeover::Newest`](super::Takeover::Newest). The session goes on with
    /// that one, which has seen nothing of what was sent before.
    TakenOver,
    /// The page and the server disagree about what was delivered.
    Mismatch,
}

impl ContinuityLost {
    /// What a page has lost that comes to a session closed for this reason; nothing if the application has closed it.
    pub(crate) fn of(reason: CloseReason) -> Option<Self> {
        match reason {
            CloseReason::Overflow => Some(Self::Overflow),
            CloseReason::Mismatch => Some(Self::Mismatch),
            CloseReason::Cleanup | CloseReason::Disconnected => Some(Self::Expired),
            CloseReason::Capacity => Some(Self::Evicted),
            CloseReason::Application
            | CloseReason::NoConnection
            | CloseReason::Replaced
            | CloseReason::Removed => None,
        }
    }

    /// The reason in a close frame with [`CloseCode::CONTINUITY_LOST`].
    pub fn word(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::TakenOver => "taken-over",
            Self::Mismatch => "count",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_comes_to_a_closed_session_learns_whether_it_lost_something() {
        for (reason, code, word) in [
            (CloseReason::Application, 4004, "the session is over"),
            (CloseReason::Overflow, 4005, "overflow"),
            (CloseReason::Cleanup, 4005, "expired"),
            (CloseReason::Capacity, 4005, "evicted"),
        ] {
            let frame = Refusal::Closed(reason).close_frame();
            assert_eq!((frame.code.0, &*frame.reason), (code, word), "{reason:?}");
        }
    }
}
