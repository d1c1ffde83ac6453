//! The browser's side.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bonito_core::proto::codec::encode_client;
use bonito_core::proto::message::ClientMessage;
use bonito_core::proto::value::RawValue;
use bonito_core::{Endpoint, Session, Status};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) type Socket = WebSocketStream<TcpStream>;

static PATIENCE: AtomicU64 = AtomicU64::new(20_000);

/// What a page sends to hear something, and the answer.
pub(crate) const PING: &[u8] = b"\x81\xa8msg_type\xa211";

/// Sets the longest wait of a case for anything; only a failure reaches it. 20 s by default.
pub fn set_patience(patience: Duration) {
    PATIENCE.store(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

pub(crate) async fn patiently<T>(future: impl Future<Output = T>, complaint: &str) -> T {
    let patience = Duration::from_millis(PATIENCE.load(Ordering::Relaxed));
    tokio::time::timeout(patience, future).await.expect(complaint)
}

/// A session whose page has been handed out.
pub(crate) fn page(live: &Endpoint) -> Session {
    let session = live.session();
    let _html = session.page("t", "");
    session
}

/// What a page sends first.
pub(crate) fn loaded(session: &Session) -> Message {
    let message = ClientMessage::DoneLoading {
        session: session.id().to_string(),
        message: String::new(),
        exception: None,
        stacktrace: String::new(),
    };
    Message::Binary(encode_client(&message).unwrap())
}

/// The end of a handshake with these origins: a socket, or a refusal.
pub(crate) async fn connect(
    address: SocketAddr,
    path: &str,
    origins: &[&str],
) -> Result<Socket, (StatusCode, HeaderMap)> {
    connect_as(address, &address.to_string(), path, origins).await
}

/// The same with another `Host`.
pub(crate) async fn connect_as(
    address: SocketAddr,
    host: &str,
    path: &str,
    origins: &[&str],
) -> Result<Socket, (StatusCode, HeaderMap)> {
    let tcp = TcpStream::connect(address).await.unwrap();
    connect_over(tcp, host, path, origins).await
}

/// A socket that offers this subprotocol; the client checks that the answer names it.
pub(crate) async fn offer(address: SocketAddr, session: &Session, protocol: &'static str) -> Socket {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let path = format!("ws://{address}/live/{}", session.id());
    let mut request = path.into_client_request().unwrap();
    request.headers_mut().append("sec-websocket-protocol", HeaderValue::from_static(protocol));
    patiently(client_async(request, tcp), "the handshake was not answered").await.unwrap().0
}

async fn connect_over(
    tcp: TcpStream,
    host: &str,
    path: &str,
    origins: &[&str],
) -> Result<Socket, (StatusCode, HeaderMap)> {
    let mut request = format!("ws://{host}{path}").into_client_request().unwrap();
    for origin in origins {
        request.headers_mut().append("origin", HeaderValue::from_bytes(origin.as_bytes()).unwrap());
    }
    tcp.set_nodelay(true).unwrap();
    match patiently(client_async(request, tcp), "the handshake was not answered").await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err((response.status(), response.headers().clone())),
        Err(error) => panic!("{error}"),
    }
}

/// A socket of the session's page, as its own origin opens it.
pub(crate) async fn attach(address: SocketAddr, session: &Session) -> Socket {
    let origin = format!("http://{address}");
    connect(address, &format!("/live/{}", session.id()), &[&origin]).await.unwrap()
}

/// The same, after the page has loaded.
pub(crate) async fn open(address: SocketAddr, session: &Session) -> Socket {
    opened(attach(address, session).await, session).await
}

/// The same over a connection of the caller's.
pub(crate) async fn open_over(tcp: TcpStream, address: SocketAddr, session: &Session) -> Socket {
    let path = format!("/live/{}", session.id());
    opened(connect_over(tcp, &address.to_string(), &path, &[]).await.unwrap(), session).await
}

async fn opened(mut socket: Socket, session: &Session) -> Socket {
    socket.send(loaded(session)).await.unwrap();
    until(|| session.status() == Status::Open).await;
    socket
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    patiently(waiting, "the condition never came true").await;
}

/// The next message.
pub(crate) async fn next(socket: &mut Socket) -> Option<Result<Message, Error>> {
    patiently(socket.next(), "nothing came").await
}

/// Whether the next message holds this text. Messages without it come before only if something is doubled or reordered.
pub(crate) async fn comes(socket: &mut Socket, text: &str) -> bool {
    let message = next(socket).await.unwrap().unwrap();
    message.is_binary() && message.into_data().windows(text.len()).any(|part| part == text.as_bytes())
}

/// The protocol's own ping.
pub(crate) fn ping() -> Message {
    Message::Binary(encode_client(&ClientMessage::PingPong).unwrap())
}

/// A value that the page sets.
pub(crate) fn update(id: &str, value: u32) -> Message {
    let payload = RawValue::encode(&value).unwrap();
    Message::Binary(encode_client(&ClientMessage::UpdateObservable { id: id.to_owned(), payload }).unwrap())
}

/// Sends the protocol's ping, and its answer is the next to come.
pub(crate) async fn answered(socket: &mut Socket) {
    socket.send(ping()).await.unwrap();
    assert!(comes(socket, "msg_type").await);
}

/// Sends bytes past the WebSocket client, which cannot be made to send them.
pub(crate) async fn send_raw(socket: &mut Socket, bytes: &[u8]) {
    socket.get_mut().write_all(bytes).await.unwrap();
}

/// The code of the close frame that comes, other messages aside. It is answered.
pub(crate) async fn close_code(socket: &mut Socket) -> Option<u16> {
    while let Some(Ok(message)) = next(socket).await {
        if let Message::Close(frame) = message {
            let _ = socket.flush().await;
            return frame.map(|frame| frame.code.into());
        }
    }
    None
}

/// The answer to a request without a body, as it came.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    patiently(tcp.read_to_end(&mut answer), "the answer does not end").await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
