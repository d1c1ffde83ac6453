//! Why bytes could not be read, or a value could not be written.

use std::{
    borrow::Cow,
    error::Error,
    fmt::{self, Write as _},
};

use serde::de::{self, Unexpected};

/// Longest text that an error keeps, in bytes: what came may be hostile and huge.
const MESSAGE_BYTES: usize = 256;

/// Bytes from a peer that were refused.
///
/// Ask it what to do; its text says what was expected and what came, for a log, and is not part of the API.
///
/// | question | cause | what a session does |
/// |---|---|---|
/// | [`is_malformed`](Self::is_malformed) | not one complete MessagePack value, or not a message | close 1002 |
/// | [`is_too_large`](Self::is_too_large) | over a bound on bytes, elements or inflation | close 1009 |
/// | [`is_too_deep`](Self::is_too_deep) | over the bound on nesting | close 1009 |
/// | [`is_forbidden`](Self::is_forbidden) | well-formed, but would harm whoever it is passed on to | close 1008 |
/// | [`is_wrong_type`](Self::is_wrong_type) | well-formed, but not of the type that was asked for | warn, go on |
pub struct DecodeError(Box<DecodeInner>);

struct DecodeInner {
    kind: DecodeKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecodeKind {
    Malformed,
    TooLarge,
    TooDeep,
    Forbidden,
    WrongType,
}

impl DecodeError {
    fn new(kind: DecodeKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(DecodeInner { kind, message: message.into(), source: None }))
    }

    pub(crate) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(DecodeKind::Malformed, message)
    }

    pub(crate) fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(DecodeKind::TooLarge, message)
    }

    pub(crate) fn too_deep(depth: usize) -> Self {
        Self::new(DecodeKind::TooDeep, format!("nested deeper than {depth} levels: flatten the value"))
    }

    pub(crate) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(DecodeKind::Forbidden, message)
    }

    pub(crate) fn wrong_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(DecodeKind::WrongType, message)
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Whether the bytes are not one complete MessagePack value, or not a message of the protocol.
    pub fn is_malformed(&self) -> bool {
        self.0.kind == DecodeKind::Malformed
    }

    /// Whether a bound on bytes, on elements or on inflation was passed.
    pub fn is_too_large(&self) -> bool {
        self.0.kind == DecodeKind::TooLarge
    }

    /// Whether arrays, maps and extension values nest deeper than allowed.
    pub fn is_too_deep(&self) -> bool {
        self.0.kind == DecodeKind::TooDeep
    }

    /// Whether the value is well-formed but would harm a browser that it is passed on to: JavaScript or DOM from a
    /// browser, or a key named `__proto__`.
    pub fn is_forbidden(&self) -> bool {
        self.0.kind == DecodeKind::Forbidden
    }

    /// Whether the value is well-formed but not of the type that was asked for.
    pub fn is_wrong_type(&self) -> bool {
        self.0.kind == DecodeKind::WrongType
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::wrong_type(bounded(format_args!("{message}")))
    }

    fn invalid_type(came: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::wrong_type(bounded(format_args!("expected {expected}, {came} came")))
    }

    fn invalid_value(came: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::wrong_type(bounded(format_args!("expected {expected}, {came} came")))
    }
}

/// A value that cannot be sent, since it could not be written or the browser could not read it.
///
/// Its text says what to change, for a log, and is not part of the API.
pub struct EncodeError(Box<EncodeInner>);

struct EncodeInner {
    kind: EncodeKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EncodeKind {
    TooLarge,
    TooDeep,
    WrongType,
}

impl EncodeError {
    fn new(kind: EncodeKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(EncodeInner { kind, message: message.into(), source: None }))
    }

    pub(crate) fn too_large() -> Self {
        Self::new(EncodeKind::TooLarge, "longer than MessagePack can say (4 GiB): send it in parts")
    }

    pub(crate) fn wrong_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(EncodeKind::WrongType, message)
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Whether the value is too long to be written.
    pub fn is_too_large(&self) -> bool {
        self.0.kind == EncodeKind::TooLarge
    }

    /// Whether the value nests deeper than is sent.
    pub fn is_too_deep(&self) -> bool {
        self.0.kind == EncodeKind::TooDeep
    }

    /// Whether the value holds something that the browser cannot read, or failed to serialize.
    pub fn is_wrong_type(&self) -> bool {
        self.0.kind == EncodeKind::WrongType
    }
}

impl From<DecodeError> for EncodeError {
    /// What the check of freshly written bytes found.
    fn from(error: DecodeError) -> Self {
        let kind = match error.0.kind {
            DecodeKind::TooLarge => EncodeKind::TooLarge,
            DecodeKind::TooDeep => EncodeKind::TooDeep,
            DecodeKind::Malformed | DecodeKind::Forbidden | DecodeKind::WrongType => EncodeKind::WrongType,
        };
        Self(Box::new(EncodeInner { kind, message: error.0.message, source: error.0.source }))
    }
}

impl fmt::Debug for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodeError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for EncodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The beginning of `text`, at most `bytes` long.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Writes out about [`MESSAGE_BYTES`] at most and on one line, so that a hostile value can neither fill the log through an
/// error nor forge lines of it.
fn bounded(text: fmt::Arguments<'_>) -> String {
    struct Bounded(String);

    impl fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for c in text.chars() {
                if self.0.len() + c.len_utf8() > MESSAGE_BYTES {
                    return Err(fmt::Error);
                }
                match c {
                    c if c.is_control() => self.0.extend(c.escape_default()),
                    c => self.0.push(c),
                }
            }
            Ok(())
        }
    }

    let mut out = Bounded(String::new());
    if out.write_fmt(text).is_err() {
        out.0.push('…');
    }
    out.0
}
