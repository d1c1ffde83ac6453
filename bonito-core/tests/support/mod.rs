//! A socket in memory and the page at its other end.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod dom;
pub mod model;
pub mod region;
pub mod stream;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bonito_core::proto::codec;
use bonito_core::proto::message::{Body, CacheEntry, ClientMessage, Packet, ServerMessage};
use bonito_core::proto::value::RawValue;
use bonito_core::{
    CloseFrame, Disconnect, Endpoint, Frame, Limits, Outcome, Session, TransportError, WebSocketHandler,
    run_connection_loop,
};
use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::task::JoinHandle;

/// Both directions of one socket.
#[derive(Default)]
struct Wire {
    to_server: VecDeque<Result<Frame, TransportError>>,
    to_client: VecDeque<Frame>,
    client_gone: bool,
    server_gone: bool,
    /// Frames that the server may still write; `None` for as many as it likes.
    room: Option<usize>,
    /// How often the server has flushed.
    flushes: usize,
    server: Option<Waker>,
    client: Option<Waker>,
}

impl Wire {
    fn wake_server(&mut self) {
        if let Some(waker) = self.server.take() {
            waker.wake();
        }
    }

    fn wake_client(&mut self) {
        if let Some(waker) = self.client.take() {
            waker.wake();
        }
    }
}

/// The server's end, a `Transport`.
pub struct Socket(Arc<Mutex<Wire>>);

