//! The process with the sessions. It has no port: everything comes over links.

use std::convert::Infallible;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bonito_core::{
    Endpoint, FrontendConnection, Lane, Outcome, Script, SendError, Session, WebSocketHandler,
    setup_websocket_connection_js,
};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tower_service::Service;

use crate::link::{Asked, Link};
use crate::message::Answer;

const INTRO: &str = "The session lives in one process, and your socket ends in another, which relays frames and knows nothing \
                     of what is in them. Restart the front, and the session is still here.";

/// Pause after a link that could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);

// [connection]
/// A connection whose sockets come over links. It forwards to the handler, which is where their loop takes messages from.
#[derive(Debug, Default)]
pub struct Relayed {
    handler: WebSocketHandler,
}

impl FrontendConnection for Relayed {
    fn write(&self, bytes: Bytes, _lane: Lane) -> Result<(), SendError> {
        self.handler.write(bytes)
    }

    fn is_open(&self) -> bool {
        self.handler.is_open()
    }

    fn close(&self) {
        self.handler.close();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        Some(setup_websocket_connection_js("/live", session))
    }

    fn socket_handler(&self, _query: &str) -> Option<WebSocketHandler> {
        Some(self.handler.clone())
    }
}
// [/connection]

/// The app: its endpoint, and the pages that an axum router answers.
#[derive(Clone, Debug)]
pub struct App {
    live: Endpoint,
    pages: Router,
}

impl Default for App {
    fn default() -> Self {
        Self::new(Endpoint::builder("/live").build())
    }
}

impl App {
    /// An app with its sessions at this endpoint, whose path is `/live`.
    pub fn new(live: Endpoint) -> Self {
        live.register_connection(|_| Some(Arc::new(Relayed::default())));
        let pages = Router::new()
            .route("/", get(page))
            .route("/app.css", get(([(CONTENT_TYPE, "text/css; charset=utf-8")], app_parts::STYLE)))
            .route("/favicon.svg", get(([(CONTENT_TYPE, "image/svg+xml")], app_parts::FAVICON)))
            .with_state(live.clone());
        Self { live, pages }
    }

    /// Where the sessions are.
    pub fn live(&self) -> &Endpoint {
        &self.live
    }

    /// Serves links for as long as it is polled.
    pub async fn serve(&self, listener: UnixListener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => _ = tokio::spawn(self.clone().link(connection)),
                // No file handle is left, or the peer has gone already: the next one may be better.
                Err(error) => {
                    eprintln!("cannot accept: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Serves one link until it is lost. Its sockets end then, and their sessions wait for their pages.
    pub async fn link<S: AsyncRead + AsyncWrite>(self, connection: S) {
        let (_link, running) = Link::over(connection, |asked| {
            tokio::spawn(self.clone().answer(asked));
        });
        running.await;
    }

    // [answer]
    /// Answers a request, and serves its socket. All checks are made here, before the front upgrades anything.
    async fn answer(self, Asked { head, frames }: Asked) {
        let Some(parts) = head.parts() else {
            return frames.answer(Answer::respond(status(StatusCode::BAD_REQUEST)));
        };
        if !parts.uri.path().starts_with("/live/") {
            return frames.answer(Answer::respond(self.page(parts).await));
        }
        match self.live.handle(&parts).await {
            Outcome::Respond(response) => frames.answer(Answer::respond(response)),
            Outcome::Upgrade(accepted) => {
                frames.answer(Answer::upgrade());
                let _disconnect = accepted.run(frames.transport()).await;
            }
        }
    }
    // [/answer]

    async fn page(&self, parts: Parts) -> http::Response<Bytes> {
        let request = http::Request::from_parts(parts, axum::body::Body::empty());
        let response = self.pages.clone().call(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => http::Response::from_parts(parts, body.to_bytes()),
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

fn status(status: StatusCode) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

async fn page(State(live): State<Endpoint>, request: Parts) -> Response {
    let Some(nonce) = app_parts::random() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let session = live.session_for(&request);
    let headers =
        [(CACHE_CONTROL, "no-store".to_owned()), (CONTENT_SECURITY_POLICY, app_parts::policy(&nonce))];
    (headers, Html(app_parts::demo(&session, "Two processes", INTRO, &nonce))).into_response()
}

/// Listens at this path, which only its owner may use. A socket that a former process left there is replaced.
///
/// # Errors
///
/// That of the operating system.
pub fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => return Err(std::io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}
