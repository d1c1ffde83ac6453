//! Control frames: what they look like, and how they are read from bytes that nobody may trust.

use bytes::Bytes;

use super::keys::{Instance, Key, StreamId};
use crate::proto::DecodeError;
use crate::proto::scan::{Scan, end_of};
use crate::proto::wire::{Head, Reader, Writer};

/// The first byte of a control frame. MessagePack never uses it, and neither gzip nor zlib begins with it.
const MARK: u8 = 0xc1;
/// The version that a hello names.
const VERSION: u64 = 1;
/// Longest control frame, in bytes.
pub const CONTROL_BYTES: usize = 256;
/// Deepest nesting of what is skipped.
const DEPTH: usize = 8;

const HELLO: u64 = 0;
const WELCOME: u64 = 1;
const ACK: u64 = 2;
const PING: u64 = 4;
const PONG: u64 = 5;

/// Whether a frame is for the stream itself, and no message.
pub fn is_control(frame: &[u8]) -> bool {
    frame.first() == Some(&MARK)
}

/// What is said about a stream, between the messages in it. Source: protocol.md §18.2.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// The first frame of a page on every socket.
    Hello(Hello),
    /// The answer, before any message.
    Welcome(Welcome),
    /// So many data frames of the stream have been had, in all.
    Ack(u64),
    /// Asks for a pong.
    Ping,
    /// The answer.
    Pong,
}

/// Who the page is, and where it stands.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol has these parts")]
pub struct Hello {
    /// The load of the page.
    pub instance: Instance,
    /// What opens the stream.
    pub key: Key,
    /// The stream, if a welcome has named one.
    pub stream: Option<StreamId>,
    /// Data frames of this stream that the page has had.
    pub received: u64,
}

/// Where the server stands.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol has these parts")]
pub struct Welcome {
    /// Whether the stream goes on; otherwise all begins anew.
    pub resumed: bool,
    /// The stream.
    pub stream: StreamId,
    /// What opens it with the next hello.
    pub key: Key,
    /// Data frames of this stream that the server has had.
    pub received: u64,
    /// The longest data frame that the server takes.
    pub message_bytes: u64,
}

impl Control {
    /// The frame.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(96);
        out.raw(&[MARK]);
        match self {
            Self::Hello(hello) => {
                out.array(6);
                out.uint(HELLO);
                out.uint(VERSION);
                out.bin(hello.instance.as_bytes());
                out.bin(hello.key.as_bytes());
                match &hello.stream {
                    Some(stream) => out.bin(stream.as_bytes()),
                    None => out.nil(),
                }
                out.uint(hello.received);
            }
            Self::Welcome(welcome) => {
                out.array(6);
                out.uint(WELCOME);
                out.bool(welcome.resumed);
                out.bin(welcome.stream.as_bytes());
                out.bin(welcome.key.as_bytes());
                out.uint(welcome.received);
                out.uint(welcome.message_bytes);
            }
            Self::Ack(received) => {
                out.array(2);
                out.uint(ACK);
                out.uint(*received);
            }
            Self::Ping => {
                out.array(1);
                out.uint(PING);
            }
            Self::Pong => {
                out.array(1);
                out.uint(PONG);
            }
        }
        Bytes::from(out.into_vec())
    }

    /// Reads a frame that [is one](is_control). `None` for a kind that a later version may have added: it is ignored, as
    /// further elements are.
    ///
    /// # Errors
    ///
    /// If it is malformed, longer than 256 bytes, or a hello of another version. Its socket is closed with 1002.
    pub fn decode(frame: &[u8]) -> Result<Option<Self>, DecodeError> {
        if frame.len() > CONTROL_BYTES {
            return Err(DecodeError::malformed(format!(
                "expected a control frame of at most {CONTROL_BYTES} bytes, {} came",
                frame.len()
            )));
        }
        let Some(body) = frame.strip_prefix(&[MARK]) else {
            return Err(DecodeError::malformed("expected a control frame, a data frame came"));
        };
        let mut parts = Parts::read(body)?;
        let control = match parts.uint()? {
            HELLO => {
                let version = parts.uint()?;
                if version != VERSION {
                    return Err(DecodeError::malformed(format!(
                        "expected version {VERSION} of the protocol, {version} came"
                    )));
                }
                Self::Hello(Hello {
                    instance: Instance::new(parts.bin()?),
                    key: Key::new(parts.bin()?),
                    stream: parts.optional_bin()?.map(StreamId::new),
                    received: parts.uint()?,
                })
            }
            WELCOME => Self::Welcome(Welcome {
                resumed: parts.bool()?,
                stream: StreamId::new(parts.bin()?),
                key: Key::new(parts.bin()?),
                received: parts.uint()?,
                message_bytes: parts.uint()?,
            }),
            ACK => Self::Ack(parts.uint()?),
            PING => Self::Ping,
            PONG => Self::Pong,
            _ => {
                parts.end()?;
                return Ok(None);
            }
        };
        parts.end()?;
        Ok(Some(control))
    }
}

/// The elements of a control frame.
struct Parts<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Parts<'a> {
    fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        match reader.head()? {
            Head::Array(left) => Ok(Self { reader, left }),
            head => Err(unexpected("an array", head)),
        }
    }

    fn next(&mut self) -> Result<Head, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Err(DecodeError::malformed("expected more elements in a control frame"));
        };
        self.left = left;
        self.reader.head()
    }

    fn uint(&mut self) -> Result<u64, DecodeError> {
        match self.next()? {
            Head::Uint(value) => Ok(value),
            head => Err(unexpected("an integer that is not negative", head)),
        }
    }

    fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.next()? {
            Head::Bool(value) => Ok(value),
            head => Err(unexpected("a boolean", head)),
        }
    }

    fn bin<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let head = self.next()?;
        self.bin_of(head)
    }

    fn optional_bin<const N: usize>(&mut self) -> Result<Option<[u8; N]>, DecodeError> {
        match self.next()? {
            Head::Nil => Ok(None),
            head => self.bin_of(head).map(Some),
        }
    }

    fn bin_of<const N: usize>(&mut self, head: Head) -> Result<[u8; N], DecodeError> {
        match head {
            Head::Bin(len) if len == N => {
                let bytes = self.reader.take(N)?;
                <[u8; N]>::try_from(bytes).map_err(|_| unexpected("bytes", head))
            }
            Head::Bin(len) => {
                Err(DecodeError::malformed(format!("expected {N} bytes in a control frame, {len} came")))
            }
            head => Err(unexpected("bytes", head)),
        }
    }

    /// Skips what a later version may have added; nothing may stand behind the array.
    fn end(mut self) -> Result<(), DecodeError> {
        let mut scan = Scan::uncounted(DEPTH);
        for _ in 0..self.left {
            scan.value(&mut self.reader, 0)?;
        }
        end_of(&self.reader)
    }
}

fn unexpected(expected: &str, head: Head) -> DecodeError {
    DecodeError::malformed(format!("expected {expected} in a control frame, {} came", head.name()))
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
