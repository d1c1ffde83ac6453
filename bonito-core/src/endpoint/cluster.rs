//! Sockets of sessions that live in other processes, on both sides: who asks, and who is asked.
//!
//! | check | at the edge, where the socket is | at the owner, where the session is |
//! |---|---|---|
//! | method, upgrade, origin | yes | |
//! | who it is, by the identity hook | asks the hook, whose answer goes along | compares it with whose the session is |
//! | whether there is such a session | | yes |
//! | drain, [`Limits::sockets`](crate::Limits::sockets) | its own | its own |
//! | sizes of messages | by the framework | yes |

use std::pin::pin;
use std::sync::{Arc, Weak};

use futures_channel::mpsc;
use futures_util::future::{Either, ready, select};
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::request::Parts;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::inner::Inner;
use super::stats::Count;
use super::{Accepted, Endpoint, EndpointBuilder, Outcome, Permit, Served, route};
use crate::cluster::ClusterBackend;
use crate::host::Host;
use crate::id::SessionId;
use crate::proto::resume::PROTOCOL;
use crate::runtime::relay::node::{Life, Node};
use crate::runtime::relay::wire::{Answer, Body, End, NodeId, Open, Read};
use crate::runtime::relay::{self, RelayOptions};
use crate::session::Session;
use crate::sync::guard;
use crate::transport::{Transport, TransportError, TransportErrorKind, join};

impl EndpointBuilder {
    /// Makes the sessions of this endpoint reachable through every process of the app, and those of the others through this
    /// one: behind a balancer that sends each connection anywhere, without sticky sessions. All processes have an endpoint with
    /// the same path, origins, identity hook and limits, at backends of the same broker. Endpoints with other paths may be there
    /// as well: a session is reached through those of its own path only, and is 404 through others.
    ///
    /// The address of a session's socket names the process that holds it. A socket that lands on another one is relayed: its
    /// frames go through the backend, in both directions, with a bounded window.
    ///
    /// # Failure
    ///
    /// * **The process with the session ends.** Its sockets at others are closed with 1012 within three
    ///   [beats](RelayOptions::beat), and their pages come back. They are told 503 while that process may merely be slow, and 404
    ///   when its lease has run out: as after a restart.
    /// * **The process with the socket ends**: the session waits for its page, as for any that is lost.
    /// * **A message of the backend is lost**, or the backend is: what is missing is noticed, the socket is closed with 1012, and
    ///   the page comes back. What was under way may be lost, at most once. A page that resumes loses nothing.
    /// * **This process drains**: the relayed sockets that end here are sent away with the others. What was under way to them
    ///   may be lost, as before.
    /// * A message longer than [`Limits::queued_bytes`](crate::Limits::queued_bytes) and
    ///   [`Limits::queued_large_bytes`](crate::Limits::queued_large_bytes) is not relayed; its socket ends.
    ///
    /// # Trust
    ///
    /// The identity hook runs where the socket is, since what middleware left in the request cannot travel: its answer does, and
    /// the query and the subprotocols, and no other header. So whoever may publish at the backend may connect to any session as anybody: keep outsiders
    /// from it, with a login and TLS.
    pub fn cluster(mut self, backend: Arc<dyn ClusterBackend>, options: RelayOptions) -> Self {
        self.cluster = Some((backend, options));
        self
    }
}

/// Where sockets go.
impl Endpoint {
    /// The address of a session's socket, as its page knows it: for clients of your own. In a
    /// [cluster](EndpointBuilder::cluster) it names the process that holds the session.
    pub fn socket_url(&self, session: &Session) -> String {
        format!("{}{}", self.0.urls().sessions, session.id())
    }
}

/// An endpoint's place in a cluster. It leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    node: Arc<Node>,
    left: watch::Sender<bool>,
}

