use serde::{Deserializer, de::Visitor, forward_to_deserialize_any};

use super::{RAW_NAME, ValueDeserializer};
use crate::proto::{DecodeError, wire::Head};

/// A map key: JavaScript makes text of numbers, so text is taken for a number where one is asked for.
pub(super) struct Key<'a, 'de>(pub(super) &'a mut ValueDeserializer<'de>);

impl<'de> Key<'_, 'de> {
    fn parse<T: std::str::FromStr>(&mut self) -> Result<Option<T>, DecodeError> {
        let mut ahead = self.0.reader.clone();
        let Head::Str(len) = ahead.head()? else {
            return Ok(None);
        };
        let text = str::from_utf8(ahead.take(len)?).unwrap_or_default();
        let Ok(value) = text.parse() else {
            return Ok(None);
        };
        self.0.reader = ahead;
        Ok(Some(value))
    }
}

macro_rules! numeric_keys {
    ($($method:ident $visit:ident $number:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.parse::<$number>()? {
                Some(value) => visitor.$visit(value),
                None => self.0.$method(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'_, 'de> {
    type Error = DecodeError;

    numeric_keys! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
        deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64,
        deserialize_bool visit_bool bool,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == RAW_NAME {
            return self.0.deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.0.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}
