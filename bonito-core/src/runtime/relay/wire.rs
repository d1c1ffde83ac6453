//! What processes say to each other about a socket, as bytes. What another process sends is checked like anybody's.

use std::borrow::Cow;
use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::frame::{CloseCode, CloseFrame, Frame};
use crate::transport::TransportErrorKind;

/// A process that speaks another version is not understood, and its sockets are asked for again.
const VERSION: u8 = 2;
/// Bytes of a frame that one message of the broker carries. A frame is cut into as many as it takes.
pub(crate) const PART: usize = 64 << 10;

/// An endpoint of a process, by a number that is made at random when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(u64);

impl NodeId {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(Self)
    }

    /// The segment of a path that names it. It is never taken for a session, whose id is longer.
    pub(crate) fn segment(self) -> String {
        format!("n{:016x}", self.0)
    }

    pub(crate) fn parse(segment: &str) -> Option<Self> {
        let digits = segment.strip_prefix('n')?;
        let canonical = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if canonical { u64::from_str_radix(digits, 16).ok().map(Self) } else { None }
    }

    /// The subject on which it is spoken to, and the key of its lease.
    pub(crate) fn subject(self) -> String {
        format!("relay.{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({:016x})", self.0)
    }
}

/// Which of the two ends of a socket a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// Where the session lives.
    Owner,
    /// Where the browser's socket is.
    Edge,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Owner => Self::Edge,
            Self::Edge => Self::Owner,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) from: NodeId,
    pub(crate) to: End,
    /// Numbered by the edge.
    pub(crate) stream: u64,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// The edge asks for a session.
    Open(Open),
    /// The owner's answer.
    Answer(Answer),
    /// The browser's socket is up.
    Start,
    /// A part of a frame.
    Part(Part),
    /// How many parts have been taken, in all.
    Taken(u64),
    /// The sender lives. How many parts it has sent and taken, in all.
    Beat { sent: u64, taken: u64 },
    /// There is no more.
    End,
}

/// What the edge has found out about who asks, and for what. No header of the request is in it, and so no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    /// The path of the edge's endpoint, whose origins and identity hook have let the request pass.
    pub(crate) path: String,
    pub(crate) session: String,
    pub(crate) query: String,
    /// What the application's identity hook said at the edge.
    pub(crate) identity: Option<String>,
    /// Or only whether there is such a session.
    pub(crate) upgrade: bool,
    /// The subprotocols that the page offers.
    pub(crate) protocols: Option<String>,
}

/// A status, 101 for yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// After how many seconds to come back.
    pub(crate) retry_after: u32,
    /// Whether the socket is to speak the resumable protocol.
    pub(crate) resume: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// From 1 on, in each direction.
    pub(crate) number: u64,
    /// Whether the frame is complete with it.
    pub(crate) last: bool,
    pub(crate) bytes: Bytes,
}

impl Message {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(64);
        bytes.put_u8(VERSION);
        bytes.put_u64(self.from.0);
        bytes.put_u8(u8::from(self.to == End::Owner));
        bytes.put_u64(self.stream);
        match &self.body {
            Body::Open(open) => {
                bytes.put_u8(0);
                // A vector takes all there is.
                bytes.put_slice(&rmp_serde::to_vec(open).unwrap_or_default());
            }
            Body::Answer(answer) => {
                bytes.put_u8(1);
                bytes.put_u16(answer.status);
                bytes.put_u32(answer.retry_after);
                bytes.put_u8(answer.resume.into());
            }
            Body::Start => bytes.put_u8(2),
            Body::Part(part) => {
                bytes.reserve(part.bytes.len());
                bytes.put_u8(if part.last { 4 } else { 3 });
                bytes.put_u64(part.number);
                bytes.put_slice(&part.bytes);
            }
            Body::Taken(taken) => {
                bytes.put_u8(5);
                bytes.put_u64(*taken);
            }
            Body::Beat { sent, taken } => {
                bytes.put_u8(6);
                bytes.put_u64(*sent);
                bytes.put_u64(*taken);
            }
            Body::End => bytes.put_u8(7),
        }
        bytes.freeze()
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let from = NodeId(bytes.try_get_u64().ok()?);
        let to = if bytes.try_get_u8().ok()? == 1 { End::Owner } else { End::Edge };
        let stream = bytes.try_get_u64().ok()?;
        let body = match bytes.try_get_u8().ok()? {
            0 => Body::Open(rmp_serde::from_slice(&bytes).ok()?),
            1 => Body::Answer(Answer {
                status: bytes.try_get_u16().ok()?,
                retry_after: bytes.try_get_u32().ok()?,
                resume: bytes.try_get_u8().ok()? == 1,
            }),
            2 => Body::Start,
            kind @ (3 | 4) => Body::Part(Part { number: bytes.try_get_u64().ok()?, last: kind == 4, bytes }),
            5 => Body::Taken(bytes.try_get_u64().ok()?),
            6 => Body::Beat { sent: bytes.try_get_u64().ok()?, taken: bytes.try_get_u64().ok()? },
            7 => Body::End,
            _ => return None,
        };
        Some(Self { from, to, stream, body })
    }
}

