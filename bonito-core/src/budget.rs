//! What sessions may hold together: those of one identity, and all of an endpoint.
//!
//! A [`Seat`] is a session's place in both. It goes with the session, and what was charged to it with it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;

use crate::limits::Limits;
use crate::sync::lock;

/// What a session holds is charged in steps of so many bytes: a page that keeps up costs no counting.
const STEP: usize = 4 << 10;

/// One for an endpoint.
#[derive(Debug)]
pub(crate) struct Budgets {
    all: Budget,
    identity_sessions: usize,
    identity_bytes: usize,
    identities: Mutex<HashMap<Arc<str>, Arc<Budget>, RandomState>>,
    exceeded: AtomicBool,
    /// Times that there was no room for what was asked for before it was taken.
    refused: AtomicU64,
}

#[derive(Debug)]
struct Budget {
    most_sessions: usize,
    most_bytes: usize,
    sessions: AtomicUsize,
    bytes: AtomicUsize,
}

/// How a charge sits with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    Fits,
    /// It is too much in all: the endpoint has to make room.
    Crowds,
    /// It is far too much in all, and whoever is charged has more than an equal share of it.
    Bursts,
}

impl Budget {
    fn new(most_sessions: usize, most_bytes: usize) -> Self {
        Self { most_sessions, most_bytes, sessions: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    fn join(&self) -> bool {
        let more = |sessions| (sessions < self.most_sessions).then_some(sessions + 1);
        !self.is_full() && self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Answers how many are left.
    fn leave(&self) -> usize {
        self.sessions.fetch_sub(1, Ordering::Relaxed) - 1
    }

    fn change(&self, before: usize, now: usize) -> Pressure {
        if now <= before {
            self.bytes.fetch_sub(before - now, Ordering::Relaxed);
            return Pressure::Fits;
        }
        let all = self.bytes.fetch_add(now - before, Ordering::Relaxed) + (now - before);
        if all <= self.most_bytes {
            Pressure::Fits
        } else if all <= self.most_bytes.saturating_add(self.most_bytes / 4) || !self.is_unfair(now) {
            Pressure::Crowds
        } else {
            Pressure::Bursts
        }
    }

    fn try_add(&self, bytes: usize) -> bool {
        let more = |all: usize| all.checked_add(bytes).filter(|all| *all <= self.most_bytes);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Whether there is no room for anything new.
    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.most_bytes
    }

    fn is_exceeded(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.most_bytes
    }

    /// Whether a session that is charged so much has more than all of them could have.
    fn is_unfair(&self, charged: usize) -> bool {
        charged > self.most_bytes / self.sessions.load(Ordering::Relaxed).max(1)
    }
}

impl Budgets {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            all: Budget::new(limits.sessions, limits.total_bytes),
            identity_sessions: limits.identity_sessions,
            identity_bytes: limits.identity_bytes,
            identities: Mutex::default(),
            exceeded: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        })
    }

    /// Bytes that are charged to all sessions together.
    pub(crate) fn bytes(&self) -> usize {
        self.all.bytes.load(Ordering::Relaxed)
    }

    /// How often there was no room for an upload.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether there is no room for anything new.
    pub(crate) fn is_full(&self) -> bool {
        self.all.is_full()
    }

    /// Whether one more session of this identity, or of nobody, would get a seat.
    pub(crate) fn has_seat(&self, identity: Option<&str>) -> bool {
        let is_free = |budget: &Budget| {
            !budget.is_full() && budget.sessions.load(Ordering::Relaxed) < budget.most_sessions
        };
        let none_yet = self.identity_sessions > 0 && self.identity_bytes > 0;
        let own = |identity| lock(&self.identities).get(identity).map_or(none_yet, |budget| is_free(budget));
        is_free(&self.all) && identity.is_none_or(own)
    }

    /// Whether somebody has been charged too much since this was asked last.
    pub(crate) fn take_exceeded(&self) -> bool {
        self.exceeded.swap(false, Ordering::AcqRel)
    }