impl Relay {
    /// # Panics
    ///
    /// If the operating system gives no random bytes, as for a session.
    pub(super) fn new(
        (backend, options): (Arc<dyn ClusterBackend>, RelayOptions),
        close_timeout: std::time::Duration,
    ) -> Self {
        let id = NodeId::random()
            .unwrap_or_else(|error| panic!("the operating system gives no random bytes: {error}"));
        Self {
            node: Arc::new(Node::new(id, backend, options, close_timeout)),
            left: watch::Sender::new(false),
        }
    }

    /// What stands before the ids of this process's sessions in their addresses.
    pub(super) fn segment(&self) -> String {
        self.node.id.segment()
    }

    /// Gives the lease back, so that the sessions that were here are known to be gone.
    pub(super) async fn leave(&self) {
        self.left.send_replace(true);
        self.left.closed().await;
    }

    /// Starts, unless it runs or has left.
    pub(super) fn start(&self, runtime: &Handle, endpoint: &Weak<Inner>) {
        let left = self.left.subscribe();
        if *left.borrow() {
            return;
        }
        self.node.start(runtime, || {
            let (endpoint, node) = (endpoint.clone(), self.node.clone());
            relay::join(self.node.clone(), left, move |from, stream, open| {
                if let Some(endpoint) = endpoint.upgrade() {
                    answer(&Endpoint(endpoint), &node, from, stream, &open);
                }
            })
        });
    }
}

/// The answer to a request for a session that another process holds; `None` if it is none.
pub(super) async fn elsewhere(endpoint: &Endpoint, parts: &Parts) -> Option<Outcome> {
    let node = &endpoint.0.relay.as_ref()?.node;
    let (before, last) = parts.uri.path().rsplit_once('/')?;
    let (_, segment) = before.rsplit_once('/')?;
    let (owner, id) = (NodeId::parse(segment)?, last.parse().ok()?);
    if owner == node.id || endpoint.find(id).is_some() {
        return None;
    }
    Some(ask(endpoint, node, owner, id, parts).await.unwrap_or_else(|refusal| refusal))
}

async fn ask(
    endpoint: &Endpoint,
    node: &Arc<Node>,
    owner: NodeId,
    id: SessionId,
    parts: &Parts,
) -> Result<Outcome, Outcome> {
    if let Some(refusal) = route::wrong_method(parts).or_else(|| route::draining(endpoint, id.fraction())) {
        return Err(Outcome::Respond(refusal));
    }
    let upgrade = route::upgrades(parts);
    let unfit = || route::unfit(endpoint, Some(id.fraction()), parts).map(Outcome::Respond);
    if upgrade && let Some(refusal) = unfit() {
        return Err(refusal);
    }
    let identity = guard("EndpointBuilder::identity", || endpoint.0.identity.of(parts));
    let identity = identity.ok_or_else(|| Outcome::Respond(route::not_yours()))?;
    let permit = Permit::take(&endpoint.0).ok_or_else(|| route::over_capacity(endpoint))?;
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let protocols = protocols(parts);
    let path = endpoint.path().to_owned();
    let open = Open { path, session: id.to_string(), query, identity, upgrade, protocols };
    let mut tunnel = node.ask(owner, open).await.ok_or_else(|| route::come_back(1))?;
    let Some(Answer { status, retry_after, resume }) = tunnel.answer(node.options().timeout).await else {
        return Err(match node.life(owner).await {
            Life::Gone => route::not_found(),
            Life::Unknown => {
                tracing::warn!(session = ?id, "the process of a session does not answer");
                route::come_back(1)
            }
        });
    };
    match status {
        101 if upgrade => {
            let served = Served::Elsewhere(id, tunnel, resume.then_some(PROTOCOL));
            Ok(Outcome::Upgrade(Accepted { endpoint: endpoint.clone(), served, permit }))
        }
        403 => Err(Outcome::Respond(route::not_yours())),
        404 => Err(route::not_found()),
        426 => Err(unfit().unwrap_or_else(|| route::come_back(1))),
        _ => Err(route::come_back(retry_after)),
    }
}

