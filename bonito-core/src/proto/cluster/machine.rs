//! The machine of one node. See the [module](super).

mod gossip;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::frame::{Blob, Body, Change, Frame};
use super::names::{Names, Timing};
use super::peers::Peers;
use super::roster::{Peer, Roster};
use super::{
    ClaimId, ClusterOptions, Event, NAME_BYTES, NameLost, NodeId, OpId, Outcome, Owner, Request, Transmit,
};
use crate::cluster::{Acquired, ClusterError, Renewed};
use crate::proto::later;

/// See the [module](super).
#[derive(Debug)]
pub struct ClusterMachine {
    node: NodeId,
    options: ClusterOptions,
    names: Names,
    /// The connections behind the claims, for the roster.
    serials: BTreeMap<ClaimId, u64>,
    roster: Roster,
    peers: Peers,
    outbox: VecDeque<Transmit>,
    outbox_bytes: usize,
    /// What was asked for, and is answered when there is nothing else to send.
    pulls: BTreeMap<NodeId, Option<u64>>,
    /// Whom to tell where the roster stands, besides all at the next time.
    greet: BTreeSet<NodeId>,
    /// When to tell all.
    hello: Instant,
    says_hello: bool,
    leaving: bool,
    /// The time of the last input.
    now: Instant,
    events: VecDeque<Event>,
    refused: u64,
}

/// Getters.
impl ClusterMachine {
    /// A node that has nothing and knows nobody.
    pub fn new(node: NodeId, options: ClusterOptions, now: Instant) -> Self {
        let names = Names::new(node, Timing::new(options.lease_ttl));
        let heartbeat = options.lease_ttl / 4;
        Self {
            node,
            options,
            names,
            serials: BTreeMap::new(),
            roster: Roster::default(),
            peers: Peers::default(),
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            pulls: BTreeMap::new(),
            greet: BTreeSet::new(),
            hello: later(now, heartbeat),
            says_hello: true,
            leaving: false,
            now,
            events: VecDeque::new(),
            refused: 0,
        }
    }

    /// The name of this node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The epoch in which the claim may act under its name at this time; `None` if it may not.
    ///
    /// Ask it with the time of the act. An answer is right for that time only.
    pub fn may_act(&self, claim: ClaimId, now: Instant) -> Option<u64> {
        self.names.may_act(claim, now)
    }

    /// Who has this name, as far as known here: not if it is this node.
    pub fn owner(&self, name: &str) -> Option<Owner> {
        self.peers.owner(name)
    }

    /// The nodes that have members in this group, and how many, as far as known here: without this node.
    pub fn members(&self, group: &str) -> Vec<(NodeId, usize)> {
        self.peers.members(group).collect()
    }

    /// The other nodes that are there, as far as known here.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.peers.nodes.keys().copied()
    }

    /// How many names the other nodes have, as far as known here.
    pub fn remote_names(&self) -> usize {
        self.peers.names()
    }

    /// Frames of other nodes that were refused.
    pub fn refused_frames(&self) -> u64 {
        self.refused
    }

    /// Whether it has been [shut down](Self::shut_down).
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Whether a frame with so many more bytes may be sent now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.outbox_bytes.saturating_add(bytes) <= self.options.outbox_bytes
    }

    fn heartbeat(&self) -> Duration {
        self.options.lease_ttl / 4
    }
}

/// Commands.
impl ClusterMachine {
    /// A connection of this node wants the name. [`Event::Held`] or [`Event::Lost`] follows. An earlier claim of the name in
    /// this node counts as released.
    pub fn claim(&mut self, claim: ClaimId, name: &Arc<str>, serial: u64, now: Instant) {
        self.tick(now);
        let reason = match () {
            () if self.leaving => Some(NameLost::Left),
            () if name.len() > NAME_BYTES || self.is_full() => Some(NameLost::Refused),
            () => None,
        };
        if let Some(reason) = reason {
            self.events.push_back(Event::Lost { claim, name: name.clone(), reason });
            return;
        }
        self.roster.unset_name(name);
        self.serials.insert(claim, serial);
        self.names.claim(claim, name, now);
    }

