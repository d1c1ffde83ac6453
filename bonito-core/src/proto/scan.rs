//! One pass over untrusted bytes that proves them to be whole, shallow and small, without building anything.

use super::{
    DecodeError,
    wire::{Head, Reader, ext, ext_name},
};
use crate::Limits;

/// Deepest nesting that is sent.
pub(crate) const SENT_DEPTH: usize = 64;

/// Deepest nesting that is read, whatever the limits say: what reads values recurses. The browser stops at 100.
pub(crate) const MAX_DEPTH: usize = 128;

/// Who made the bytes; it decides which extension values may stand in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A browser: sends no code, no DOM, no observables and no envelopes (`docs/src/protocol.md` §3.3).
    Browser,
    /// A server, where anything goes that a browser can read.
    Server,
}

/// The structural check, with the budget that is left of it.
#[derive(Debug)]
pub(crate) struct Scan {
    origin: Origin,
    max_depth: usize,
    max_elements: usize,
    elements: usize,
    stack: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    /// Values still to come; keys count.
    left: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The value that was asked for.
    Value,
    Array {
        /// Whether this is the array of an envelope or a session cache, whose extension values wrap more.
        wraps: bool,
    },
    Map,
    /// The body of an extension value: one value that must fill it.
    Body {
        code: i8,
        outer_end: usize,
    },
}

impl Scan {
    pub(crate) fn new(origin: Origin, limits: &Limits) -> Self {
        Self {
            origin,
            max_depth: limits.depth.min(MAX_DEPTH),
            max_elements: limits.elements,
            elements: 0,
            stack: Vec::new(),
        }
    }

    /// A check of what this process wrote itself, or has counted already: no bound but the depth.
    pub(crate) fn uncounted(max_depth: usize) -> Self {
        Self { origin: Origin::Server, max_depth, max_elements: usize::MAX, elements: 0, stack: Vec::new() }
    }

    /// Checks that `bytes` are exactly one value.
    pub(crate) fn whole(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        self.value(&mut reader, 0)?;
        end_of(&reader)
    }

    /// Counts the elements of a container whose head was just read.
    pub(crate) fn count(&mut self, len: usize) -> Result<(), DecodeError> {
        self.elements = self.elements.saturating_add(len);
        if self.elements > self.max_elements {
            return Err(DecodeError::too_large(format!(
                "expected at most {} array elements and map entries, {} came: send less at once",
                self.max_elements, self.elements
            )));
        }
        Ok(())
    }

