//! WebSockets over any upgraded connection, for adapters of frameworks that hand the connection itself out.
//!
//! An adapter asks [`Endpoint::handle`](bonito_core::Endpoint::handle), answers an
//! [`Outcome::Upgrade`](bonito_core::Outcome::Upgrade) with [`answer`], and spawns [`serve`] on the connection.
//!
//! Buffers and sizes are those of [`Limits`]. A message's size is known from its header, so one that is too large is refused
//! before it has come. Fragments are joined here; too many of them are refused as well.
//!
//! The feature `actix-ws` brings the WebSocket of that name into the same form, for `bonito-actix`.

#[cfg(feature = "actix-ws")]
pub mod actix;
mod guard;
mod message;

pub use guard::{TooLarge, guard};

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bonito_core::{Accepted, Disconnect, Frame, Limits, Transport, TransportError};
use bytes::Bytes;
use futures_util::{Sink, Stream};
use guard::Guarded;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, Version, header};
use message::{failure, from_message, to_message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;
use tokio_tungstenite::{WebSocketStream, tungstenite};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

/// The answer to a request that [`Endpoint::handle`](bonito_core::Endpoint::handle) has accepted: 101, and over HTTP/2 200.
pub fn handshake(request: &Parts) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    if request.version >= Version::HTTP_2 {
        return response;
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let key = request.headers.get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let accept = key.and_then(|accept| accept.try_into().ok()).unwrap_or(HeaderValue::from_static(""));
    response.headers_mut().extend([
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ]);
    response
}

/// The same, with the subprotocol that the session is to be served with, if any. It belongs before [`serve`].
pub fn answer(accepted: &Accepted, request: &Parts) -> Response<Bytes> {
    let mut response = handshake(request);
    if let Some(protocol) = accepted.protocol() {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    response
}

/// Serves an accepted session over its connection until one of them ends.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(accepted: Accepted, connection: S) -> Disconnect {
    let transport = transport(connection, accepted.limits()).await;
    accepted.run(transport).await
}

/// An upgraded connection as the library sees it, for [`run_connection_loop`](bonito_core::run_connection_loop) in a route
/// of your own. Pings are answered here.
pub async fn transport<S: AsyncRead + AsyncWrite + Unpin>(
    connection: S,
    limits: &Limits,
) -> impl Transport + use<S> {
    // Writing waits until there is room, so what is held is this and one message. The library's own bound on it stays open,
    // since a message over that bound would end its socket and be lost.
    let config = WebSocketConfig::default()
        .read_buffer_size(limits.read_buffer_bytes)
        .write_buffer_size(limits.write_buffer_bytes)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let connection = Guarded::new(connection, limits);
    let socket = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
    Socket { socket, failed: false }
}

struct Socket<S> {
    socket: WebSocketStream<Guarded<S>>,
    /// Reading has failed, so something unread may be left.
    failed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Socket<S> {
    type Item = Result<Frame, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(Pin::new(&mut self.socket).poll_next(cx));
        self.failed |= matches!(message, Some(Err(_)));
        Poll::Ready(message.map(|message| message.map(from_message).map_err(failure)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Frame> for Socket<S> {
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Pin::new(&mut self.socket).poll_ready(cx).map_err(failure)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), TransportError> {
        Pin::new(&mut self.socket).start_send(to_message(frame)).map_err(failure)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(failure)
    }

    /// After a failure waits for the peer to hang up: the kernel resets a connection that is dropped with something unread,
    /// and a reset may take the close frame with it. The caller limits the time.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let _ = ready!(Pin::new(&mut self.socket).poll_flush(cx));
        let _ = ready!(Pin::new(self.socket.get_mut()).poll_shutdown(cx));
        while self.failed {
            ready!(poll_proceed(cx)).made_progress();
            let mut scratch = [0; 1024];
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.socket.get_mut().connection).poll_read(cx, &mut buffer));
            self.failed = read.is_ok() && !buffer.filled().is_empty();
        }
        Poll::Ready(Ok(()))
    }
}
