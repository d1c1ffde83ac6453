//! An endpoint's place in the cluster: its lease, what comes for it, and the ends of sockets that it holds.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::line::{Key, Line};
use super::options::RelayOptions;
use super::tunnel::Tunnel;
use super::wire::{Body, End, Message, NodeId, Open};
use crate::cluster::{Acquired, ClusterBackend, ClusterError, Renewed};
use crate::runtime::clock;
use crate::sync::lock;

/// Processes without a lease that are remembered, so that none counts as gone before it could come up.
const MISSING: usize = 1024;
/// After so many times the grace without a question, a process is asked about as if for the first time.
const FORGOTTEN_AFTER: u32 = 12;
/// A shorter time between two beats is taken for this one.
const SHORTEST: Duration = Duration::from_millis(10);

pub(crate) struct Node {
    pub(crate) id: NodeId,
    backend: Arc<dyn ClusterBackend>,
    options: RelayOptions,
    times: Times,
    lines: Mutex<HashMap<Key, Arc<Line>>>,
    streams: AtomicU64,
    /// Processes that were found to have no lease, until they are heard of.
    missing: Mutex<HashMap<NodeId, Missing>>,
    /// The task that takes the process's place in the cluster, and where it runs.
    task: Mutex<Option<(Handle, JoinHandle<()>)>>,
}

/// How long a relayed socket waits for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) beat: Duration,
    pub(crate) dead_after: Duration,
    pub(crate) close_timeout: Duration,
}

/// When a process was found to have no lease.
#[derive(Clone, Copy, Debug)]
struct Missing {
    first: Instant,
    last: Instant,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Its lease has run out, and it does not come up.
    Gone,
    /// It may merely be slow, or cannot be asked about.
    Unknown,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .field("lines", &lock(&self.lines).len())
            .finish_non_exhaustive()
    }
}

impl Node {
    pub(crate) fn new(
        id: NodeId,
        backend: Arc<dyn ClusterBackend>,
        options: RelayOptions,
        close_timeout: Duration,
    ) -> Self {
        let beat = options.beat.max(SHORTEST);
        let times = Times { beat, dead_after: beat.saturating_mul(3), close_timeout };
        Self {
            id,
            backend,
            options,
            times,
            lines: Mutex::default(),
            streams: AtomicU64::new(0),
            missing: Mutex::default(),
            task: Mutex::default(),
        }
    }

    pub(crate) fn times(&self) -> Times {
        self.times
    }

    pub(crate) fn options(&self) -> &RelayOptions {
        &self.options
    }

    pub(crate) fn backend(&self) -> &Arc<dyn ClusterBackend> {
        &self.backend
    }

