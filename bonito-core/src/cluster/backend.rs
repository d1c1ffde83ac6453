//! What a broker must be able to do so that names and groups span processes.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

/// What the methods of a [`ClusterBackend`] answer with.
pub type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ClusterError>> + Send + 'a>>;

/// Messages of one subject, from [`ClusterBackend::subscribe`]. It ends when the backend is closed for good.
pub type Incoming = Pin<Box<dyn Stream<Item = Received> + Send>>;

/// A broker, or whatever else connects the processes of one app: messages by subject, and leases on keys. Bytes only.
///
/// One value is one process's connection. It has two halves that need not be the same service: **messages**, which may be
/// lost, and **leases**, which must be right. All safety of unique names rests on the leases.
///
/// # Failure
///
/// * Every method may fail with an [unreachable](ClusterError::is_unreachable) backend. Then **what was asked for may have
///   happened or not, or may happen later**. The caller copes: it goes by what is true in the worse case.
/// * A method may take long. The caller has a timeout of its own, and drops the future. Dropping one stops waiting, and need
///   not undo anything: what was asked for may happen all the same.
/// * A connection to the broker that is lost is made again by the backend, for as long as the backend lives. Subscriptions
///   survive that; each says [`Received::Gap`] if messages may have been missed.
/// * Nothing panics because of what the broker or another process says.
///
/// # Subjects and keys
///
/// Both are ASCII: letters, digits, `-`, `_` and `.`, with no dot at either end nor two in a row, at most 512 bytes. That
/// many brokers take as they are. A backend may put a prefix of its own before them. Subjects and keys are different
/// families: the same text may be used for both.
///
/// # Messages
///
/// * **At most once.** A message that was published comes once, or not at all, to each who is subscribed.
/// * **In order**: messages of one backend value to one subject, each published after the future of the former was ready,
///   come in that order to each subscriber. Of different publishers, or on different subjects, nothing is promised.
/// * **To oneself, too.** Who publishes on a subject that it is subscribed to gets the message.
/// * A subscriber that reads slowly does not hold up others. A backend bounds what waits for it, and says
///   [`Received::Gap`] where it dropped something.
///
/// # Leases
///
/// A lease is the right to one key for a time. Claims of one key are totally ordered, and each has an **epoch**, the fencing
/// token:
///
/// * It is **strictly greater** than that of each earlier claim of the key: also after the key was released, after its lease
///   ran out, and after the broker was started again. Epochs may have gaps. None is 0.
/// * It stays the same when a lease is renewed.
///
/// At any time at most one claim holds a key. From the moment at which the backend grants or renews a lease, which lies
/// between the call and the answer, **at least `ttl`** must pass on the backend's clock before it grants another claim of the
/// key, unless the lease is released. It may be longer, so a backend with one time for all keys is right as long as that is
/// not shorter than each `ttl` it is asked for; it should [refuse](ClusterError::refused) a longer one. If nobody renews a
/// lease it must run out some time, and should soon after `ttl`.
///
/// The holder does not trust its own luck: it stops to act three quarters of `ttl` after it *began* the last call that
/// succeeded, on its own monotonic clock. So no two act at once as long as the holder's clock is not slower than three
/// quarters of the backend's. A backend that computes expiry with the wall clocks of several machines must stay within that.
///
/// # Writing one
///
/// * *A log with compare-and-set* (NATS JetStream key-value, etcd): the position of the claim in the log is the epoch.
///   Keep it in the value when a renewal writes it again at a later position.
/// * *A store with scripts* (Redis): one counter per backend, never deleted, gives epochs; a script sets key, epoch and
///   expiry at once. Renewing and releasing compare the epoch in a script. A store that can lose acknowledged writes in a
///   failover can also grant one key twice: say so in its documentation.
///
/// `bonito_testkit::cluster_conformance!` tests one, and `bonito_testkit::LocalCluster` is the model, in one process.
pub trait ClusterBackend: fmt::Debug + Send + Sync + 'static {
    /// Sends a message to all that are subscribed. The future is ready when the backend has taken it: not when anybody has
    /// got it.
    ///
    /// # Errors
    ///
    /// [Unreachable](ClusterError::unreachable); [refused](ClusterError::refused) if it is longer than the broker takes.
    fn publish<'a>(&'a self, subject: &'a str, message: Bytes) -> BackendFuture<'a, ()>;

    /// Messages of this very subject that are published from now on. When the future is ready the subscription is in force.
    /// Dropping the stream ends it.
    ///
    /// # Errors
    ///
    /// [Unreachable](ClusterError::unreachable).
    fn subscribe<'a>(&'a self, subject: &'a str) -> BackendFuture<'a, Incoming>;

    /// Claims a key, with a value that others can read. Whoever holds it keeps it: a claim never takes a lease that lives,
    /// not even its own process's.
    ///
    /// # Errors
    ///
    /// [Unreachable](ClusterError::unreachable): the key may be claimed. [Refused](ClusterError::refused): it is not.
    fn acquire<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> BackendFuture<'a, Acquired>;

    /// Prolongs the lease of this epoch. [`Renewed::Lost`] only if it is over for good: that claim can never be renewed.
    ///
    /// # Errors
    ///
    /// [Unreachable](ClusterError::unreachable): it may be prolonged.
    fn renew<'a>(&'a self, key: &'a str, epoch: u64, ttl: Duration) -> BackendFuture<'a, Renewed>;

    /// Ends the lease of this epoch, whoever holds it; a lease of another epoch is left alone, and that is no error. When the
    /// future is ready the key is free.
    ///
    /// # Errors
    ///
    /// [Unreachable](ClusterError::unreachable): it may be released, or be so later.
    fn release<'a>(&'a self, key: &'a str, epoch: u64) -> BackendFuture<'a, ()>;

    /// The lease on a key, if one lives: not older than the call.
    ///
    /// # Errors
    ///
    /// [Unreachable](ClusterError::unreachable).
    fn read<'a>(&'a self, key: &'a str) -> BackendFuture<'a, Option<Held>>;
}