    fn join(&self, identity: &str) -> Option<Owner> {
        let mut identities = lock(&self.identities);
        if let Some((name, budget)) = identities.get_key_value(identity) {
            return budget.join().then(|| Owner { name: name.clone(), budget: budget.clone() });
        }
        let budget = Arc::new(Budget::new(self.identity_sessions, self.identity_bytes));
        let name: Arc<str> = Arc::from(identity);
        budget.join().then(|| {
            identities.insert(name.clone(), budget.clone());
            Owner { name, budget }
        })
    }

    fn leave(&self, owner: &Owner) {
        let mut identities = lock(&self.identities);
        if owner.budget.leave() == 0 {
            identities.remove(&owner.name);
        }
    }

    #[cfg(test)]
    fn is_unused(&self) -> bool {
        let (sessions, bytes) = (self.all.sessions.load(Ordering::Relaxed), self.bytes());
        lock(&self.identities).is_empty() && (sessions, bytes) == (0, 0)
    }
}

/// A session's place among all, and among those of its identity.
#[derive(Debug)]
pub(crate) struct Seat {
    budgets: Arc<Budgets>,
    owner: Option<Owner>,
    charged: usize,
}

#[derive(Debug)]
struct Owner {
    name: Arc<str>,
    budget: Arc<Budget>,
}

impl Seat {
    /// A seat, if there is one.
    pub(crate) fn take(budgets: &Arc<Budgets>, identity: Option<&str>) -> Option<Self> {
        if !budgets.all.join() {
            return None;
        }
        let mut seat = Self { budgets: budgets.clone(), owner: None, charged: 0 };
        seat.set_identity(identity).then_some(seat)
    }

    /// Moves to another identity. Answers whether that had room.
    pub(crate) fn set_identity(&mut self, identity: Option<&str>) -> bool {
        if self.owner.as_ref().map(|owner| &*owner.name) == identity {
            return true;
        }
        let owner = match identity.map(|identity| self.budgets.join(identity)) {
            Some(None) => return false,
            owner => owner.flatten(),
        };
        if let Some(owner) = &owner {
            owner.budget.change(0, self.charged);
        }
        self.leave_owner();
        self.owner = owner;
        true
    }

    fn leave_owner(&mut self) {
        if let Some(owner) = self.owner.take() {
            owner.budget.change(self.charged, 0);
            self.budgets.leave(&owner);
        }
    }

    /// The session holds so many bytes now.
    pub(crate) fn charge(&mut self, bytes: usize) -> Pressure {
        let now = bytes - bytes % STEP;
        let before = std::mem::replace(&mut self.charged, now);
        if before == now {
            return Pressure::Fits;
        }
        let pressure = self.budgets().map(|budget| budget.change(before, now)).max();
        let pressure = pressure.unwrap_or(Pressure::Fits);
        if pressure > Pressure::Fits {
            self.budgets.exceeded.store(true, Ordering::Release);
        }
        pressure
    }

    /// What the session may hold without another charge.
    pub(crate) fn still(&self) -> Range<usize> {
        let charged = self.charged - self.charged % STEP;
        charged..charged + STEP
    }

    /// Charges so many bytes more, if there is room for all of them.
    pub(crate) fn try_add(&mut self, bytes: usize) -> bool {
        let all = &self.budgets.all;
        let added = all.try_add(bytes)
            && self.owner.as_ref().is_none_or(|owner| {
                let added = owner.budget.try_add(bytes);
                if !added {
                    all.change(bytes, 0);
                }
                added
            });
        if added {
            self.charged += bytes;
        } else {
            self.budgets.refused.fetch_add(1, Ordering::Relaxed);
        }
        added
    }

    /// Bytes that are charged, if there is too much in all and this is more than an equal share of it.
    pub(crate) fn excess(&self) -> Option<usize> {
        let blamed = |budget: &Budget| budget.is_exceeded() && budget.is_unfair(self.charged);
        self.budgets().any(blamed).then_some(self.charged)
    }

    /// Whether there is room for anything new.
    pub(crate) fn is_full(&self) -> bool {
        self.budgets().any(Budget::is_full)
    }

    fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.owner.iter().map(|owner| &*owner.budget).chain([&self.budgets.all])
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave_owner();
        self.budgets.all.change(self.charged, 0);
        self.budgets.all.leave();
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
