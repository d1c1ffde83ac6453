//! What a callback has besides its state: where to push, and where it is found.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Conn, TerminateError, WebSocketBehaviour};
use crate::address::Address;
use crate::frame::{CloseCode, CloseFrame, Frame};

/// What a callback of a [`WebSocketBehaviour`] has besides its state.
pub struct Context<B: WebSocketBehaviour> {
    pub(super) conn: Arc<Conn>,
    address: Address<B::Message>,
    pub(super) pushed: Pushed,
}

/// What the callbacks have pushed and the socket has not taken over yet.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    pub(crate) frames: Vec<Frame>,
    bytes: usize,
    room: usize,
    /// A close frame stands behind all others.
    pub(crate) closed: Option<Option<CloseFrame>>,
    pub(crate) failed: Option<TerminateError>,
}

impl<B: WebSocketBehaviour> Context<B> {
    pub(super) fn new(conn: Arc<Conn>, address: Address<B::Message>, room: usize) -> Self {
        Self { conn, address, pushed: Pushed { room, ..Pushed::default() } }
    }

    /// Sends a frame to the client, when the callback has returned. Frames of one callback go out together.
    ///
    /// A [`Frame::Close`] ends the connection with [`Terminate::Normal`](crate::Terminate::Normal); frames pushed after it are
    /// dropped. A code that must not stand in a close frame is logged and sent as 1011.
    ///
    /// More than [`Limits::queued_bytes`](crate::Limits::queued_bytes) in one callback, or a ping or pong of more than 125
    /// bytes, ends the connection as [`fail`](Self::fail) does.
    pub fn push(&mut self, frame: Frame) {
        self.pushed.push(frame);
    }

    /// Pushes a text frame.
    pub fn push_text(&mut self, text: impl Into<String>) {
        self.push(Frame::Text(text.into()));
    }

    /// Pushes a binary frame.
    pub fn push_binary(&mut self, bytes: impl Into<Bytes>) {
        self.push(Frame::Binary(bytes.into()));
    }

    /// Pushes a close frame.
    pub fn close(&mut self, code: CloseCode, reason: impl Into<Cow<'static, str>>) {
        self.push(Frame::Close(Some(CloseFrame::new(code, reason))));
    }

    /// Ends the connection because of an error: it is logged, the client gets close code 1011 after what was pushed before,
    /// and `terminate` gets [`Terminate::Error`](crate::Terminate::Error). The first one counts.
    pub fn fail(&mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.pushed.fail(TerminateError::failed(error.into()));
    }

    /// Where other parts of the server find this connection.
    pub fn address(&self) -> &Address<B::Message> {
        &self.address
    }

    /// The request that the connection began with.
    pub fn conn(&self) -> &Conn {
        &self.conn
    }
}

impl<B: WebSocketBehaviour> fmt::Debug for Context<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("address", &self.address)
            .field("conn", &self.conn)
            .finish_non_exhaustive()
    }
}

impl Pushed {
    fn push(&mut self, frame: Frame) {
        if self.closed.is_some() || self.failed.is_some() {
            return;
        }
        let bytes = match &frame {
            Frame::Text(text) => text.len(),
            Frame::Binary(bytes) => bytes.len(),
            Frame::Ping(payload) | Frame::Pong(payload) if payload.len() > 125 => {
                return self
                    .fail(TerminateError::failed("expected at most 125 bytes in a ping or pong".into()));
            }
            Frame::Ping(payload) | Frame::Pong(payload) => payload.len(),
            Frame::Close(frame) => {
                self.closed = Some(frame.clone().map(sendable));
                return;
            }
        };
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.room {
            return self.fail(TerminateError::too_much_pushed());
        }
        self.frames.push(frame);
    }

    pub(super) fn fail(&mut self, error: TerminateError) {
        if self.failed.is_none() {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!("a WebSocket behaviour ends: {error}: {cause:?}");
            self.failed = Some(error);
        }
    }

    /// What the socket takes over.
    pub(crate) fn take(&mut self) -> std::vec::Drain<'_, Frame> {
        self.bytes = 0;
        self.frames.drain(..)
    }
}

fn sendable(frame: CloseFrame) -> CloseFrame {
    if frame.code.may_be_sent() {
        return frame;
    }
    tracing::error!("close code {} must not be sent: 1011 is sent in its place", frame.code.0);
    CloseFrame::new(CloseCode::INTERNAL, "")
}
