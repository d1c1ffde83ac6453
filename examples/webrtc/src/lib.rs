//! Live pages over a WebRTC data channel: a connection of its own, with the signalling over a route of an axum app.

pub mod chunks;
#[cfg(test)]
mod conformance;
pub mod connection;
mod peer;

use std::sync::Arc;

use app_parts::Sessions;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use bonito_core::Endpoint;
use connection::WebRtc;
use peer::Peer;

/// The longest offer.
const OFFER: usize = 64 * 1024;
const INTRO: &str = "Page and Rust talk over a WebRTC data channel. The app's own HTTP route carries the offer and the answer, \
                     and nothing else.";

#[derive(Clone, Debug)]
struct App {
    live: Endpoint,
    sessions: Sessions<WebRtc>,
}

// [app]
/// The whole app.
pub fn app() -> Router {
    let live = Endpoint::builder("/live").build();
    let sessions = Sessions::default();
    let table = sessions.clone();
    live.register_connection(move |_| Some(Arc::new(WebRtc::new(&table))));
    Router::new()
        .route("/", get(page))
        .route("/app.css", get(([(CONTENT_TYPE, "text/css; charset=utf-8")], app_parts::STYLE)))
        .route("/favicon.svg", get(([(CONTENT_TYPE, "image/svg+xml")], app_parts::FAVICON)))
        .merge(bonito_axum::routes(&live))
        .route("/rtc/{id}", post(signal).layer(DefaultBodyLimit::max(OFFER)))
        .with_state(App { live, sessions })
}
// [/app]

async fn page(State(app): State<App>, request: Parts) -> Response {
    let Some(nonce) = app_parts::random() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let session = app.live.session_for(&request);
    let headers =
        [(CACHE_CONTROL, "no-store".to_owned()), (CONTENT_SECURITY_POLICY, app_parts::policy(&nonce))];
    (headers, Html(app_parts::demo(&session, "WebRTC", INTRO, &nonce))).into_response()
}

// [signal]
/// Answers the offer of a page, and serves it. The same checks as for a WebSocket come first.
async fn signal(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    if let Some(refusal) = app.live.origin_refusal(&parts) {
        return Err(refusal.map(Body::from));
    }
    let (session, connection) =
        app.sessions.find(&id).ok_or_else(|| StatusCode::NOT_FOUND.into_response())?;
    if !app.live.may_connect(&session, &parts) {
        return Err(StatusCode::FORBIDDEN.into_response());
    }
    let offer = String::from_request(Request::from_parts(parts, body), &()).await;
    let offer = offer.map_err(IntoResponse::into_response)?;
    let place = connection.admit(&session).ok_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response())?;
    match Peer::answer(place, app.live.limits(), &offer).await {
        Ok((answer, peer)) => {
            tokio::spawn(peer.run());
            let kind = HeaderValue::from_static("application/sdp");
            Ok(([(CONTENT_TYPE, kind)], answer).into_response())
        }
        Err(_) => Err(StatusCode::BAD_REQUEST.into_response()),
    }
}
// [/signal]
