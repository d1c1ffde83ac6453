//! The one task of a clustered registry: feeds its machine with what the backend says and the time, and does what it asks for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Sleep;

use super::clock;
use super::driver::timer;
use crate::cluster::{Acquired, ClusterBackend, ClusterError, Incoming, Received, Renewed};
use crate::host::BoxFuture;
use crate::proto::cluster::{ClusterOptions, NodeId, OpId, Request, Transmit};
use crate::proto::later;
use crate::registry::{Core, Hands, Registry, Sink};
use crate::sync::{guard, lock};

/// Calls of the backend at a time.
const CALLS: usize = 64;
/// Frames before other things get their turn.
const FRAMES: usize = 64;
/// Turns before other tasks get theirs.
const TURNS: usize = 16;

impl<M, Meta> Registry<M, Meta>
where
    M: Clone + Serialize + DeserializeOwned + 'static,
    Meta: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// A registry whose names and groups are those of all processes that have one of the same
    /// [scope](ClusterOptions::scope) at the same backend. Messages and metadata go to other processes as MessagePack.
    ///
    /// It runs a task on the runtime it is made in, until the last clone is dropped or [`leave`](Self::leave) is called.
    ///
    /// # Failure
    ///
    /// * [`UniqueNames::register`](crate::UniqueNames::register) answers at once and the name is claimed in the background:
    ///   see [`Registration::held`](crate::Registration::held). A name can be [lost](crate::Registration::lost) later: when
    ///   the backend cannot be reached, or this process does not run, for three quarters of the
    ///   [lease time](ClusterOptions::lease_ttl). Then nothing is delivered under it any more, before anybody else can have it.
    /// * What is sent to other processes comes at most once, and is lost with the connection to the backend. Messages of one
    ///   sender to one connection arrive in order.
    /// * Who is where is known from what the others say, some milliseconds late. A process that dies or cannot be reached is
    ///   gone, with all its names and members, when it was silent for the lease time; when it is reached again they are back.
    /// * Whoever may publish at the backend is trusted as a node. What nodes say is bounded, and refused if it cannot be read.
    ///
    /// # Errors
    ///
    /// Those of the backend's [`subscribe`](ClusterBackend::subscribe), and [refused](ClusterError::is_refused) if the options
    /// cannot be used.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn clustered(
        backend: Arc<dyn ClusterBackend>,
        options: ClusterOptions,
    ) -> Result<Self, ClusterError> {
        let start = Start::new(backend, options).await?;
        let (registry, sink) = Self::over(&start.core);
        start.spawn(sink);
        Ok(registry)
    }
}

/// A cluster that is subscribed to, before its task runs.
struct Start {
    core: Arc<Core>,
    own: Incoming,
    all: Incoming,
}

impl Start {
    async fn new(backend: Arc<dyn ClusterBackend>, options: ClusterOptions) -> Result<Self, ClusterError> {
        options.check().map_err(ClusterError::refused)?;
        let node = NodeId::random().map_err(|error| {
            ClusterError::refused("the system gives no random numbers").with_source(error)
        })?;
        let hands = Hands { now: clock::now, sleep, spawn };
        let core = Arc::new(Core::new(backend, options, node, hands));
        let own = core.backend.subscribe(&core.subject(Some(node))).await?;
        let all = core.backend.subscribe(&core.subject(None)).await?;
        Ok(Self { core, own, all })
    }

    fn spawn(self, sink: Box<dyn Sink>) {
        let Self { core, own, all } = self;
        let due = lock(&core.machine).poll_timeout();
        let mut task = Task {
            core,
            sink,
            incoming: [Some(own), Some(all)],
            calls: FuturesUnordered::new(),
            publishing: None,
            is_failing: false,
            leave: None,
            alarm: due,
            timer: Box::pin(timer(due)),
        };
        spawn(Box::pin(async move {
            poll_fn(|cx| task.poll(cx)).await;
            task.core.set_left();
        }));
    }
}

#[expect(clippy::disallowed_methods, reason = "the runtime waits")]
fn sleep(time: Duration) -> BoxFuture {
    Box::pin(tokio::time::sleep(time))
}

#[expect(clippy::disallowed_methods, reason = "the runtime spawns")]
fn spawn(future: BoxFuture) {
    tokio::spawn(future);
}

type Call = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Publishing = Pin<Box<dyn Future<Output = Result<(), ClusterError>> + Send>>;

enum Answer {
    Acquired(OpId, Result<Acquired, ClusterError>),
    Renewed(OpId, Result<Renewed, ClusterError>),
    Released(OpId, Result<(), ClusterError>),
}

