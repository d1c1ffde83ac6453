//! The behaviours of an endpoint: where they are mounted, what each may hold, and what it holds.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::pattern::{Params, Pattern};
use super::{Endpoint, EndpointBuilder};
use crate::behaviour::{Conn, Instance, Socket, States, WebSocketBehaviour, connect};
use crate::limits::Limits;
use crate::runtime::behaviour::{Counters, Settings};

const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const MAILBOX: usize = 256;

/// How a behaviour is mounted, for [`EndpointBuilder::socket_with`].
///
/// ```
/// use std::time::Duration;
///
/// use bonito_core::SocketOptions;
///
/// struct Database;
///
/// let options = SocketOptions::new()
///     .state(Database)
///     .idle_timeout(Duration::from_secs(300))
///     .max_connections(10_000);
/// # drop(options);
/// ```
#[derive(Clone, Debug)]
#[must_use = "the options are for EndpointBuilder::socket_with"]
pub struct SocketOptions {
    idle_timeout: Duration,
    keep_alive: Option<Duration>,
    mailbox: usize,
    max_connections: Option<usize>,
    states: States,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SocketOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            idle_timeout: IDLE_TIMEOUT,
            keep_alive: None,
            mailbox: MAILBOX,
            max_connections: None,
            states: States::default(),
        }
    }

    /// What the callbacks find by its type at [`Conn::state`]: a database handle, a [`Registry`](crate::Registry), the app's
    /// own state. Several types may be given.
    pub fn state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        self.states.insert(state);
        self
    }

    /// How long a client may be silent before its connection ends with 4008. Default 60 s; [`Duration::MAX`] for no end.
    ///
    /// Every frame that the client sends counts: a message, a ping, a pong. What is sent to it does not.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Pings a client that has been silent for so long. Off by default: then a client that only listens ends at the idle
    /// timeout, unless it pings itself, which JavaScript in a browser cannot. With it, only those are ended that are gone.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = Some(interval);
        self
    }

    /// How many messages of the server's side may wait for one connection; one more is [refused](crate::Posted::Refused).
    /// Default 256.
    pub fn mailbox(mut self, messages: usize) -> Self {
        self.mailbox = messages;
        self
    }

    /// How many connections the behaviour may have at a time; one more is answered with 503. No bound of its own by default,
    /// besides [`Limits::sockets`]. [`Mounted::set_max_connections`] changes it at run time.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = Some(connections);
        self
    }
}

impl EndpointBuilder {
    /// Mounts a behaviour at this path under the endpoint's: `/chat`, or `/rooms/{room}`, whose parameter is
    /// [`Conn::param`]. Every adapter serves it, with the same checks as for sessions: the origin, the limits, 426 for a plain
    /// request. A literal segment is asked before a parameter.
    ///
    /// # Panics
    ///
    /// If the pattern is not one, if it clashes with another that is mounted already, or with the endpoint's own paths.
    pub fn socket<B: WebSocketBehaviour>(self, pattern: &str) -> Self {
        self.socket_with::<B>(pattern, SocketOptions::new())
    }

    /// The same with options.
    ///
    /// # Panics
    ///
    /// As [`socket`](Self::socket).
    pub fn socket_with<B: WebSocketBehaviour>(mut self, pattern: &str, options: SocketOptions) -> Self {
        self.sockets.add(Mount::new::<B>(pattern, options));
        self
    }
}

/// All behaviours of an endpoint, in the order in which their patterns are asked.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<Arc<Mount>>);

impl Sockets {
    fn add(&mut self, mount: Mount) {
        if let Some(other) = self.0.iter().find(|other| other.pattern.clashes(&mount.pattern)) {
            panic!(
                "{:?} clashes with {:?}, which is mounted already: they match the same paths",
                mount.pattern.as_str(),
                other.pattern.as_str()
            );
        }
        let place = self.0.partition_point(|other| other.pattern.precedence() <= mount.pattern.precedence());
        self.0.insert(place, Arc::new(mount));
    }

    pub(super) fn find(&self, prefix: &str, path: &str) -> Option<(&Arc<Mount>, Params)> {
        self.0.iter().find_map(|mount| Some((mount, mount.pattern.matches(prefix, path)?)))
    }

    /// Connections that there are.
    pub(super) fn connections(&self) -> usize {
        self.0.iter().map(|mount| mount.connections.load(Ordering::Relaxed)).sum()
    }
}

type Connecting = Pin<Box<dyn Future<Output = Result<Result<(), Response<Bytes>>, ()>> + Send>>;