/// What comes to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "messages come, or were lost")]
pub enum Received {
    /// A message.
    Message(Bytes),
    /// Here messages may be missing: the connection was lost for a while, or too many waited.
    Gap,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "somebody else may hold the key"]
#[expect(clippy::exhaustive_enums, reason = "a key is free or held")]
pub enum Acquired {
    /// The key is the caller's.
    Granted {
        /// The fencing token of this claim.
        epoch: u64,
    },
    /// The key is held, by this claim.
    Held(Held),
}

/// A lease that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct Held {
    /// The fencing token of the claim.
    pub epoch: u64,
    /// The value that the claim came with.
    pub value: Bytes,
}

/// What became of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the lease may be lost"]
#[expect(clippy::exhaustive_enums, reason = "a lease lives or is over")]
pub enum Renewed {
    /// The lease is prolonged.
    Renewed,
    /// It is over: it ran out, was released, or somebody else has the key.
    Lost,
}

/// A backend could not do what was asked.
pub struct ClusterError(Box<ErrorInner>);

struct ErrorInner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    Unreachable,
    Refused,
}

impl ClusterError {
    /// The backend did not answer, or the connection is lost. What was asked for may have happened, or happen later.
    pub fn unreachable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unreachable, message)
    }

    /// The backend does not do this, now or later: too large, a `ttl` that it cannot keep, no permission. Nothing happened.
    pub fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// The same, with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Whether nothing is known of what became of it.
    pub fn is_unreachable(&self) -> bool {
        self.0.kind == ErrorKind::Unreachable
    }

    /// Whether it did not happen, and would not if it were tried again.
    pub fn is_refused(&self) -> bool {
        self.0.kind == ErrorKind::Refused
    }

    fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(ErrorInner { kind, message: message.into(), source: None }))
    }
}

impl fmt::Debug for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind {
            ErrorKind::Unreachable => {
                write!(f, "the cluster's backend cannot be reached: {}", self.0.message)
            }
            ErrorKind::Refused => write!(f, "the cluster's backend refuses: {}", self.0.message),
        }
    }
}

impl Error for ClusterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_known_and_keeps_its_cause() {
        let error = ClusterError::unreachable("no answer in 2 s").with_source("connection reset");
        assert!(error.is_unreachable() && !error.is_refused());
        assert_eq!(error.to_string(), "the cluster's backend cannot be reached: no answer in 2 s");
        assert_eq!(error.source().unwrap().to_string(), "connection reset");
        assert!(ClusterError::refused("too large").is_refused());
    }
}
