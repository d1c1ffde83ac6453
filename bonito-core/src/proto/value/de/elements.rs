use serde::{
    Deserializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{super::typed_array::ElementKind, integers, visit_integral};
use crate::proto::{DecodeError, wire::Head};

/// The elements of a typed array, one by one.
pub(super) struct Elements<'de> {
    kind: ElementKind,
    body: &'de [u8],
}

impl<'de> Elements<'de> {
    pub(super) fn new(kind: ElementKind, body: &'de [u8]) -> Self {
        Self { kind, body }
    }
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some((element, rest)) = self.body.split_at_checked(self.kind.size()) else {
            return Ok(None);
        };
        self.body = rest;
        seed.deserialize(Number(self.kind.number(element))).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.body.len() / self.kind.size())
    }
}

/// One element of a typed array.
struct Number(Head);

impl Number {
    fn visit_integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Head::Float(value) => visit_integral(value, visitor),
            _ => self.deserialize_any(visitor),
        }
    }
}

impl<'de> Deserializer<'de> for Number {
    type Error = DecodeError;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Head::Uint(value) => visitor.visit_u64(value),
            Head::Int(value) => visitor.visit_i64(value),
            Head::Float(value) => visitor.visit_f64(value),
            other => Err(DecodeError::wrong_type(format!("expected a number, {} came", other.name()))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct enum
        identifier ignored_any
    }
}
