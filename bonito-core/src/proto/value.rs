//! The values that messages carry: any of MessagePack, and the extension values of `docs/src/protocol.md` §3.3.
//!
//! | type | use |
//! |---|---|
//! | [`RawValue`] | one checked value as bytes: what is sent, shared and stored |
//! | any `T: Serialize` or `DeserializeOwned` | what an application works with: [`RawValue::encode`], [`RawValue::decode`] |
//! | [`Value`] | a tree, where the type is not known beforehand |
//! | [`TypedArray`], [`NdArray`], [`Timestamp`] | JavaScript's own kinds, as fields of a `T` |

mod convert;
pub(crate) mod de;
mod nd_array;
mod raw;
mod timestamp;
mod tree;
pub mod typed_array;

use bytes::Bytes;
use serde::{Serialize, Serializer};

pub(crate) use convert::serialize_raw_ext;
pub use nd_array::NdArray;
pub use raw::RawValue;
pub(crate) use raw::{USUAL_BYTES, encode_to, write_key, write_observable, write_text_ext};
pub use timestamp::Timestamp;
pub use typed_array::{Element, ElementKind, RawArray, TypedArray};

use super::message::Code;

/// Any value, as a tree.
///
/// Reading one from a [`RawValue`] with [`RawValue::to_value`] shares the bytes of blobs and typed arrays;
/// `decode::<Value>()` copies them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `null` and `undefined`.
    #[default]
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`; a smaller one is read as [`Int`](Self::Int).
    Uint(u64),
    /// A number that may have a fraction. The browser sends integers from 2^53 on this way too.
    Float(f64),
    /// Text. What was not UTF-8 has U+FFFD in its place.
    Str(String),
    /// Bytes; a `Uint8Array` in the browser.
    Bin(Bytes),
    /// An array.
    Array(Vec<Self>),
    /// A map in the order it came. Of keys that are equal the last counts; keys that are numbers became text, as in
    /// the browser.
    Map(Vec<(String, Self)>),
    /// A typed array (0x11 to 0x18).
    TypedArray(RawArray),
    /// An ND array (99). The dimensions of a received one may not fit its data.
    NdArray {
        /// The dimensions, the one that varies fastest first.
        dims: Vec<u32>,
        /// The elements, column-major.
        data: RawArray,
    },
    /// A `Date` (−1).
    Timestamp(Timestamp),
    /// An observable with its value (101). Never from a browser.
    Observable {
        /// Its id.
        id: String,
        /// Its value.
        value: Box<Self>,
    },
    /// JavaScript (102). Never from a browser.
    Code(Box<Code>),
    /// A reference into the page's cache (104). Never from a browser.
    CacheKey(String),
    /// A DOM node (105). Never from a browser.
    Dom {
        /// The name of its tag.
        tag: String,
        /// Nodes, or scalars that become text.
        children: Vec<Self>,
        /// The attributes.
        attributes: Vec<(String, Self)>,
    },
    /// HTML text (108). Never from a browser.
    Html(String),
    /// A cached object that the envelope's session holds too (109). Never from a browser.
    Track(String),
    /// Any other extension value, envelopes (107) and session caches (106) among them, and one of the above whose
    /// body is not as it should be.
    Ext(i8, Bytes),
}

impl Value {
    /// The value of a key, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, where this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where this is one; an integer beyond 2^53 is rounded.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Int(value) => Some(value as f64),
            Self::Uint(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The boolean, where this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Whether this is nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }
}

/// Writes an extension value the way rmp-serde knows it.
pub(crate) fn serialize_ext<S: Serializer>(code: i8, body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    struct Body<'a>(&'a [u8]);

    impl Serialize for Body<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    serializer.serialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, &(code, Body(body)))
}
