//! Why a connection ended.

use std::fmt;

use crate::frame::CloseCode;
use crate::transport::{TransportError, TransportErrorKind};

/// Why a connection ended, for [`WebSocketBehaviour::terminate`](crate::WebSocketBehaviour::terminate).
#[derive(Debug)]
#[non_exhaustive]
pub enum Terminate {
    /// The behaviour closed the connection: it pushed a close frame.
    Normal,
    /// The server stops: the endpoint drains, or the server dropped the socket.
    Stop,
    /// The client sent nothing for the idle timeout.
    Timeout,
    /// The client closed the connection and gave no code.
    Remote,
    /// The client closed the connection with this code and payload.
    RemoteWith(CloseCode, String),
    /// A callback panicked or failed, the connection broke, or the client broke the protocol or a limit.
    Error(TerminateError),
}

/// What went wrong, in [`Terminate::Error`].
#[derive(Debug)]
pub struct TerminateError {
    kind: Kind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Panicked,
    Failed,
    TooMuchPushed,
    Ended,
    Transport(TransportErrorKind),
}

impl TerminateError {
    pub(crate) fn panicked() -> Self {
        Self { kind: Kind::Panicked, source: None }
    }

    pub(crate) fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self { kind: Kind::Failed, source: Some(source) }
    }

    pub(crate) fn too_much_pushed() -> Self {
        Self { kind: Kind::TooMuchPushed, source: None }
    }

    /// The stream has ended without a close frame.
    pub(crate) fn ended() -> Self {
        Self { kind: Kind::Ended, source: None }
    }

    pub(crate) fn transport(kind: TransportErrorKind, text: String) -> Self {
        Self { kind: Kind::Transport(kind), source: Some(text.into()) }
    }

    /// Whether it was a callback: it panicked, [failed](crate::Context::fail) or pushed more than may wait.
    pub fn is_callback(&self) -> bool {
        matches!(self.kind, Kind::Panicked | Kind::Failed | Kind::TooMuchPushed)
    }

    /// Whether a callback panicked.
    pub fn is_panic(&self) -> bool {
        self.kind == Kind::Panicked
    }

    /// Whether the connection broke: it ended without a close frame.
    pub fn is_lost(&self) -> bool {
        matches!(self.kind, Kind::Ended | Kind::Transport(TransportErrorKind::Io))
    }

    /// Whether the client broke the WebSocket protocol or a limit.
    pub fn is_protocol(&self) -> bool {
        matches!(self.kind, Kind::Transport(kind) if kind != TransportErrorKind::Io)
    }
}

impl fmt::Display for TerminateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Panicked => f.write_str("a callback panicked"),
            Kind::Failed => f.write_str("a callback failed"),
            Kind::TooMuchPushed => f.write_str("a callback pushed more than Limits::queued_bytes"),
            Kind::Ended => f.write_str("the connection ended without a close frame"),
            Kind::Transport(kind) => TransportError::from(kind).fmt(f),
        }
    }
}

impl std::error::Error for TerminateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