/// Another process asks for a session of this one.
fn answer(endpoint: &Endpoint, node: &Arc<Node>, from: NodeId, stream: u64, open: &Open) {
    let accepted = match accept(endpoint, open) {
        Ok(accepted) => accepted,
        Err((status, retry_after)) => {
            let answer = Answer { status: status.as_u16(), retry_after, resume: false };
            let asked = node.clone();
            return node.spawn(async move {
                let _ = asked.tell(from, End::Edge, stream, Body::Answer(answer)).await;
            });
        }
    };
    let Some(mut tunnel) = node.begin((from, stream, End::Owner)) else { return };
    let limits = endpoint.limits().clone();
    node.spawn(async move {
        let status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let yes = Answer { status, retry_after: 0, resume: accepted.protocol().is_some() };
        if tunnel.node.say(&tunnel.line, Body::Answer(yes)).await.is_err()
            || !tunnel.started(limits.hello_timeout).await
        {
            return;
        }
        let (near, (reader, writer)) = socket();
        let running = pin!(accepted.run(near));
        let relaying = pin!(tunnel.run(reader, writer, limits.message_bytes));
        match select(running, relaying).await {
            // What it said last is still to be carried.
            Either::Left((_, relaying)) => _ = timeout(limits.close_timeout, relaying).await,
            Either::Right((_, running)) => _ = running.await,
        }
    });
}

fn accept(endpoint: &Endpoint, open: &Open) -> Result<Accepted, (StatusCode, u32)> {
    let gone = || (StatusCode::NOT_FOUND, 0);
    // Another endpoint at this backend has other origins and another identity hook, which say nothing here.
    if open.path != endpoint.path() {
        tracing::warn!(
            expected = endpoint.path(),
            got = open.path,
            "a connection through another endpoint is refused"
        );
        return Err(gone());
    }
    let id = open.session.parse::<SessionId>().map_err(|_| gone())?;
    if let Some(drain) = endpoint.0.drain() {
        let pause = drain.retry_after(id, endpoint.0.now()).as_secs() + 1;
        return Err((StatusCode::SERVICE_UNAVAILABLE, u32::try_from(pause).unwrap_or(u32::MAX)));
    }
    let session = endpoint.find(id).ok_or_else(gone)?;
    if session.identity().as_deref() != open.identity.as_deref() {
        // Who they are is not for the log.
        tracing::warn!(session = ?id, "a connection by somebody else is refused, at another process");
        return Err((StatusCode::FORBIDDEN, 0));
    }
    let handler = session.0.socket_handler(&open.query).ok_or_else(gone)?;
    if !open.upgrade {
        return Err((StatusCode::UPGRADE_REQUIRED, 0));
    }
    let full = || {
        endpoint.0.counters.add(Count::RefusedSockets);
        (StatusCode::SERVICE_UNAVAILABLE, 5)
    };
    if session.0.would_crowd() {
        return Err(full());
    }
    // Of the request, what the session asks it for.
    let mut request = http::Request::new(()).into_parts().0;
    if let Some(protocols) = open.protocols.as_ref().and_then(|protocols| protocols.parse().ok()) {
        request.headers.insert(SEC_WEBSOCKET_PROTOCOL, protocols);
    }
    endpoint.accept(session, handler, &request).ok_or_else(full)
}

/// The subprotocols that a page offers, as one list.
fn protocols(parts: &Parts) -> Option<String> {
    let offers = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offers: Vec<&str> = offers.collect();
    (!offers.is_empty()).then(|| offers.join(", "))
}

/// A socket in memory, that holds one frame each way: one end for the session's loop, one for the tunnel.
fn socket() -> (impl Transport + Send, (mpsc::Receiver<Read>, mpsc::Sender<Read>)) {
    let (to_session, from_page) = mpsc::channel(0);
    let (to_page, from_session) = mpsc::channel(0);
    let lost = |error: mpsc::SendError| TransportError::new(TransportErrorKind::Io, error);
    let reader = from_page.map(|read: Read| read.map_err(TransportError::from));
    let writer = to_page.sink_map_err(lost).with(|frame| ready(Ok::<Read, TransportError>(Ok(frame))));
    (join(reader, writer), (from_session, to_session))
}
