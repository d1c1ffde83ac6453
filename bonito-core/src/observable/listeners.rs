//! Listeners in Rust: who they are, and how they run in order without a lock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use serde::Serialize;

use super::{Inner, Observable};
use crate::SessionId;
use crate::sync::{guard, lock};

/// Values that may wait while listeners run.
const MOST_WAITING: usize = 1 << 16;

type Callback<T> = dyn Fn(&Arc<T>, Option<SessionId>) + Send + Sync;

struct Listener<T> {
    id: u64,
    active: Arc<AtomicBool>,
    /// Gone once nobody listens with it.
    callback: Option<Arc<Callback<T>>>,
}

impl<T> Clone for Listener<T> {
    fn clone(&self) -> Self {
        Self { id: self.id, active: self.active.clone(), callback: self.callback.clone() }
    }
}

type All<T> = Arc<Vec<Listener<T>>>;

/// The listeners of one observable and the values that they have not seen.
pub(super) struct Listeners<T> {
    /// Shared with the thread that runs them, and copied if they change meanwhile. In the order of their ids.
    all: All<T>,
    /// How many of them are gone. They make room together, or a thousand that go would move the others a thousand times.
    gone: usize,
    last_id: u64,
    waiting: VecDeque<Waiting<T>>,
    running: bool,
    /// Values have given way since the last time that none waited.
    behind: bool,
}

/// A value that the listeners have not seen.
struct Waiting<T> {
    value: Arc<T>,
    /// The session whose page set it.
    origin: Option<SessionId>,
    audience: Audience,
}

/// For whom a waiting value is.
#[derive(Clone, Copy)]
enum Audience {
    /// Who listened when it was set: all up to this id.
    Until(u64),
    One(u64),
}

impl Audience {
    fn has(self, id: u64) -> bool {
        match self {
            Self::Until(last) => id <= last,
            Self::One(one) => id == one,
        }
    }
}

impl<T> Default for Listeners<T> {
    fn default() -> Self {
        Self {
            all: Arc::default(),
            gone: 0,
            last_id: 0,
            waiting: VecDeque::new(),
            running: false,
            behind: false,
        }
    }
}

impl<T> Listeners<T> {
    pub(super) fn len(&self) -> usize {
        self.all.len() - self.gone
    }

    /// Queues a value for the listeners; the oldest gives way when too many wait, and is handed back, with a word on whether
    /// it is the first in a row.
    pub(super) fn enqueue(&mut self, value: Arc<T>, origin: Option<SessionId>) -> Option<(Arc<T>, bool)> {
        if self.len() == 0 {
            return None;
        }
        self.waiting.push_back(Waiting { value, origin, audience: Audience::Until(self.last_id) });
        if self.waiting.len() <= MOST_WAITING {
            return None;
        }
        let first = !std::mem::replace(&mut self.behind, true);
        self.waiting.pop_front().map(|oldest| (oldest.value, first))
    }

    /// Whether a value waits, and nobody is at it who looks again.
    pub(super) fn are_due(&self) -> bool {
        !self.running && !self.waiting.is_empty()
    }

    /// What the callback owns is to be dropped outside the lock.
    #[must_use]
    fn remove(&mut self, id: u64) -> Option<Arc<Callback<T>>> {
        let at = self.all.binary_search_by_key(&id, |listener| listener.id).ok()?;
        let all = Arc::make_mut(&mut self.all);
        let callback = all.get_mut(at)?.callback.take()?;
        self.gone += 1;
        if 2 * self.gone > all.len() {
            all.retain(|listener| listener.callback.is_some());
            all.shrink_to(2 * all.len());
            self.gone = 0;
        }
        Some(callback)
    }

    fn next(&mut self) -> Option<(Waiting<T>, All<T>)> {
        let Some(next) = self.waiting.pop_front() else {
            self.behind = false;
            return None;
        };
        Some((next, self.all.clone()))
    }
}

impl<T> Inner<T> {
    /// Runs the listeners for every waiting value, unless somebody already does.
    pub(super) fn run_listeners(&self) {
        let mut state = lock(&self.state);
        if state.listeners.running {
            return;
        }
        while let Some((Waiting { value, origin, audience }, listeners)) = state.listeners.next() {
            state.listeners.running = true;
            drop(state);
            for listener in listeners.iter().filter(|listener| audience.has(listener.id)) {
                let Some(callback) = &listener.callback else { continue };
                guard("a listener of an observable", || {
                    if listener.active.load(Ordering::Acquire) {
                        callback(&value, origin);
                    }
                });
            }
            // What a listener or a value owns may be dropped here, which is the application's code as well.
            for gone in Arc::into_inner(listeners).into_iter().flatten() {
                guard("a listener of an observable", || drop(gone));
            }
            guard("a value of an observable", || drop(value));
            state = lock(&self.state);
            state.listeners.running = false;
        }
    }
}

impl<T: Serialize + Send + Sync + 'static> Observable<T> {
    /// Subscribes; a listener that has seen the value up to `seen` is brought up to date first.
    pub(super) fn subscribe(
        &self,
        seen: Option<u64>,
        callback: impl Fn(&Arc<T>, Option<SessionId>) + Send + Sync + 'static,
    ) -> Subscription {
        let active = Arc::new(AtomicBool::new(true));
        let mut state = lock(&self.inner.state);
        state.listeners.last_id += 1;
        let id = state.listeners.last_id;
        let listener = Listener { id, active: active.clone(), callback: Some(Arc::new(callback)) };
        Arc::make_mut(&mut state.listeners.all).push(listener);
        let late = seen.is_some_and(|version| version != state.version);
        if late {
            let value = state.value.clone();
            let audience = Audience::One(id);
            state.listeners.waiting.push_back(Waiting { value, origin: None, audience });
        }
        drop(state);
        if late {
            self.inner.run_listeners();
        }
        let observable: Weak<dyn Unsubscribe> = Arc::<Inner<T>>::downgrade(&self.inner);
        Subscription { observable: Some(observable), id, active, others: Vec::new() }
    }
}

trait Unsubscribe: Send + Sync {
    fn unsubscribe(&self, id: u64);
}

impl<T: Send + Sync> Unsubscribe for Inner<T> {
    fn unsubscribe(&self, id: u64) {
        let gone = lock(&self.state).listeners.remove(id);
        drop(gone);
    }
}

/// Keeps a listener subscribed; dropping it ends the subscription.
///
/// After the drop the listener is not called again, except that a call already running on another thread ends in its
/// own time.
#[must_use = "dropping the subscription ends it"]
pub struct Subscription {
    observable: Option<Weak<dyn Unsubscribe>>,
    id: u64,
    active: Arc<AtomicBool>,
    /// Those that end with this one.
    others: Vec<Self>,
}

impl Subscription {
    /// Several that end together.
    pub(super) fn of_all(others: Vec<Self>) -> Self {
        Self { observable: None, id: 0, active: Arc::default(), others }
    }

    /// Listens for as long as the observable lives.
    pub fn forget(mut self) {
        self.observable = None;
        std::mem::take(&mut self.others).into_iter().for_each(Self::forget);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(observable) = &self.observable {
            self.active.store(false, Ordering::Release);
            if let Some(observable) = observable.upgrade() {
                observable.unsubscribe(self.id);
            }
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).finish_non_exhaustive()
    }
}
