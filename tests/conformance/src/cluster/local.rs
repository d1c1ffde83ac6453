//! A broker in this process, whose connections break on command.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bonito_core::{Acquired, BackendFuture, ClusterBackend, Held, Incoming, Received, Renewed};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Messages that wait for one subscriber; then they are dropped, and it is told.
const QUEUE: usize = 4096;

/// A broker in this process: the model of a [`ClusterBackend`], for tests of what is built on one. A clone is the same broker.
///
/// Each [`node`](Self::node) is the connection of one process. It can be cut, healed, and made to lose answers. Time is
/// tokio's, so a test may pause it.
///
/// ```
/// use bonito_core::{ClusterOptions, Registry};
/// use bonito_testkit::LocalCluster;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let cluster = LocalCluster::new();
/// let (one, other) = (cluster.node(), cluster.node());
/// let here = Registry::<String>::clustered(one.clone(), ClusterOptions::new("app")).await.unwrap();
/// let there = Registry::<String>::clustered(other, ClusterOptions::new("app")).await.unwrap();
/// one.cut();
/// # drop((here, there)); }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LocalCluster(Arc<Mutex<Broker>>);

#[derive(Debug, Default)]
struct Broker {
    leases: HashMap<String, Lease>,
    last_epoch: u64,
    subscriptions: BTreeMap<u64, Arc<Mutex<Queue>>>,
    subjects: HashMap<String, Vec<u64>>,
    last_subscription: u64,
    delay: Duration,
}

#[derive(Debug)]
struct Lease {
    held: Held,
    until: Instant,
}

#[derive(Debug, Default)]
struct Queue {
    node: Arc<Mutex<State>>,
    waiting: VecDeque<(Instant, Received)>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    answers_lost: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalCluster {
    /// A broker without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long each message and each half of a call is under way from now on. At first, no time.
    pub fn set_delay(&self, delay: Duration) {
        lock(&self.0).delay = delay;
    }

    /// One more connection.
    pub fn node(&self) -> Arc<LocalNode> {
        Arc::new(LocalNode { cluster: self.clone(), state: Arc::default() })
    }

    /// The lease on a key, if one lives.
    pub fn lease(&self, key: &str) -> Option<Held> {
        lock(&self.0).live(key).map(|lease| lease.held.clone())
    }

    /// How many leases live.
    pub fn leases(&self) -> usize {
        let now = Instant::now();
        lock(&self.0).leases.values().filter(|lease| now < lease.until).count()
    }

    fn delay(&self) -> Duration {
        lock(&self.0).delay
    }
}

impl Broker {
    fn live(&self, key: &str) -> Option<&Lease> {
        self.leases.get(key).filter(|lease| Instant::now() < lease.until)
    }

    fn acquire(&mut self, key: &str, value: Bytes, ttl: Duration) -> Acquired {
        if let Some(lease) = self.live(key) {
            return Acquired::Held(lease.held.clone());
        }
        self.last_epoch += 1;
        let epoch = self.last_epoch;
        let until = Instant::now() + ttl;
        self.leases.insert(key.to_owned(), Lease { held: Held { epoch, value }, until });
        Acquired::Granted { epoch }
    }

    fn renew(&mut self, key: &str, epoch: u64, ttl: Duration) -> Renewed {
        let now = Instant::now();
        match self.leases.get_mut(key) {
            Some(lease) if lease.held.epoch == epoch && now < lease.until => {
                lease.until = lease.until.max(now + ttl);
                Renewed::Renewed
            }
            _ => Renewed::Lost,
        }
    }

    fn release(&mut self, key: &str, epoch: u64) {
        if self.leases.get(key).is_some_and(|lease| lease.held.epoch == epoch) {
            self.leases.remove(key);
        }
    }

