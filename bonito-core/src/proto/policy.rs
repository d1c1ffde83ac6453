//! When a session that nobody is connected to has had its time.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::session::Status;
use crate::id::SessionId;

/// What a [`CleanupPolicy`] gets to see of a session: enough to decide by age, by activity or by resources.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Which session.
    pub id: SessionId,
    /// Where it stands.
    pub status: Status,
    /// When it was created.
    pub created: Instant,
    /// When its page was handed out, if it was.
    pub displayed: Option<Instant>,
    /// Since when no browser is connected; `None` while one is.
    pub disconnected: Option<Instant>,
    /// When something last came from the browser, or the time of creation.
    pub last_activity: Instant,
    /// Messages that wait for the browser.
    pub queued_messages: usize,
    /// Bytes that wait for the browser.
    pub queued_bytes: usize,
    /// Messages received from the browser.
    pub messages_in: u64,
    /// Messages handed to the connection.
    pub messages_out: u64,
    /// Whom the session belongs to; see [`Session::set_identity`](crate::Session::set_identity).
    pub identity: Option<Arc<str>>,
    pub(crate) metadata: Metadata,
}

impl SessionInfo {
    /// What [`Session::set_metadata`](crate::Session::set_metadata) has put there; `None` as well where that was of
    /// another type.
    pub fn metadata<T: Any>(&self, key: &str) -> Option<&T> {
        self.metadata.get(key)?.downcast_ref()
    }
}

/// What an application says of a session, for its policy. Nothing costs one word.
#[derive(Clone, Default)]
pub(crate) struct Metadata(Option<Arc<Entries>>);

type Entries = Vec<(&'static str, Arc<Datum>)>;

pub(crate) type Datum = dyn Any + Send + Sync;

impl Metadata {
    /// Most keys of one session.
    const MOST: usize = 32;

    fn get(&self, key: &str) -> Option<&Datum> {
        let (_, value) = self.0.as_ref()?.iter().find(|(name, _)| *name == key)?;
        Some(&**value)
    }

    /// This with another value, or without one; `None` if there are too many.
    pub(crate) fn with(&self, key: &'static str, value: Option<Arc<Datum>>) -> Option<Self> {
        let mut entries = self.0.as_deref().cloned().unwrap_or_default();
        entries.retain(|(name, _)| *name != key);
        entries.extend(value.map(|value| (key, value)));
        (entries.len() <= Self::MOST).then(|| Self((!entries.is_empty()).then(|| Arc::new(entries))))
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().flat_map(|entries| entries.iter().map(|(key, _)| key))).finish()
    }
}

/// Decides which sessions are closed by the endpoint's cleanup task, and whether a lost socket may come back.
///
/// Set with [`EndpointBuilder::cleanup_policy`](crate::EndpointBuilder::cleanup_policy) or, while running, with
/// [`Endpoint::set_cleanup_policy`](crate::Endpoint::set_cleanup_policy).
///
/// Never called under a lock. A policy that panics is logged, and keeps the session it was asked about until the next
/// check. [`should_cleanup`](Self::should_cleanup) and [`next_check`](Self::next_check) are called one at a time, on a
/// thread where blocking holds up cleanup and nothing else; one that never returns keeps the runtime from ending.
///
/// Source: `should_cleanup`, `allow_soft_close` and `set_cleanup_policy!` of Bonito.
pub trait CleanupPolicy: Any + fmt::Debug + Send + Sync {
    /// Whether to close this session now, be its browser connected or not.
    fn should_cleanup(&self, session: &SessionInfo, now: Instant) -> bool;

    /// Whether a session outlives its socket, so that the browser can come back to it. If not, the end of the socket is
    /// the end of the session. Asked on the task of the socket that was lost, so it must answer at once.
    fn allow_soft_close(&self) -> bool;

    /// When to ask [`should_cleanup`](Self::should_cleanup) about this session; `None` for not before its connection or
    /// its metadata change, which is when this is asked again. The cost of the cleanup task follows these answers and not
    /// the number of sessions.
    ///
    /// By default one second from now, for connected sessions too, which suits every policy.
    fn next_check(&self, session: &SessionInfo, now: Instant) -> Option<Instant> {
        let _ = session;
        Some(now + Duration::from_secs(1))
    }

    /// How many sessions may wait for browsers that are gone, and with how much. Asked when the policy is set.
    fn kept(&self) -> Kept {
        Kept::default()
    }
}

/// How many sessions whose connection is lost are kept, and with how much that waits for their browsers. Beyond it sessions
/// are closed, with [`CloseReason::Capacity`](crate::CloseReason::Capacity), those first that are cheapest to lose: whose
/// page has sent the least, and of equals who has been gone longest. For want of bytes nobody is closed who holds no more
/// than an equal share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Sessions. Default 1,000.
    pub sessions: usize,
    /// Bytes in all. Default 64 MiB.
    pub bytes: usize,
}

impl Kept {
    /// As many as there are. What one session holds is bounded by [`Limits::queued_bytes`](crate::Limits::queued_bytes).
    pub const UNLIMITED: Self = Self { sessions: usize::MAX, bytes: usize::MAX };
}

impl Default for Kept {
    fn default() -> Self {
        Self { sessions: 1000, bytes: 64 << 20 }
    }
}

/// Keeps a session for a while after its socket is lost, and a page for a while until it connects.
///
/// ```
/// use std::time::Duration;
/// use bonito_core::{DefaultCleanupPolicy, Endpoint};
///
/// let mut policy = DefaultCleanupPolicy::default();
/// policy.cleanup_time = Duration::from_secs(10 * 60);
/// let live = Endpoint::builder("/live").cleanup_policy(policy).build();
/// # drop(live);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DefaultCleanupPolicy {
    /// How long a session waits for a lost browser. Default 60 s: existing clients retry for 35 s, and equal windows
    /// would race.
    pub cleanup_time: Duration,
    /// How long a page may take to connect, from when its HTML was handed out. Default 30 s.
    pub connect_time: Duration,
    /// How long a page may take to render. Default 10 min: after that its handler has most likely been cancelled.
    pub render_time: Duration,
    /// How many sessions may wait for lost browsers.
    pub kept: Kept,
}

impl Default for DefaultCleanupPolicy {
    fn default() -> Self {
        Self {
            cleanup_time: Duration::from_secs(60),
            connect_time: Duration::from_secs(30),
            render_time: Duration::from_secs(600),
            kept: Kept::default(),
        }
    }
}

impl DefaultCleanupPolicy {
    fn deadline(&self, session: &SessionInfo) -> Option<Instant> {
        let since = session.disconnected?;
        match session.status {
            Status::Uninitialized | Status::Rendered => session.created.checked_add(self.render_time),
            Status::Displayed => since.checked_add(self.connect_time),
            Status::SoftClosed => since.checked_add(self.cleanup_time),
            Status::Open | Status::Closed => None,
        }
    }
}

impl CleanupPolicy for DefaultCleanupPolicy {
    fn should_cleanup(&self, session: &SessionInfo, now: Instant) -> bool {
        self.deadline(session).is_some_and(|deadline| deadline <= now)
    }

    fn allow_soft_close(&self) -> bool {
        true
    }

    fn next_check(&self, session: &SessionInfo, _now: Instant) -> Option<Instant> {
        self.deadline(session)
    }

    fn kept(&self) -> Kept {
        self.kept
    }
}
