//! How the values of an observable reach the sessions that follow it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::delivery::Delivered;
use super::{Delivery, Inner};
use crate::SessionId;
use crate::frame::Lane;
use crate::id::ObservableId;
use crate::proto::value::RawValue;
use crate::session::{Shared, Wakes, WeakShared};
use crate::sync::lock;

/// For so long after a foreign value was sent to a session, a value from its browser may have been set before the
/// foreign one arrived there. It is then told the outcome. What waits for a page that is away is sent when it is back.
const CROSSING: Duration = Duration::from_secs(2);

/// The sessions that follow one observable.
#[derive(Default)]
pub(super) struct Links {
    slots: Vec<Slot>,
    linked: usize,
    free: Option<usize>,
}

enum Slot {
    Linked(Link),
    /// Names the next free one: a list of its own would be another line of memory to fetch for each unlinking.
    Free(Option<usize>),
}

struct Link {
    id: SessionId,
    session: WeakShared,
    lane: Lane,
    foreign: Option<Instant>,
}

/// Where a session stands among the links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkSlot(usize);

impl Links {
    pub(super) fn len(&self) -> usize {
        self.linked
    }

    fn add(&mut self, session: &Arc<Shared>, lane: Lane) -> LinkSlot {
        let link = Link { id: session.id(), session: Arc::downgrade(session), lane, foreign: None };
        let link = Slot::Linked(link);
        self.linked += 1;
        match self.free.and_then(|free| Some((free, self.slots.get_mut(free)?))) {
            Some((at, slot)) => {
                if let Slot::Free(next) = std::mem::replace(slot, link) {
                    self.free = next;
                }
                LinkSlot(at)
            }
            None => {
                self.slots.push(link);
                LinkSlot(self.slots.len() - 1)
            }
        }
    }

    fn remove(&mut self, slot: LinkSlot) {
        if let Some(link @ Slot::Linked(_)) = self.slots.get_mut(slot.0) {
            *link = Slot::Free(self.free.replace(slot.0));
            self.linked -= 1;
        }
        // Places keep their numbers as long as somebody has one: a value would look at all that there ever were.
        if self.linked == 0 {
            *self = Self::default();
        }
    }

    /// Whether a value from this origin is to be sent to anybody. It may say so where nobody is left, never the other way.
    pub(super) fn want(&self, origin: Option<SessionId>) -> bool {
        self.linked > 0
            && self.slots.iter().any(|slot| match slot {
                Slot::Linked(link) => origin != Some(link.id) || link.foreign.is_some(),
                Slot::Free(_) => false,
            })
    }

    fn lane(&self, slot: LinkSlot) -> Lane {
        match self.slots.get(slot.0) {
            Some(Slot::Linked(link)) => link.lane,
            Some(Slot::Free(_)) | None => Lane::LowLatency,
        }
    }

    /// Queues the message at every session but its origin. The rest is left to the caller, outside the lock.
    pub(super) fn send(
        &mut self,
        id: ObservableId,
        delivery: Delivery,
        frame: &Bytes,
        origin: Option<SessionId>,
    ) -> AllWoken {
        let mut now = None;
        let mut woken = AllWoken {
            first: None,
            others: Vec::with_capacity(self.len().saturating_sub(1)),
            delivered: Delivered::default(),
        };
        for slot in &mut self.slots {
            let Slot::Linked(link) = slot else { continue };
            let own = origin == Some(link.id);
            if own && link.foreign.is_none() {
                continue;
            }
            let Some(session) = link.session.upgrade() else { continue };
            let now = *now.get_or_insert_with(|| session.now());
            let crossed = || {
                let (at, ready) = (link.foreign?, session.ready_since());
                Some(ready.is_none_or(|ready| now.saturating_duration_since(at.max(ready)) < CROSSING))
            };
            if own && crossed() != Some(true) {
                link.foreign = None;
                woken.push(Woken { wakes: Wakes::default(), _session: session });
                continue;
            }
            if !own {
                link.foreign = Some(now);
            }
            let (outcome, wakes) = session.queue_update(id, link.lane, delivery, frame.clone());
            woken.delivered.count(outcome);
            woken.push(Woken { wakes, _session: session });
        }
        woken
    }
}

/// A session that got a message. It is woken, and should this be its last handle dropped, outside every lock.
struct Woken {
    wakes: Wakes,
    _session: Arc<Shared>,
}

/// The sessions that got a message. Most observables have one, for which nothing is allocated.
#[derive(Default)]
pub(super) struct AllWoken {
    first: Option<Woken>,
    others: Vec<Woken>,
    delivered: Delivered,
}

impl AllWoken {
    fn push(&mut self, woken: Woken) {
        match self.first {
            None => self.first = Some(woken),
            Some(_) => self.others.push(woken),
        }
    }

    /// Sockets first: what is left may run the application's code, and no session that keeps up waits for that.
    pub(super) fn run(mut self) -> Delivered {
        for woken in self.first.iter_mut().chain(&mut self.others) {
            woken.wakes.run_sockets();
        }
        for woken in self.first.into_iter().chain(self.others) {
            woken.wakes.run();
        }
        self.delivered
    }
}

/// An observable whose type of value does not matter.
pub(crate) trait AnyObservable: Send + Sync {
    fn id(&self) -> ObservableId;
    /// The value as the browser gets it. Runs the value's own code, so never under a lock.
    fn encoded(&self) -> (RawValue, u64);
    /// From now on the session follows; in the same instant `announce` tells it that there is this observable, with the
    /// value that was encoded last. `announce` answers whether the page has it from the start.
    fn link(&self, session: &Arc<Shared>, announce: &mut dyn FnMut() -> bool) -> Linked;
    /// Tells a session that follows the value once more. If it changes meanwhile, or has changed since `version`, the session
    /// was told that already.
    fn refresh(&self, session: &Arc<Shared>, slot: LinkSlot, version: Option<u64>) -> Wakes;
    /// Counts the values.
    fn version(&self) -> u64;
    fn unlink(&self, slot: LinkSlot);
}

/// A session that follows since this version of the value.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) slot: LinkSlot,
    pub(crate) version: u64,
}

impl<T: Send + Sync> AnyObservable for Inner<T> {
    fn id(&self) -> ObservableId {
        self.id
    }

    fn encoded(&self) -> (RawValue, u64) {
        let (value, version) = self.snapshot();
        ((self.encode)(&value), version)
    }

    fn link(&self, session: &Arc<Shared>, announce: &mut dyn FnMut() -> bool) -> Linked {
        let mut state = lock(&self.state);
        let from_the_start = announce();
        let large = from_the_start && self.large.load(Ordering::Relaxed);
        let lane = if large { Lane::LargeData } else { Lane::LowLatency };
        Linked { slot: state.links.add(session, lane), version: state.version }
    }

    fn refresh(&self, session: &Arc<Shared>, slot: LinkSlot, version: Option<u64>) -> Wakes {
        let (value, now) = self.snapshot();
        if version.is_some_and(|version| version != now) {
            return Wakes::default();
        }
        let frame = (self.update)(&self.prefix, &value);
        let state = lock(&self.state);
        if state.version == now {
            session.queue_again(self.id, state.links.lane(slot), frame)
        } else {
            Wakes::default()
        }
    }

    fn version(&self) -> u64 {
        lock(&self.state).version
    }

    fn unlink(&self, slot: LinkSlot) {
        lock(&self.state).links.remove(slot);
    }
}
