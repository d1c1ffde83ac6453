//! Sockets that land on another process than their session's: frames are relayed between the two, by messages of the
//! [backend](crate::ClusterBackend).
//!
//! The address of a session's socket names its process. The *edge*, where the socket is, asks the *owner*, where the session is,
//! and carries frames that it does not read. Messages of a backend come at most once: parts of frames are numbered, a hole ends
//! the socket, and the page comes back.

pub(crate) mod line;
pub(crate) mod node;
mod options;
pub(crate) mod tunnel;
pub(crate) mod wire;

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, Either, select};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::watch;
use tokio::time::timeout;

use node::Node;
pub use options::RelayOptions;
use tunnel::{Ended, Tunnel};
use wire::{Body, NodeId, Open, Read};

use super::clock;
use super::driver::{Disconnect, say_goodbye};
use crate::cluster::Received;
use crate::frame::{CloseCode, CloseFrame, Frame};
use crate::host::Host;
use crate::id::SessionId;
use crate::transport::{Transport, TransportError};

/// Pause before the backend is asked again that could not be reached.
const PAUSE: Duration = Duration::from_millis(500);
/// Pages that have lost a process come back within this time.
const SPREAD: Duration = Duration::from_secs(2);

/// Takes the process's place in the cluster, until `left` is true or nothing holds the other end of it. `asked` gets what others
/// ask it for.
pub(crate) async fn join(
    node: Arc<Node>,
    left: watch::Receiver<bool>,
    asked: impl Fn(NodeId, u64, Open) + Send + Sync + 'static,
) {
    future::join(receive(node.clone(), left.clone(), asked), keep_lease(node, left)).await;
}

async fn receive(
    node: Arc<Node>,
    mut left: watch::Receiver<bool>,
    asked: impl Fn(NodeId, u64, Open) + Send + Sync + 'static,
) {
    let subject = node.id.subject();
    let receiving = async {
        loop {
            match node.call(node.backend().subscribe(&subject)).await {
                Ok(mut incoming) => {
                    while let Some(delivery) = incoming.next().await {
                        // What a gap has swallowed is missed by its number.
                        if let Received::Message(bytes) = delivery
                            && let Some((from, stream, open)) = node.handle(bytes)
                        {
                            asked(from, stream, open);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the cluster cannot be reached: sessions here are not found from other processes");
                }
            }
            pause(PAUSE).await;
        }
    };
    select(pin!(receiving), pin!(left.changed())).await;
}

async fn keep_lease(node: Arc<Node>, mut left: watch::Receiver<bool>) {
    let mut epoch = None;
    {
        let keeping = async {
            loop {
                let renewed = node.renew(&mut epoch).await;
                pause(if renewed { node.options().lease_ttl / 4 } else { PAUSE }).await;
            }
        };
        select(pin!(keeping), pin!(left.changed())).await;
    }
    if let Some(epoch) = epoch {
        node.release(epoch).await;
    }
}

async fn pause(time: Duration) {
    let _ = timeout(time, pending::<()>()).await;
}

/// Serves a socket whose session is in another process.
///
/// Dropping the future drops the socket, and tells the other process.
pub(crate) async fn run_relayed<T: Transport>(
    mut tunnel: Tunnel,
    id: SessionId,
    host: &dyn Host,
    transport: T,
) -> Disconnect {
    let mut transport = pin!(transport);
    let limits = host.limits();
    let ended = if tunnel.node.say(&tunnel.line, Body::Start).await.is_ok() {
        let (writer, reader) = transport.as_mut().split();
        let reader = reader.map(|read| read.map_err(|error| error.kind()));
        let writer = writer.with(|read: Read| {
            // A session sends frames only.
            ready(Ok::<_, TransportError>(
                read.unwrap_or_else(|_| Frame::Close(Some(CloseFrame::new(CloseCode::INTERNAL, "")))),
            ))
        });
        let most = limits.queued_bytes.max(limits.queued_large_bytes);
        let running = pin!(tunnel.run(reader, writer, most));
        match select(running, pin!(leave(host, id))).await {
            Either::Left((ended, _)) => Some(ended),
            Either::Right(_) => None,
        }
    } else {
        Some(Ended::Lost)
    };
    drop(tunnel);
    let (disconnect, goodbye, peer_is_done) = match ended {
        Some(Ended::Local(Some(frame))) => {
            let answer = frame.clone().unwrap_or_else(|| CloseFrame::new(CloseCode::NORMAL, ""));
            (Disconnect::Closed(frame), Some(answer), true)
        }
        Some(Ended::Local(None)) => (Disconnect::Lost(None), None, true),
        Some(Ended::Remote { closed: true }) => (Disconnect::Relayed, None, true),
        Some(Ended::Remote { closed: false } | Ended::Lost) => {
            let pause = SPREAD.mul_f64(id.fraction());
            (Disconnect::Relayed, Some(come_back(pause)), false)
        }
        None => {
            let pause = host.drain().map(|drain| drain.retry_after(id, clock::now())).unwrap_or_default();
            (Disconnect::Drained, Some(come_back(pause)), false)
        }
    };
    tracing::debug!(session = ?id, ?disconnect, "a relayed socket ends");
    if let Some(frame) = goodbye {
        let _ =
            timeout(limits.close_timeout, say_goodbye(transport.as_mut(), Some(frame), peer_is_done)).await;
    } else {
        let _ = timeout(limits.close_timeout, transport.close()).await;
    }
    disconnect
}

fn come_back(pause: Duration) -> CloseFrame {
    CloseFrame::new(CloseCode::RESTART, format!("retry-after={}", pause.as_millis()))
}

/// Until this socket's time in a drain has come.
async fn leave(host: &dyn Host, id: SessionId) {
    host.drain_begins().await;
    if let Some(drain) = host.drain() {
        host.sleep_until(drain.leave(id)).await;
    }
}