struct Task {
    core: Arc<Core>,
    sink: Box<dyn Sink>,
    incoming: [Option<Incoming>; 2],
    calls: FuturesUnordered<Call>,
    /// One at a time, so that they keep their order.
    publishing: Option<Publishing>,
    is_failing: bool,
    /// When it stops to tell others that it leaves.
    leave: Option<Instant>,
    alarm: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Task {
    /// Ready when the node has left.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let core = self.core.clone();
        core.waker.register(cx.waker());
        for _ in 0..TURNS {
            // What has come counts before silence does: the pause may have been ours.
            let mut more = self.read(cx);
            more |= self.take_answers(cx);
            let now = core.now();
            if now >= self.alarm {
                lock(&core.machine).handle_timeout(now);
            }
            core.take_changed(&*self.sink);
            self.tell();
            more |= self.call();
            more |= self.publish(cx);
            let (is_leaving, mut due) = {
                let machine = lock(&core.machine);
                (machine.is_leaving(), machine.poll_timeout())
            };
            if is_leaving {
                let leave = *self.leave.get_or_insert_with(|| later(now, core.patience()));
                let is_done = self.calls.is_empty() && self.publishing.is_none() && !more;
                if is_done || now >= leave {
                    return Poll::Ready(());
                }
                due = due.min(leave);
            }
            if more {
                continue;
            }
            if due != self.alarm {
                self.alarm = due;
                self.timer.as_mut().reset(due.into());
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads what has come. Answers whether there may be more.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let mut more = false;
        for at in 0..self.incoming.len() {
            let mut frames = 0;
            while let Some(incoming) = &mut self.incoming[at] {
                if frames == FRAMES {
                    more = true;
                    break;
                }
                frames += 1;
                let Poll::Ready(delivery) = incoming.poll_next_unpin(cx) else { break };
                let now = self.core.now();
                match delivery {
                    Some(Received::Message(bytes)) => lock(&self.core.machine).handle_frame(&bytes, now),
                    Some(Received::Gap) => lock(&self.core.machine).handle_gap(now),
                    None => {
                        tracing::error!(
                            "the cluster's backend is closed: other nodes are not heard any more"
                        );
                        self.incoming[at] = None;
                    }
                }
                self.tell();
            }
        }
        more
    }

    /// Tells the tables, one thing at a time and under no lock.
    fn tell(&self) {
        loop {
            let event = lock(&self.core.machine).poll_event();
            let Some(event) = event else { return };
            // What it does to a message is the application's code too.
            guard("what a message from another node is turned into", || self.sink.handle(&self.core, event));
        }
    }

    fn take_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Poll::Ready(Some(answer)) = self.calls.poll_next_unpin(cx) {
            any = true;
            let now = self.core.now();
            let mut machine = lock(&self.core.machine);
            match answer {
                Answer::Acquired(op, result) => machine.handle_acquired(op, result, now),
                Answer::Renewed(op, result) => machine.handle_renewed(op, result, now),
                Answer::Released(op, result) => machine.handle_released(op, result, now),
            }
        }
        any
    }

    /// Begins the calls that the machine asks for. Answers whether there are any.
    fn call(&self) -> bool {
        let mut any = false;
        while self.calls.len() < CALLS {
            let request = lock(&self.core.machine).poll_request();
            let Some(request) = request else { break };
            any = true;
            let core = self.core.clone();
            self.calls.push(Box::pin(async move {
                let backend = &core.backend;
                match request {
                    Request::Acquire { op, name, value, ttl } => {
                        let key = core.key(&name);
                        Answer::Acquired(op, in_time(&core, backend.acquire(&key, value, ttl)).await)
                    }
                    Request::Renew { op, name, epoch, ttl } => {
                        let key = core.key(&name);
                        Answer::Renewed(op, in_time(&core, backend.renew(&key, epoch, ttl)).await)
                    }
                    Request::Release { op, name, epoch } => {
                        let key = core.key(&name);
                        Answer::Released(op, in_time(&core, backend.release(&key, epoch)).await)
                    }
                }
            }));
        }
        any
    }

    /// Publishes what waits, one frame after the other. Answers whether there is more to do.
    fn publish(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..FRAMES {
            let publishing = match &mut self.publishing {
                Some(publishing) => publishing,
                None => {
                    let Some(Transmit { to, bytes }) = self.core.poll_transmit() else { return false };
                    let core = self.core.clone();
                    self.publishing.insert(Box::pin(async move {
                        let subject = core.subject(to);
                        in_time(&core, core.backend.publish(&subject, bytes)).await
                    }))
                }
            };
            let Poll::Ready(result) = publishing.as_mut().poll(cx) else { return false };
            self.publishing = None;
            self.take_published(result);
        }
        true
    }

    fn take_published(&mut self, result: Result<(), ClusterError>) {
        let was_failing = std::mem::replace(&mut self.is_failing, result.is_err());
        let Err(error) = result else { return };
        if error.is_unreachable() {
            // What waits behind it would wait as long, and be as lost.
            lock(&self.core.machine).handle_publish_failed();
        }
        if !was_failing {
            tracing::warn!("nothing can be published to other nodes: {error}");
        }
    }
}

async fn in_time<T>(
    core: &Core,
    call: impl Future<Output = Result<T, ClusterError>>,
) -> Result<T, ClusterError> {
    let answer = core.within(core.patience(), call).await;
    answer.unwrap_or_else(|| Err(ClusterError::unreachable("no answer in time")))
}
