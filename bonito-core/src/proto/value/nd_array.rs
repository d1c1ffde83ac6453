use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    Element, TypedArray,
    de::{self, RawVisitor, custom},
    serialize_ext,
    typed_array::RawArray,
};
use crate::proto::{
    DecodeError, EncodeError,
    scan::{MAX_DEPTH, Scan},
    wire::{Head, Reader, ext},
};

/// Numbers with dimensions, column-major: the first dimension varies fastest (extension 99, `docs/src/protocol.md` §3.3).
///
/// In the browser it is an object `{size, array}`.
#[derive(Clone, Debug, PartialEq)]
pub struct NdArray<T: Element> {
    dims: Vec<u32>,
    data: TypedArray<T>,
}

impl<T: Element> NdArray<T> {
    /// Puts dimensions on numbers.
    ///
    /// # Errors
    ///
    /// When the product of `dims` is not the number of elements.
    pub fn new(dims: Vec<u32>, data: impl Into<TypedArray<T>>) -> Result<Self, EncodeError> {
        Ok(Self::checked(dims, data.into())?)
    }

    fn checked(dims: Vec<u32>, data: TypedArray<T>) -> Result<Self, DecodeError> {
        let product = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.try_into().ok()?));
        if product != Some(data.len()) {
            return Err(DecodeError::wrong_type(format!(
                "expected as many elements as the dimensions {:?} multiply to, {} came",
                &dims[..dims.len().min(8)],
                data.len()
            )));
        }
        Ok(Self { dims, data })
    }

    /// The dimensions, the one that varies fastest first.
    pub fn dims(&self) -> &[u32] {
        &self.dims
    }

    /// The elements, column-major.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The dimensions and the elements.
    pub fn into_parts(self) -> (Vec<u32>, Vec<T>) {
        (self.dims, self.data.into_vec())
    }

    fn from_raw(raw: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(raw);
        match reader.head()? {
            Head::Ext(ext::ND_ARRAY, len) => Self::from_body(reader.take(len)?),
            other => Err(DecodeError::wrong_type(format!("expected an ND array, {} came", other.name()))),
        }
    }

    fn from_body(body: &[u8]) -> Result<Self, DecodeError> {
        let (dims, data) = split(body)?;
        Self::checked(dims, TypedArray::from_raw(data)?)
    }
}

/// The dimensions and the bytes of the data.
pub(super) fn split(body: &[u8]) -> Result<(Vec<u32>, &[u8]), DecodeError> {
    let mut reader = Reader::new(body);
    let Head::Array(2) = reader.head()? else {
        return Err(DecodeError::wrong_type(
            "expected the dimensions and the data of an ND array, other parts came",
        ));
    };
    let size = reader.at();
    Scan::uncounted(MAX_DEPTH).value(&mut reader, 0)?;
    let data = reader.at();
    Ok((de::from_slice(&body[size..data])?, &body[data..]))
}

/// The body of the extension value.
pub(super) fn body(dims: &[u32], data: &RawArray) -> Vec<u8> {
    let size = RawArray::from(dims);
    let mut out =
        crate::proto::wire::Writer::with_capacity(data.as_bytes().len() + size.as_bytes().len() + 16);
    out.array(2);
    for array in [&size, data] {
        out.ext(array.kind().code(), array.as_bytes().len());
        out.raw(array.as_bytes());
    }
    out.into_vec()
}

impl<T: Element> Serialize for NdArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_ext(ext::ND_ARRAY, &body(&self.dims, &RawArray::from(&*self.data)), serializer)
    }
}

impl<'de, T: Element> Deserialize<'de> for NdArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(std::marker::PhantomData<T>);

        impl<'de, T: Element> RawVisitor<'de> for Visit<T> {
            type Value = NdArray<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an ND array")
            }

            fn raw<E: serde::de::Error>(self, raw: &[u8]) -> Result<NdArray<T>, E> {
                NdArray::from_raw(raw).map_err(custom)
            }

            fn other<D: Deserializer<'de>>(self, _: D) -> Result<NdArray<T>, D::Error> {
                Err(D::Error::custom(
                    "expected an ND array, which only MessagePack carries: do not flatten the field",
                ))
            }
        }

        de::deserialize_raw(deserializer, Visit(std::marker::PhantomData))
    }
}
