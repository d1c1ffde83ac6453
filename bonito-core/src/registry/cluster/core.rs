//! What the tables of one clustered registry share with the task that runs it: the machine behind its lock.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::task::AtomicWaker;
use tokio::sync::{oneshot, watch};

use super::Claim;
use super::{OnLost, Stage};
use crate::address::{Address, AddressId};
use crate::cluster::{ClusterBackend, ClusterError};
use crate::host::BoxFuture;
use crate::proto::cluster::{
    ClaimId, ClusterMachine, ClusterOptions, Event, NAME_BYTES, NameLost, NodeId, Outcome, Owner, Transmit,
};
use crate::sync::{guard, lock};

/// Who is told what a machine learns: the tables. Runs the application's code, so it is called under no lock.
pub(crate) trait Sink: Send + Sync {
    fn handle(&self, core: &Core, event: Event);
    /// What a member of this node tells, written; `None` if it is no member.
    fn member(&self, group: &str, serial: u64) -> Option<Bytes>;
    /// The registration of this number has lost its name.
    fn lost(&self, owner: AddressId, name: &str, serial: u64);
}

/// What is needed of the runtime, which is above this.
#[derive(Clone, Copy)]
pub(crate) struct Hands {
    pub(crate) now: fn() -> Instant,
    pub(crate) sleep: fn(Duration) -> BoxFuture,
    pub(crate) spawn: fn(BoxFuture),
}

pub(crate) struct Core {
    pub(crate) backend: Arc<dyn ClusterBackend>,
    pub(crate) options: ClusterOptions,
    hands: Hands,
    pub(crate) machine: Mutex<ClusterMachine>,
    claims: Mutex<HashMap<ClaimId, Claimed>>,
    last_claim: AtomicU64,
    /// Members that came or went, and of which the machine does not know yet.
    changed: Mutex<BTreeSet<(Arc<str>, u64)>>,
    receipts: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
    last_receipt: AtomicU64,
    pub(crate) waker: AtomicWaker,
    left: watch::Sender<bool>,
}

pub(crate) struct Claimed {
    claim: Arc<Claim>,
    owner: AddressId,
    /// Of the registration.
    serial: u64,
    pub(crate) name: Arc<str>,
    on_lost: Option<OnLost>,
}

/// What became of a message to several.
pub(crate) enum Outcomes {
    /// It goes to so many members elsewhere.
    Sent(usize),
    /// There was no room for it, and so many members elsewhere do not get it.
    NoRoom(usize),
}

impl Core {
    pub(crate) fn new(
        backend: Arc<dyn ClusterBackend>,
        options: ClusterOptions,
        node: NodeId,
        hands: Hands,
    ) -> Self {
        Self {
            backend,
            machine: Mutex::new(ClusterMachine::new(node, options.clone(), (hands.now)())),
            options,
            hands,
            claims: Mutex::default(),
            last_claim: AtomicU64::new(0),
            changed: Mutex::default(),
            receipts: Mutex::default(),
            last_receipt: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            left: watch::Sender::new(false),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        (self.hands.now)()
    }

    /// Gives a connection a message as soon as there is room for it.
    pub(crate) fn post<T: Send + 'static>(&self, to: Address<T>, message: T) {
        (self.hands.spawn)(Box::pin(async move { to.send_patiently(message).await }));
    }

    /// The outcome of a future, unless it takes longer.
    pub(crate) async fn within<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T> {
        match select(pin!(future), (self.hands.sleep)(time)).await {
            Either::Left((outcome, _)) => Some(outcome),
            Either::Right(_) => None,
        }
    }

    /// How long a call of the backend may take.
    pub(crate) fn patience(&self) -> Duration {
        self.options.lease_ttl / 6
    }

