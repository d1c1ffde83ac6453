//! What is known of the other nodes, and where a name or a group is by that.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frame::Change;
use super::roster::{Changed, Key, Peer};
use super::{Event, NodeId, Owner};
use crate::proto::later;

#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) nodes: BTreeMap<NodeId, Peer>,
    /// Those that have said that they leave, and when: what they said before may still be under way.
    left: BTreeMap<NodeId, Instant>,
    /// More than one node may say that it has a name: the one with the highest epoch does.
    owners: HashMap<Arc<str>, Vec<Owner>>,
    /// How many members each node has in a group.
    groups: HashMap<Arc<str>, BTreeMap<NodeId, usize>>,
}

impl Peers {
    pub(super) fn owner(&self, name: &str) -> Option<Owner> {
        self.owners.get(name)?.iter().max_by_key(|owner| owner.epoch).copied()
    }

    pub(super) fn members(&self, group: &str) -> impl Iterator<Item = (NodeId, usize)> {
        self.groups.get(group).into_iter().flatten().map(|(node, members)| (*node, *members))
    }

    pub(super) fn names(&self) -> usize {
        self.owners.len()
    }

    /// Takes note of what has become another with a node.
    pub(super) fn note(&mut self, node: NodeId, changed: Vec<Changed>, events: &mut VecDeque<Event>) {
        for (key, former, now) in changed {
            match key {
                Key::Name(name) => self.note_name(node, &name, now.as_ref()),
                Key::Member(group, serial) => {
                    let members = self.groups.entry(group.clone()).or_default();
                    let count = members.entry(node).or_default();
                    match (&former, &now) {
                        (None, Some(_)) => *count += 1,
                        (Some(_), None) => *count -= 1,
                        _ => {}
                    }
                    if *count == 0 {
                        members.remove(&node);
                    }
                    if members.is_empty() {
                        self.groups.remove(&group);
                    }
                    match (now, former) {
                        (Some(Change::Member { meta, .. }), _) => {
                            events.push_back(Event::Joined { group, node, serial, meta: meta.0 });
                        }
                        (None, Some(_)) => events.push_back(Event::Left { group, node, serial }),
                        _ => {}
                    }
                }
            }
        }
    }

    fn note_name(&mut self, node: NodeId, name: &Arc<str>, now: Option<&Change>) {
        let owners = self.owners.entry(name.clone()).or_default();
        owners.retain(|owner| owner.node != node);
        if let Some(Change::Name { serial, epoch, .. }) = now {
            owners.push(Owner { node, serial: *serial, epoch: *epoch });
        }
        if owners.is_empty() {
            self.owners.remove(name);
        }
    }

    /// The node is not there any more, nor what it had.
    pub(super) fn remove(&mut self, node: NodeId, events: &mut VecDeque<Event>) {
        if let Some(mut peer) = self.nodes.remove(&node) {
            let gone = peer.clear();
            self.note(node, gone, events);
        }
    }

    /// The node says that it leaves. So many that have left are remembered.
    pub(super) fn leave(&mut self, node: NodeId, now: Instant, most: usize, events: &mut VecDeque<Event>) {
        self.remove(node, events);
        if self.left.len() >= most && !self.left.contains_key(&node) {
            let oldest = self.left.iter().min_by_key(|(_, at)| **at).map(|(node, _)| *node);
            oldest.map(|oldest| self.left.remove(&oldest));
        }
        self.left.insert(node, now);
    }

    pub(super) fn has_left(&self, node: NodeId) -> bool {
        self.left.contains_key(&node)
    }

    /// What a node said so long ago is not under way any more.
    pub(super) fn forget_left(&mut self, after: Duration, now: Instant) {
        self.left.retain(|_, at| later(*at, after) > now);
    }

    /// When the one that was silent longest was heard.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.nodes.values().map(|peer| peer.heard).min()
    }
}
