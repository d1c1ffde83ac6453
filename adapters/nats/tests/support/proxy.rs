//! A line to a broker that can be cut, while the broker lives on.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Broker;

/// What the line does with what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Carries,
    /// Connections are closed, and new ones too.
    Closes,
    /// Nothing comes through, and nobody is told. What was sent meanwhile comes when it carries again.
    Stalls,
}

/// A TCP proxy in front of a broker.
pub(crate) struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(broker: &Broker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, to) = (listener.local_addr().unwrap().port(), broker.port);
        let (line, watching) = watch::channel(Line::Carries);
        let accepting = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(near, to, watching.clone()));
            }
        });
        Self { port, line, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection, to its end.
async fn carry(near: TcpStream, to: u16, mut line: watch::Receiver<Line>) {
    let state = line.clone();
    let carrying = async move {
        let far = TcpStream::connect(("127.0.0.1", to)).await?;
        let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
        tokio::select! {
            ended = way(from_near, to_far, state.clone()) => ended,
            ended = way(from_far, to_near, state) => ended,
        }
    };
    tokio::select! {
        biased;
        _ = line.wait_for(|line| *line == Line::Closes) => {}
        _ = carrying => {}
    }
}

async fn way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        if line.wait_for(|line| *line != Line::Stalls).await.is_err() {
            return Ok(());
        }
        to.write_all(&bytes[..read]).await?;
    }
}
