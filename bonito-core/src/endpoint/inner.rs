//! What all handles of an endpoint share: its sessions, and what they need of it.

use std::any::Any;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::cluster::Relay;
use super::connections::Connections;
use super::identity::Identity;
use super::kept::{Place, Waiting};
use super::origin::Origins;
use super::socket::Sockets;
use super::stats::{Count, Counters};
use crate::budget::{Budgets, Seat};
use crate::connection::FrontendConnection;
use crate::host::{BoxFuture, Drain, Host, Resumption, Urls};
use crate::id::SessionId;
use crate::limits::Limits;
use crate::proto::compress::Container;
use crate::proto::later;
use crate::proto::policy::{CleanupPolicy, DefaultCleanupPolicy, Kept, SessionInfo};
use crate::proto::session::{CloseReason, Status};
use crate::runtime::clock;
use crate::runtime::sweeper::{AsSweeper, Sweep, Sweeper};
use crate::session::{Session, Shared};
use crate::sync::{guard, lock};

pub(crate) struct Inner {
    me: Weak<Self>,
    pub(super) path: String,
    pub(super) origins: Origins,
    pub(super) mounts: Sockets,
    pub(super) relay: Option<Relay>,
    pub(super) connections: Connections,
    pub(super) identity: Identity,
    urls: Urls,
    limits: Limits,
    policy: RwLock<Arc<dyn CleanupPolicy>>,
    pub(super) waiting: Waiting,
    pub(super) budgets: Arc<Budgets>,
    pub(super) counters: Counters,
    compression: Option<Container>,
    resumption: Resumption,
    sessions: DashMap<SessionId, Entry, RandomState>,
    pub(super) sockets: AtomicUsize,
    /// Notified when a socket is gone.
    pub(super) socket_gone: Notify,
    drain: OnceLock<Drain>,
    /// Notified when the endpoint begins to drain.
    draining: Arc<Notify>,
    sweeper: Sweeper,
    /// The runtime last seen, for calls from outside any.
    runtime: Mutex<Option<Handle>>,
}

struct Entry {
    session: Session,
    /// When the sweeper will look at the session. One check is asked for, not one for each change.
    check: Option<Check>,
    /// Where it stands among those whose browser is gone; boxed, since most sessions have none.
    place: Option<Box<Place>>,
}

