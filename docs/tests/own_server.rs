//! The servers of the chapter "Your own WebSocket server", over real TCP with a WebSocket client that is not ours.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::net::SocketAddr;
use std::time::Duration;

use bonito_book::own_server::{self, App};
use bonito_core::proto::codec::encode_client;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{CleanupPolicy, Session, SessionInfo, Status, js};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TcpStream>;

const PATIENCE: Duration = Duration::from_secs(20);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn serve_axum(app: App) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, own_server::axum::router(app)).await });
    address
}

async fn serve_warp(app: App) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(warp::serve(own_server::warp::filter(app)).incoming(listener).run());
    address
}

async fn serve_hyper(app: App) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let app = app.clone();
            let service =
                hyper::service::service_fn(move |request| own_server::hyper::answer(app.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(tcp), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

async fn serve_actix(app: App) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let factory = move || actix_web::App::new().configure(own_server::actix::routes(app.clone()));
    let server = actix_web::HttpServer::new(factory).workers(1).disable_signals();
    tokio::spawn(server.listen(listener).unwrap().run());
    address
}

async fn serve_actix_ws(app: App) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let factory = move || {
        let socket = actix_web::web::get().to(own_server::actix::socket_of_actix_ws);
        let app = own_server::actix::routes(app.clone());
        // The first route that fits has the request.
        actix_web::App::new().route("/sockets/{id}", socket).configure(app)
    };
    let server = actix_web::HttpServer::new(factory).workers(1).disable_signals();
    tokio::spawn(server.listen(listener).unwrap().run());
    address
}

async fn connect(address: SocketAddr, id: &str, origin: &str) -> Result<Socket, u16> {
    let mut request = format!("ws://{address}/sockets/{id}").into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    match client_async(request, TcpStream::connect(address).await.unwrap()).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// A socket of the session's page, which has loaded.
async fn open(address: SocketAddr, session: &Session) -> Socket {
    let mut socket = connect(address, &session.id().to_string(), &format!("http://{address}")).await.unwrap();
    let message = ClientMessage::DoneLoading {
        session: session.id().to_string(),
        message: String::new(),
        exception: None,
        stacktrace: String::new(),
    };
    socket.send(Message::Binary(encode_client(&message).unwrap())).await.unwrap();
    until(|| session.status() == Status::Open).await;
    socket
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the condition never came true");
}

async fn comes(socket: &mut Socket, text: &str) -> bool {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    message.into_data().windows(text.len()).any(|part| part == text.as_bytes())
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn serves_its_sessions(serve: impl AsyncFn(App) -> SocketAddr) {
    let app = App::start();
    let address = serve(app.clone()).await;
    let own = format!("http://{address}");
    let session = app.session();
    let html = session.page("t", "").to_string();
    assert_eq!(app.sessions.count(), 1);
    let id = session.id().to_string();

    // The page is the app's, the files of the client are found where it looks for them.
    assert!(get(address, "/").await.contains("+1"));
    let file = html.split('"').find(|text| text.contains("/live/assets/")).unwrap();
    assert!(get(address, file).await.starts_with("HTTP/1.1 200"), "{file}");

    // What must be refused is.
    assert_eq!(connect(address, "x", &own).await.unwrap_err(), 404);
    assert_eq!(connect(address, &app.live.session().id().to_string(), &own).await.unwrap_err(), 404);
    assert_eq!(connect(address, &id, "https://evil.example").await.unwrap_err(), 403);
    assert!(get(address, &format!("/sockets/{id}")).await.starts_with("HTTP/1.1 426"));

    // The socket is served.
    let mut socket = open(address, &session).await;
    session.eval(js!("hello"));
    assert!(comes(&mut socket, "hello").await);

    // A newer socket takes over, and the end of the older one takes nothing from it.
    let mut newer = open(address, &session).await;
    while let Some(Ok(_)) = socket.next().await {}
    session.eval(js!("again"));
    assert!(comes(&mut newer, "again").await);
    assert_eq!(session.status(), Status::Open);

    // A lost socket leaves a session that waits; what is sent meanwhile comes later.
    drop(newer);
    until(|| session.status() == Status::SoftClosed).await;
    session.eval(js!("late"));
    let mut back = open(address, &session).await;
    assert!(comes(&mut back, "late").await);

    // Option 1 of the chapter.
    back.send(Message::Binary(vec![0xc1].into())).await.unwrap();
    while let Some(Ok(_)) = back.next().await {}
    until(|| session.status() == Status::Closed).await;
    until(|| app.sessions.find(&id).is_none()).await;
    assert_eq!(connect(address, &id, &own).await.unwrap_err(), 404);
}

#[tokio::test]
async fn axum_serves_its_sessions() {
    serves_its_sessions(serve_axum).await;
}

#[tokio::test]
async fn actix_serves_its_sessions() {
    serves_its_sessions(serve_actix).await;
}

#[tokio::test]
async fn actix_ws_serves_its_sessions() {
    serves_its_sessions(serve_actix_ws).await;
}

#[tokio::test]
async fn warp_serves_its_sessions() {
    serves_its_sessions(serve_warp).await;
}

#[tokio::test]
async fn hyper_serves_its_sessions() {
    serves_its_sessions(serve_hyper).await;
}

#[tokio::test]
async fn the_cleanup_task_goes_by_its_own_rule() {
    /// Nobody waits.
    #[derive(Debug)]
    struct AtOnce;

    impl CleanupPolicy for AtOnce {
        fn should_cleanup(&self, session: &SessionInfo, _: std::time::Instant) -> bool {
            session.disconnected.is_some()
        }

        fn allow_soft_close(&self) -> bool {
            true
        }
    }

    let app = App::start();
    let session = app.session();
    let _html = session.page("t", "");
    tokio::spawn(own_server::clean_up(app.sessions.clone(), AtOnce));
    until(|| app.sessions.count() == 0).await;
    assert_eq!(session.status(), Status::Closed);
}
