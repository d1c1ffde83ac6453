//! Connections between a session and its page: the trait, and the one over WebSockets.

mod dual;
mod none;
mod slot;
mod websocket;

use std::fmt;

use bytes::Bytes;

pub use dual::{DualWebSocketConnection, setup_dual_websocket_connection_js};
pub(crate) use none::NO_CONNECTION;
pub use none::NoConnection;
pub(crate) use websocket::{Lanes, Unsent};
pub use websocket::{WebSocketConnection, WebSocketHandler, WebSocketSetup, setup_websocket_connection_js};

use crate::frame::Lane;
use crate::js::Script;
use crate::session::Session;

/// A way for binary messages between one session and its page.
///
/// The library's own is [`WebSocketConnection`]. Implement this for another: WebRTC, long-poll, a notebook's channel.
///
/// * Rust to page: [`write`](Self::write) is called with each message, one call at a time; only sockets for the two lanes call
///   it at the same time, each for its own.
/// * Page to Rust: call [`Session::process_message`] with each message received.
/// * The page's end is the script of [`setup_connection`](Self::setup_connection).
/// * When the way is lost, call [`Session::soft_close`]; messages queue until the page says again that it has loaded.
///
/// No lock is held during any call.
pub trait FrontendConnection: fmt::Debug + Send + Sync + 'static {
    /// Sends one message. Never blocks: a connection that cannot take the message now says so and gets it again, before
    /// all later ones of its lane, after [`Session::flush`] or with the next message.
    ///
    /// A connection with one way for all messages need not look at the lane: what is large comes after what is not.
    ///
    /// # Errors
    ///
    /// [`SendError::full`] if it takes no more for now; [`SendError::closed`] if the way is lost, which soft-closes the
    /// session. `Ok` means that the message counts as sent.
    fn write(&self, bytes: Bytes, lane: Lane) -> Result<(), SendError>;

    /// Whether messages can be sent.
    fn is_open(&self) -> bool;

    /// A socket's loop has started to serve the session.
    fn open(&self) {}

    /// The session is closed.
    fn close(&self);

    /// What the page runs to set up its end; it calls `Bonito.on_connection_open(send, compression)` when the way is open
    /// and `Bonito.process_message` with each message. `None` for a page that needs no connection.
    fn setup_connection(&self, session: &Session) -> Option<Script>;

    /// The page has been handed out.
    fn displayed(&self, session: &Session) {
        let _ = session;
    }

    /// The handler for a socket of the session that comes to the endpoint's own route, by the query of its URL. `None`, the
    /// default, has the route answer 404: a connection of your own has a way of its own.
    fn socket_handler(&self, query: &str) -> Option<WebSocketHandler> {
        let _ = query;
        None
    }

    /// Whether sub-sessions share the connection of their parent.
    fn use_parent_session(&self) -> bool {
        false
    }
}

/// A connection did not take a message; the message comes back.
#[derive(Debug)]
pub struct SendError {
    kind: SendErrorKind,
    bytes: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendErrorKind {
    Full,
    Closed,
}

impl SendError {
    /// The connection takes no more for now.
    pub fn full(bytes: Bytes) -> Self {
        Self { kind: SendErrorKind::Full, bytes }
    }

    /// The connection is lost.
    pub fn closed(bytes: Bytes) -> Self {
        Self { kind: SendErrorKind::Closed, bytes }
    }

    /// Whether the connection takes no more for now.
    pub fn is_full(&self) -> bool {
        self.kind == SendErrorKind::Full
    }

    /// Whether the connection is lost.
    pub fn is_closed(&self) -> bool {
        self.kind == SendErrorKind::Closed
    }

    /// The message.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    pub(crate) fn kind(&self) -> SendErrorKind {
        self.kind
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SendErrorKind::Full => "the connection takes no more messages for now",
            SendErrorKind::Closed => "the connection is lost",
        })
    }
}

impl std::error::Error for SendError {}