/// What the sweeper will do with a session.
#[derive(Clone, Copy, Debug)]
struct Check {
    at: Instant,
    /// From then on the policy is asked whether to close it, and not only when to ask so.
    due: Option<Instant>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("path", &self.path)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    #[expect(clippy::too_many_arguments, reason = "what the builder was told")]
    pub(super) fn new(
        path: String,
        urls: Urls,
        origins: Origins,
        limits: Limits,
        policy: Arc<dyn CleanupPolicy>,
        compression: Option<Container>,
        resumption: Resumption,
        identity: Identity,
        mounts: Sockets,
        relay: Option<Relay>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            path,
            origins,
            mounts,
            relay,
            connections: Connections::default(),
            identity,
            urls,
            budgets: Budgets::new(&limits),
            counters: Counters::default(),
            limits,
            waiting: Waiting::new(kept(&*policy)),
            policy: RwLock::new(policy),
            compression,
            resumption,
            sessions: DashMap::default(),
            sockets: AtomicUsize::new(0),
            socket_gone: Notify::new(),
            drain: OnceLock::new(),
            draining: Arc::default(),
            sweeper: Sweeper::default(),
            runtime: Mutex::new(None),
        })
    }

    pub(super) fn add(
        self: &Arc<Self>,
        connection: Arc<dyn FrontendConnection>,
        identity: Option<&str>,
    ) -> Session {
        self.start_sweeper();
        let id = SessionId::random()
            .unwrap_or_else(|error| panic!("the operating system gives no random bytes: {error}"));
        let seat = Seat::take(&self.budgets, identity);
        let full = seat.is_none();
        let session = Session(Shared::new(id, self.clone(), connection, seat, identity));
        if full {
            // Who they are is not for the log.
            tracing::warn!(
                has_owner = identity.is_some(),
                sessions = self.sessions.len(),
                bytes = self.budgets.bytes(),
                "there are too many sessions, or they hold too much: a new one is closed from the start"
            );
            self.counters.add(Count::RefusedSessions);
            session.0.close(CloseReason::Capacity);
            return session;
        }
        self.counters.add(Count::Sessions);
        self.sessions.insert(id, Entry { session: session.clone(), check: None, place: None });
        self.changed(&session);
        session
    }

    pub(super) fn find(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).map(|entry| entry.session.clone())
    }

    pub(super) fn set_policy(&self, policy: Arc<dyn CleanupPolicy>) {
        let most = kept(&*policy);
        let former = {
            let mut current = self.policy.write().unwrap_or_else(PoisonError::into_inner);
            self.waiting.set_most(most);
            std::mem::replace(&mut *current, policy)
        };
        drop(former);
        self.recheck();
    }

    pub(super) fn set_cleanup_time(&self, time: Duration) -> bool {
        {
            let mut current = self.policy.write().unwrap_or_else(PoisonError::into_inner);
            let any: &dyn Any = &**current;
            let Some(default) = any.downcast_ref::<DefaultCleanupPolicy>() else { return false };
            let mut policy = default.clone();
            policy.cleanup_time = time;
            *current = Arc::new(policy);
        }
        self.recheck();
        true
    }

    /// Has the policy asked about every session at once.
    pub(super) fn recheck(&self) {
        let all: Vec<SessionId> = self.sessions.iter().map(|entry| *entry.key()).collect();
        let now = clock::now();
        for id in all {
            self.schedule(id, Check::whether(now));
        }
        self.sweeper.relieve();
    }

    /// All sessions, held for no longer than it takes to list them.
    pub(super) fn all(&self) -> Vec<Session> {
        self.sessions.iter().map(|entry| entry.session.clone()).collect()
    }

    pub(super) fn start_sweeper(&self) {
        let Some(me) = self.me.upgrade() else { return };
        let runtime = Handle::try_current().ok();
        if let Some(runtime) = &runtime {
            *lock(&self.runtime) = Some(runtime.clone());
            if let Some(relay) = &self.relay {
                relay.start(runtime, &self.me);
            }
        }
        self.sweeper.start(runtime, &me);
    }

    /// Begins to drain, once; answers the times of it.
    pub(super) fn begin_drain(&self, within: Duration) -> Drain {
        let start = clock::now();
        let drain = *self.drain.get_or_init(|| Drain { start, deadline: later(start, within) });
        for session in self.all() {
            session.0.wake();
        }
        self.draining.notify_waiters();
        drain
    }

    fn policy(&self) -> Arc<dyn CleanupPolicy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wishes for a check. One that is to come no later is enough.
    fn schedule(&self, id: SessionId, wish: Check) {
        if let Some(mut entry) = self.sessions.get_mut(&id) {
            self.schedule_entry(id, &mut entry, wish);
        }
    }

    fn schedule_entry(&self, id: SessionId, entry: &mut Entry, wish: Check) {
        let now = clock::now();
        let at = Sweeper::soonest(wish.at, now);
        match &mut entry.check {
            // Not put off by another wish, however often something changes.
            Some(check) if check.at <= at => check.due = sooner(check.due, wish.due),
            check => {
                let former = check.map(|check| check.at);
                self.sweeper.schedule(id, former, at);
                let due = sooner(check.and_then(|check| check.due), wish.due);
                *check = Some(Check { at, due });
            }
        }
    }

    /// When to look at a session that has changed. The application's policy is asked by the sweeper, never on the task of a
    /// socket; the library's own takes no time, and answers here.
    fn wish(&self, info: &SessionInfo) -> Option<Check> {
        let now = clock::now();
        let policy = self.policy();
        let any: &dyn Any = &*policy;
        match any.downcast_ref::<DefaultCleanupPolicy>() {
            Some(own) => own.next_check(info, now).map(Check::whether),
            None => Some(Check { at: now, due: None }),
        }
    }

    /// Asks the policy when to ask about the session. A time that it named before is not put off by this, or a session that
    /// changes all the time would never be asked about; only that none is needed takes it back.
    fn ask_when(&self, session: &Session, now: Instant, named: Option<Instant>) {
        let info = session.info();
        if info.status == Status::Closed {
            return;
        }
        let policy = self.policy();
        let next = guard("CleanupPolicy::next_check", || policy.next_check(&info, now));
        if let Some(at) = next.unwrap_or(Some(now + AFTER_A_PANIC)) {
            self.schedule(session.id(), Check::whether(named.map_or(at, |named| named.min(at))));
        }
    }
}

impl Check {
    fn whether(at: Instant) -> Self {
        Self { at, due: Some(at) }
    }
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

/// A policy that has panicked is asked again after so long.
const AFTER_A_PANIC: Duration = Duration::from_secs(1);

fn kept(policy: &dyn CleanupPolicy) -> Kept {
    guard("CleanupPolicy::kept", || policy.kept()).unwrap_or_default()
}

impl Sweep for Inner {
    fn check(&self, id: SessionId, at: Instant, now: Instant) {
        let (session, due) = match self.sessions.get_mut(&id) {
            Some(mut entry) => match entry.check {
                Some(check) if check.at == at => {
                    entry.check = None;
                    (entry.session.clone(), check.due)
                }
                // An earlier one was asked for in the meantime.
                _ => return,
            },
            None => return,
        };
        let is_due = due.is_some_and(|due| due <= now);
        if is_due {
            let info = session.info();
            let policy = self.policy();
            match guard("CleanupPolicy::should_cleanup", || policy.should_cleanup(&info, now)) {
                // A browser that came back while the policy was asked is not sent away.
                Some(true) if session.0.close_if_still(&info, CloseReason::Cleanup) => return,
                Some(_) => {}
                None => {
                    return self.schedule(id, Check::whether(now + AFTER_A_PANIC));
                }
            }
        }
        self.ask_when(&session, now, due.filter(|_| !is_due));
    }

