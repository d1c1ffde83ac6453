//! Values that have a text as they are, for the first paint.

use serde::Serialize;

use crate::Limits;
use crate::proto::value::{RawValue, Value};

/// What an attribute can say of a value.
#[derive(Debug, PartialEq)]
pub(super) enum Scalar {
    Flag(bool),
    Text(String),
}

/// The flag, or the number or text as JavaScript prints it; `None` for everything else.
pub(super) fn scalar<T: Serialize>(value: &T) -> Option<Scalar> {
    match RawValue::encode(value).ok()?.to_value(&Limits::default()).ok()? {
        Value::Bool(flag) => Some(Scalar::Flag(flag)),
        Value::Str(text) => Some(Scalar::Text(text)),
        Value::Int(number) => Some(Scalar::Text(number.to_string())),
        Value::Uint(number) => Some(Scalar::Text(number.to_string())),
        Value::Float(number) => Some(Scalar::Text(number.to_string())),
        _ => None,
    }
}
