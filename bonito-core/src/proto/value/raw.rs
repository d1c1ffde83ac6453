use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{
    Value,
    de::{self, RawVisitor},
};
use crate::{
    Limits,
    proto::{
        DecodeError, EncodeError,
        message::Code,
        scan::{MAX_DEPTH, Origin, SENT_DEPTH, Scan, check_key},
        wire::{Head, Reader, Writer, ext},
    },
};

/// Exactly one complete MessagePack value, checked: it can be put into a message and sent as it is.
///
/// Cheap to clone. What came from a browser is a slice of its frame, and keeps the frame alive; it may be sent to
/// other browsers as it is, since what would break or misuse those was refused with the frame.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawValue(Bytes);

impl RawValue {
    /// Nil: `null` in the browser.
    pub const NIL: Self = Self(Bytes::from_static(&[0xc0]));

    /// Nil: `null` in the browser.
    pub const fn nil() -> Self {
        Self::NIL
    }

    /// Writes a value the way the browser reads it: structs as maps, text where a type has a readable form.
    ///
    /// Integers beyond 2^53 arrive rounded, since the browser has no others (`docs/src/protocol.md` §3.1).
    ///
    /// # Errors
    ///
    /// When `T` fails to serialize, when a map key is neither a string nor a number or is `"__proto__"` (the browser
    /// would refuse the whole frame, §3.1), when the value nests deeper than 64 levels, or when it is longer than 4 GiB.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        encode_to(value, &mut bytes)?;
        Ok(Self(Bytes::from(bytes.into_boxed_slice())))
    }

    /// Takes bytes that hold one value of unknown origin.
    ///
    /// # Errors
    ///
    /// When they are not exactly one value, when they pass a bound of `limits`, or when a browser could not read
    /// them (see [`encode`](Self::encode)).
    pub fn from_bytes(bytes: Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        Scan::new(Origin::Server, limits).whole(&bytes)?;
        Ok(Self(bytes))
    }

    /// Takes bytes that a scan has passed already.
    pub(crate) fn checked(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Reads the value as a `T`.
    ///
    /// It knows what JavaScript makes of numbers and maps (`docs/src/protocol.md` §3.2): an integer is taken for a
    /// float, a float without a fraction for an integer that can hold it, a key of digits for an integer key. A typed
    /// array is taken for a [`TypedArray`](super::TypedArray) or a `Vec` of numbers, bytes for a `Vec<u8>`, and text
    /// that is not UTF-8 (half a surrogate pair, which honest pages send) has U+FFFD in its place.
    ///
    /// # Errors
    ///
    /// When the value is no `T`; the error says what was expected and what came. When it nests deeper than 128 levels.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        de::from_slice(&self.0)
    }

    /// Reads the value as a tree whose bytes and typed arrays are slices of it.
    ///
    /// # Errors
    ///
    /// When it passes a bound of `limits`.
    pub fn to_value(&self, limits: &Limits) -> Result<Value, DecodeError> {
        Value::decode(&self.0, limits)
    }

    /// The MessagePack bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The MessagePack bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Whether the value is nil.
    pub fn is_nil(&self) -> bool {
        *self.0 == [0xc0]
    }

    /// A reference to an object in the page's cache (extension 104). It arrives as the object, or as `null` where the
    /// page does not have it.
    ///
    /// # Errors
    ///
    /// When the key is longer than 4 GiB.
    pub fn cache_key(key: &str) -> Result<Self, EncodeError> {
        text_ext(ext::CACHE_KEY, key)
    }

    /// A cached object that the envelope's session is to hold as well (extension 109). Only an envelope's cache is the
    /// place for one (`docs/src/protocol.md` §4).
    ///
    /// # Errors
    ///
    /// When the key is longer than 4 GiB.
    pub fn track(key: &str) -> Result<Self, EncodeError> {
        text_ext(ext::TRACK, key)
    }

    /// HTML text (extension 108). It arrives as a `<div>` with that inner HTML, whose scripts do not run.
    ///
    /// # Errors
    ///
    /// When the text is longer than 4 GiB.
    pub fn html(html: &str) -> Result<Self, EncodeError> {
        text_ext(ext::HTML, html)
    }

    /// An observable with its value (extension 101). Only an envelope's cache is the place for one
    /// (`docs/src/protocol.md` §4).
    ///
    /// # Errors
    ///
    /// When the value is longer than 4 GiB.
    pub fn observable(id: &str, value: &Self) -> Result<Self, EncodeError> {
        let mut out = Writer::with_capacity(id.len() + value.0.len() + 16);
        write_observable(&mut out, id, value);
        out.finish().map(Self)
    }

    /// JavaScript with the values it looks up (extension 102). It arrives as a function without arguments.
    ///
    /// # Errors
    ///
    /// When a value's key is `"__proto__"`, which every browser refuses, or when the code is longer than 4 GiB.
    pub fn code(code: &Code) -> Result<Self, EncodeError> {
        let mut out = Writer::with_capacity(code.size_guess());
        code.write(&mut out)?;
        out.finish().map(Self)
    }

    /// A DOM node (extension 105). Attributes that are nil are left out, since the browser would write `"null"`.
    ///
    /// # Errors
    ///
    /// When an attribute is called `"__proto__"`, or `"class"` on an SVG node (one with `juliasvgnode`): the browser
    /// would refuse the whole frame (`docs/src/protocol.md` §3.5).
    pub fn dom(tag: &str, children: &[Self], attributes: &[(&str, Self)]) -> Result<Self, EncodeError> {
        let is_svg = attributes.iter().any(|(name, value)| *name == "juliasvgnode" && value.is_truthy());
        if is_svg && attributes.iter().any(|(name, value)| *name == "class" && !value.is_nil()) {
            return Err(EncodeError::wrong_type(
                "an SVG node cannot have a class: set it from code, or put it on a node around it",
            ));
        }
        let mut out = Writer::default();
        let open = out.open_ext(64);
        out.array(3);
        out.str(tag);
        out.array(children.len());
        for child in children {
            out.raw(&child.0);
        }
        out.map(attributes.iter().filter(|(_, value)| !value.is_nil()).count());
        for (name, value) in attributes.iter().filter(|(_, value)| !value.is_nil()) {
            write_key(&mut out, name)?;
            out.raw(&value.0);
        }
        out.close_ext(&open, ext::DOM);
        out.finish().map(Self)
    }

    /// Whether JavaScript takes the value for true, as far as attributes go.
    fn is_truthy(&self) -> bool {
        match Reader::new(&self.0).head() {
            Ok(Head::Nil | Head::Bool(false) | Head::Uint(0) | Head::Str(0)) | Err(_) => false,
            Ok(Head::Float(value)) => value != 0.0 && !value.is_nan(),
            Ok(_) => true,
        }
    }
}