    /// The connection does not want its name any more, and does not act under it.
    pub fn release(&mut self, claim: ClaimId, now: Instant) {
        self.tick(now);
        self.serials.remove(&claim);
        if let Some(name) = self.names.release(claim, now) {
            self.roster.unset_name(&name);
        }
    }

    /// A connection of this node is in the group, and tells this. Answers whether others may know.
    pub fn join(&mut self, group: &Arc<str>, serial: u64, meta: Bytes) -> bool {
        let fits = !self.leaving && group.len() <= NAME_BYTES && meta.len() <= self.options.meta_bytes;
        fits && self.roster.set_member(group, serial, meta, !self.is_full())
    }

    /// It is not any more.
    pub fn leave(&mut self, group: &Arc<str>, serial: u64) {
        self.roster.unset_member(group, serial);
    }

    /// Sends a message to whoever has this name at another node. Answers whether there was room.
    pub fn send(&mut self, name: &str, owner: Owner, receipt: Option<u64>, message: Bytes) -> bool {
        if !self.fits(name, &message) {
            return false;
        }
        let body = Body::Send { name: name.to_owned(), epoch: owner.epoch, receipt, message: Blob(message) };
        self.transmit(Some(owner.node), body);
        true
    }

    /// Sends a message to the members of a group at other nodes, encoded once. Answers how many members that are, as far as
    /// known here, or `None` if there was no room.
    pub fn publish(&mut self, group: &str, message: Bytes) -> Option<usize> {
        let nodes = self.members(group);
        if nodes.is_empty() {
            return Some(0);
        }
        if !self.fits(group, &message) {
            return None;
        }
        let body = Body::Publish { group: group.to_owned(), message: Blob(message) };
        let bytes = self.encode(body)?;
        for (node, _) in &nodes {
            self.enqueue(Some(*node), bytes.clone());
        }
        Some(nodes.iter().map(|(_, members)| members).sum())
    }

    /// What became of a message of [`Event::Deliver`] that came with a receipt.
    pub fn answer(&mut self, to: NodeId, receipt: u64, outcome: Outcome) {
        if self.has_room(64) {
            self.transmit(Some(to), Body::Receipt { receipt, outcome });
        }
    }

    /// This node leaves: all claims count as released, the others are told and are not known any more, and nothing is claimed
    /// or heard.
    pub fn shut_down(&mut self, now: Instant) {
        self.tick(now);
        for claim in std::mem::take(&mut self.serials).into_keys() {
            if let Some(name) = self.names.release(claim, now) {
                self.events.push_back(Event::Lost { claim, name, reason: NameLost::Left });
            }
        }
        for node in self.nodes().collect::<Vec<_>>() {
            self.peers.remove(node, &mut self.events);
        }
        self.leaving = true;
        self.transmit(None, Body::Bye);
    }

    /// Whether one more name or member were more than others take.
    fn is_full(&self) -> bool {
        self.names.len() + self.roster.members() >= self.options.entries
    }

    fn fits(&self, name: &str, message: &Bytes) -> bool {
        name.len() <= NAME_BYTES
            && message.len().saturating_add(name.len() + 64) <= self.options.frame_bytes
            && self.has_room(message.len())
    }
}

/// Inputs.
impl ClusterMachine {
    /// The answer to [`Request::Acquire`].
    pub fn handle_acquired(&mut self, op: OpId, result: Result<Acquired, ClusterError>, now: Instant) {
        self.tick(now);
        let events = self.events.len();
        self.names.handle_acquired(op, result, now, &mut self.events);
        self.list_names(events);
    }

