//! Mounts [bonito](bonito_core) sessions into a hyper app, or into one of any framework on hyper that takes tower services.
//!
//! ```
//! use bonito_core::Endpoint;
//!
//! let live = Endpoint::builder("/live").build();
//! let service = bonito_hyper::service(&live);
//! # fn is<S: hyper::service::Service<hyper::Request<hyper::body::Incoming>>>(_: S) {}
//! # is(service);
//! ```
//!
//! The service answers everything under the endpoint's path, any prefix before it included; the app hands those requests to
//! it and keeps the others:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bonito_core::Endpoint;
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper::{Request, Response, body::Incoming, service::Service};
//!
//! async fn app(live: Endpoint, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     if request.uri().path().starts_with("/live/") {
//!         return bonito_hyper::service(&live).call(request).await;
//!     }
//!     let session = live.session();
//!     Ok(Response::new(Full::from(session.page("Hello", "").to_string())))
//! }
//! ```
//!
//! Serve connections with upgrades: `http1::Builder::serve_connection(…).with_upgrades()` or hyper-util's
//! `serve_connection_with_upgrades`. Set `TCP_NODELAY` on accepted connections, or small replies wait for acknowledgements.
//!
//! As a tower service: `Router::new().nest_service("/live", …)` in axum, and the like. A framework that does not pass hyper's
//! `OnUpgrade` on in the request's extensions cannot have sockets, and gets 500 and an error in the log.
//!
//! Buffers are as `bonito-websocket` says. Needs tokio.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bonito_core::{Endpoint, Outcome};
pub use bonito_websocket::transport;
use bytes::Bytes;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

/// The endpoint as a service.
pub fn service(endpoint: &Endpoint) -> Service {
    Service(endpoint.clone())
}

/// What [`service`] returns: a [`hyper::service::Service`] and a [`tower_service::Service`].
#[derive(Clone, Debug)]
pub struct Service(Endpoint);

/// The future of a [`Service`]'s answer.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

impl Service {
    fn answer<B>(&self, request: Request<B>) -> Answer {
        let (endpoint, (parts, _)) = (self.0.clone(), request.into_parts());
        Box::pin(async move { Ok(answer(&endpoint, parts).await.map(Full::new)) })
    }
}

impl<B> hyper::service::Service<Request<B>> for Service {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<B>) -> Answer {
        self.answer(request)
    }
}

impl<B> tower_service::Service<Request<B>> for Service {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        self.answer(request)
    }
}

/// Answers one request, and serves its socket in a task of its own. For frameworks that take neither kind of service.
pub async fn answer(endpoint: &Endpoint, mut request: Parts) -> Response<Bytes> {
    let accepted = match endpoint.handle(&request).await {
        Outcome::Respond(response) => return response,
        Outcome::Upgrade(accepted) => accepted,
    };
    let Some((mut response, connection)) = upgrade(&mut request) else {
        tracing::error!(
            "there is no OnUpgrade in the request's extensions: the server does not hand out connections"
        );
        let mut response = Response::new(Bytes::from_static(b"this server has no WebSockets"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    if let Some(protocol) = accepted.protocol() {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    tokio::spawn(async move {
        match connection.await {
            Ok(connection) => drop(bonito_websocket::serve(accepted, connection).await),
            Err(error) => tracing::warn!(%error, "a connection could not be upgraded"),
        }
    });
    response
}

/// The answer that upgrades a request, and the connection once it has been sent, for
/// [`run_connection_loop`](bonito_core::run_connection_loop) in a route of your own: hand the connection to
/// [`transport`]. Whether the request may be upgraded is for you to check.
///
/// `None` if hyper's `OnUpgrade` is not among the extensions.
pub fn upgrade(
    request: &mut Parts,
) -> Option<(Response<Bytes>, impl Future<Output = hyper::Result<TokioIo<Upgraded>>> + use<>)> {
    let upgrade = request.extensions.remove::<OnUpgrade>()?;
    Some((bonito_websocket::handshake(request), async move { upgrade.await.map(TokioIo::new) }))
}
