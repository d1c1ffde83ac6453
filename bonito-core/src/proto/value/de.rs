//! A serde deserializer that knows what JavaScript makes of values.
//!
//! rmp-serde's own refuses a float for an integer, text for an integer key, bytes and typed arrays for a `Vec`, and
//! text that is not UTF-8; the browser sends all of them (`docs/src/protocol.md` §3.2).

mod elements;
mod key;

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, Unexpected, VariantAccess,
        Visitor,
    },
    forward_to_deserialize_any,
};

use self::{elements::Elements, key::Key};
use super::{Timestamp, typed_array::ElementKind};
use crate::proto::{
    DecodeError,
    scan::{MAX_DEPTH, Scan, end_of},
    wire::{Head, Reader, ext, ext_name},
};

/// The newtype name by which a type asks [`ValueDeserializer`] for the bytes of the value instead of its parts.
const RAW_NAME: &str = "$bonito::raw";

pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut deserializer = ValueDeserializer { reader: Reader::new(bytes), depth: 0 };
    let value = T::deserialize(&mut deserializer)?;
    end_of(&deserializer.reader)?;
    Ok(value)
}

/// What a type does with the bytes of a value, or with another format's deserializer where there are no bytes.
pub(crate) trait RawVisitor<'de>: Sized {
    type Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn raw<E: de::Error>(self, raw: &[u8]) -> Result<Self::Value, E>;
    fn other<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error>;
}

pub(crate) fn deserialize_raw<'de, V, D>(deserializer: D, visitor: V) -> Result<V::Value, D::Error>
where
    V: RawVisitor<'de>,
    D: Deserializer<'de>,
{
    struct Adapt<'de, V>(V, PhantomData<&'de ()>);

    impl<'de, V: RawVisitor<'de>> Visitor<'de> for Adapt<'de, V> {
        type Value = V::Value;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.expecting(f)
        }

        fn visit_borrowed_bytes<E: de::Error>(self, raw: &'de [u8]) -> Result<V::Value, E> {
            self.0.raw(raw)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
            self.0.other(deserializer)
        }
    }

    deserializer.deserialize_newtype_struct(RAW_NAME, Adapt(visitor, PhantomData))
}

/// Turns an error of this crate into the one of whatever format is being read.
pub(crate) fn custom<E: de::Error>(error: DecodeError) -> E {
    E::custom(error)
}

struct ValueDeserializer<'de> {
    reader: Reader<'de>,
    depth: usize,
}

impl<'de> ValueDeserializer<'de> {
    /// Reads the parts of a container.
    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(DecodeError::too_deep(MAX_DEPTH));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn text(&mut self, len: usize) -> Result<Cow<'de, str>, DecodeError> {
        let bytes = self.reader.take(len)?;
        // What is whole, as nearly all text is, passes faster than it is repaired.
        Ok(str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed))
    }

    /// The bytes of the next value.
    fn skip(&mut self) -> Result<&'de [u8], DecodeError> {
        let start = self.reader.at();
        Scan::uncounted(MAX_DEPTH).value(&mut self.reader, 0)?;
        Ok(&self.reader.bytes()[start..self.reader.at()])
    }

    fn visit_seq<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(|de| {
            let mut parts = Parts { de, left: len };
            let value = visitor.visit_seq(&mut parts)?;
            match parts.left {
                0 => Ok(value),
                left => Err(wrong_len(len, len - left)),
            }
        })
    }

    fn visit_map<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(|de| {
            let mut parts = Parts { de, left: len };
            let value = visitor.visit_map(&mut parts)?;
            match parts.left {
                0 => Ok(value),
                left => Err(wrong_len(len, len - left)),
            }
        })
    }

    fn visit_ext<V: Visitor<'de>>(
        &mut self,
        code: i8,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let body = self.reader.take(len)?;
        match ElementKind::from_code(code) {
            Some(kind) => visitor.visit_seq(Elements::new(kind, body)),
            None => Err(de::Error::invalid_type(Unexpected::Other(ext_name(code)), &visitor)),
        }
    }

    /// Visits a number as an integer where that loses nothing.
    #[inline]
    fn visit_integer<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.head()? {
            Head::Uint(value) => visitor.visit_u64(value),
            Head::Int(value) => visitor.visit_i64(value),
            Head::Float(value) => visit_integral(value, visitor),
            other => self.visit(other, visitor),
        }
    }

    #[inline]
    fn visit_float<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.float() {
            Some(value) => visitor.visit_f64(value),
            None => {
                let head = self.reader.head()?;
                self.visit(head, visitor)
            }
        }
    }

    /// Visits the value whose head was just read.
    fn visit<V: Visitor<'de>>(&mut self, head: Head, visitor: V) -> Result<V::Value, DecodeError> {
        match head {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Uint(value) => visitor.visit_u64(value),
            Head::Int(value) => visitor.visit_i64(value),
            Head::Float(value) => visitor.visit_f64(value),
            Head::Str(len) => match self.text(len)? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Head::Bin(len) => visitor.visit_borrowed_bytes(self.reader.take(len)?),
            Head::Array(len) => self.visit_seq(len, visitor),
            Head::Map(len) => self.visit_map(len, visitor),
            Head::Ext(code, len) => self.visit_ext(code, len, visitor),
        }
    }
}

