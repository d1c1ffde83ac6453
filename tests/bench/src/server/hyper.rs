//! Bare hyper: its upgrade under tokio-tungstenite, and the service of `bonito-hyper`.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::service::{Service, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::App;
use super::raw::{self, RawMessage};

pub(super) async fn serve(app: App, listener: TcpListener) -> io::Result<()> {
    loop {
        let (tcp, _) = listener.accept().await?;
        let app = app.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(app.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(tcp), service).with_upgrades().await;
        });
    }
}

async fn answer(app: App, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path.starts_with("/live/") {
        return bonito_hyper::service(&app.live).call(request).await;
    }
    let Some(kind) = path.strip_prefix("/raw/").map(str::to_owned) else {
        return Ok(Response::new(Full::from(app.answer(path))));
    };
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let on_upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(raw_socket(app, kind, on_upgrade));
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, key.unwrap_or_default())
        .body(Full::default());
    Ok(response.unwrap_or_default())
}

async fn raw_socket(app: App, kind: String, on_upgrade: OnUpgrade) {
    let Ok(connection) = on_upgrade.await else { return };
    let mut config = WebSocketConfig::default();
    if let Some(bytes) = app.variant.read_buffer() {
        config = config.read_buffer_size(bytes);
    }
    let connection = TokioIo::new(connection);
    let socket = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
    raw::serve(&kind, socket, &app.hub).await;
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