/// Room for a value that is written; longer ones make more.
pub(crate) const USUAL_BYTES: usize = 128;

/// Appends what [`RawValue::encode`] holds. What an error leaves behind is no value.
pub(crate) fn encode_to<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    value
        .serialize(&mut rmp_serde::Serializer::new(&mut *out).with_struct_map().with_human_readable())
        .map_err(|error| {
            EncodeError::wrong_type(format!("the value does not serialize: {error}")).with_source(error)
        })?;
    let written = &out[start..];
    if u32::try_from(written.len()).is_err() {
        return Err(EncodeError::too_large());
    }
    Scan::uncounted(SENT_DEPTH).whole(written)?;
    Ok(())
}

fn text_ext(code: i8, text: &str) -> Result<RawValue, EncodeError> {
    let mut out = Writer::with_capacity(text.len() + 11);
    write_text_ext(&mut out, code, text);
    out.finish().map(RawValue)
}

pub(crate) fn write_text_ext(out: &mut Writer, code: i8, text: &str) {
    let open = out.open_ext(text.len() + 3);
    out.str(text);
    out.close_ext(&open, code);
}

pub(crate) fn write_observable(out: &mut Writer, id: &str, value: &RawValue) {
    let open = out.open_ext(id.len() + value.0.len() + 3);
    out.array(2);
    out.str(id);
    out.raw(&value.0);
    out.close_ext(&open, ext::OBSERVABLE);
}

/// Writes a map key, unless the browser would refuse it.
pub(crate) fn write_key(out: &mut Writer, key: &str) -> Result<(), EncodeError> {
    check_key(Head::Str(key.len()), &mut Reader::new(key.as_bytes()), 0)?;
    out.str(key);
    Ok(())
}

impl AsRef<[u8]> for RawValue {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Default for RawValue {
    fn default() -> Self {
        Self::NIL
    }
}

impl From<RawValue> for Bytes {
    fn from(value: RawValue) -> Self {
        value.0
    }
}

impl fmt::Debug for RawValue {
    /// Shows the value, or its size where it is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES: usize = 256;
        if self.0.len() <= SHOWN_BYTES
            && let Ok(value) = self.to_value(&Limits::default())
        {
            return f.debug_tuple("RawValue").field(&value).finish();
        }
        write!(f, "RawValue({} bytes)", self.0.len())
    }
}

impl Serialize for RawValue {
    /// Goes through a tree, so that a value can stand inside a larger one; costs more than sending it alone.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::copied(&self.0, MAX_DEPTH).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    /// Copies the value's bytes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> RawVisitor<'de> for Visit {
            type Value = RawValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn raw<E: serde::de::Error>(self, raw: &[u8]) -> Result<RawValue, E> {
                Ok(RawValue(Bytes::copy_from_slice(raw)))
            }

            fn other<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
                let value = Value::deserialize(deserializer)?;
                RawValue::encode(&value).map_err(serde::de::Error::custom)
            }
        }

        de::deserialize_raw(deserializer, Visit)
    }
}