    /// Moves `reader` behind its next value, which lies `outer` levels deep already.
    pub(crate) fn value<'a>(&mut self, reader: &mut Reader<'a>, outer: usize) -> Result<(), DecodeError> {
        if reader.skip_scalar() {
            return Ok(());
        }
        let whole = reader.bytes();
        self.stack.clear();
        let mut level = Level { left: 1, kind: Kind::Value };
        loop {
            while level.left > 0 {
                level.left -= 1;
                if matches!(level.kind, Kind::Map) && level.left % 2 == 1 {
                    let at = reader.at();
                    check_key(reader.head()?, reader, at)?;
                    continue;
                }
                if reader.skip_scalar() {
                    continue;
                }
                let inner = match reader.head()? {
                    Head::Nil | Head::Bool(_) | Head::Uint(_) | Head::Int(_) | Head::Float(_) => continue,
                    Head::Str(len) | Head::Bin(len) => {
                        reader.take(len)?;
                        continue;
                    }
                    Head::Array(len) => {
                        check_room(len, reader)?;
                        self.count(len)?;
                        let wraps =
                            matches!(level.kind, Kind::Body { code: ext::ENVELOPE | ext::SESSION_CACHE, .. });
                        Level { left: len as u64, kind: Kind::Array { wraps } }
                    }
                    Head::Map(len) => {
                        check_room(len.saturating_mul(2), reader)?;
                        self.count(len)?;
                        Level { left: len as u64 * 2, kind: Kind::Map }
                    }
                    Head::Ext(code, len) => match self.ext(code, len, &level, reader)? {
                        Some(body) => body,
                        None => continue,
                    },
                };
                self.stack.push(std::mem::replace(&mut level, inner));
                if outer + self.stack.len() > self.max_depth {
                    return Err(DecodeError::too_deep(self.max_depth));
                }
            }
            if let Kind::Body { outer_end, .. } = level.kind {
                end_of(reader)?;
                reader.set_end(whole, outer_end);
            }
            match self.stack.pop() {
                Some(outside) => level = outside,
                None => return Ok(()),
            }
        }
    }

    /// Enters an extension value whose body is a value, and passes over any other.
    fn ext(
        &self,
        code: i8,
        len: usize,
        within: &Level,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Level>, DecodeError> {
        if self.origin == Origin::Browser && is_server_only(code) {
            return Err(DecodeError::forbidden(format!(
                "expected data, {} came: a browser may not send that, since others might run it",
                ext_name(code)
            )));
        }
        let wraps = matches!(within.kind, Kind::Array { wraps: true }) && code != ext::TIMESTAMP;
        if carries_value(code) || wraps {
            check_room(len, reader)?;
            let whole = reader.bytes();
            let outer_end = reader.set_end(whole, reader.at() + len);
            if code == ext::ND_ARRAY && !matches!(reader.peek()?, Head::Array(2)) {
                return Err(DecodeError::malformed(
                    "expected the dimensions and the data of an ND array, other parts came",
                ));
            }
            return Ok(Some(Level { left: 1, kind: Kind::Body { code, outer_end } }));
        }
        reader.take(len)?;
        if code == ext::TIMESTAMP && !matches!(len, 4 | 8 | 12) {
            return Err(DecodeError::malformed(format!(
                "expected a timestamp of 4, 8 or 12 bytes, {len} came: the browser would refuse the frame"
            )));
        }
        Ok(None)
    }
}

/// Fails where bytes follow the value that was read.
pub(crate) fn end_of(reader: &Reader<'_>) -> Result<(), DecodeError> {
    match reader.remaining() {
        0 => Ok(()),
        more => Err(DecodeError::malformed(format!(
            "expected the end after one value, {more} more bytes came at byte {}: a frame is one value",
            reader.at()
        ))),
    }
}

/// Each value takes a byte at least, so a declared length beyond the rest is a lie that needs no loop to find.
pub(crate) fn check_room(values: usize, reader: &Reader<'_>) -> Result<(), DecodeError> {
    if values > reader.remaining() {
        return Err(DecodeError::malformed(format!(
            "expected {values} values or bytes at byte {}, only {} bytes are left: a declared length is wrong",
            reader.at(),
            reader.remaining()
        )));
    }
    Ok(())
}

/// The browser takes strings and numbers as keys, and fails the whole frame for anything else (§3.1).
pub(crate) fn check_key(head: Head, reader: &mut Reader<'_>, at: usize) -> Result<(), DecodeError> {
    match head {
        Head::Str(len) => {
            if reader.take(len)? == b"__proto__" {
                return Err(DecodeError::forbidden(
                    "expected a map key, \"__proto__\" came, which every browser refuses: rename it",
                ));
            }
            Ok(())
        }
        Head::Uint(_) | Head::Int(_) | Head::Float(_) => Ok(()),
        Head::Nil | Head::Bool(_) | Head::Bin(_) | Head::Array(_) | Head::Map(_) | Head::Ext(..) => {
            Err(DecodeError::malformed(format!(
                "expected a string or a number as map key at byte {at}, {} came: turn the keys into strings",
                head.name()
            )))
        }
    }
}

/// Whether the body of an extension value is itself one MessagePack value.
fn carries_value(code: i8) -> bool {
    code == ext::ND_ARRAY || is_server_only(code)
}

/// Whether only servers send it, since it makes the reader run or register something.
fn is_server_only(code: i8) -> bool {
    matches!(
        code,
        ext::OBSERVABLE
            | ext::CODE
            | ext::CACHE_KEY
            | ext::DOM
            | ext::SESSION_CACHE
            | ext::ENVELOPE
            | ext::HTML
            | ext::TRACK
    )
}