    /// An error is what is left to drop, outside all locks, since this process has left the cluster.
    pub(crate) fn claim(
        &self,
        name: &Arc<str>,
        owner: AddressId,
        serial: u64,
        on_lost: Option<OnLost>,
    ) -> Result<Arc<Claim>, Option<Claimed>> {
        let claim = Claim::new(ClaimId(self.last_claim.fetch_add(1, Ordering::Relaxed) + 1));
        let claimed = Claimed { claim: claim.clone(), owner, serial, name: name.clone(), on_lost };
        lock(&self.claims).insert(claim.id, claimed);
        let mut machine = lock(&self.machine);
        if machine.is_leaving() {
            drop(machine);
            // Nobody is left to tell what becomes of it.
            return Err(lock(&self.claims).remove(&claim.id));
        }
        machine.claim(claim.id, name, owner.serial(), self.now());
        drop(machine);
        self.waker.wake();
        Ok(claim)
    }

    /// First nobody acts under the name here, then it is free. The registration may outlive its connection.
    pub(crate) fn release(&self, claim: ClaimId) {
        let claimed = lock(&self.claims).remove(&claim);
        if let Some(claimed) = &claimed {
            claimed.claim.set(Stage::Lost(NameLost::Ended));
        }
        lock(&self.machine).release(claim, self.now());
        self.waker.wake();
        drop(claimed);
    }

    /// The name of a claim.
    pub(crate) fn name(&self, claim: ClaimId) -> Option<Arc<str>> {
        lock(&self.claims).get(&claim).map(|claimed| claimed.name.clone())
    }

    pub(crate) fn handle_held(&self, claim: ClaimId, epoch: u64, until: Instant) {
        if let Some(claimed) = lock(&self.claims).get(&claim) {
            claimed.claim.set(Stage::Held { epoch, until });
        }
    }

    pub(crate) fn handle_renewed(&self, claim: ClaimId, until: Instant) {
        if let Some(claimed) = lock(&self.claims).get(&claim) {
            claimed.claim.renew(until);
        }
    }

    /// First nobody acts under the name here, then the loser is told.
    pub(crate) fn handle_lost(&self, claim: ClaimId, reason: NameLost, sink: &dyn Sink) {
        let Some(claimed) = lock(&self.claims).remove(&claim) else { return };
        claimed.claim.set(Stage::Lost(reason));
        sink.lost(claimed.owner, &claimed.name, claimed.serial);
        tracing::debug!(name = &*claimed.name, "a name is lost: {reason}");
        if let Some(on_lost) = claimed.on_lost {
            guard("what is to be done about a lost name", || on_lost(reason));
        }
    }

    pub(crate) fn owner(&self, name: &str) -> Option<Owner> {
        lock(&self.machine).owner(name)
    }