/// What a socket gave: a frame, or how it failed.
pub(crate) type Read = Result<Frame, TransportErrorKind>;

/// A frame as bytes, to be cut into parts.
pub(crate) fn encode_frame(read: Read) -> Bytes {
    let (kind, payload): (u8, Bytes) = match read {
        Ok(Frame::Text(text)) => (0, text.into()),
        Ok(Frame::Binary(bytes)) => (1, bytes),
        Ok(Frame::Ping(payload)) => (2, payload),
        Ok(Frame::Pong(payload)) => (3, payload),
        Ok(Frame::Close(None)) => (4, Bytes::new()),
        Ok(Frame::Close(Some(CloseFrame { code, reason }))) => {
            let mut payload = BytesMut::with_capacity(2 + reason.len());
            payload.put_u16(code.0);
            payload.put_slice(reason.as_bytes());
            (5, payload.freeze())
        }
        Err(TransportErrorKind::Io) => (6, Bytes::new()),
        Err(TransportErrorKind::Protocol) => (7, Bytes::new()),
        Err(TransportErrorKind::InvalidUtf8) => (8, Bytes::new()),
        Err(TransportErrorKind::TooLarge) => (9, Bytes::new()),
    };
    let mut bytes = BytesMut::with_capacity(1 + payload.len());
    bytes.put_u8(kind);
    bytes.put_slice(&payload);
    bytes.freeze()
}

/// `None` if it is no frame.
pub(crate) fn decode_frame(mut bytes: Bytes) -> Option<Read> {
    Some(match bytes.try_get_u8().ok()? {
        0 => String::from_utf8(bytes.into()).map(Frame::Text).map_err(|_| TransportErrorKind::InvalidUtf8),
        1 => Ok(Frame::Binary(bytes)),
        2 => Ok(Frame::Ping(bytes)),
        3 => Ok(Frame::Pong(bytes)),
        4 => Ok(Frame::Close(None)),
        5 => {
            let code = CloseCode(bytes.try_get_u16().ok()?);
            let reason = String::from_utf8(bytes.into()).ok()?;
            Ok(Frame::Close(Some(CloseFrame::new(code, Cow::Owned(reason)))))
        }
        6 => Err(TransportErrorKind::Io),
        7 => Err(TransportErrorKind::Protocol),
        8 => Err(TransportErrorKind::InvalidUtf8),
        9 => Err(TransportErrorKind::TooLarge),
        _ => return None,
    })
}

/// A frame in the making, out of parts in their order.
#[derive(Debug, Default)]
pub(crate) struct Assembly(BytesMut);

