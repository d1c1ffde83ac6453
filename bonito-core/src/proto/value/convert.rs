//! Trees to and from serde, and from the types of the language.

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::{Error as _, SerializeMap},
};

use super::{
    RawArray, RawValue, Timestamp, Value,
    de::{RawVisitor, custom, deserialize_raw},
    nd_array, serialize_ext,
};
use crate::proto::{
    EncodeError,
    message::Code,
    scan::MAX_DEPTH,
    wire::{Head, Reader, ext},
};

/// Writes an extension value that is built already: outside in, so that what it holds is written by [`RawValue`].
pub(crate) fn serialize_raw_ext<S: Serializer>(
    raw: Result<RawValue, EncodeError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let raw = raw.map_err(S::Error::custom)?;
    let mut reader = Reader::new(raw.as_bytes());
    match reader.head() {
        Ok(Head::Ext(code, len)) => {
            serialize_ext(code, reader.take(len).map_err(S::Error::custom)?, serializer)
        }
        _ => Err(S::Error::custom("an extension value has no head")),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Uint(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Str(text) => serializer.serialize_str(text),
            Self::Bin(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(elements) => serializer.collect_seq(elements),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::TypedArray(array) => array.serialize(serializer),
            Self::NdArray { dims, data } => {
                serialize_ext(ext::ND_ARRAY, &nd_array::body(dims, data), serializer)
            }
            Self::Timestamp(time) => time.serialize(serializer),
            Self::Observable { id, value } => serialize_raw_ext(
                RawValue::encode(value).and_then(|value| RawValue::observable(id, &value)),
                serializer,
            ),
            Self::Code(code) => serialize_raw_ext(RawValue::code(code), serializer),
            Self::CacheKey(key) => serialize_raw_ext(RawValue::cache_key(key), serializer),
            Self::Dom { tag, children, attributes } => {
                let dom = || {
                    let children = children.iter().map(RawValue::encode).collect::<Result<Vec<_>, _>>()?;
                    let attributes = attributes
                        .iter()
                        .map(|(name, value)| Ok((name.as_str(), RawValue::encode(value)?)))
                        .collect::<Result<Vec<_>, EncodeError>>()?;
                    RawValue::dom(tag, &children, &attributes)
                };
                serialize_raw_ext(dom(), serializer)
            }
            Self::Html(html) => serialize_raw_ext(RawValue::html(html), serializer),
            Self::Track(key) => serialize_raw_ext(RawValue::track(key), serializer),
            Self::Ext(code, body) => serialize_ext(*code, body, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_raw(deserializer, Visit)
    }
}

struct Visit;

impl<'de> RawVisitor<'de> for Visit {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn raw<E: de::Error>(self, raw: &[u8]) -> Result<Value, E> {
        Value::copied(raw, MAX_DEPTH).map_err(custom)
    }

    fn other<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Visit {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Str(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bin(Bytes::copy_from_slice(bytes)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = parts.next_element()? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = parts.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

macro_rules! from {
    ($($type:ty: $name:ident => $value:expr,)*) => {$(
        impl From<$type> for Value {
            fn from($name: $type) -> Self {
                $value
            }
        }
    )*};
}

from! {
    (): _nil => Self::Nil,
    bool: value => Self::Bool(value),
    i32: value => Self::Int(value.into()),
    u32: value => Self::Int(value.into()),
    i64: value => Self::Int(value),
    u64: value => i64::try_from(value).map_or(Self::Uint(value), Self::Int),
    f32: value => Self::Float(value.into()),
    f64: value => Self::Float(value),
    &str: text => Self::Str(text.to_owned()),
    String: text => Self::Str(text),
    Bytes: bytes => Self::Bin(bytes),
    Vec<Value>: elements => Self::Array(elements),
    RawArray: array => Self::TypedArray(array),
    Timestamp: time => Self::Timestamp(time),
    Code: code => Self::Code(Box::new(code)),
}
