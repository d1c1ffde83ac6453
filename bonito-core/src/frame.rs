//! What travels over a WebSocket, whoever carries it.

use std::borrow::Cow;

use bytes::Bytes;

/// One WebSocket message, fragments already joined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6455 has these five, and adapters match on all of them")]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping that the framework has not answered yet: whoever reads it owes exactly one pong.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The close frame. `None` stands for one without a code.
    Close(Option<CloseFrame>),
}

/// Which messages a message may overtake: those of the other lane. Messages of one lane keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lane {
    /// Small messages that somebody waits for.
    LowLatency,
    /// Large data that may take its time.
    LargeData,
}

/// Code and reason of a close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseFrame {
    /// The code, see [`CloseCode`].
    pub code: CloseCode,
    /// A text of at most 123 bytes.
    pub reason: Cow<'static, str>,
}

impl CloseFrame {
    /// A close frame; a reason longer than the 123 bytes that fit into one is cut at a character.
    pub fn new(code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > 123 {
            let end = (0..=123).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
            reason = Cow::Owned(reason[..end].to_owned());
        }
        Self { code, reason }
    }
}

/// Code of a close frame. The constants are all that this library sends, the same with every adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number with names")]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The socket has done its work.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint or the page is going away.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the WebSocket protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A text frame came where only binary ones are spoken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The message is not what its kind promises: invalid MessagePack, compression or UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// The message holds what no page may send, code for other pages above all.
    pub const POLICY: Self = Self(1008);
    /// The message is larger than [`Limits`](crate::Limits) allows.
    pub const TOO_LARGE: Self = Self(1009);
    /// The server failed.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts; come back.
    pub const RESTART: Self = Self(1012);
    /// Another socket has taken the session over; do not come back by yourself.
    pub const SUPERSEDED: Self = Self(4001);
    /// The socket may not have the session, and will not be let in later either; the reason says why.
    pub const REFUSED: Self = Self(4003);
    /// The session is closed; a new page starts a new one.
    pub const SESSION_CLOSED: Self = Self(4004);
    /// Messages are lost, or may be; a new page starts anew. The reason says why.
    pub const CONTINUITY_LOST: Self = Self(4005);
    /// The peer said nothing for too long; come back.
    pub const TIMED_OUT: Self = Self(4008);

    /// Whether the code may stand in a close frame: RFC 6455, section 7.4. Some only ever stand in an API, others are nobody's.
    pub(crate) fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let frame = CloseFrame::new(CloseCode::NORMAL, "ä".repeat(100));
        assert_eq!(frame.reason.len(), 122);
    }
}
