//! One process: its machine, its clock, and what its connections and the world know of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bonito_core::proto::cluster::{ClaimId, ClusterMachine, OpId};
use bonito_core::{Acquired, ClusterOptions, NodeId, Renewed};
use bytes::Bytes;

/// What comes to a process.
#[derive(Debug)]
pub(super) enum Input {
    Frame(Bytes),
    /// The frame with which this node leaves.
    Bye(NodeId, Bytes),
    Gap,
    Acquired(OpId, Result<Acquired, ()>),
    Renewed(OpId, Result<Renewed, ()>),
    Released(OpId, Result<(), ()>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Acquire,
    Renew,
    Release,
}

pub(super) struct Node {
    pub(super) number: u64,
    pub(super) id: NodeId,
    pub(super) machine: ClusterMachine,
    base: Instant,
    /// Its clock in millionths of the world's.
    rate: u64,
    offset: u64,
    pub(super) alive: bool,
    pub(super) linked: bool,
    pub(super) answers_lost: bool,
    pub(super) paused: bool,
    pub(super) inbox: VecDeque<Input>,
    /// Calls that have not been answered.
    pub(super) calls: HashMap<OpId, Call>,
    /// When the machine wants to be woken, in the world's time.
    pub(super) timer: u64,
    /// Claims of this process that are not lost, with the epoch that it was told.
    pub(super) claims: BTreeMap<Arc<str>, (ClaimId, Option<u64>)>,
    pub(super) members: BTreeMap<(Arc<str>, u64), Bytes>,
    /// The members of others, as it was told.
    pub(super) view: BTreeMap<(Arc<str>, NodeId, u64), Bytes>,
    /// The last number that came from each node.
    pub(super) heard: BTreeMap<NodeId, u64>,
    pub(super) sent: u64,
    /// Those who have said that they leave, and until when nothing of them may be seen, on its clock.
    pub(super) left: BTreeMap<NodeId, Instant>,
    /// It leaves in good order, and has these leases to release before it ends.
    pub(super) leaving: bool,
    pub(super) to_release: Vec<(Arc<str>, u64)>,
    /// One of its last calls was not answered, so that a lease may be left.
    pub(super) call_failed: bool,
    /// No other process takes its place.
    pub(super) gone: bool,
}

impl Node {
    pub(super) fn new(
        number: u64,
        base: Instant,
        rate: u64,
        offset: u64,
        now: u64,
        options: &ClusterOptions,
    ) -> Self {
        let id = NodeId::new(number);
        let local = base + Duration::from_micros(offset + now * rate / 1_000_000);
        Self {
            number,
            id,
            machine: ClusterMachine::new(id, options.clone(), local),
            base,
            rate,
            offset,
            alive: true,
            linked: true,
            answers_lost: false,
            paused: false,
            inbox: VecDeque::new(),
            calls: HashMap::new(),
            timer: 0,
            claims: BTreeMap::new(),
            members: BTreeMap::new(),
            view: BTreeMap::new(),
            heard: BTreeMap::new(),
            sent: 0,
            left: BTreeMap::new(),
            leaving: false,
            to_release: Vec::new(),
            call_failed: false,
            gone: false,
        }
    }

    /// What it learns of the leases that it has to release while it leaves.
    pub(super) fn note_last_calls(&mut self, input: &Input) {
        self.call_failed |= matches!(
            input,
            Input::Acquired(_, Err(())) | Input::Renewed(_, Err(())) | Input::Released(_, Err(()))
        );
    }

    /// What its clock says at that time of the world.
    pub(super) fn local(&self, now: u64) -> Instant {
        self.base + Duration::from_micros(self.offset + now * self.rate / 1_000_000)
    }

    /// The time of the world at which its clock says that.
    pub(super) fn world(&self, at: Instant) -> u64 {
        let local =
            u64::try_from(at.saturating_duration_since(self.base).as_micros()).unwrap_or(u64::MAX / 2);
        local.saturating_sub(self.offset).saturating_mul(1_000_000) / self.rate + 1
    }

    pub(super) fn runs(&self) -> bool {
        self.alive && !self.paused
    }

    /// What its members are, as others must know them.
    pub(super) fn listed(&self) -> BTreeSet<(Arc<str>, NodeId, u64, Bytes)> {
        let mine = self.members.iter();
        mine.map(|((group, serial), meta)| (group.clone(), self.id, *serial, meta.clone())).collect()
    }

    pub(super) fn seen(&self) -> BTreeSet<(Arc<str>, NodeId, u64, Bytes)> {
        let seen = self.view.iter();
        seen.map(|((group, node, serial), meta)| (group.clone(), *node, *serial, meta.clone())).collect()
    }
}
