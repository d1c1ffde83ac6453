//! The two routes of the connection, and who may use them.

use app_parts::Sessions;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bonito_core::{Endpoint, Session};
use serde::Deserialize;

use crate::batch;
use crate::connection::{LongPoll, Polled, Received};

/// What the routes work with.
#[derive(Clone, Debug)]
struct App {
    live: Endpoint,
    sessions: Sessions<LongPoll>,
}

/// The routes for sessions with a [`LongPoll`] of this table.
pub fn routes<S: Clone + Send + Sync + 'static>(live: &Endpoint, sessions: &Sessions<LongPoll>) -> Router<S> {
    // As much as over a WebSocket, or as many small messages as a page sends at a time.
    let longest = batch::length([&Bytes::new()]) + live.limits().message_bytes.max(batch::BYTES);
    Router::new()
        .route("/poll/{id}", get(poll).post(receive))
        .layer(DefaultBodyLimit::max(longest))
        .with_state(App { live: live.clone(), sessions: sessions.clone() })
}

#[derive(Debug, Deserialize)]
struct Wish {
    poll: u64,
    from: u64,
    #[serde(default)]
    open: bool,
}

// [routes]
/// The session of a request whose sender may have it: the same checks that a WebSocket has to pass.
struct Served(Session, LongPoll);

impl FromRequestParts<App> for Served {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        if let Some(refusal) = app.live.origin_refusal(parts) {
            return Err(refusal.map(Body::from));
        }
        let id = Path::<String>::from_request_parts(parts, app).await;
        let Path(id) = id.map_err(IntoResponse::into_response)?;
        let Some((session, connection)) = app.sessions.find(&id) else {
            return Err(StatusCode::NOT_FOUND.into_response());
        };
        if !app.live.may_connect(&session, parts) {
            return Err(StatusCode::FORBIDDEN.into_response());
        }
        Ok(Self(session, connection))
    }
}

async fn poll(Served(session, connection): Served, Query(wish): Query<Wish>) -> Response {
    let status = match connection.poll(&session, wish.poll, wish.from, wish.open).await {
        Polled::Messages(batch) => return no_store(batch.into_response()),
        Polled::Nothing => StatusCode::NO_CONTENT,
        Polled::NotOpen => StatusCode::PRECONDITION_FAILED,
        Polled::Superseded => StatusCode::CONFLICT,
        Polled::Unknown => StatusCode::BAD_REQUEST,
        Polled::Closed => StatusCode::GONE,
    };
    no_store(status.into_response())
}

async fn receive(Served(session, connection): Served, body: Bytes) -> Response {
    let Some((first, messages)) = batch::decode(body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match connection.receive(&session, first, messages).await {
        Received::UpTo(next) => next.to_string().into_response(),
        Received::Busy => later(),
        Received::Gap => StatusCode::BAD_REQUEST.into_response(),
        Received::Closed => StatusCode::GONE.into_response(),
    }
}
// [/routes]

fn later() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