    /// Starts the task unless it is running: a runtime that ended took its task with it.
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        &self,
        runtime: &Handle,
        task: impl FnOnce() -> F,
    ) {
        let mut running = lock(&self.task);
        if running.as_ref().is_none_or(|(_, task)| task.is_finished()) {
            *running = Some((runtime.clone(), runtime.spawn(task())));
        }
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some((runtime, _)) = &*lock(&self.task) {
            runtime.spawn(future);
        }
    }

    /// A new end of a socket; `None` if there is one already.
    pub(crate) fn begin(self: &Arc<Self>, key: Key) -> Option<Tunnel> {
        let (line, inbox) = Line::new(key, clock::now());
        let line = Arc::new(line);
        let mut lines = lock(&self.lines);
        if lines.contains_key(&key) {
            return None;
        }
        lines.insert(key, line.clone());
        drop(lines);
        Some(Tunnel::new(self.clone(), line, inbox))
    }

    pub(crate) fn forget(&self, line: &Line) {
        lock(&self.lines).remove(&line.key());
    }

    /// Asks a process for a session. The number is this process's own, so there is none with it yet.
    pub(crate) async fn ask(self: &Arc<Self>, peer: NodeId, open: Open) -> Option<Tunnel> {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        let tunnel = self.begin((peer, stream, End::Edge))?;
        self.say(&tunnel.line, Body::Open(open)).await.ok()?;
        Some(tunnel)
    }

    /// Sends a message to the other end of a line.
    pub(crate) async fn say(&self, line: &Line, body: Body) -> Result<(), ClusterError> {
        self.tell(line.peer, line.end.other(), line.stream, body).await
    }

    pub(crate) async fn tell(
        &self,
        peer: NodeId,
        to: End,
        stream: u64,
        body: Body,
    ) -> Result<(), ClusterError> {
        let message = Message { from: self.id, to, stream, body };
        let subject = peer.subject();
        self.call(self.backend.publish(&subject, message.encode())).await
    }

    /// Something has come for this process. Answers what it is asked for.
    pub(crate) fn handle(self: &Arc<Self>, bytes: Bytes) -> Option<(NodeId, u64, Open)> {
        let Some(Message { from, to, stream, body }) = Message::decode(bytes) else {
            tracing::warn!("a message of another process is not understood: does it run another version?");
            return None;
        };
        // Whoever says something lives: what was found in an earlier outage says nothing about the next one.
        lock(&self.missing).remove(&from);
        if let (Body::Open(open), End::Owner) = (&body, to) {
            return Some((from, stream, open.clone()));
        }
        let line = lock(&self.lines).get(&(from, stream, to)).cloned();
        match line {
            Some(line) => line.handle(body, clock::now()),
            // Whoever still believes in it is told, in case that was lost.
            None if matches!(body, Body::Beat { .. } | Body::Start) => {
                let node = self.clone();
                self.spawn(async move {
                    let _ = node.tell(from, to.other(), stream, Body::End).await;
                });
            }
            None => {}
        }
        None
    }

    /// Whether a process that does not answer is gone. One that was just started may not have its lease yet.
    pub(crate) async fn life(&self, peer: NodeId) -> Life {
        let subject = peer.subject();
        match self.call(self.backend.read(&subject)).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                lock(&self.missing).remove(&peer);
                return Life::Unknown;
            }
            Err(_) => return Life::Unknown,
        }
        let now = clock::now();
        let mut missing = lock(&self.missing);
        if missing.len() >= MISSING && !missing.contains_key(&peer) {
            // Who is forgotten is asked about once more.
            let oldest = missing.iter().min_by_key(|(_, found)| found.last).map(|(id, _)| *id);
            oldest.map(|oldest| missing.remove(&oldest));
        }
        let found = missing.entry(peer).or_insert(Missing { first: now, last: now });
        // Not asked about for so long, it may have come up and failed anew.
        if now.saturating_duration_since(found.last) > self.options.grace.saturating_mul(FORGOTTEN_AFTER) {
            found.first = now;
        }
        found.last = now;
        let missing_for = now.saturating_duration_since(found.first);
        if missing_for >= self.options.grace { Life::Gone } else { Life::Unknown }
    }

    /// Claims this process's lease, or prolongs it. Answers whether it has it.
    pub(crate) async fn renew(&self, epoch: &mut Option<u64>) -> bool {
        let key = self.id.subject();
        let ttl = self.options.lease_ttl;
        if let Some(held) = *epoch {
            match self.call(self.backend.renew(&key, held, ttl)).await {
                Ok(Renewed::Renewed) => return true,
                Ok(Renewed::Lost) => *epoch = None,
                Err(error) => return self.complain(&error),
            }
        }
        match self.call(self.backend.acquire(&key, Bytes::new(), ttl)).await {
            Ok(Acquired::Granted { epoch: granted }) => *epoch = Some(granted),
            // Nobody else has this number: a claim of this process whose answer was lost.
            Ok(Acquired::Held(held)) => *epoch = Some(held.epoch),
            Err(error) => return self.complain(&error),
        }
        true
    }

    pub(crate) async fn release(&self, epoch: u64) {
        let key = self.id.subject();
        let _ = self.call(self.backend.release(&key, epoch)).await;
    }

    fn complain(&self, error: &ClusterError) -> bool {
        tracing::warn!(%error, "this process has no lease in the cluster: its sessions may not be found from others");
        false
    }

    /// What a backend is asked takes no longer than this.
    pub(crate) async fn call<T>(
        &self,
        asked: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        match timeout(self.options.timeout, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(ClusterError::unreachable("it did not answer in time")),
        }
    }
}
