//! The library's own connections, over TCP.

use std::net::SocketAddr;
use std::sync::Arc;

use bonito_core::{DualWebSocketConnection, Endpoint, FrontendConnection, Session, WebSocketConnection};
use bonito_testkit::FarEnd;
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TcpStream>;

/// The page's end of one socket, or two.
pub(crate) struct Sockets {
    connection: Arc<dyn FrontendConnection>,
    address: SocketAddr,
    queries: &'static [&'static str],
    /// The first is the one that the page sends over.
    sockets: Vec<Socket>,
}

pub(crate) async fn single(live: Endpoint) -> Sockets {
    sockets(live, Arc::new(WebSocketConnection::default()), &[""]).await
}

pub(crate) async fn dual(live: Endpoint) -> Sockets {
    sockets(live, Arc::new(DualWebSocketConnection::new()), &["?low_latency", "?large_data"]).await
}

async fn sockets(
    live: Endpoint,
    connection: Arc<dyn FrontendConnection>,
    queries: &'static [&'static str],
) -> Sockets {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tcp.set_nodelay(true).unwrap();
            let service = TowerToHyperService::new(bonito_hyper::service(&live));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service).with_upgrades());
        }
    });
    Sockets { connection, address, queries, sockets: Vec::new() }
}

/// The next message of one socket; `None` when it is gone.
async fn next(socket: &mut Socket) -> Option<Bytes> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(message))) => return Some(message),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

impl FarEnd for Sockets {
    fn connection(&self) -> Arc<dyn FrontendConnection> {
        self.connection.clone()
    }

    async fn connect(&mut self, session: &Session) {
        self.sockets.clear();
        for query in self.queries {
            let tcp = TcpStream::connect(self.address).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let url = format!("ws://{}/live/{}{query}", self.address, session.id());
            let (socket, _) = client_async(url, tcp).await.unwrap();
            self.sockets.push(socket);
        }
    }

    async fn send(&mut self, message: Bytes) {
        if let Some(main) = self.sockets.first_mut() {
            let _ = main.send(Message::Binary(message)).await;
        }
    }

    async fn receive(&mut self) -> Option<Bytes> {
        let (main, large) = self.sockets.split_first_mut()?;
        match large.first_mut() {
            Some(large) => match select(Box::pin(next(main)), Box::pin(next(large))).await {
                Either::Left((message, _)) | Either::Right((message, _)) => message,
            },
            None => next(main).await,
        }
    }

    async fn cut(&mut self) {
        self.sockets.clear();
    }
}
