//! Live pages without a WebSocket: a connection of its own over two plain routes of an axum app.

pub mod batch;
pub mod connection;
pub mod routes;

use std::sync::Arc;

use app_parts::Sessions;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bonito_core::Endpoint;
use connection::LongPoll;

const INTRO: &str = "No WebSocket: the page asks, and the answer waits until there is something to say. Cut the line, and no \
                     message is lost or comes twice.";

// [app]
/// The whole app.
pub fn app() -> Router {
    let live = Endpoint::builder("/live").compression(true).build();
    let sessions = Sessions::default();
    let table = sessions.clone();
    live.register_connection(move |_| Some(Arc::new(LongPoll::new(&table, true))));
    Router::new()
        .route("/", get(page))
        .route("/app.css", get(([(CONTENT_TYPE, "text/css; charset=utf-8")], app_parts::STYLE)))
        .route("/favicon.svg", get(([(CONTENT_TYPE, "image/svg+xml")], app_parts::FAVICON)))
        .merge(bonito_axum::routes(&live))
        .merge(routes::routes(&live, &sessions))
        .with_state(live)
}
// [/app]

async fn page(State(live): State<Endpoint>, request: Parts) -> Response {
    let Some(nonce) = app_parts::random() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let session = live.session_for(&request);
    let headers =
        [(CACHE_CONTROL, "no-store".to_owned()), (CONTENT_SECURITY_POLICY, app_parts::policy(&nonce))];
    (headers, Html(app_parts::demo(&session, "Long poll", INTRO, &nonce))).into_response()
}
