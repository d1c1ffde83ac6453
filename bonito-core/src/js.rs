//! JavaScript with values of Rust in it.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::observable::{Observable, ReadOnly};
use crate::proto::EncodeError;
use crate::proto::message::Code;
use crate::proto::value::RawValue;
use crate::session::Bindable;

/// JavaScript with interpolated values, made by [`js!`](crate::js).
///
/// Values travel beside the source and never become part of it, so no text in them can turn into code.
#[derive(Clone, Debug)]
pub struct Script {
    source: Cow<'static, str>,
    origin: &'static str,
    values: Vec<(String, Interpolated)>,
}

/// A value on its way into a script.
#[derive(Clone, Debug)]
pub struct Interpolated(Slot);

#[derive(Clone, Debug)]
enum Slot {
    Value(RawValue),
    Secret(Secret),
    Observable(Bindable),
    Script(Script),
}

/// A value that debug output keeps to itself.
#[derive(Clone)]
struct Secret(RawValue);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Script {
    /// A script without values. Anything that users of the page could have written belongs into a value, not into the
    /// source.
    pub fn new(source: impl Into<Cow<'static, str>>) -> Self {
        Self { source: source.into(), origin: "", values: Vec::new() }
    }

    /// Adds a value that the source finds as `__lookup_interpolated(key)`.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: &(impl Interpolate + ?Sized)) -> Self {
        self.values.push((key.into(), value.interpolate()));
        self
    }

    /// The same with a value that must show in no log.
    #[must_use]
    pub(crate) fn with_secret(mut self, key: impl Into<String>, value: &str) -> Self {
        let value = RawValue::encode(value).unwrap_or_else(|error| nil(&error));
        self.values.push((key.into(), Interpolated(Slot::Secret(Secret(value)))));
        self
    }

    /// Says where in the application's source the script stands; the browser's console shows it on failure.
    #[must_use]
    pub fn at(mut self, origin: &'static str) -> Self {
        self.origin = origin;
        self
    }

    /// The JavaScript, values left out.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it has something in it that the page must have learnt of before.
    pub(crate) fn has_observables(&self) -> bool {
        self.values.iter().any(|(_, Interpolated(slot))| match slot {
            Slot::Value(_) | Slot::Secret(_) => false,
            Slot::Observable(_) => true,
            Slot::Script(script) => script.has_observables(),
        })
    }

    pub(crate) fn resolve(&self, bind: &mut dyn FnMut(&Bindable)) -> Code {
        let mut values = Vec::with_capacity(self.values.len() + 2);
        for (key, Interpolated(slot)) in &self.values {
            let value = match slot {
                Slot::Value(value) | Slot::Secret(Secret(value)) => value.clone(),
                Slot::Observable(bindable) => {
                    bind(bindable);
                    RawValue::cache_key(&bindable.id().to_string()).unwrap_or_else(|error| nil(&error))
                }
                Slot::Script(script) => {
                    RawValue::code(&script.resolve_called(bind)).unwrap_or_else(|error| nil(&error))
                }
            };
            values.push((key.clone(), value));
        }
        Code { values, source: self.source.to_string(), origin: self.origin.to_owned() }
    }
}

/// Compiles a nested script when it is called, so that a syntax error in it is thrown there and does not spoil the frame.
const CALLED: &str = "\
return new Function('__lookup_interpolated', 'Bonito', __lookup_interpolated('__source'))(__lookup_interpolated, Bonito)";

/// The script still runs, and the log says why it misses something.
fn nil(error: &EncodeError) -> RawValue {
    tracing::error!("a value of a script cannot be sent and is nil: {error}");
    RawValue::NIL
}

impl Script {
    fn resolve_called(&self, bind: &mut dyn FnMut(&Bindable)) -> Code {
        let mut code = self.resolve(bind);
        let source = std::mem::replace(&mut code.source, CALLED.into());
        code.values.push(("__source".into(), RawValue::encode(&source).unwrap_or_else(|error| nil(&error))));
        code
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl From<&Self> for Script {
    fn from(script: &Self) -> Self {
        script.clone()
    }
}

/// What can stand in `$(…)` of [`js!`](crate::js).
///
/// * Everything that serde can serialize arrives as its value: numbers, texts, lists, maps, structs,
///   [`TypedArray`](crate::TypedArray)s.
/// * An [`Observable`] arrives as a live one, which page code reads (`.value`), follows (`.on(f)`) and sets
///   (`.notify(value)`). Setting it sets it in Rust: [`Observable::read_only`] is for pages that may only look.
/// * A [`Script`] arrives as a function of no arguments.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in a script",
    label = "not a value, an observable or a script",
    note = "derive serde::Serialize for it, or interpolate an Observable, a ReadOnly observable or a Script"
)]
pub trait Interpolate {
    /// The value as it travels.
    fn interpolate(&self) -> Interpolated;
}

impl<T: Serialize + ?Sized> Interpolate for T {
    fn interpolate(&self) -> Interpolated {
        Interpolated(Slot::Value(RawValue::encode(self).unwrap_or_else(|error: EncodeError| {
            tracing::error!("a value of {} is nil in its script: {error}", std::any::type_name::<T>());
            RawValue::NIL
        })))
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Interpolate for Observable<T> {
    fn interpolate(&self) -> Interpolated {
        Interpolated(Slot::Observable(Bindable::write(self)))
    }
}

impl<T: Serialize + Send + Sync + 'static> Interpolate for ReadOnly<T> {
    fn interpolate(&self) -> Interpolated {
        Interpolated(Slot::Observable(Bindable::read(&self.0)))
    }
}

impl Interpolate for Script {
    fn interpolate(&self) -> Interpolated {
        Interpolated(Slot::Script(self.clone()))
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Interpolate for &Observable<T> {
    fn interpolate(&self) -> Interpolated {
        (**self).interpolate()
    }
}

impl<T: Serialize + Send + Sync + 'static> Interpolate for &ReadOnly<T> {
    fn interpolate(&self) -> Interpolated {
        (**self).interpolate()
    }
}

impl Interpolate for &Script {
    fn interpolate(&self) -> Interpolated {
        (**self).interpolate()
    }
}
