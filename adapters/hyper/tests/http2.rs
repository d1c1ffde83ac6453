//! A WebSocket over HTTP/2: one stream of a connection that has others (RFC 8441).

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::net::SocketAddr;
use std::time::Duration;

use bonito_core::proto::codec::encode_client;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{Endpoint, js};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::ext::Protocol;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

async fn hyper_server(live: Endpoint) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            http.enable_connect_protocol();
            tokio::spawn(http.serve_connection(TokioIo::new(tcp), bonito_hyper::service(&live)));
        }
    });
    address
}

/// As `bonito_axum::routes` mounts it.
async fn axum_server(live: Endpoint) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route_service("/live/{*path}", bonito_hyper::service(&live));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn connect(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: &str, address: SocketAddr, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://{address}{path}"))
}

/// An extended CONNECT.
fn socket(address: SocketAddr, id: &str, origin: &str) -> Request<Empty<Bytes>> {
    let connect = request("CONNECT", address, &format!("/live/{id}"));
    let connect = connect.header("origin", origin).header("sec-websocket-version", "13");
    connect.extension(Protocol::from_static("websocket")).body(Empty::new()).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

#[tokio::test]
async fn a_socket_is_a_stream_among_others() {
    a_socket_is_a_stream(hyper_server).await;
}

#[tokio::test]
async fn a_socket_is_a_stream_among_others_in_axum() {
    a_socket_is_a_stream(axum_server).await;
}

async fn a_socket_is_a_stream(serve: impl AsyncFn(Endpoint) -> SocketAddr) {
    let live = Endpoint::builder("/live").build();
    let address = serve(live.clone()).await;
    let session = live.session();
    let page = session.page("t", "").to_string();
    let library = page.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut sender = connect(address).await;
    let file = request("GET", address, library).body(Empty::new()).unwrap();
    assert_eq!(soon(sender.send_request(file)).await.unwrap().status(), StatusCode::OK);

    let id = session.id().to_string();
    let own = format!("http://{address}");
    for (what, id, origin, status) in [
        ("another origin", &*id, "http://evil.example", StatusCode::FORBIDDEN),
        ("unknown session", "00000000000000000000000000000000", &*own, StatusCode::NOT_FOUND),
    ] {
        let answer = soon(sender.send_request(socket(address, id, origin))).await.unwrap();
        assert_eq!(answer.status(), status, "{what}");
    }

    let answer = soon(sender.send_request(socket(address, &id, &own))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key("upgrade") && !answer.headers().contains_key("connection"));
    let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    let mut websocket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    // What a page says first.
    let loaded = ClientMessage::DoneLoading {
        session: id,
        message: String::new(),
        exception: None,
        stacktrace: String::new(),
    };
    let loaded = encode_client(&loaded).unwrap();
    websocket.send(Message::Binary(loaded)).await.unwrap();
    session.eval(js!("over HTTP/2"));
    let message = soon(websocket.next()).await.unwrap().unwrap().into_data();
    assert!(message.windows(11).any(|part| part == b"over HTTP/2"));

    session.close();
    let goodbye = loop {
        if let Message::Close(goodbye) = soon(websocket.next()).await.unwrap().unwrap() {
            break goodbye.unwrap();
        }
    };
    assert_eq!(u16::from(goodbye.code), 4004);

    // The connection has outlived it.
    let file = request("GET", address, library).body(Empty::new()).unwrap();
    assert_eq!(soon(sender.send_request(file)).await.unwrap().status(), StatusCode::OK);
}
