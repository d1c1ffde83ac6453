//! Unique names as leases: which calls a claim needs, when its owner may act, and when it must stop.
//!
//! One call at a time for each name, so that answers cannot cross. A lease is one claim's: the next one of the same name gets
//! an epoch of its own even on the same node.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{ClaimId, Event, NameLost, NodeId, OpId, Request};
use crate::cluster::{Acquired, ClusterError, Renewed};
use crate::proto::later;

/// Leases of this very node, left over from calls whose answers were lost, that a claim releases before it gives up.
const LEFTOVERS: u32 = 3;

/// What follows from the time of a lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) ttl: Duration,
    /// The owner acts so long after it began the last call that succeeded.
    pub(super) act: Duration,
    pub(super) renew: Duration,
    pub(super) retry: Duration,
}

impl Timing {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, act: ttl * 3 / 4, renew: ttl / 3, retry: ttl / 12 }
    }
}

#[derive(Debug)]
pub(super) struct Names {
    node: NodeId,
    timing: Timing,
    names: HashMap<Arc<str>, Name>,
    claims: HashMap<ClaimId, Arc<str>>,
    ops: HashMap<OpId, Arc<str>>,
    last_op: u64,
    due: BTreeSet<(Instant, Arc<str>)>,
    pub(super) requests: VecDeque<Request>,
}

#[derive(Debug, Default)]
struct Name {
    wanted: Option<Wanted>,
    lease: Option<Lease>,
    busy: Option<Busy>,
    due: Option<Instant>,
}

/// The claim that is to have the name.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    claim: ClaimId,
    held: bool,
    leftovers: u32,
}

/// What this node has at the backend, as far as it knows.
#[derive(Clone, Copy, Debug)]
struct Lease {
    claim: ClaimId,
    epoch: u64,
    until: Instant,
    renew: Instant,
}

/// The call that has not been answered.
#[derive(Clone, Copy, Debug)]
struct Busy {
    op: OpId,
    claim: Option<ClaimId>,
    started: Instant,
}

impl Names {
    pub(super) fn new(node: NodeId, timing: Timing) -> Self {
        Self {
            node,
            timing,
            names: HashMap::new(),
            claims: HashMap::new(),
            ops: HashMap::new(),
            last_op: 0,
            due: BTreeSet::new(),
            requests: VecDeque::new(),
        }
    }

    /// The claim that may act under this name now, and its epoch.
    pub(super) fn owner(&self, name: &str, now: Instant) -> Option<(ClaimId, u64)> {
        let name = self.names.get(name)?;
        let (wanted, lease) = (name.wanted?, name.lease?);
        let acts = wanted.held && lease.claim == wanted.claim && now < lease.until;
        acts.then_some((wanted.claim, lease.epoch))
    }

    pub(super) fn may_act(&self, claim: ClaimId, now: Instant) -> Option<u64> {
        let (owner, epoch) = self.owner(self.claims.get(&claim)?, now)?;
        (owner == claim).then_some(epoch)
    }

    /// The name of a claim.
    pub(super) fn name(&self, claim: ClaimId) -> Option<&Arc<str>> {
        self.claims.get(&claim)
    }

    /// A claim in this node. Whoever claimed the name here before has released it.
    pub(super) fn claim(&mut self, claim: ClaimId, name: &Arc<str>, now: Instant) {
        let entry = self.names.entry(name.clone()).or_default();
        if let Some(former) = entry.wanted.replace(Wanted { claim, held: false, leftovers: 0 }) {
            self.claims.remove(&former.claim);
        }
        self.claims.insert(claim, name.clone());
        self.step(name, now);
    }

    /// The name of the claim, if it had one.
    pub(super) fn release(&mut self, claim: ClaimId, now: Instant) -> Option<Arc<str>> {
        let name = self.claims.remove(&claim)?;
        if let Some(entry) = self.names.get_mut(&name) {
            entry.wanted = None;
        }
        self.step(&name, now);
        Some(name)
    }

