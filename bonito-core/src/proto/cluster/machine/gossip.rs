//! What a node says of itself without being told to, and the frames that wait to be published.

use std::time::Instant;

use bytes::Bytes;

use super::super::frame::{Body, Frame};
use super::super::{NodeId, Transmit};
use super::ClusterMachine;
use crate::proto::later;

impl ClusterMachine {
    /// Says what others want to know of the roster.
    pub(super) fn gossip(&mut self, now: Instant) {
        if self.leaving {
            return;
        }
        let room = self.options.frame_bytes / 2;
        for node in std::mem::take(&mut self.greet) {
            self.transmit(Some(node), self.stand());
        }
        if std::mem::take(&mut self.says_hello) {
            self.transmit(None, self.stand());
        }
        while self.roster.told < self.roster.version {
            let base = self.roster.told;
            let Some(changes) = self.roster.since(base, room).filter(|changes| !changes.is_empty()) else {
                // Too much has changed: they ask for it.
                self.roster.told = self.roster.version;
                self.transmit(None, self.stand());
                break;
            };
            self.roster.told += changes.len() as u64;
            let nodes: Vec<_> = self.nodes().filter(|node| !self.pulls.contains_key(node)).collect();
            if let Some(bytes) = self.encode(Body::Delta { base, changes }) {
                nodes.into_iter().for_each(|node| self.enqueue(Some(node), bytes.clone()));
            }
        }
        // Each may be all of the roster. The others wait until that is sent, so that messages find room between them.
        while self.outbox_bytes < self.options.outbox_bytes / 2
            && let Some((node, have)) = self.pulls.pop_first()
        {
            self.serve(node, have, room, now);
        }
    }

    fn stand(&self) -> Body {
        Body::Hello { version: self.roster.version, digest: self.roster.digest() }
    }

    fn serve(&mut self, node: NodeId, have: Option<u64>, room: usize, now: Instant) {
        let Some(peer) = self.peers.nodes.get_mut(&node) else { return };
        if let Some(base) = have
            && let Some(changes) = self.roster.since(base, room)
            && base.saturating_add(changes.len() as u64) == self.roster.version
        {
            return self.transmit(Some(node), Body::Delta { base, changes });
        }
        // All of it is much, and not given as often as somebody may ask.
        if peer.served.is_some_and(|at| later(at, self.options.lease_ttl / 12) > now) {
            return;
        }
        peer.served = Some(now);
        let version = self.roster.version;
        let all = self.roster.parts(room);
        let parts = u32::try_from(all.len()).unwrap_or(u32::MAX);
        for (part, entries) in (0..).zip(all) {
            self.transmit(Some(node), Body::Snapshot { version, part, parts, entries });
        }
    }

    pub(super) fn transmit(&mut self, to: Option<NodeId>, body: Body) {
        if let Some(bytes) = self.encode(body) {
            self.enqueue(to, bytes);
        }
    }

    pub(super) fn encode(&self, body: Body) -> Option<Bytes> {
        Frame { from: self.node, body }
            .encode()
            .inspect_err(|error| tracing::error!("a frame for other nodes cannot be written: {error}"))
            .ok()
    }

    pub(super) fn enqueue(&mut self, to: Option<NodeId>, bytes: Bytes) {
        self.outbox_bytes += bytes.len();
        self.outbox.push_back(Transmit { to, bytes });
    }
}
