//! MessagePack headers, read from a slice and written into a buffer.

use bytes::Bytes;
use rmp::Marker;

use super::{DecodeError, EncodeError};

/// Extension codes (`docs/src/protocol.md` §3.3).
pub(crate) mod ext {
    pub(crate) const TIMESTAMP: i8 = -1;
    /// The wrapper of bytes inside an envelope; the code of a `Uint8Array` too.
    pub(crate) const BYTES: i8 = 0x12;
    pub(crate) const ND_ARRAY: i8 = 99;
    pub(crate) const OBSERVABLE: i8 = 101;
    pub(crate) const CODE: i8 = 102;
    pub(crate) const CACHE_KEY: i8 = 104;
    pub(crate) const DOM: i8 = 105;
    pub(crate) const SESSION_CACHE: i8 = 106;
    pub(crate) const ENVELOPE: i8 = 107;
    pub(crate) const HTML: i8 = 108;
    pub(crate) const TRACK: i8 = 109;
}

/// The first bytes of a value: what it is, and its length where it has one. No length is trusted yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Head {
    Nil,
    Bool(bool),
    /// Any integer that is not negative.
    Uint(u64),
    /// A negative integer.
    Int(i64),
    Float(f64),
    Str(usize),
    Bin(usize),
    Array(usize),
    Map(usize),
    Ext(i8, usize),
}

impl Head {
    /// What this is, in the words of an error message.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a boolean",
            Self::Uint(_) | Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::Bin(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Ext(code, _) => ext_name(code),
        }
    }
}

/// What an extension value is, in the words of an error message.
pub(crate) fn ext_name(code: i8) -> &'static str {
    match code {
        ext::TIMESTAMP => "a timestamp",
        0x11..=0x18 => "a typed array",
        ext::ND_ARRAY => "an ND array",
        ext::OBSERVABLE => "an observable (101)",
        ext::CODE => "JavaScript code (102)",
        ext::CACHE_KEY => "a cache key (104)",
        ext::DOM => "a DOM node (105)",
        ext::SESSION_CACHE => "a session cache (106)",
        ext::ENVELOPE => "an envelope (107)",
        ext::HTML => "raw HTML (108)",
        ext::TRACK => "a tracked key (109)",
        _ => "an extension value of an unknown code",
    }
}

/// Bytes of a value that is nil, a boolean or a number, by its first byte; 0 for the first byte of any other.
const SCALAR_BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut first = 0;
    while first < bytes.len() {
        bytes[first] = match first {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => 1,
            0xcc | 0xd0 => 2,
            0xcd | 0xd1 => 3,
            0xca | 0xce | 0xd2 => 5,
            0xcb | 0xcf | 0xd3 => 9,
            _ => 0,
        };
        first += 1;
    }
    bytes
};