fn wrong_len(came: usize, expected: usize) -> DecodeError {
    DecodeError::wrong_type(format!("expected {expected} elements, {came} came"))
}

/// Visits the integer that a float without a fraction stands for, or the float where it stands for none.
fn visit_integral<'de, V: Visitor<'de>>(value: f64, visitor: V) -> Result<V::Value, DecodeError> {
    const ABOVE_U64: f64 = 18_446_744_073_709_551_616.0;
    const LOWEST_I64: f64 = -9_223_372_036_854_775_808.0;
    if value.fract() != 0.0 {
        visitor.visit_f64(value)
    } else if (0.0..ABOVE_U64).contains(&value) {
        visitor.visit_u64(value as u64)
    } else if (LOWEST_I64..0.0).contains(&value) {
        visitor.visit_i64(value as i64)
    } else {
        visitor.visit_f64(value)
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.visit_integer(visitor)
        }
    )*};
}

use integers;

impl<'de> Deserializer<'de> for &mut ValueDeserializer<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.head()? {
            // Who asks for anything is about to hold plain data, for a tagged enum or a flattened struct.
            Head::Ext(ext::TIMESTAMP, len) => match Timestamp::from_body(self.reader.take(len)?) {
                Some(time) => visitor.visit_f64(time.as_millis()),
                None => Err(de::Error::invalid_type(Unexpected::Other("a broken timestamp"), &visitor)),
            },
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_float(visitor)
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.reader.next_is_nil() {
            self.reader.head()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.head()? {
            Head::Ext(code, len) if ElementKind::from_code(code) == Some(ElementKind::U8) => {
                visitor.visit_borrowed_bytes(self.reader.take(len)?)
            }
            other => self.visit(other, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.head()? {
            Head::Bin(len) => visitor.visit_seq(Elements::new(ElementKind::U8, self.reader.take(len)?)),
            other => self.visit(other, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == RAW_NAME {
            let raw = self.skip()?;
            return visitor.visit_borrowed_bytes(raw);
        }
        self.nested(|de| visitor.visit_newtype_struct(de))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.reader.peek()? {
            Head::Map(1) => {
                self.reader.head()?;
                self.nested(|de| visitor.visit_enum(Variant { de, has_data: true }))
            }
            Head::Str(_) => visitor.visit_enum(Variant { de: self, has_data: false }),
            other => Err(DecodeError::wrong_type(format!(
                "expected the name of a variant, or a map of one name to its data, {} came",
                other.name()
            ))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool char str string unit unit_struct map struct identifier
    }
}

/// The parts of an array or a map that are still to come.
struct Parts<'a, 'de> {
    de: &'a mut ValueDeserializer<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.de).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.de.reader.remaining()))
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(Key(&mut *self.de)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        seed.deserialize(&mut *self.de)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.de.reader.remaining()))
    }
}

/// A variant of an enum: its name alone, or the only entry of a map.
struct Variant<'a, 'de> {
    de: &'a mut ValueDeserializer<'de>,
    has_data: bool,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let name = seed.deserialize(&mut *self.de)?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        if self.has_data {
            return serde::Deserialize::deserialize(self.de);
        }
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        self.data()?;
        seed.deserialize(self.de)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.data()?;
        self.de.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.data()?;
        self.de.deserialize_any(visitor)
    }
}

impl Variant<'_, '_> {
    fn data(&self) -> Result<(), DecodeError> {
        if self.has_data {
            return Ok(());
        }
        Err(DecodeError::wrong_type("expected a variant with its data, only the name of one came"))
    }
}