    /// The answer to [`Request::Renew`].
    pub fn handle_renewed(&mut self, op: OpId, result: Result<Renewed, ClusterError>, now: Instant) {
        self.tick(now);
        let events = self.events.len();
        self.names.handle_renewed(op, result, now, &mut self.events);
        self.list_names(events);
    }

    /// The answer to [`Request::Release`].
    pub fn handle_released(&mut self, op: OpId, _result: Result<(), ClusterError>, now: Instant) {
        self.tick(now);
        self.names.handle_released(op, now);
    }

    /// A frame has come. One that cannot be read, or goes over a bound, is refused with a log.
    pub fn handle_frame(&mut self, bytes: &[u8], now: Instant) {
        self.tick(now);
        if self.leaving {
            return;
        }
        let frame = match Frame::decode(bytes, &self.options) {
            Ok(frame) => frame,
            Err(error) => {
                self.refused += 1;
                // A flood is not to fill the log.
                if self.refused.is_power_of_two() {
                    tracing::warn!(refused = self.refused, "a frame of another node is refused: {error}");
                }
                return;
            }
        };
        let from = frame.from;
        if from == self.node {
            return;
        }
        if matches!(frame.body, Body::Bye) {
            return self.peers.leave(from, now, self.options.nodes, &mut self.events);
        }
        // What it published before it left may come later, on its other subject. Its messages count, but it is not there.
        let is_message =
            matches!(frame.body, Body::Send { .. } | Body::Receipt { .. } | Body::Publish { .. });
        let has_left = self.peers.has_left(from);
        if has_left && !is_message || !has_left && !self.hear(from, now) {
            return;
        }
        match frame.body {
            Body::Bye => {}
            Body::Hello { version, digest } => {
                let Some(peer) = self.peers.nodes.get(&from) else { return };
                match peer.version {
                    // A change has overtaken this frame.
                    Some(known) if known > version => {}
                    Some(known) if known < version => self.pull(from, Some(known), now),
                    Some(_) if peer.entries.digest == digest => {}
                    // What should not be: only everything anew puts it right.
                    Some(_) | None => self.pull(from, None, now),
                }
            }
            Body::Pull { have } => _ = self.pulls.insert(from, have),
            Body::Delta { base, changes } => self.handle_delta(from, base, changes, now),
            Body::Snapshot { version, part, parts, entries } => {
                let room = self.options.entries;
                if let Some(peer) = self.peers.nodes.get_mut(&from)
                    && let Some(changed) = peer.take_part(version, part, parts, entries, room)
                {
                    peer.pulled = None;
                    self.peers.note(from, changed, &mut self.events);
                }
            }
            Body::Send { name, epoch, receipt, message } => match self.names.owner(&name, now) {
                Some((claim, held)) if held == epoch => {
                    let message = message.0;
                    self.events.push_back(Event::Deliver { claim, from, receipt, message });
                }
                _ => {
                    if let Some(receipt) = receipt {
                        self.answer(from, receipt, Outcome::Nobody);
                    }
                }
            },
            Body::Receipt { receipt, outcome } => self.events.push_back(Event::Receipt { receipt, outcome }),
            Body::Publish { group, message } => {
                self.events.push_back(Event::Published { group: group.into(), message: message.0 });
            }
        }
    }

    /// Messages may have been missed.
    pub fn handle_gap(&mut self, now: Instant) {
        self.tick(now);
        self.says_hello = true;
        for (node, peer) in &mut self.peers.nodes {
            peer.pulled = None;
            self.greet.insert(*node);
        }
    }

    /// What waited to be published is lost: the backend cannot be reached.
    pub fn handle_publish_failed(&mut self) {
        self.outbox.clear();
        self.outbox_bytes = 0;
    }