    fn publish(&self, subject: &str, message: &Bytes) {
        let due = Instant::now() + self.delay;
        for id in self.subjects.get(subject).into_iter().flatten() {
            if let Some(queue) = self.subscriptions.get(id) {
                let mut queue = lock(queue);
                if !lock(&queue.node).cut {
                    queue.push(due, Received::Message(message.clone()));
                }
            }
        }
    }
}

impl Queue {
    fn push(&mut self, due: Instant, delivery: Received) {
        match self.waiting.back() {
            Some((_, Received::Gap)) if self.waiting.len() >= QUEUE || delivery == Received::Gap => {}
            _ if self.waiting.len() >= QUEUE => self.waiting.push_back((due, Received::Gap)),
            _ => self.waiting.push_back((due, delivery)),
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The connection of one process to a [`LocalCluster`].
#[derive(Debug)]
pub struct LocalNode {
    cluster: LocalCluster,
    state: Arc<Mutex<State>>,
}

impl LocalNode {
    /// Cuts the connection, without a word: calls are not answered, and nothing comes or goes. What is under way is lost.
    pub fn cut(&self) {
        lock(&self.state).cut = true;
        self.each_queue(|queue| queue.waiting.clear());
    }

    /// The connection is there again. Subscriptions are told of the gap.
    pub fn heal(&self) {
        *lock(&self.state) = State::default();
        let now = Instant::now();
        self.each_queue(|queue| queue.push(now, Received::Gap));
    }

    /// From now on calls reach the broker, and their answers do not come back.
    pub fn lose_answers(&self) {
        lock(&self.state).answers_lost = true;
    }

    fn each_queue(&self, mut each: impl FnMut(&mut Queue)) {
        let broker = lock(&self.cluster.0);
        for queue in broker.subscriptions.values() {
            let mut queue = lock(queue);
            if Arc::ptr_eq(&queue.node, &self.state) {
                each(&mut queue);
            }
        }
    }

    /// One half of a call's way: it takes its time, and does not end where the connection is cut.
    async fn travel(&self, back: bool) {
        let delay = self.cluster.delay();
        if delay > Duration::ZERO {
            sleep(delay).await;
        }
        let lost = {
            let state = lock(&self.state);
            state.cut || back && state.answers_lost
        };
        if lost {
            pending::<()>().await;
        }
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce(&mut Broker) -> T + Send + 'a,
    ) -> BackendFuture<'a, T> {
        Box::pin(async move {
            self.travel(false).await;
            let answer = call(&mut lock(&self.cluster.0));
            self.travel(true).await;
            Ok(answer)
        })
    }
}

impl ClusterBackend for LocalNode {
    fn publish<'a>(&'a self, subject: &'a str, message: Bytes) -> BackendFuture<'a, ()> {
        if lock(&self.state).cut {
            return Box::pin(pending());
        }
        // Ready at once, since what is under way keeps its order in the queues.
        lock(&self.cluster.0).publish(subject, &message);
        Box::pin(ready(Ok(())))
    }

    fn subscribe<'a>(&'a self, subject: &'a str) -> BackendFuture<'a, Incoming> {
        self.call(move |broker| {
            let queue = Arc::new(Mutex::new(Queue { node: self.state.clone(), ..Queue::default() }));
            broker.last_subscription += 1;
            let id = broker.last_subscription;
            broker.subscriptions.insert(id, queue.clone());
            broker.subjects.entry(subject.to_owned()).or_default().push(id);
            let cluster = self.cluster.clone();
            let subject = subject.to_owned();
            Box::pin(Subscription { cluster, subject, id, queue, timer: None }) as Incoming
        })
    }

    fn acquire<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> BackendFuture<'a, Acquired> {
        self.call(move |broker| broker.acquire(key, value, ttl))
    }

    fn renew<'a>(&'a self, key: &'a str, epoch: u64, ttl: Duration) -> BackendFuture<'a, Renewed> {
        self.call(move |broker| broker.renew(key, epoch, ttl))
    }

    fn release<'a>(&'a self, key: &'a str, epoch: u64) -> BackendFuture<'a, ()> {
        self.call(move |broker| broker.release(key, epoch))
    }

    fn read<'a>(&'a self, key: &'a str) -> BackendFuture<'a, Option<Held>> {
        self.call(move |broker| broker.live(key).map(|lease| lease.held.clone()))
    }
}

struct Subscription {
    cluster: LocalCluster,
    subject: String,
    id: u64,
    queue: Arc<Mutex<Queue>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream for Subscription {
    type Item = Received;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        let this = self.get_mut();
        let mut queue = lock(&this.queue);
        queue.waker = Some(cx.waker().clone());
        let Some((due, _)) = queue.waiting.front() else { return Poll::Pending };
        if *due > Instant::now() {
            let timer = this.timer.insert(Box::pin(sleep_until(*due)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(queue.waiting.pop_front().map(|(_, delivery)| delivery))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut broker = lock(&self.cluster.0);
        broker.subscriptions.remove(&self.id);
        if let Some(ids) = broker.subjects.get_mut(&self.subject) {
            ids.retain(|id| *id != self.id);
            if ids.is_empty() {
                broker.subjects.remove(&self.subject);
            }
        }
    }
}
