//! The process with the browsers' sockets. It asks the app about every request, and relays frames that it does not read.

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bonito_core::Limits;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::link::Link;
use crate::message::Head;

/// Pause between two attempts to reach the app.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Clone, Debug)]
struct Front {
    link: watch::Receiver<Option<Link>>,
    limits: Limits,
}

/// What serves browsers, and the future that keeps the link to the app at this path.
pub fn front(path: PathBuf) -> (Router, impl Future<Output = ()>) {
    let (found, link) = watch::channel(None);
    let front = Front { link, limits: Limits::default() };
    let router = Router::new().fallback(get(relay)).with_state(front);
    let keeping = async move {
        loop {
            if let Ok(connection) = UnixStream::connect(&path).await {
                // The app asks for nothing.
                let (link, running) = Link::over(connection, drop);
                found.send_replace(Some(link));
                running.await;
                found.send_replace(None);
            }
            sleep(PAUSE).await;
        }
    };
    (router, keeping)
}

// [relay]
async fn relay(State(front): State<Front>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let link = front.link.borrow().clone();
    let Some(link) = link else { return later() };
    let Ok((answer, frames)) = link.request(Head::of(&parts)).await else { return later() };
    if !answer.upgrade {
        let response = answer.response();
        return response
            .map_or_else(|| StatusCode::BAD_GATEWAY.into_response(), |response| response.map(Body::from));
    }
    let Some((response, connection)) = bonito_hyper::upgrade(&mut parts) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    tokio::spawn(async move {
        if let Ok(connection) = connection.await {
            let socket = bonito_websocket::transport(connection, &front.limits).await;
            frames.relay(socket, front.limits.dead_after).await;
        }
    });
    response.map(Body::from)
}
// [/relay]

/// The app is away, or has enough to do.
fn later() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
