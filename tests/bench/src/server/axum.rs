//! axum: `axum::extract::ws` and the routes of `bonito-axum`.

use std::io;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{Html, Response};
use axum::routing::get;
use bytes::Bytes;
use tokio::net::TcpListener;

use super::App;
use super::raw::{self, RawMessage};

pub(super) async fn serve(app: App, listener: TcpListener) -> io::Result<()> {
    let router = Router::new()
        .route("/raw/{kind}", get(upgrade))
        .merge(bonito_axum::routes(&app.live))
        .fallback(async |State(app): State<App>, uri: Uri| Html(app.answer(uri.path())))
        .with_state(app);
    axum::serve(listener, router).await
}

async fn upgrade(
    State(app): State<App>,
    Path(kind): Path<String>,
    mut upgrade: WebSocketUpgrade,
) -> Response {
    if let Some(bytes) = app.variant.read_buffer() {
        upgrade = upgrade.read_buffer_size(bytes);
    }
    upgrade.on_upgrade(async move |socket| raw::serve(&kind, socket, &app.hub).await)
}

impl RawMessage for Message {
    fn binary(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }

    fn len(&self) -> usize {
        match self {
            Self::Binary(bytes) => bytes.len(),
            _ => 0,
        }
    }
}