    /// A time of [`poll_timeout`](Self::poll_timeout) has come. To be called before any other input if several are there,
    /// but after the frames that have come: the silence may have been this process's own.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        self.peers.forget_left(self.options.lease_ttl, now);
        let silent: Vec<_> = self
            .peers
            .nodes
            .iter()
            .filter(|(_, peer)| later(peer.heard, self.options.lease_ttl) <= now)
            .map(|(node, _)| *node)
            .collect();
        for node in silent {
            self.peers.remove(node, &mut self.events);
        }
        if self.hello <= now {
            self.hello = later(now, self.heartbeat());
            self.says_hello = true;
        }
    }

    /// Names first: whatever comes, no time is given to one whose time is over.
    fn tick(&mut self, now: Instant) {
        let events = self.events.len();
        self.names.handle_timeout(now, &mut self.events);
        self.list_names(events);
        let pause = now.saturating_duration_since(self.now);
        if pause > self.options.lease_ttl / 2 {
            // This process has not run. The others get their time anew, and are asked.
            for peer in self.peers.nodes.values_mut() {
                peer.heard = now;
                peer.pulled = None;
            }
            self.says_hello = true;
        }
        self.now = self.now.max(now);
    }

    /// Puts names into the roster and takes them out, by the events from this one on.
    fn list_names(&mut self, from: usize) {
        for event in self.events.range(from..) {
            match event {
                Event::Held { claim, epoch, .. } => {
                    let serial = self.serials.get(claim).copied().unwrap_or_default();
                    if let Some(name) = self.names.name(*claim) {
                        self.roster.set_name(name, serial, *epoch);
                    }
                }
                Event::Lost { claim, name, .. } => {
                    self.serials.remove(claim);
                    self.roster.unset_name(name);
                }
                _ => {}
            }
        }
    }

    /// Answers whether the node is one of those that are seen.
    fn hear(&mut self, node: NodeId, now: Instant) -> bool {
        if let Some(peer) = self.peers.nodes.get_mut(&node) {
            peer.heard = now;
            return true;
        }
        if self.peers.nodes.len() >= self.options.nodes {
            self.refused += 1;
            if self.refused.is_power_of_two() {
                tracing::error!(%node, "there are more nodes than this one takes: it is not seen");
            }
            return false;
        }
        self.peers.nodes.insert(node, Peer::new(now));
        // It has not heard of this node, or not what is new, and need not wait for the next time.
        self.greet.insert(node);
        true
    }

    fn handle_delta(&mut self, from: NodeId, base: u64, changes: Vec<Change>, now: Instant) {
        let room = self.options.entries;
        let Some(peer) = self.peers.nodes.get_mut(&from) else { return };
        let have = peer.version;
        match peer.apply(base, changes, room) {
            Some(changed) => {
                peer.pulled = None;
                self.peers.note(from, changed, &mut self.events);
            }
            None => self.pull(from, have, now),
        }
    }

    /// Asks a node for what is missing, unless it has just been asked.
    fn pull(&mut self, node: NodeId, have: Option<u64>, now: Instant) {
        let again = self.options.lease_ttl / 6;
        let Some(peer) = self.peers.nodes.get_mut(&node) else { return };
        if peer.too_large || peer.pulled.is_some_and(|at| later(at, again) > now) {
            return;
        }
        peer.pulled = Some(now);
        self.transmit(Some(node), Body::Pull { have });
    }
}

/// Outputs.
impl ClusterMachine {
    /// The next thing to tell.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next call of the backend.
    #[must_use]
    pub fn poll_request(&mut self) -> Option<Request> {
        self.names.requests.pop_front()
    }

    /// The next frame to publish. They go out in this order.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        // Behind what waits, so that much of it is said at once; but however much there is, the others hear of this node.
        if self.outbox.is_empty() || self.says_hello {
            self.gossip(now);
        }
        let transmit = self.outbox.pop_front()?;
        self.outbox_bytes = self.outbox_bytes.saturating_sub(transmit.bytes.len());
        Some(transmit)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and poll.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let silent = self.peers.heard().map(|heard| later(heard, self.options.lease_ttl));
        [self.names.poll_timeout(), silent].into_iter().flatten().fold(self.hello, Instant::min)
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
