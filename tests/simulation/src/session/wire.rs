//! Control frames as protocol.md §18.2 has them, written a second time: what the library encodes is read by this code and the
//! other way round, so that both are not wrong in the same way.

use std::fmt;

use bytes::Bytes;
use rmp::{decode, encode};

/// First byte of a control frame.
const CONTROL: u8 = 0xc1;

pub(super) type Secret = [u8; 32];
pub(super) type Name = [u8; 16];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Hello { version: u64, instance: Name, key: Secret, stream: Option<Name>, received: u64 },
    Welcome { resumed: bool, stream: Name, key: Secret, received: u64, message_bytes: u64 },
    Ack(u64),
    Ping,
    Pong,
}

pub(super) fn is_control(frame: &[u8]) -> bool {
    frame.first() == Some(&CONTROL)
}

impl Control {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = vec![CONTROL];
        // Writing to memory does not fail.
        let _ = self.write(&mut out);
        out.into()
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), encode::ValueWriteError<std::io::Error>> {
        match self {
            Self::Hello { version, instance, key, stream, received } => {
                encode::write_array_len(out, 6)?;
                encode::write_uint(out, 0)?;
                encode::write_uint(out, *version)?;
                encode::write_bin(out, instance)?;
                encode::write_bin(out, key)?;
                match stream {
                    Some(stream) => encode::write_bin(out, stream)?,
                    None => encode::write_nil(out).map_err(encode::ValueWriteError::InvalidMarkerWrite)?,
                }
                encode::write_uint(out, *received)?;
            }
            Self::Welcome { resumed, stream, key, received, message_bytes } => {
                encode::write_array_len(out, 6)?;
                encode::write_uint(out, 1)?;
                encode::write_bool(out, *resumed).map_err(encode::ValueWriteError::InvalidMarkerWrite)?;
                encode::write_bin(out, stream)?;
                encode::write_bin(out, key)?;
                encode::write_uint(out, *received)?;
                encode::write_uint(out, *message_bytes)?;
            }
            Self::Ack(received) => {
                encode::write_array_len(out, 2)?;
                encode::write_uint(out, 2)?;
                encode::write_uint(out, *received)?;
            }
            Self::Ping => {
                encode::write_array_len(out, 1)?;
                encode::write_uint(out, 4)?;
            }
            Self::Pong => {
                encode::write_array_len(out, 1)?;
                encode::write_uint(out, 5)?;
            }
        }
        Ok(())
    }

    /// Reads a control frame; what is none is a text of why.
    pub(super) fn decode(frame: &[u8]) -> Result<Self, String> {
        Self::read(&mut &frame[1..]).ok_or_else(|| format!("not a control frame: {frame:02x?}"))
    }

    fn read(rest: &mut &[u8]) -> Option<Self> {
        let len = decode::read_array_len(rest).ok()?;
        let kind: u64 = decode::read_int(rest).ok()?;
        let control = match (kind, len) {
            (0, 6) => Self::Hello {
                version: decode::read_int(rest).ok()?,
                instance: bin(rest)?,
                key: bin(rest)?,
                stream: if rest.first() == Some(&0xc0) {
                    *rest = &rest[1..];
                    None
                } else {
                    Some(bin(rest)?)
                },
                received: decode::read_int(rest).ok()?,
            },
            (1, 6) => Self::Welcome {
                resumed: decode::read_bool(rest).ok()?,
                stream: bin(rest)?,
                key: bin(rest)?,
                received: decode::read_int(rest).ok()?,
                message_bytes: decode::read_int(rest).ok()?,
            },
            (2, 2) => Self::Ack(decode::read_int(rest).ok()?),
            (4, 1) => Self::Ping,
            (5, 1) => Self::Pong,
            _ => return None,
        };
        rest.is_empty().then_some(control)
    }
}

/// Of what is random, the first byte tells it from others here.
impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello { instance, key, stream, received, .. } => {
                write!(f, "hello, instance {:02x}, key {:02x}, ", instance[0], key[0])?;
                match stream {
                    Some(stream) => write!(f, "stream {:02x}, {received} received", stream[0]),
                    None => f.write_str("no stream"),
                }
            }
            Self::Welcome { resumed, stream, key, received, .. } => {
                let how = if *resumed { "resumed" } else { "anew" };
                write!(f, "welcome, {how}, stream {:02x}, key {:02x}, {received} received", stream[0], key[0])
            }
            Self::Ack(received) => write!(f, "ack of {received}"),
            Self::Ping => f.write_str("ping"),
            Self::Pong => f.write_str("pong"),
        }
    }
}

fn bin<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let len = decode::read_bin_len(rest).ok()?;
    if len as usize != N {
        return None;
    }
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_protocol_are_read_and_written() {
        let (instance, key, stream) = ([1; 16], [2; 32], [3; 16]);
        let hello = Control::Hello { version: 1, instance, key, stream: Some(stream), received: 42 };
        let mut bytes = vec![0xc1, 0x96, 0x00, 0x01, 0xc4, 0x10];
        bytes.extend(instance);
        bytes.extend([0xc4, 0x20]);
        bytes.extend(key);
        bytes.extend([0xc4, 0x10]);
        bytes.extend(stream);
        bytes.push(0x2a);
        assert_eq!(hello.encode(), bytes);
        assert_eq!(Control::decode(&bytes), Ok(hello));
        let welcome = Control::Welcome { resumed: false, stream, key, received: 0, message_bytes: 1 << 20 };
        assert_eq!(Control::decode(&welcome.encode()), Ok(welcome.clone()));
        assert_eq!(welcome.encode()[56..], [0x00, 0xce, 0x00, 0x10, 0x00, 0x00]);
        assert_eq!(Control::Ack(42).encode()[..], [0xc1, 0x92, 0x02, 0x2a]);
        assert_eq!(Control::Ping.encode()[..], [0xc1, 0x91, 0x04]);
        assert_eq!(Control::Pong.encode()[..], [0xc1, 0x91, 0x05]);
    }
}
