//! WebSockets over any upgraded connection, for adapters of frameworks that hand the connection itself out.
//!
//! An adapter asks [`Endpoint::handle`](bonito_core::Endpoint::handle), answers an
//! [`Outcome::Upgrade`](bonito_core::Outcome::Upgrade) with [`answer`], and spawns [`serve`] on the connection.
//!
//! Buffers and sizes are those of [`Limits`]. A message's size is known from its header, so one that is too large is refused
//! before it has come. Fragments are joined here; too many of them are refused as well. What a large message needed is given
//! back as soon as nothing is under way.
//!
//! The feature `actix-ws` brings the WebSocket of that name into the same form, for `bonito-actix`.

#[cfg(feature = "actix-ws")]
pub mod actix;
mod guard;
mod message;
mod socket;

pub use guard::{TooLarge, guard};

use bonito_core::{Accepted, Disconnect, Limits, Transport};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, Version, header};
use socket::Socket;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

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
    Socket::new(connection, limits)
}