/// A cursor over bytes that never reads past its end.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Everything, including what was read already.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Reads up to `end` only, from here on. Returns the former end.
    pub(crate) fn set_end(&mut self, whole: &'a [u8], end: usize) -> usize {
        let former = self.bytes.len();
        self.bytes = &whole[..end];
        former
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..len) else {
            return Err(self.truncated(len));
        };
        self.at += len;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, _)) = self.bytes[self.at..].split_first_chunk::<N>() else {
            return Err(self.truncated(N));
        };
        self.at += N;
        Ok(*taken)
    }

    #[cold]
    fn truncated(&self, len: usize) -> DecodeError {
        DecodeError::malformed(format!(
            "expected {len} more bytes at byte {}, {} are left: the frame is cut off or a length is wrong",
            self.at,
            self.remaining()
        ))
    }

    pub(crate) fn next_is_nil(&self) -> bool {
        self.bytes.get(self.at) == Some(&0xc0)
    }

    /// Moves behind the next value where it is nil, a boolean or a number, and whole: most values of long arrays are.
    #[inline]
    pub(crate) fn skip_scalar(&mut self) -> bool {
        let Some(&first) = self.bytes.get(self.at) else {
            return false;
        };
        let len = SCALAR_BYTES[usize::from(first)];
        let end = self.at + usize::from(len);
        if len == 0 || end > self.bytes.len() {
            return false;
        }
        self.at = end;
        true
    }

    /// Reads the next value where it is a float.
    #[inline]
    pub(crate) fn float(&mut self) -> Option<f64> {
        let (first, rest) = self.bytes[self.at..].split_first()?;
        let (value, len) = match first {
            0xca => (f32::from_be_bytes(*rest.first_chunk()?).into(), 5),
            0xcb => (f64::from_be_bytes(*rest.first_chunk()?), 9),
            _ => return None,
        };
        self.at += len;
        Some(value)
    }

    /// The head of the next value, without moving.
    pub(crate) fn peek(&self) -> Result<Head, DecodeError> {
        self.clone().head()
    }

    #[inline]
    pub(crate) fn head(&mut self) -> Result<Head, DecodeError> {
        let [first] = self.array()?;
        Ok(match first {
            0x00..=0x7f => Head::Uint(first.into()),
            0x80..=0x8f => Head::Map((first & 0x0f).into()),
            0x90..=0x9f => Head::Array((first & 0x0f).into()),
            0xa0..=0xbf => Head::Str((first & 0x1f).into()),
            0xc0 => Head::Nil,
            0xc1 => return Err(self.reserved()),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => Head::Bin(self.len8()?),
            0xc5 => Head::Bin(self.len16()?),
            0xc6 => Head::Bin(self.len32()?),
            0xc7 => self.len8().and_then(|len| self.ext(len))?,
            0xc8 => self.len16().and_then(|len| self.ext(len))?,
            0xc9 => self.len32().and_then(|len| self.ext(len))?,
            0xca => Head::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Head::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Uint(u8::from_be_bytes(self.array()?).into()),
            0xcd => Head::Uint(u16::from_be_bytes(self.array()?).into()),
            0xce => Head::Uint(u32::from_be_bytes(self.array()?).into()),
            0xcf => Head::Uint(u64::from_be_bytes(self.array()?)),
            0xd0 => signed(i8::from_be_bytes(self.array()?).into()),
            0xd1 => signed(i16::from_be_bytes(self.array()?).into()),
            0xd2 => signed(i32::from_be_bytes(self.array()?).into()),
            0xd3 => signed(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.ext(1 << (first - 0xd4))?,
            0xd9 => Head::Str(self.len8()?),
            0xda => Head::Str(self.len16()?),
            0xdb => Head::Str(self.len32()?),
            0xdc => Head::Array(self.len16()?),
            0xdd => Head::Array(self.len32()?),
            0xde => Head::Map(self.len16()?),
            0xdf => Head::Map(self.len32()?),
            0xe0..=0xff => Head::Int(first.cast_signed().into()),
        })
    }

    #[cold]
    fn reserved(&self) -> DecodeError {
        DecodeError::malformed(format!(
            "expected a value at byte {}, the byte c1 came, which MessagePack never uses",
            self.at - 1
        ))
    }

    fn len8(&mut self) -> Result<usize, DecodeError> {
        let [len] = self.array()?;
        Ok(len.into())
    }

    fn len16(&mut self) -> Result<usize, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?).into())
    }

    fn len32(&mut self) -> Result<usize, DecodeError> {
        let len = u32::from_be_bytes(self.array()?);
        Ok(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn ext(&mut self, len: usize) -> Result<Head, DecodeError> {
        let [code] = self.array()?;
        Ok(Head::Ext(code.cast_signed(), len))
    }
}

fn signed(value: i64) -> Head {
    u64::try_from(value).map_or(Head::Int(value), Head::Uint)
}

/// A buffer that values are written into, each length in its shortest form.
///
/// A length beyond 32 bits is found by [`finish`](Self::finish), since then the whole is longer than that too.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

/// An extension value whose length is not known yet.
#[must_use = "an extension value that is not closed has no length"]
#[derive(Debug)]
pub(crate) struct OpenExt {
    at: usize,
    header: usize,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn finish(self) -> Result<Bytes, EncodeError> {
        if u32::try_from(self.0.len()).is_err() {
            return Err(EncodeError::too_large());
        }
        Ok(Bytes::from(self.0.into_boxed_slice()))
    }

    /// What was written, where it is part of something that finishes.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// Writes bytes that are complete values already.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.0.push(if value { Marker::True } else { Marker::False }.to_u8());
    }

    pub(crate) fn nil(&mut self) {
        self.0.push(Marker::Null.to_u8());
    }

    pub(crate) fn uint(&mut self, value: u64) {
        match value {
            0..=0x7f => self.0.push(value as u8),
            0x80..=0xff => self.raw(&[Marker::U8.to_u8(), value as u8]),
            0x100..=0xffff => self.head16(Marker::U16, value as usize),
            0x1_0000..=0xffff_ffff => self.head32(Marker::U32, value as usize),
            _ => {
                self.0.push(Marker::U64.to_u8());
                self.raw(&value.to_be_bytes());
            }
        }
    }

    pub(crate) fn bin(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        match len {
            0..=0xff => self.raw(&[Marker::Bin8.to_u8(), len as u8]),
            0x100..=0xffff => self.head16(Marker::Bin16, len),
            _ => self.head32(Marker::Bin32, len),
        }
        self.raw(bytes);
    }

    pub(crate) fn str(&mut self, text: &str) {
        let len = text.len();
        match len {
            0..=31 => self.0.push(Marker::FixStr(len as u8).to_u8()),
            32..=0xff => self.raw(&[Marker::Str8.to_u8(), len as u8]),
            0x100..=0xffff => self.head16(Marker::Str16, len),
            _ => self.head32(Marker::Str32, len),
        }
        self.raw(text.as_bytes());
    }

    pub(crate) fn array(&mut self, len: usize) {
        match len {
            0..=15 => self.0.push(Marker::FixArray(len as u8).to_u8()),
            16..=0xffff => self.head16(Marker::Array16, len),
            _ => self.head32(Marker::Array32, len),
        }
    }

    pub(crate) fn map(&mut self, len: usize) {
        match len {
            0..=15 => self.0.push(Marker::FixMap(len as u8).to_u8()),
            16..=0xffff => self.head16(Marker::Map16, len),
            _ => self.head32(Marker::Map32, len),
        }
    }

    fn head16(&mut self, marker: Marker, len: usize) {
        self.0.push(marker.to_u8());
        self.raw(&(len as u16).to_be_bytes());
    }

    fn head32(&mut self, marker: Marker, len: usize) {
        self.0.push(marker.to_u8());
        self.raw(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    }

    /// Writes the head of an extension value; its body must follow.
    pub(crate) fn ext(&mut self, code: i8, len: usize) {
        let (head, header) = ext_head(code, len);
        self.raw(&head[..header]);
    }

    /// Begins an extension value of about `guess` bytes; a wrong guess costs one move of the body.
    pub(crate) fn open_ext(&mut self, guess: usize) -> OpenExt {
        let (head, header) = ext_head(0, guess.max(17));
        let at = self.0.len();
        self.raw(&head[..header]);
        OpenExt { at, header }
    }

    /// Ends an extension value: writes its length and moves the body where the head turned out longer or shorter.
    pub(crate) fn close_ext(&mut self, open: &OpenExt, code: i8) {
        let body = open.at + open.header;
        let len = self.0.len() - body;
        let (head, header) = ext_head(code, len);
        if header > open.header {
            let more = header - open.header;
            self.0.resize(self.0.len() + more, 0);
            self.0.copy_within(body..body + len, body + more);
        } else if header < open.header {
            self.0.copy_within(body.., open.at + header);
            self.0.truncate(open.at + header + len);
        }
        self.0[open.at..open.at + header].copy_from_slice(&head[..header]);
    }
}

/// The head of an extension value and how many bytes of it count.
pub(crate) fn ext_head(code: i8, len: usize) -> ([u8; 6], usize) {
    let code = code as u8;
    match len {
        1 => ([Marker::FixExt1.to_u8(), code, 0, 0, 0, 0], 2),
        2 => ([Marker::FixExt2.to_u8(), code, 0, 0, 0, 0], 2),
        4 => ([Marker::FixExt4.to_u8(), code, 0, 0, 0, 0], 2),
        8 => ([Marker::FixExt8.to_u8(), code, 0, 0, 0, 0], 2),
        16 => ([Marker::FixExt16.to_u8(), code, 0, 0, 0, 0], 2),
        0..=0xff => ([Marker::Ext8.to_u8(), len as u8, code, 0, 0, 0], 3),
        0x100..=0xffff => {
            let [a, b] = (len as u16).to_be_bytes();
            ([Marker::Ext16.to_u8(), a, b, code, 0, 0], 4)
        }
        _ => {
            let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
            ([Marker::Ext32.to_u8(), a, b, c, d, code], 6)
        }
    }
}
