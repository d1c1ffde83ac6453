//! The sessions whose browser is gone: how many there are, how much they hold, and which of them would be missed least.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::id::SessionId;
use crate::proto::policy::{Kept, SessionInfo};
use crate::proto::session::Status;
use crate::sync::lock;

/// Where a session stands among them: whose page has sent the least comes first, then who has been gone longest.
pub(super) type Place = (u64, Instant, SessionId);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Waiting {
    order: Mutex<BTreeSet<Place>>,
    bytes: AtomicUsize,
    most_sessions: AtomicUsize,
    most_bytes: AtomicUsize,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    Sessions,
    /// A session that holds no more than this is not to blame.
    Bytes(usize),
}

impl Waiting {
    pub(super) fn new(most: Kept) -> Self {
        Self {
            order: Mutex::default(),
            bytes: AtomicUsize::new(0),
            most_sessions: AtomicUsize::new(most.sessions),
            most_bytes: AtomicUsize::new(most.bytes),
        }
    }

    pub(super) fn set_most(&self, most: Kept) {
        self.most_sessions.store(most.sessions, Ordering::Relaxed);
        self.most_bytes.store(most.bytes, Ordering::Relaxed);
    }

    /// Puts a session where it belongs now. Calls for one session come one after the other.
    pub(super) fn place(&self, place: &mut Option<Box<Place>>, info: &SessionInfo) {
        let now = match info.disconnected {
            Some(since) if info.status == Status::SoftClosed => Some((info.messages_in, since, info.id)),
            _ => None,
        };
        if place.as_deref() == now.as_ref() {
            return;
        }
        let mut order = lock(&self.order);
        if let Some(former) = place.take() {
            order.remove(&former);
        }
        order.extend(now);
        *place = now.map(Box::new);
    }

    pub(super) fn remove(&self, place: Option<&Place>) {
        if let Some(place) = place {
            lock(&self.order).remove(place);
        }
    }

    /// What one of them holds has changed. Takes no lock, since a session's own may be held. Answers whether that is too much
    /// in all.
    pub(super) fn held(&self, before: usize, now: usize) -> bool {
        if now < before {
            self.bytes.fetch_sub(before - now, Ordering::Relaxed);
            return false;
        }
        let more = now - before;
        self.bytes.fetch_add(more, Ordering::Relaxed) + more > self.most_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn excess(&self) -> Option<Excess> {
        let sessions = self.most_sessions.load(Ordering::Relaxed);
        let bytes = self.most_bytes.load(Ordering::Relaxed);
        if lock(&self.order).len() > sessions {
            Some(Excess::Sessions)
        } else if self.bytes.load(Ordering::Relaxed) > bytes {
            // As long as there are no more sessions than allowed, one of them holds more than its share.
            Some(Excess::Bytes(bytes.checked_div(sessions).unwrap_or(0)))
        } else {
            None
        }
    }

    /// Those that would be missed least come first.
    pub(super) fn cheapest_first(&self) -> Vec<SessionId> {
        lock(&self.order).iter().map(|(_, _, id)| *id).collect()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.order).is_empty() && self.bytes.load(Ordering::Relaxed) == 0
    }
}
