//! The server of the chapter "Shutting down" on bare hyper; the others are programs of the examples, which test them.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::time::Duration;

use bonito_book::shutdown;
use bonito_core::Endpoint;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn hyper_leaves_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let live = Endpoint::builder("/live").build();
    let session = live.session();
    let _page = session.page("t", "");
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn({
        let live = live.clone();
        async move { shutdown::serve(listener, &live, async { _ = stopped.await }).await }
    });
    let tcp = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/live/{}", session.id());
    let (mut socket, _) = client_async(url, tcp).await.unwrap();
    // It asks for nothing and keeps nobody.
    let _idle = TcpStream::connect(address).await.unwrap();

    stop.send(()).unwrap();
    let told = async {
        loop {
            if let Message::Close(goodbye) = socket.next().await.unwrap().unwrap() {
                break goodbye.unwrap();
            }
        }
    };
    let patience = Duration::from_secs(20);
    let goodbye = tokio::time::timeout(patience, told).await.unwrap();
    assert_eq!(u16::from(goodbye.code), 1012);
    assert!(goodbye.reason.starts_with("retry-after="), "{goodbye:?}");
    let _ = socket.flush().await;
    tokio::time::timeout(patience, server).await.unwrap().unwrap();
    assert_eq!(live.stats().sockets, 0);
    assert!(TcpStream::connect(address).await.is_err(), "nobody is let in any more");
}
