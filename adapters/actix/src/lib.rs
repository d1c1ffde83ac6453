//! Mounts [bonito](bonito_core) sessions into an actix-web app.
//!
//! ```
//! use actix_web::App;
//! use bonito_core::Endpoint;
//!
//! let live = Endpoint::builder("/live").build();
//! let app = App::new().configure(bonito_actix::routes(&live));
//! # let _ = app;
//! ```
//!
//! All workers share the endpoint: make it before `HttpServer::new`, and move it into the factory. A socket is served on the
//! worker that accepted it. Serve with `HttpServer::tcp_nodelay(true)`, or small replies wait for acknowledgements.
//!
//! The WebSocket is spoken by `bonito-websocket` over actix's upgraded payload, with its notes on buffers.
//! actix-ws is not used here, since it gathers a frame of any size before it looks at its limit; who has its halves has
//! [`transport`] for them. Beside the buffers that [`Limits`] sets
//! actix itself holds about 16 KiB for each connection. After the closing handshake it waits for the client to hang up first,
//! for up to `HttpServer::client_disconnect_timeout`; less than half a second of that is less than a tick of actix's clock, and
//! some connections then never end. Sockets over HTTP/2 are not served; browsers do not ask for them then.
//!
//! [`Limits`]: bonito_core::Limits

use std::future::ready;
use std::io;

use actix_web::body::SizedStream;
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, rt};
use bonito_core::{Endpoint, Outcome};
pub use bonito_websocket::actix::{guard, transport};
use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Extensions, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

/// The routes of an endpoint: the browser client and the sessions' WebSockets, all under the endpoint's path.
///
/// They are an ordinary resource: configure them into the scope whose middleware should apply. In a scope with a path, tell
/// the endpoint by [`external_url`](bonito_core::EndpointBuilder::external_url).
pub fn routes(endpoint: &Endpoint) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let endpoint = endpoint.clone();
    move |config| {
        let resource = web::resource(format!("{}/{{path:.*}}", endpoint.path()));
        config.service(resource.to(move |request, payload| answer(endpoint.clone(), request, payload)));
    }
}

async fn answer(endpoint: Endpoint, request: HttpRequest, payload: Payload) -> HttpResponse {
    let Some(parts) = to_parts(&request) else { return HttpResponse::BadRequest().finish() };
    let accepted = match endpoint.handle(&parts).await {
        Outcome::Respond(response) => return respond(response),
        Outcome::Upgrade(accepted) => accepted,
    };
    let (mut response, connection) = upgrade(&parts, payload);
    if let Some(protocol) = accepted.protocol() {
        let protocol = header::HeaderValue::from_static(protocol);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    rt::spawn(bonito_websocket::serve(accepted, connection));
    response
}

/// The answer that upgrades a request, and the connection from then on, for
/// [`run_connection_loop`](bonito_core::run_connection_loop) in a route of your own: hand it to
/// [`bonito_websocket::transport`] in a task of `actix_web::rt`. The request is one of [`to_parts`]; whether it may be upgraded
/// is for you to check, with [`Endpoint::refusal`].
pub fn upgrade(
    request: &Parts,
    payload: Payload,
) -> (HttpResponse, impl AsyncRead + AsyncWrite + Unpin + use<>) {
    let (sender, receiver) = mpsc::channel::<Bytes>(0);
    let sender = sender.with(|bytes| ready(Ok::<Bytes, Gone>(bytes)));
    let writer = SinkWriter::new(CopyToBytes::new(sender));
    let reader = StreamReader::new(payload.map_err(io::Error::other));
    let response = head(&bonito_websocket::handshake(request))
        .upgrade("websocket")
        .streaming(receiver.map(Ok::<_, actix_web::Error>));
    (response, tokio::io::join(reader, writer))
}

/// The server has let the connection go. `sink_map_err` can say so only once, and panics when it is asked again.
struct Gone;

impl From<mpsc::SendError> for Gone {
    fn from(_: mpsc::SendError) -> Self {
        Self
    }
}

impl From<Gone> for io::Error {
    fn from(_: Gone) -> Self {
        io::ErrorKind::BrokenPipe.into()
    }
}

/// Leaves something in a request for the [hooks](bonito_core::EndpointBuilder::identity) of an endpoint, which find it in the
/// request's extensions. For middleware: what stands in actix-web's own extensions cannot be copied, and they do not get it.
pub fn extend(request: &impl HttpMessage, value: impl Clone + Send + Sync + 'static) {
    let mut own = request.extensions_mut();
    let mut extensions = own.remove::<Extensions>().unwrap_or_default();
    extensions.insert(value);
    own.insert(extensions);
}

/// The request in the types of `http` 1, as [`Endpoint`] takes it; actix-web's are those of `http` 0.2. What one accepts the
/// other accepts too, or nearly: `None` stands for a bad request. Of the extensions it has those of [`extend`].
pub fn to_parts(request: &HttpRequest) -> Option<Parts> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method().as_str().parse().ok()?;
    parts.uri = request.uri().to_string().parse().ok()?;
    parts.version = match request.version() {
        actix_web::http::Version::HTTP_10 => http::Version::HTTP_10,
        actix_web::http::Version::HTTP_2 => http::Version::HTTP_2,
        _ => http::Version::HTTP_11,
    };
    parts.headers.reserve(request.headers().len());
    for (name, value) in request.headers() {
        let name: HeaderName = name.as_str().parse().ok()?;
        parts.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    parts.extensions = request.extensions().get::<Extensions>().cloned().unwrap_or_default();
    Some(parts)
}

/// An answer of an [`Endpoint`] as actix-web's.
pub fn respond(response: Response<Bytes>) -> HttpResponse {
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match length {
        // The answer to a HEAD request: actix writes the length that the body claims, not the header's.
        Some(length) if response.body().is_empty() && length > 0 => {
            head(&response).body(SizedStream::new(length, stream::empty::<io::Result<Bytes>>()))
        }
        _ => head(&response).body(response.into_body()),
    }
}

fn head(response: &Response<Bytes>) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(response.status().as_u16());
    let mut builder = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in response.headers() {
        builder.append_header((name.as_str(), value.as_bytes()));
    }
    builder
}
