//! JavaScript's typed arrays (extensions 0x11 to 0x18, `docs/src/protocol.md` §3.3).
//!
//! [`TypedArray`] owns its elements; [`RawArray`] is a slice of a received frame. A field that is a plain `Vec`
//! travels as a typed array with `#[serde(with = "bonito_core::proto::value::typed_array")]`:
//!
//! ```
//! use bonito_core::proto::value::RawValue;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Plot {
//!     #[serde(with = "bonito_core::proto::value::typed_array")]
//!     heights: Vec<f32>,
//! }
//!
//! let raw = RawValue::encode(&Plot { heights: vec![1.5, 2.5] })?;
//! assert_eq!(raw.decode::<Plot>()?.heights, [1.5, 2.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{borrow::Cow, fmt, ops::Deref};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{
    de::{self, RawVisitor, custom},
    serialize_ext,
};
use crate::proto::{
    DecodeError,
    wire::{Head, Reader},
};

/// What a typed array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these eight")]
pub enum ElementKind {
    /// `Int8Array`, extension 0x11.
    I8,
    /// `Uint8Array`, extension 0x12.
    U8,
    /// `Int16Array`, extension 0x13.
    I16,
    /// `Uint16Array`, extension 0x14.
    U16,
    /// `Int32Array`, extension 0x15.
    I32,
    /// `Uint32Array`, extension 0x16.
    U32,
    /// `Float32Array`, extension 0x17.
    F32,
    /// `Float64Array`, extension 0x18.
    F64,
}

impl ElementKind {
    /// The kind that an extension code stands for, if it is one of a typed array.
    pub fn from_code(code: i8) -> Option<Self> {
        Some(match code {
            0x11 => Self::I8,
            0x12 => Self::U8,
            0x13 => Self::I16,
            0x14 => Self::U16,
            0x15 => Self::I32,
            0x16 => Self::U32,
            0x17 => Self::F32,
            0x18 => Self::F64,
            _ => return None,
        })
    }

    /// The extension code.
    pub fn code(self) -> i8 {
        match self {
            Self::I8 => 0x11,
            Self::U8 => 0x12,
            Self::I16 => 0x13,
            Self::U16 => 0x14,
            Self::I32 => 0x15,
            Self::U32 => 0x16,
            Self::F32 => 0x17,
            Self::F64 => 0x18,
        }
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The name of the class in JavaScript.
    pub fn class_name(self) -> &'static str {
        match self {
            Self::I8 => "Int8Array",
            Self::U8 => "Uint8Array",
            Self::I16 => "Int16Array",
            Self::U16 => "Uint16Array",
            Self::I32 => "Int32Array",
            Self::U32 => "Uint32Array",
            Self::F32 => "Float32Array",
            Self::F64 => "Float64Array",
        }
    }

    /// Reads one little-endian element; nil where the bytes are not of its size.
    pub(super) fn number(self, element: &[u8]) -> Head {
        fn int(value: impl Into<i64>) -> Head {
            let value = value.into();
            u64::try_from(value).map_or(Head::Int(value), Head::Uint)
        }

        fn read<const N: usize>(element: &[u8], number: impl Fn([u8; N]) -> Head) -> Head {
            element.try_into().map_or(Head::Nil, number)
        }

        match self {
            Self::I8 => read(element, |bytes| int(i8::from_le_bytes(bytes))),
            Self::U8 => read(element, |bytes| int(u8::from_le_bytes(bytes))),
            Self::I16 => read(element, |bytes| int(i16::from_le_bytes(bytes))),
            Self::U16 => read(element, |bytes| int(u16::from_le_bytes(bytes))),
            Self::I32 => read(element, |bytes| int(i32::from_le_bytes(bytes))),
            Self::U32 => read(element, |bytes| int(u32::from_le_bytes(bytes))),
            Self::F32 => read(element, |bytes| Head::Float(f32::from_le_bytes(bytes).into())),
            Self::F64 => read(element, |bytes| Head::Float(f64::from_le_bytes(bytes))),
        }
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "nobody else may add a kind of element")]
    pub trait Sealed: bytemuck::Pod {
        /// One element on the wire, of a big-endian machine.
        fn append_to_wire(self, out: &mut Vec<u8>);

        /// One copy of the elements on the wire. Bytes that make no whole element are left off, as the browser does.
        fn from_wire(body: &[u8]) -> Vec<Self>;
    }
}

/// A number that typed arrays are made of: `i8`, `u8`, `i16`, `u16`, `i32`, `u32`, `f32` or `f64`.
pub trait Element:
    sealed::Sealed + DeserializeOwned + Serialize + fmt::Debug + PartialEq + Send + Sync + 'static
{
    /// The kind of array.
    const KIND: ElementKind;
}

macro_rules! elements {
    ($($number:ty => $kind:ident,)*) => {$(
        impl sealed::Sealed for $number {
            fn append_to_wire(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn from_wire(body: &[u8]) -> Vec<Self> {
                let (elements, _part) = body.as_chunks();
                elements.iter().map(|bytes| Self::from_le_bytes(*bytes)).collect()
            }
        }

        impl Element for $number {
            const KIND: ElementKind = ElementKind::$kind;
        }
    )*};
}

elements! {
    i8 => I8,
    u8 => U8,
    i16 => I16,
    u16 => U16,
    i32 => I32,
    u32 => U32,
    f32 => F32,
    f64 => F64,
}

/// The elements as the wire has them, without a copy on a little-endian machine.
fn to_wire<T: Element>(elements: &[T]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytemuck::cast_slice(elements));
    }
    Cow::Owned(swapped(elements))
}