impl Assembly {
    /// Adds a part, and gives the frame that it completes; `Err` for one that is too large, or none.
    pub(crate) fn push(&mut self, part: Part, most: usize) -> Result<Option<Read>, TransportErrorKind> {
        // One byte says what it is.
        if self.0.len().saturating_add(part.bytes.len()) > most.saturating_add(1) {
            return Err(TransportErrorKind::TooLarge);
        }
        if part.last && self.0.is_empty() {
            return decode_frame(part.bytes).map(Some).ok_or(TransportErrorKind::Protocol);
        }
        self.0.extend_from_slice(&part.bytes);
        if !part.last {
            return Ok(None);
        }
        decode_frame(std::mem::take(&mut self.0).freeze()).map(Some).ok_or(TransportErrorKind::Protocol)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame() -> impl Strategy<Value = Read> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
        prop_oneof![
            ".{0,40}".prop_map(|text| Ok(Frame::Text(text))),
            bytes().prop_map(|bytes| Ok(Frame::Binary(bytes))),
            bytes().prop_map(|bytes| Ok(Frame::Ping(bytes))),
            bytes().prop_map(|bytes| Ok(Frame::Pong(bytes))),
            Just(Ok(Frame::Close(None))),
            (any::<u16>(), ".{0,20}").prop_map(|(code, reason)| {
                Ok(Frame::Close(Some(CloseFrame::new(CloseCode(code), reason))))
            }),
            Just(Err(TransportErrorKind::TooLarge)),
            Just(Err(TransportErrorKind::Protocol)),
        ]
    }

    fn body() -> impl Strategy<Value = Body> {
        let open = (
            ".{0,40}",
            ".{0,40}",
            ".{0,40}",
            any::<Option<String>>(),
            any::<bool>(),
            any::<Option<String>>(),
        );
        let part = (any::<u64>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..99));
        prop_oneof![
            open.prop_map(|(path, session, query, identity, upgrade, protocols)| {
                Body::Open(Open { path, session, query, identity, upgrade, protocols })
            }),
            any::<(u16, u32, bool)>().prop_map(|(status, retry_after, resume)| {
                Body::Answer(Answer { status, retry_after, resume })
            }),
            Just(Body::Start),
            part.prop_map(|(number, last, bytes)| Body::Part(Part { number, last, bytes: bytes.into() })),
            any::<u64>().prop_map(Body::Taken),
            any::<(u64, u64)>().prop_map(|(sent, taken)| Body::Beat { sent, taken }),
            Just(Body::End),
        ]
    }

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written(from in any::<u64>(), stream in any::<u64>(), owner: bool, body in body()) {
            let to = if owner { End::Owner } else { End::Edge };
            let message = Message { from: NodeId(from), to, stream, body };
            prop_assert_eq!(Message::decode(message.encode()), Some(message));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let bytes = Bytes::from(bytes);
            let _ = Message::decode(bytes.clone());
            let _ = decode_frame(bytes.clone());
            let mut known = BytesMut::from(&[VERSION][..]);
            known.extend_from_slice(&bytes);
            let _ = Message::decode(known.freeze());
        }

        #[test]
        fn a_frame_in_parts_is_the_same_frame(frame in frame(), size in 1..50_usize) {
            let bytes = encode_frame(frame.clone());
            let mut assembly = Assembly::default();
            let mut found = None;
            for (at, chunk) in bytes.chunks(size).enumerate() {
                let last = (at + 1) * size >= bytes.len();
                let part = Part { number: at as u64 + 1, last, bytes: Bytes::copy_from_slice(chunk) };
                found = assembly.push(part, 1000).unwrap();
                prop_assert_eq!(found.is_some(), last);
            }
            prop_assert_eq!(found, Some(frame));
        }
    }

    #[test]
    fn a_frame_that_grows_too_large_is_refused() {
        let mut assembly = Assembly::default();
        let part = |last| Part { number: 1, last, bytes: Bytes::from(vec![1; 60]) };
        assert_eq!(assembly.push(part(false), 100), Ok(None));
        assert_eq!(assembly.push(part(true), 100), Err(TransportErrorKind::TooLarge));
    }

    #[test]
    fn only_the_canonical_segment_names_a_process() {
        let id = NodeId(0xabc);
        assert_eq!(NodeId::parse(&id.segment()), Some(id));
        for wrong in [
            "",
            "n",
            "n0",
            "N0000000000000abc",
            "n0000000000000ABC",
            "n+000000000000abc",
            "n00000000000000abc",
        ] {
            assert_eq!(NodeId::parse(wrong), None, "{wrong}");
        }
    }
}
