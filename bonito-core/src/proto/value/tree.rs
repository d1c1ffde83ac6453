//! Bytes to trees.

use bytes::Bytes;

use super::{RawArray, Timestamp, Value, nd_array, typed_array::ElementKind};
use crate::{
    Limits,
    proto::{
        DecodeError,
        message::Code,
        scan::{MAX_DEPTH, Origin, Scan},
        wire::{Head, Reader, ext},
    },
};

impl Value {
    /// Reads one value; blobs and typed arrays in the tree are slices of `bytes`.
    ///
    /// # Errors
    ///
    /// When `bytes` are not exactly one value or pass a bound of `limits`.
    pub fn decode(bytes: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        Scan::new(Origin::Server, limits).whole(bytes)?;
        Tree { frame: Some(bytes), reader: Reader::new(bytes), depth: limits.depth.min(MAX_DEPTH) }.value()
    }

    /// Reads one value by copy, bounded in depth alone.
    pub(super) fn copied(bytes: &[u8], depth: usize) -> Result<Self, DecodeError> {
        Tree { frame: None, reader: Reader::new(bytes), depth }.value()
    }
}

/// Builds a tree from scanned bytes. What the scan promised is checked again where it costs nothing.
struct Tree<'a> {
    frame: Option<&'a Bytes>,
    reader: Reader<'a>,
    /// Levels that may still be entered.
    depth: usize,
}

impl<'a> Tree<'a> {
    fn value(&mut self) -> Result<Value, DecodeError> {
        Ok(match self.reader.head()? {
            Head::Nil => Value::Nil,
            Head::Bool(value) => Value::Bool(value),
            Head::Uint(value) => i64::try_from(value).map_or(Value::Uint(value), Value::Int),
            Head::Int(value) => Value::Int(value),
            Head::Float(value) => Value::Float(value),
            Head::Str(len) => Value::Str(self.text(len)?),
            Head::Bin(len) => {
                let body = self.reader.take(len)?;
                Value::Bin(self.share(body))
            }
            Head::Array(len) => Value::Array(self.array(len)?),
            Head::Map(len) => Value::Map(self.map(len)?),
            Head::Ext(code, len) => {
                let body = self.reader.take(len)?;
                match self.ext(code, body)? {
                    Some(value) => value,
                    None => Value::Ext(code, self.share(body)),
                }
            }
        })
    }

    fn share(&self, part: &'a [u8]) -> Bytes {
        self.frame.map_or_else(|| Bytes::copy_from_slice(part), |frame| frame.slice_ref(part))
    }

    fn text(&mut self, len: usize) -> Result<String, DecodeError> {
        Ok(String::from_utf8_lossy(self.reader.take(len)?).into_owned())
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(DecodeError::malformed(
                "expected a value whose depth was checked, a deeper one came",
            ));
        };
        self.depth = depth;
        let read = read(self);
        self.depth += 1;
        read
    }

    fn array(&mut self, len: usize) -> Result<Vec<Value>, DecodeError> {
        self.nested(|tree| {
            let mut elements = Vec::with_capacity(len.min(tree.reader.remaining()));
            for _ in 0..len {
                elements.push(tree.value()?);
            }
            Ok(elements)
        })
    }

    fn map(&mut self, len: usize) -> Result<Vec<(String, Value)>, DecodeError> {
        self.nested(|tree| {
            let mut entries = Vec::with_capacity(len.min(tree.reader.remaining() / 2));
            for _ in 0..len {
                entries.push((tree.key()?, tree.value()?));
            }
            Ok(entries)
        })
    }

    fn key(&mut self) -> Result<String, DecodeError> {
        match self.reader.head()? {
            Head::Str(len) => self.text(len),
            Head::Uint(number) => Ok(number.to_string()),
            Head::Int(number) => Ok(number.to_string()),
            Head::Float(number) => Ok(number.to_string()),
            other => Err(DecodeError::malformed(format!(
                "expected a string or a number as map key, {} came",
                other.name()
            ))),
        }
    }

    /// The value of an extension, or `None` for one that is unknown or not as it should be.
    fn ext(&mut self, code: i8, body: &'a [u8]) -> Result<Option<Value>, DecodeError> {
        if let Some(kind) = ElementKind::from_code(code) {
            return Ok(Some(Value::TypedArray(RawArray::new(kind, self.share(body)))));
        }
        if code == ext::TIMESTAMP {
            return Ok(Timestamp::from_body(body).map(Value::Timestamp));
        }
        self.nested(|tree| {
            let outer = std::mem::replace(&mut tree.reader, Reader::new(body));
            let value = tree.body(code, body);
            tree.reader = outer;
            value
        })
    }

    fn body(&mut self, code: i8, body: &'a [u8]) -> Result<Option<Value>, DecodeError> {
        Ok(match code {
            ext::ND_ARRAY => self.nd_array(body),
            ext::OBSERVABLE => match self.parts()? {
                Some(2) => match self.value()? {
                    Value::Str(id) => Some(Value::Observable { id, value: Box::new(self.value()?) }),
                    _ => None,
                },
                _ => None,
            },
            ext::CODE => Code::read(&self.share(body)).ok().map(|code| Value::Code(Box::new(code))),
            ext::CACHE_KEY => self.only_text()?.map(Value::CacheKey),
            ext::HTML => self.only_text()?.map(Value::Html),
            ext::TRACK => self.only_text()?.map(Value::Track),
            ext::DOM => match self.parts()? {
                Some(3) => match (self.value()?, self.value()?, self.value()?) {
                    (Value::Str(tag), Value::Array(children), Value::Map(attributes)) => {
                        Some(Value::Dom { tag, children, attributes })
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
    }

    fn parts(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(match self.reader.head()? {
            Head::Array(len) => Some(len),
            _ => None,
        })
    }

    fn only_text(&mut self) -> Result<Option<String>, DecodeError> {
        Ok(match self.value()? {
            Value::Str(text) => Some(text),
            _ => None,
        })
    }

    fn nd_array(&self, body: &'a [u8]) -> Option<Value> {
        let (dims, data) = nd_array::split(body).ok()?;
        let mut reader = Reader::new(data);
        let Ok(Head::Ext(code, len)) = reader.head() else {
            return None;
        };
        let kind = ElementKind::from_code(code)?;
        let elements = reader.take(len).ok()?;
        Some(Value::NdArray { dims, data: RawArray::new(kind, self.share(elements)) })
    }
}