/// One behaviour where it is mounted.
pub(crate) struct Mount {
    pattern: Pattern,
    options: SocketOptions,
    connect: fn(Arc<Conn>) -> Connecting,
    instance: fn(Arc<Conn>, usize, usize) -> Box<dyn Socket>,
    /// `usize::MAX` for as many as there may be.
    max_connections: AtomicUsize,
    connections: AtomicUsize,
    /// Requests, to give each its place in a drain.
    asked: AtomicU32,
    accepted: AtomicU64,
    refused: AtomicU64,
    counters: Arc<Counters>,
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mount").field(&self.pattern.as_str()).finish()
    }
}

impl Mount {
    fn new<B: WebSocketBehaviour>(pattern: &str, options: SocketOptions) -> Self {
        Self {
            pattern: Pattern::parse(pattern).unwrap_or_else(|error| panic!("{error}")),
            max_connections: AtomicUsize::new(options.max_connections.unwrap_or(usize::MAX)),
            options,
            connect: |conn| Box::pin(async move { connect::<B>(&conn).await }),
            instance: |conn, messages, bytes| Box::new(Instance::<B>::new(conn, messages, bytes)),
            connections: AtomicUsize::new(0),
            asked: AtomicU32::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            counters: Arc::default(),
        }
    }

    pub(super) fn conn(&self, parts: &Parts, params: Params, identity: Option<String>) -> Arc<Conn> {
        Arc::new(Conn::new(parts, params, identity, self.options.states.clone()))
    }

    /// Asks the behaviour; `Err` if that panicked.
    pub(super) async fn connect(&self, conn: &Arc<Conn>) -> Result<Result<(), Response<Bytes>>, ()> {
        (self.connect)(conn.clone()).await
    }

    /// Room for one more connection, or `None`.
    pub(super) fn enter(self: &Arc<Self>, fraction: f64) -> Option<Seat> {
        let seat = Seat { mount: self.clone(), fraction };
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        (before < self.max_connections.load(Ordering::Relaxed)).then_some(seat)
    }

    /// Where in a drain the next socket stands, from 0 to 1.
    pub(super) fn next_fraction(&self) -> f64 {
        /// The golden ratio's fraction: its multiples fall evenly between 0 and 1, however many there are.
        const STEP: f64 = 0.618_033_988_749_894_9;
        (f64::from(self.asked.fetch_add(1, Ordering::Relaxed)) * STEP).fract()
    }

    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn stats(&self) -> SocketStats {
        SocketStats {
            connections: self.connections.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            frames_in: self.counters.frames_in.load(Ordering::Relaxed),
            frames_out: self.counters.frames_out.load(Ordering::Relaxed),
        }
    }
}

/// A connection that counts.
#[derive(Debug)]
pub(crate) struct Seat {
    mount: Arc<Mount>,
    fraction: f64,
}

impl Seat {
    /// The connection, to be run.
    pub(super) fn socket(&self, conn: Arc<Conn>, limits: &Limits) -> (Box<dyn Socket>, Settings) {
        let Mount { options, accepted, counters, .. } = &*self.mount;
        accepted.fetch_add(1, Ordering::Relaxed);
        let settings = Settings {
            idle_timeout: options.idle_timeout,
            keep_alive: options.keep_alive,
            fraction: self.fraction,
            counters: counters.clone(),
        };
        ((self.mount.instance)(conn, options.mailbox, limits.queued_bytes), settings)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.mount.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A behaviour of an endpoint, from [`Endpoint::mounted`].
#[derive(Clone, Debug)]
pub struct Mounted(Arc<Mount>);

impl Mounted {
    /// The path that it was mounted at.
    pub fn pattern(&self) -> &str {
        self.0.pattern.as_str()
    }

    /// Changes how many connections there may be at a time; `None` for no bound besides
    /// [`Limits::sockets`](crate::Limits::sockets). Those that are there stay.
    pub fn set_max_connections(&self, connections: Option<usize>) {
        self.0.max_connections.store(connections.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// What it has done, and holds at the moment.
    pub fn stats(&self) -> SocketStats {
        self.0.stats()
    }
}

/// What a behaviour has done, and holds at the moment: from [`Mounted::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Connections, those included that are just being let in.
    pub connections: usize,
    /// Connections that were let in, ever.
    pub accepted: u64,
    /// Requests that were refused, ever: by `connect`, or since there was no room.
    pub refused: u64,
    /// Text and binary frames that clients have sent.
    pub frames_in: u64,
    /// Frames that clients were sent, close frames apart.
    pub frames_out: u64,
}

/// Behaviours beside the sessions.
impl Endpoint {
    /// The behaviour that was mounted at this path, written as it was then.
    pub fn mounted(&self, pattern: &str) -> Option<Mounted> {
        self.all_mounted().find(|mounted| mounted.pattern() == pattern)
    }

    /// All behaviours.
    pub fn all_mounted(&self) -> impl Iterator<Item = Mounted> {
        self.0.mounts.0.iter().cloned().map(Mounted)
    }
}
