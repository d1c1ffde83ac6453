//! What every connection of one's own must do, over a link.

use std::pin::Pin;
use std::sync::Arc;

use bonito_core::{Endpoint, Frame, FrontendConnection, Session, Transport};
use bonito_testkit::FarEnd;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

use crate::app::{App, Relayed};
use crate::link::Link;
use crate::message::Head;

/// A browser, as far as a front shows it.
struct Browser {
    connection: Arc<Relayed>,
    front: Link,
    socket: Option<Pin<Box<dyn Transport + Send>>>,
}

async fn browser(live: Endpoint) -> Browser {
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(App::new(live).link(far));
    let (front, running) = Link::over(near, drop);
    tokio::spawn(running);
    Browser { connection: Arc::default(), front, socket: None }
}

impl FarEnd for Browser {
    fn connection(&self) -> Arc<dyn FrontendConnection> {
        self.connection.clone()
    }

    async fn connect(&mut self, session: &Session) {
        self.socket = None;
        let request = http::Request::get(format!("/live/{}", session.id()))
            .header("host", "app.example")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let (answer, frames) = self.front.request(Head::of(&parts)).await.unwrap();
        assert!(answer.upgrade, "{answer:?}");
        self.socket = Some(Box::pin(frames.transport()));
    }

    async fn send(&mut self, message: Bytes) {
        if let Some(socket) = &mut self.socket {
            let _ = socket.send(Frame::Binary(message)).await;
        }
    }

    async fn receive(&mut self) -> Option<Bytes> {
        let socket = self.socket.as_mut()?;
        loop {
            match socket.next().await? {
                Ok(Frame::Binary(message)) => return Some(message),
                Ok(Frame::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn cut(&mut self) {
        self.socket = None;
    }
}

bonito_testkit::connection_conformance!(browser);