    /// Tells those whose time is over. To be called before anything else is done with the time.
    pub(super) fn handle_timeout(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while let Some((at, name)) = self.due.first().cloned() {
            if at > now {
                return;
            }
            self.due.pop_first();
            let Some(entry) = self.names.get_mut(&name) else { continue };
            entry.due = None;
            let over = entry.lease.is_some_and(|lease| now >= lease.until);
            if over && entry.wanted.is_some_and(|wanted| wanted.held) {
                self.lose(&name, NameLost::Expired, events);
            }
            self.step(&name, now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn handle_acquired(
        &mut self,
        op: OpId,
        result: Result<Acquired, ClusterError>,
        now: Instant,
        events: &mut VecDeque<Event>,
    ) {
        let Some((name, busy)) = self.answered(op) else { return };
        let Some(entry) = self.names.get_mut(&name) else { return };
        let Some(claim) = busy.claim else { return };
        let wanted = entry.wanted.as_mut().filter(|wanted| wanted.claim == claim);
        match result {
            Ok(Acquired::Granted { epoch }) => {
                let until = later(busy.started, self.timing.act);
                let renew = later(busy.started, self.timing.renew);
                entry.lease = Some(Lease { claim, epoch, until, renew });
                match wanted {
                    Some(wanted) if now < until => {
                        wanted.held = true;
                        events.push_back(Event::Held { claim, epoch, until });
                    }
                    Some(_) => self.lose(&name, NameLost::Unreachable, events),
                    None => {}
                }
            }
            Ok(Acquired::Held(held)) => {
                let ours = self.node.wrote(&held.value);
                match wanted {
                    Some(wanted) if ours && wanted.leftovers < LEFTOVERS => {
                        wanted.leftovers += 1;
                        return self.request_release(&name, held.epoch, now);
                    }
                    Some(_) => self.lose(&name, NameLost::Taken, events),
                    None => {}
                }
            }
            Err(error) => {
                if wanted.is_some() {
                    tracing::warn!("a name cannot be claimed: {error}");
                    let refused = error.is_refused();
                    let reason = if refused { NameLost::Refused } else { NameLost::Unreachable };
                    self.lose(&name, reason, events);
                }
            }
        }
        self.step(&name, now);
    }

    pub(super) fn handle_renewed(
        &mut self,
        op: OpId,
        result: Result<Renewed, ClusterError>,
        now: Instant,
        events: &mut VecDeque<Event>,
    ) {
        let Some((name, busy)) = self.answered(op) else { return };
        let Some(entry) = self.names.get_mut(&name) else { return };
        let held = entry.wanted.filter(|wanted| wanted.held).map(|wanted| wanted.claim);
        let Some(lease) = &mut entry.lease else { return self.step(&name, now) };
        match result {
            Ok(Renewed::Renewed) => {
                lease.until = lease.until.max(later(busy.started, self.timing.act));
                lease.renew = later(busy.started, self.timing.renew);
                if held == Some(lease.claim) {
                    events.push_back(Event::Renewed { claim: lease.claim, until: lease.until });
                }
            }
            Ok(Renewed::Lost) => {
                let claim = lease.claim;
                entry.lease = None;
                if held == Some(claim) {
                    self.lose(&name, NameLost::Expired, events);
                }
            }
            Err(error) => {
                tracing::debug!("a name cannot be renewed yet: {error}");
                lease.renew = later(now, self.timing.retry);
            }
        }
        self.step(&name, now);
    }

    /// Whether it worked or not: what is left at the backend runs out.
    pub(super) fn handle_released(&mut self, op: OpId, now: Instant) {
        let Some((name, _)) = self.answered(op) else { return };
        if let Some(entry) = self.names.get_mut(&name) {
            entry.lease = None;
        }
        self.step(&name, now);
    }

    fn answered(&mut self, op: OpId) -> Option<(Arc<str>, Busy)> {
        let name = self.ops.remove(&op)?;
        let busy = self.names.get_mut(&name)?.busy.take_if(|busy| busy.op == op)?;
        Some((name, busy))
    }

    fn lose(&mut self, name: &Arc<str>, reason: NameLost, events: &mut VecDeque<Event>) {
        let wanted = self.names.get_mut(name).and_then(|entry| entry.wanted.take());
        if let Some(Wanted { claim, .. }) = wanted {
            self.claims.remove(&claim);
            events.push_back(Event::Lost { claim, name: name.clone(), reason });
        }
    }

    /// Does what the name needs next.
    fn step(&mut self, name: &Arc<str>, now: Instant) {
        let Some(entry) = self.names.get_mut(name) else { return };
        let lease = entry.lease;
        let theirs = |wanted: &Wanted| lease.is_none_or(|lease| lease.claim == wanted.claim);
        // A lease that is over for us may still live there, and is released rather than renewed.
        let mut due = None;
        match (entry.busy, entry.wanted.filter(theirs), lease) {
            (Some(_), Some(wanted), Some(lease)) if wanted.held => due = Some(lease.until),
            (Some(_), _, _) => {}
            (None, Some(wanted), None) => {
                let value = self.node.value();
                let (name, ttl) = (name.clone(), self.timing.ttl);
                self.request(&name.clone(), Some(wanted.claim), now, |op| Request::Acquire {
                    op,
                    name,
                    value,
                    ttl,
                });
            }
            (None, Some(_), Some(lease)) if now < lease.renew => due = Some(lease.renew.min(lease.until)),
            (None, Some(wanted), Some(lease)) => {
                due = wanted.held.then_some(lease.until);
                let (epoch, ttl) = (lease.epoch, self.timing.ttl);
                let name = name.clone();
                self.request(&name.clone(), Some(wanted.claim), now, |op| Request::Renew {
                    op,
                    name,
                    epoch,
                    ttl,
                });
            }
            (None, None, Some(lease)) => self.request_release(name, lease.epoch, now),
            (None, None, None) => {
                if let Some(entry) = self.names.remove(name)
                    && let Some(at) = entry.due
                {
                    self.due.remove(&(at, name.clone()));
                }
                return;
            }
        }
        self.schedule(name, due);
    }

    fn request_release(&mut self, name: &Arc<str>, epoch: u64, now: Instant) {
        let released = name.clone();
        self.request(name, None, now, |op| Request::Release { op, name: released, epoch });
    }

    fn request(
        &mut self,
        name: &Arc<str>,
        claim: Option<ClaimId>,
        now: Instant,
        make: impl FnOnce(OpId) -> Request,
    ) {
        self.last_op += 1;
        let op = OpId(self.last_op);
        if let Some(entry) = self.names.get_mut(name) {
            entry.busy = Some(Busy { op, claim, started: now });
            self.ops.insert(op, name.clone());
            self.requests.push_back(make(op));
        }
    }

    fn schedule(&mut self, name: &Arc<str>, due: Option<Instant>) {
        let Some(entry) = self.names.get_mut(name) else { return };
        if let Some(former) = std::mem::replace(&mut entry.due, due) {
            self.due.remove(&(former, name.clone()));
        }
        if let Some(at) = due {
            self.due.insert((at, name.clone()));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

impl NodeId {
    /// What its leases say.
    fn value(self) -> Bytes {
        Bytes::copy_from_slice(&self.0.to_be_bytes())
    }

    fn wrote(self, value: &[u8]) -> bool {
        Self::read(value) == Some(self)
    }

    /// The node that has written the value of a lease.
    pub fn read(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(u64::from_be_bytes).map(Self)
    }
}