impl Stream for Socket {
    type Item = Result<Frame, TransportError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut wire = self.0.lock().unwrap();
        match wire.to_server.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if wire.client_gone => Poll::Ready(None),
            None => {
                wire.server = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Sink<Frame> for Socket {
    type Error = TransportError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let mut wire = self.0.lock().unwrap();
        if wire.client_gone {
            return Poll::Ready(Err(bonito_core::TransportErrorKind::Io.into()));
        }
        if wire.room == Some(0) {
            wire.server = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, frame: Frame) -> Result<(), Self::Error> {
        let mut wire = self.0.lock().unwrap();
        if let Some(room) = &mut wire.room {
            *room = room.checked_sub(1).expect("a frame was sent without asking whether there is room");
        }
        wire.to_client.push_back(frame);
        wire.wake_client();
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.lock().unwrap().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut wire = self.0.lock().unwrap();
        wire.server_gone = true;
        wire.wake_client();
    }
}

/// The page's end.
pub struct Page {
    wire: Arc<Mutex<Wire>>,
    session: String,
    pub serving: JoinHandle<Disconnect>,
}

pub fn endpoint() -> Endpoint {
    Endpoint::builder("/live").build()
}

pub fn endpoint_with(change: impl FnOnce(&mut Limits)) -> Endpoint {
    let mut limits = Limits::default();
    change(&mut limits);
    Endpoint::builder("/live").limits(limits).build()
}

pub fn upgrade_request(session: &Session) -> http::request::Builder {
    upgrade(&format!("/live/{}", session.id()))
}

pub fn upgrade(path: &str) -> http::request::Builder {
    http::Request::get(path)
        .header("host", "app.example")
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

impl Page {
    /// Opens a socket as a browser does, through the endpoint.
    pub async fn connect(endpoint: &Endpoint, session: &Session) -> Self {
        let (parts, ()) = upgrade_request(session).body(()).unwrap().into_parts();
        Self::connect_by(endpoint, session, &parts).await
    }

    /// Opens a socket by this request.
    pub async fn connect_by(endpoint: &Endpoint, session: &Session, request: &http::request::Parts) -> Self {
        let Outcome::Upgrade(accepted) = endpoint.handle(request).await else { panic!("refused") };
        let (wire, socket) = pair();
        let serving = tokio::spawn(accepted.run(socket));
        Self { wire, session: session.id().to_string(), serving }
    }

    /// Opens the socket of a session by this request, wherever the session is, or is refused.
    pub async fn try_connect(
        endpoint: &Endpoint,
        session: &Session,
        request: &http::request::Parts,
    ) -> Result<Self, http::Response<Bytes>> {
        let accepted = match endpoint.handle(request).await {
            Outcome::Upgrade(accepted) => accepted,
            Outcome::Respond(refusal) => return Err(refusal),
        };
        let (wire, socket) = pair();
        let serving = tokio::spawn(accepted.run(socket));
        Ok(Self { wire, session: session.id().to_string(), serving })
    }

    /// Opens the socket of a page that has several.
    pub async fn connect_with(endpoint: &Endpoint, session: &Session, query: &str) -> Self {
        let uri = format!("/live/{}?{query}", session.id());
        let (parts, ()) = upgrade_request(session).uri(uri).body(()).unwrap().into_parts();
        let Outcome::Upgrade(accepted) = endpoint.handle(&parts).await else { panic!("refused") };
        let (wire, socket) = pair();
        let serving = tokio::spawn(accepted.run(socket));
        settle().await;
        Self { wire, session: session.id().to_string(), serving }
    }

    /// Opens a socket of a behaviour, or is refused.
    pub async fn at(
        endpoint: &Endpoint,
        request: http::request::Builder,
    ) -> Result<Self, http::Response<Bytes>> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let accepted = match endpoint.handle(&parts).await {
            Outcome::Upgrade(accepted) => accepted,
            Outcome::Respond(refusal) => return Err(refusal),
        };
        let (wire, socket) = pair();
        Ok(Self { wire, session: String::new(), serving: tokio::spawn(accepted.run(socket)) })
    }

    /// Opens a socket at a route of the application's own.
    pub async fn over(session: &Session, handler: &WebSocketHandler) -> Self {
        let (wire, socket) = pair();
        let (id, session, handler) = (session.id().to_string(), session.clone(), handler.clone());
        let serving = tokio::spawn(async move { run_connection_loop(&session, &handler, socket).await });
        settle().await;
        Self { wire, session: id, serving }
    }

    /// The same, but the loop runs when the caller polls it.
    pub fn by_hand(
        session: &Session,
        handler: &WebSocketHandler,
    ) -> (Self, impl Future<Output = Disconnect> + Send + 'static) {
        let (wire, socket) = pair();
        let (id, session, handler) = (session.id().to_string(), session.clone(), handler.clone());
        let serving = tokio::spawn(std::future::pending());
        (
            Self { wire, session: id, serving },
            async move { run_connection_loop(&session, &handler, socket).await },
        )
    }

    /// Opens a socket and says that the page has loaded.
    pub async fn open(endpoint: &Endpoint, session: &Session) -> Self {
        let page = Self::connect(endpoint, session).await;
        page.loaded();
        settle().await;
        page
    }

    pub fn loaded(&self) {
        self.send(&ClientMessage::DoneLoading {
            session: self.session.clone(),
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        });
    }

    pub fn update(&self, id: impl std::fmt::Display, value: impl serde::Serialize) {
        let payload = RawValue::encode(&value).unwrap();
        self.send(&ClientMessage::UpdateObservable { id: id.to_string(), payload });
    }

    pub fn send(&self, message: &ClientMessage) {
        self.send_frame(Frame::Binary(codec::encode_client(message).unwrap()));
    }

    pub fn send_frame(&self, frame: Frame) {
        self.send_raw(Ok(frame));
    }

    pub fn send_raw(&self, frame: Result<Frame, TransportError>) {
        let mut wire = self.wire.lock().unwrap();
        wire.to_server.push_back(frame);
        wire.wake_server();
    }

    /// The line is cut.
    pub fn cut(&self) {
        let mut wire = self.wire.lock().unwrap();
        wire.client_gone = true;
        wire.wake_server();
    }

    /// From now on the page reads only so many frames more.
    pub fn read_only(&self, room: Option<usize>) {
        let mut wire = self.wire.lock().unwrap();
        wire.room = room;
        wire.wake_server();
    }

    /// How often the server has flushed.
    pub fn flushes(&self) -> usize {
        self.wire.lock().unwrap().flushes
    }

    /// How much the server has not read.
    pub fn unread(&self) -> usize {
        self.wire.lock().unwrap().to_server.len()
    }

    /// All frames that have come.
    pub fn frames(&self) -> Vec<Frame> {
        self.wire.lock().unwrap().to_client.drain(..).collect()
    }

    /// The first frames that have come, and no more of them.
    pub fn frames_up_to(&self, count: usize) -> Vec<Frame> {
        let mut wire = self.wire.lock().unwrap();
        let count = count.min(wire.to_client.len());
        wire.to_client.drain(..count).collect()
    }

    /// What the messages say that have come: `id=value` for an update, the source for a script.
    pub fn received(&self) -> Vec<String> {
        let frames = self.frames();
        frames
            .iter()
            .flat_map(|frame| if let Frame::Binary(bytes) = frame { said(bytes) } else { vec![] })
            .collect()
    }

    /// The same from a server that could not write until now.
    pub async fn closed_behind(&self) -> Option<u16> {
        self.read_only(None);
        self.closed().await
    }

    /// The code of the close frame, once it has come.
    pub async fn closed(&self) -> Option<u16> {
        self.close_frame().await.map(|frame| frame.code.0)
    }

    /// The close frame, once it has come.
    pub async fn close_frame(&self) -> Option<CloseFrame> {
        std::future::poll_fn(|cx| {
            let mut wire = self.wire.lock().unwrap();
            while let Some(frame) = wire.to_client.pop_front() {
                if let Frame::Close(frame) = frame {
                    wire.client_gone = true;
                    wire.wake_server();
                    return Poll::Ready(frame);
                }
            }
            if wire.server_gone {
                return Poll::Ready(None);
            }
            wire.client = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A socket that the page never uses.
pub fn idle_socket() -> Socket {
    pair().1
}

fn pair() -> (Arc<Mutex<Wire>>, Socket) {
    let wire = Arc::new(Mutex::new(Wire::default()));
    (wire.clone(), Socket(wire))
}

/// Lets every task run until all wait.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// What a frame from the server says, one text a message.
pub fn said(frame: &Bytes) -> Vec<String> {
    let mut all = Vec::new();
    walk(codec::decode_packet(frame.clone(), &Limits::default()).unwrap(), &mut all);
    all
}

fn walk(packet: Packet, all: &mut Vec<String>) {
    let message = match packet {
        Packet::Bare(message) => message,
        Packet::Enveloped(envelope) => {
            for entry in &envelope.cache {
                if let CacheEntry::Observable { id, value } = entry {
                    all.push(format!("new {id}={}", show(value)));
                }
            }
            match envelope.body {
                Body::Message(ServerMessage::PingPong) if !envelope.cache.is_empty() => return,
                Body::Message(message) => message,
                Body::Bundle(packets) => return packets.into_iter().for_each(|packet| walk(packet, all)),
            }
        }
    };
    all.push(match message {
        ServerMessage::UpdateObservable { id, payload } => format!("{id}={}", show(&payload)),
        ServerMessage::EvalJavascript { code } => code.source,
        ServerMessage::OnjsCallback { code, .. } => format!("on {}", code.source),
        ServerMessage::PingPong => "pong".into(),
        ServerMessage::UpdateSession { .. } => "swap".into(),
        other => panic!("unexpected {other:?}"),
    });
}

fn show(value: &RawValue) -> String {
    match value.decode::<serde_json::Value>() {
        Ok(value) => value.to_string(),
        Err(_) => format!("{:?}", value.as_bytes()),
    }
}
