//! tungstenite over the guarded connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bonito_core::{Frame, Limits, TransportError, TransportErrorKind};
use futures_util::{FutureExt, Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::guard::Guarded;
use crate::message::{failure, from_message, to_message};

pub(crate) struct Socket<S> {
    /// Gone only if tungstenite could not be set up.
    socket: Option<WebSocketStream<Guarded<S>>>,
    /// A message of more bytes leaves buffers behind that are worth giving back.
    large: usize,
    /// One has come or gone.
    was_large: bool,
    /// Something may not have been written yet, or a pong.
    unflushed: bool,
    /// A close frame has come or gone: tungstenite knows how far the closing is.
    closing: bool,
    /// Reading has failed, so something unread may be left.
    failed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) fn new(connection: S, limits: &Limits) -> Self {
        // Writing waits until there is room, so what is held is this and one message. The library's own bound on it stays
        // open, since a message over that bound would end its socket and be lost.
        let config = WebSocketConfig::default()
            .read_buffer_size(limits.read_buffer_bytes)
            .write_buffer_size(limits.write_buffer_bytes)
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.message_bytes));
        Self {
            socket: over(Guarded::new(connection, limits), config),
            large: limits.write_buffer_bytes.max(limits.read_buffer_bytes),
            was_large: false,
            unflushed: false,
            closing: false,
            failed: false,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, tungstenite::Error>>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(None) };
        Pin::new(socket).poll_next(cx)
    }

    /// Gives back what a large message has left. tungstenite keeps its buffers as long as they were ever needed, and cannot be
    /// told to let go: so it is set up anew, at a moment when it holds nothing of any message.
    ///
    /// That it has taken all that came, is for the caller to know.
    fn shrink(&mut self) -> bool {
        let idle = !(self.unflushed || self.closing || self.failed);
        let Some(socket) =
            self.socket.take_if(|socket| self.was_large && idle && socket.get_ref().is_between_messages())
        else {
            return false;
        };
        let config = *socket.get_config();
        self.socket = over(socket.into_inner(), config);
        self.was_large = false;
        true
    }
}

/// Without a handshake there is nothing to wait for.
fn over<S: AsyncRead + AsyncWrite + Unpin>(
    connection: S,
    config: WebSocketConfig,
) -> Option<WebSocketStream<S>> {
    WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).now_or_never()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Socket<S> {
    type Item = Result<Frame, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut message = self.poll_read(cx);
        if message.is_pending() && self.shrink() {
            // What wakes this task is asked of the new one.
            message = self.poll_read(cx);
        }
        let message = ready!(message);
        match &message {
            Some(Ok(message)) => {
                self.was_large |= message.len() > self.large;
                self.unflushed |= message.is_ping();
                self.closing |= message.is_close();
            }
            Some(Err(_)) => self.failed = true,
            None => {}
        }
        Poll::Ready(message.map(|message| message.map(from_message).map_err(failure)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Frame> for Socket<S> {
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Err(gone())) };
        Pin::new(socket).poll_ready(cx).map_err(failure)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), TransportError> {
        let message = to_message(frame);
        self.was_large |= message.len() > self.large;
        self.closing |= message.is_close();
        self.unflushed = true;
        let Some(socket) = &mut self.socket else { return Err(gone()) };
        Pin::new(socket).start_send(message).map_err(failure)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Err(gone())) };
        ready!(Pin::new(socket).poll_flush(cx)).map_err(failure)?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// After a failure waits for the peer to hang up: the kernel resets a connection that is dropped with something unread,
    /// and a reset may take the close frame with it. The caller limits the time.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let this = &mut *self;
        let Some(socket) = &mut this.socket else { return Poll::Ready(Ok(())) };
        let _ = ready!(Pin::new(&mut *socket).poll_flush(cx));
        let _ = ready!(Pin::new(socket.get_mut()).poll_shutdown(cx));
        while this.failed {
            ready!(poll_proceed(cx)).made_progress();
            let mut scratch = [0; 1024];
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut socket.get_mut().connection).poll_read(cx, &mut buffer));
            this.failed = read.is_ok() && !buffer.filled().is_empty();
        }
        Poll::Ready(Ok(()))
    }
}

fn gone() -> TransportError {
    TransportError::new(TransportErrorKind::Io, tungstenite::Error::AlreadyClosed)
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
