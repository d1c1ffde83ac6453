//! Mounts [bonito](bonito_core) sessions into an axum app.
//!
//! ```
//! use axum::{Router, extract::State, response::Html, routing::get};
//! use bonito_core::{Endpoint, Observable};
//!
//! async fn index(State(live): State<Endpoint>) -> Html<String> {
//!     let session = live.session();
//!     let count = Observable::new(0);
//!     let clicked = count.clone();
//!     let button = session.on_click(move || clicked.update(|n| *n += 1));
//!     Html(session.page("Counter", format!("<button {button}>+1</button> {}", session.text(&count))))
//! }
//!
//! let live = Endpoint::builder("/live").build();
//! let app: Router = Router::new().route("/", get(index)).merge(bonito_axum::routes(&live)).with_state(live);
//! ```
//!
//! Serve with `TCP_NODELAY`, or small replies wait for acknowledgements:
//! `axum::serve(listener.tap_io(|tcp| { let _ = tcp.set_nodelay(true); }), app)`, with `axum::serve::ListenerExt` in scope.
//!
//! The connection is taken from hyper below axum, so axum's feature `ws` is not needed. Buffers are as
//! [`bonito_websocket`] says. In a route of your own, [`upgrade`] takes the connection out of the
//! request's parts, and [`transport`] speaks WebSocket over it. There is none for axum's own `WebSocket`: it does not count
//! fragments, its buffers are set before the session is known, and its errors name no close code.

use axum::Router;
use bonito_core::Endpoint;
pub use bonito_hyper::{transport, upgrade};

/// The routes of an endpoint: the browser client and the sessions' WebSockets, all under the endpoint's path.
///
/// They are ordinary routes: merge them where the app's own middleware applies. Nested under a prefix, tell the endpoint by
/// [`external_url`](bonito_core::EndpointBuilder::external_url).
pub fn routes<S: Clone + Send + Sync + 'static>(endpoint: &Endpoint) -> Router<S> {
    Router::new().route_service(&format!("{}/{{*path}}", endpoint.path()), bonito_hyper::service(endpoint))
}
