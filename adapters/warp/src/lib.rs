//! Mounts [bonito](bonito_core) sessions into a warp app.
//!
//! ```
//! use bonito_core::Endpoint;
//! use warp::Filter;
//!
//! let live = Endpoint::builder("/live").build();
//! let index = warp::path::end().map(|| "hello");
//! let app = index.or(bonito_warp::routes(&live));
//! # let _ = app;
//! ```
//!
//! warp keeps its listener's options only, so `TCP_NODELAY` belongs on the listener, from which Linux and macOS hand it down
//! to the connections; without it small replies wait for acknowledgements:
//!
//! ```no_run
//! # use warp::Filter;
//! # async fn serve() -> std::io::Result<()> {
//! # let app = warp::path::end().map(|| "hello");
//! let socket = tokio::net::TcpSocket::new_v4()?;
//! socket.set_nodelay(true)?;
//! socket.bind(([127, 0, 0, 1], 3000).into())?;
//! warp::serve(app).incoming(socket.listen(1024)?).run().await;
//! # Ok(()) }
//! ```
//!
//! warp's own WebSocket has a read buffer of 128 KiB that cannot be set, so the connection is taken from hyper below it;
//! `warp::ws` is not needed, and its `WebSocket` has no place here. In a route of your own, [`parts`] gathers the request,
//! [`upgrade`] takes the connection out of it, and [`transport`] speaks WebSocket over it. Buffers are as `bonito-websocket` says.
//!
//! warp does not show a request's HTTP version: sockets over HTTP/2 are not served, and browsers do not ask for them then.

use std::future::ready;

use bonito_core::Endpoint;
pub use bonito_hyper::{transport, upgrade};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Uri};
use hyper::upgrade::OnUpgrade;
use warp::path::{FullPath, Peek};
use warp::{Filter, Rejection, Reply};

/// The routes of an endpoint: the browser client and the sessions' WebSockets, all under the endpoint's path.
///
/// They are an ordinary filter: wrap it as the app wraps its own. Behind another path, as in
/// `warp::path("app").and(routes(&live))`, tell the endpoint by
/// [`external_url`](bonito_core::EndpointBuilder::external_url).
pub fn routes(
    endpoint: &Endpoint,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection> + Clone + use<> {
    let endpoint = endpoint.clone();
    let prefix = format!("{}/", endpoint.path()).split_off(1);
    warp::path::peek()
        .and_then(move |rest: Peek| {
            let here = rest.as_str().starts_with(&prefix);
            ready(if here { Ok(()) } else { Err(warp::reject::not_found()) })
        })
        .untuple_one()
        .and(parts())
        .then(move |parts| {
            let endpoint = endpoint.clone();
            async move { bonito_hyper::answer(&endpoint, parts).await.into_response() }
        })
}

/// The request as an [`Endpoint`] takes it, for routes of your own. [`upgrade`] takes the connection out of it.
///
/// warp hands out an extension of a request only to who knows its type, so the endpoint's
/// [hooks](bonito_core::EndpointBuilder::identity) find the headers, and those extensions that a tower layer around
/// `warp::service` has put into the request as one [`Extensions`].
pub fn parts() -> impl Filter<Extract = (Parts,), Error = Rejection> + Copy + use<> {
    warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional())
        .and(warp::ext::optional())
        .and_then(|method, path, query, headers, upgrade, extensions| {
            let parts = to_parts(method, &path, query, headers, upgrade, extensions);
            ready(parts.ok_or_else(warp::reject::not_found))
        })
}

fn to_parts(
    method: Method,
    path: &FullPath,
    query: Option<String>,
    headers: HeaderMap,
    upgrade: Option<OnUpgrade>,
    extensions: Option<Extensions>,
) -> Option<Parts> {
    let uri: Result<Uri, _> = match query {
        Some(query) => format!("{}?{query}", path.as_str()).parse(),
        None => path.as_str().parse(),
    };
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.headers) = (method, uri.ok()?, headers);
    parts.extensions = extensions.unwrap_or_default();
    if let Some(upgrade) = upgrade {
        parts.extensions.insert(upgrade);
    }
    Some(parts)
}