    pub(crate) fn remote_names(&self) -> usize {
        lock(&self.machine).remote_names()
    }

    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        lock(&self.machine).nodes().collect()
    }

    /// Sends a message to a name at another node. Answers whether there was room.
    pub(crate) fn send(&self, name: &str, owner: Owner, receipt: Option<u64>, message: Bytes) -> bool {
        let sent = lock(&self.machine).send(name, owner, receipt, message);
        self.waker.wake();
        sent
    }

    pub(crate) fn remote_members(&self, group: &str) -> usize {
        lock(&self.machine).members(group).iter().map(|(_, members)| members).sum()
    }

    pub(crate) fn publish(&self, group: &str, message: Option<Bytes>) -> Outcomes {
        let mut machine = lock(&self.machine);
        let sent = match message {
            Some(message) => machine.publish(group, message),
            None => None,
        };
        let outcomes = match sent {
            Some(members) => Outcomes::Sent(members),
            None => Outcomes::NoRoom(machine.members(group).iter().map(|(_, members)| members).sum()),
        };
        drop(machine);
        self.waker.wake();
        outcomes
    }

    pub(crate) fn answer(&self, to: NodeId, receipt: u64, outcome: Outcome) {
        lock(&self.machine).answer(to, receipt, outcome);
    }

    /// Expects the word of an owner's node, unless too many do.
    pub(crate) fn expect(self: &Arc<Self>) -> Option<Expected> {
        let (sender, outcome) = oneshot::channel();
        let receipt = self.last_receipt.fetch_add(1, Ordering::Relaxed) + 1;
        let mut receipts = lock(&self.receipts);
        if receipts.len() >= self.options.receipts {
            return None;
        }
        receipts.insert(receipt, sender);
        drop(receipts);
        Some(Expected { core: self.clone(), receipt, outcome })
    }

    pub(crate) fn handle_receipt(&self, receipt: u64, outcome: Outcome) {
        if let Some(sender) = lock(&self.receipts).remove(&receipt) {
            // Who does not wait any more does not mind.
            let _ = sender.send(outcome);
        }
    }

    /// Which other process has the name, as the backend says.
    pub(crate) async fn look_up(&self, name: &str) -> Result<Option<Owner>, ClusterError> {
        // Nobody can have it, and a backend may refuse a key of that length.
        if name.len() > NAME_BYTES {
            return Ok(None);
        }
        let key = self.key(name);
        let read = self.within(self.patience(), self.backend.read(&key)).await;
        let held = read.unwrap_or_else(|| Err(ClusterError::unreachable("no answer in time")))?;
        let here = lock(&self.machine).node();
        Ok(held.and_then(|held| {
            // A lease of this process that nobody here acts under is nobody's.
            let node = NodeId::read(&held.value).filter(|node| *node != here)?;
            Some(Owner { node, serial: 0, epoch: held.epoch })
        }))
    }

    /// The key of a name's lease.
    pub(crate) fn key(&self, name: &str) -> String {
        use base64::Engine as _;
        let name = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(name);
        format!("{}.name._{name}", self.options.scope)
    }

    /// The subject of a node, or of all.
    pub(crate) fn subject(&self, node: Option<NodeId>) -> String {
        match node {
            Some(node) => format!("{}.node.{node}", self.options.scope),
            None => format!("{}.nodes", self.options.scope),
        }
    }

    /// A member of this node came or went.
    pub(crate) fn member_changed(&self, group: &Arc<str>, serial: u64) {
        if !lock(&self.machine).is_leaving() {
            lock(&self.changed).insert((group.clone(), serial));
            self.waker.wake();
        }
    }

    /// Tells the machine of members that came and went, as they are now.
    pub(crate) fn take_changed(&self, sink: &dyn Sink) {
        // Not in the loop's head, where the lock would be held to the loop's end.
        let changed = std::mem::take(&mut *lock(&self.changed));
        for (group, serial) in changed {
            match sink.member(&group, serial) {
                Some(meta) => {
                    let mut machine = lock(&self.machine);
                    if !machine.join(&group, serial, meta) && !machine.is_leaving() {
                        tracing::error!(
                            group = &*group,
                            "a member is not known to other nodes: its group's name or what it tells is too long, or this \
                             node has too many"
                        );
                    }
                }
                None => lock(&self.machine).leave(&group, serial),
            }
        }
    }

    pub(crate) fn poll_transmit(&self) -> Option<Transmit> {
        lock(&self.machine).poll_transmit(self.now())
    }

    pub(crate) fn leave(&self) {
        let mut machine = lock(&self.machine);
        if !machine.is_leaving() {
            machine.shut_down(self.now());
            drop(machine);
            self.waker.wake();
        }
    }

    pub(crate) fn set_left(&self) {
        self.left.send_replace(true);
    }

    pub(crate) async fn left(&self) {
        let _ = self.left.subscribe().wait_for(|left| *left).await;
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("backend", &self.backend).field("options", &self.options).finish()
    }
}

/// The word of an owner's node, that may come.
pub(crate) struct Expected {
    core: Arc<Core>,
    pub(crate) receipt: u64,
    outcome: oneshot::Receiver<Outcome>,
}

impl Expected {
    pub(crate) async fn outcome(mut self) -> Option<Outcome> {
        let patience = self.core.patience() * 2;
        let core = self.core.clone();
        core.within(patience, &mut self.outcome).await?.ok()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        lock(&self.core.receipts).remove(&self.receipt);
    }
}