    fn relieve(&self) {
        self.relieve_budgets();
        self.relieve_waiting();
    }
}

impl AsSweeper for Inner {
    fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }
}

impl Host for Inner {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture {
        #[expect(clippy::disallowed_methods, reason = "the runtime waits")]
        let sleep = tokio::time::sleep_until(at.into());
        Box::pin(sleep)
    }

    fn spawn(&self, future: BoxFuture) {
        assert!(self.try_spawn(future), "Session::spawn was called outside a tokio runtime");
    }

    fn try_spawn(&self, future: BoxFuture) -> bool {
        let known = || lock(&self.runtime).clone();
        let runtime = Handle::try_current().ok().or_else(known);
        runtime.map(|runtime| runtime.spawn(future)).is_some()
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn urls(&self) -> &Urls {
        &self.urls
    }

    fn resumption(&self) -> Resumption {
        self.resumption
    }

    fn compression(&self) -> Option<Container> {
        self.compression
    }

    fn drain(&self) -> Option<Drain> {
        self.drain.get().copied()
    }

    fn drain_begins(&self) -> BoxFuture {
        let begins = self.draining.clone().notified_owned();
        if self.drain.get().is_some() { Box::pin(std::future::ready(())) } else { Box::pin(begins) }
    }

    fn allow_soft_close(&self) -> bool {
        let policy = self.policy();
        guard("CleanupPolicy::allow_soft_close", || policy.allow_soft_close()).unwrap_or(true)
    }

    fn changed(&self, session: &Session) {
        let id = session.id();
        {
            // What holds now is asked for under the entry's lock, so that of two changes at a time the later one counts.
            let Some(mut entry) = self.sessions.get_mut(&id) else { return };
            let info = session.0.bare_info();
            self.waiting.place(&mut entry.place, &info);
            if let Some(wish) = self.wish(&info) {
                self.schedule_entry(id, &mut entry, wish);
            }
        }
        if self.waiting.excess().is_some() {
            self.sweeper.relieve();
        }
    }

    fn held(&self, before: usize, now: usize) -> bool {
        self.waiting.held(before, now)
    }

    fn crowded(&self) {
        self.sweeper.relieve();
    }

    fn closed(&self, id: SessionId) {
        let Some((_, entry)) = self.sessions.remove(&id) else { return };
        self.counters.add_closed(&entry.session.0.tally(), entry.session.0.close_reason());
        self.waiting.remove(entry.place.as_deref());
        if let Some(check) = entry.check {
            self.sweeper.cancel(id, check.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::connection::{FrontendConnection, SendError};
    use crate::frame::Lane;
    use crate::proto::message::ClientMessage;
    use crate::{Endpoint, Script, Session};

    #[test]
    fn a_session_asks_for_one_check_however_often_it_changes() {
        let live = Endpoint::builder("/live").build();
        let session = live.session();
        let _html = session.page("t", "");
        for _ in 0..1000 {
            crate::host::Host::changed(&*live.0, &session);
        }
        assert_eq!(live.0.sweeper.len(), 1);
        session.close();
        assert_eq!(live.0.sweeper.len(), 0, "nothing of it is left");
    }

    #[derive(Debug)]
    struct Takes;

    impl FrontendConnection for Takes {
        fn write(&self, _: Bytes, _: Lane) -> Result<(), SendError> {
            Ok(())
        }
        fn is_open(&self) -> bool {
            true
        }
        fn close(&self) {}
        fn setup_connection(&self, _: &Session) -> Option<Script> {
            None
        }
    }

    #[test]
    fn who_waits_is_counted_exactly_while_it_waits() {
        let live = Endpoint::builder("/live").build();
        let session = live.session_with(std::sync::Arc::new(Takes));
        let _html = session.page("t", "");
        session.eval(Script::new("queued"));
        assert!(live.0.waiting.is_empty(), "a page that has not connected waits for nobody");
        let loaded = ClientMessage::DoneLoading {
            session: session.id().to_string(),
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        };
        let loaded = crate::proto::codec::encode_client(&loaded).unwrap();
        for _ in 0..3 {
            session.process_message(loaded.clone()).unwrap();
            assert!(live.0.waiting.is_empty());
            session.soft_close();
            session.eval(Script::new("queued"));
            assert!(!live.0.waiting.is_empty());
        }
        session.close();
        assert!(live.0.waiting.is_empty(), "nothing of it is left");
    }
}