fn swapped<T: Element>(elements: &[T]) -> Vec<u8> {
    let mut out = Vec::with_capacity(size_of_val(elements));
    for element in elements {
        element.append_to_wire(&mut out);
    }
    out
}

/// A vector of numbers that travels as a JavaScript typed array: its bytes are copied once each way.
///
/// It is read from a typed array, from bytes, and from a plain array of numbers that fit.
///
/// ```
/// use bonito_core::proto::value::{RawValue, TypedArray};
///
/// let raw = RawValue::encode(&TypedArray::from(vec![1.0f32, 2.5]))?;
/// assert_eq!(raw.as_bytes(), [0xd7, 0x17, 0, 0, 0x80, 0x3f, 0, 0, 0x20, 0x40]);
/// assert_eq!(*raw.decode::<TypedArray<f32>>()?, [1.0, 2.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypedArray<T: Element>(Vec<T>);

impl<T: Element> TypedArray<T> {
    /// The elements.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }

    pub(super) fn from_raw(raw: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(raw);
        match reader.head()? {
            Head::Ext(code, len) if code == T::KIND.code() => Ok(Self(T::from_wire(reader.take(len)?))),
            Head::Bin(len) if T::KIND == ElementKind::U8 => Ok(Self(T::from_wire(reader.take(len)?))),
            Head::Array(_) | Head::Ext(..) => de::from_slice(raw).map(Self),
            other => Err(DecodeError::wrong_type(format!(
                "expected a {} or an array of its numbers, {} came",
                T::KIND.class_name(),
                other.name()
            ))),
        }
    }
}

impl<T: Element> From<Vec<T>> for TypedArray<T> {
    fn from(elements: Vec<T>) -> Self {
        Self(elements)
    }
}

impl<T: Element> From<TypedArray<T>> for Vec<T> {
    fn from(array: TypedArray<T>) -> Self {
        array.0
    }
}

impl<T: Element> FromIterator<T> for TypedArray<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self(elements.into_iter().collect())
    }
}

impl<T: Element> Deref for TypedArray<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Element> AsRef<[T]> for TypedArray<T> {
    fn as_ref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Element> Serialize for TypedArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de, T: Element> Deserialize<'de> for TypedArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(std::marker::PhantomData<T>);

        impl<'de, T: Element> RawVisitor<'de> for Visit<T> {
            type Value = TypedArray<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a {} or an array of its numbers", T::KIND.class_name())
            }

            fn raw<E: serde::de::Error>(self, raw: &[u8]) -> Result<TypedArray<T>, E> {
                TypedArray::from_raw(raw).map_err(custom)
            }

            fn other<D: Deserializer<'de>>(self, deserializer: D) -> Result<TypedArray<T>, D::Error> {
                Vec::deserialize(deserializer).map(TypedArray)
            }
        }

        de::deserialize_raw(deserializer, Visit(std::marker::PhantomData))
    }
}

/// Writes a slice of numbers as a typed array: for `#[serde(with = "…")]`, see the [module](self).
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<T: Element, S: Serializer>(
    elements: impl AsRef<[T]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serialize_ext(T::KIND.code(), &to_wire(elements.as_ref()), serializer)
}

/// Reads what [`TypedArray`] reads into a `Vec`: for `#[serde(with = "…")]`, see the [module](self).
///
/// # Errors
///
/// When the value is no array of such numbers.
pub fn deserialize<'de, T: Element, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    TypedArray::deserialize(deserializer).map(TypedArray::into_vec)
}

/// A typed array as it came: a slice of its frame, of any of the eight kinds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawArray {
    kind: ElementKind,
    body: Bytes,
}

impl RawArray {
    /// Takes little-endian elements. Bytes that make no whole element are left off, as the browser does.
    pub fn new(kind: ElementKind, mut body: Bytes) -> Self {
        body.truncate(body.len() - body.len() % kind.size());
        Self { kind, body }
    }

    /// What the elements are.
    pub fn kind(&self) -> ElementKind {
        self.kind
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.body.len() / self.kind.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The elements' bytes, little-endian.
    pub fn as_bytes(&self) -> &Bytes {
        &self.body
    }

    /// Copies the elements, which must be of type `T`.
    ///
    /// # Errors
    ///
    /// When they are of another kind.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, DecodeError> {
        if self.kind != T::KIND {
            return Err(DecodeError::wrong_type(format!(
                "expected a {}, a {} came",
                T::KIND.class_name(),
                self.kind.class_name()
            )));
        }
        Ok(T::from_wire(&self.body))
    }

    /// The elements as floats, which hold each of the eight kinds exactly.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        self.body
            .chunks_exact(self.kind.size())
            .map(|element| match self.kind.number(element) {
                Head::Uint(value) => value as f64,
                Head::Int(value) => value as f64,
                Head::Float(value) => value,
                _ => f64::NAN,
            })
            .collect()
    }
}

impl<T: Element> From<&[T]> for RawArray {
    fn from(elements: &[T]) -> Self {
        Self { kind: T::KIND, body: Bytes::copy_from_slice(&to_wire(elements)) }
    }
}

impl fmt::Debug for RawArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        write!(f, "{}({})", self.kind.class_name(), self.len())?;
        if self.len() <= SHOWN {
            f.debug_list().entries(self.to_f64_vec()).finish()?;
        }
        Ok(())
    }
}

impl Serialize for RawArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_ext(self.kind.code(), &self.body, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_the_wire_agree() {
        assert_eq!(swapped(&[1u16, 0x203]), *to_wire(&[1u16, 0x203]));
        assert_eq!(swapped(&[1.5f64, -0.0]), *to_wire(&[1.5f64, -0.0]));
        assert_eq!(swapped(&[-1i8]), [0xff]);
    }
}
