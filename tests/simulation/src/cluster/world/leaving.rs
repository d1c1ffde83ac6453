//! Processes that end in good order: what is theirs is free at once, for others too.

use std::sync::Arc;
use std::time::Duration;

use bonito_core::NodeId;
use bonito_core::proto::cluster::ClaimId;

use super::queue::Happening;
use super::{MILLISECOND, NAMES, TTL, World};

/// Longer than two calls take, one after the other, when nothing goes wrong; and much shorter than a lease.
const AT_ONCE: u64 = 100 * MILLISECOND;

impl World {
    pub(super) fn leave(&mut self, node: usize) -> Result<(), String> {
        if !self.nodes[node].runs() || self.nodes[node].leaving {
            return Ok(());
        }
        self.tally.leaves += 1;
        let id = self.number(node);
        let here = &mut self.nodes[node];
        let local = here.local(self.now);
        let claims = here.claims.iter();
        here.to_release = claims.filter_map(|(name, (_, epoch))| Some((name.clone(), (*epoch)?))).collect();
        here.members.clear();
        here.leaving = true;
        here.machine.shut_down(local);
        // As the runtime does, it waits for the answers to its last calls, and not for ever.
        let patience = here.world(local + Duration::from_micros(TTL / 6));
        self.at(patience, Happening::Ends(node, id));
        self.drain(node)?;
        let here = &self.nodes[node];
        if !here.claims.is_empty() || here.machine.nodes().next().is_some() {
            return Err(format!("{} has left, and still has or sees something", here.id));
        }
        Ok(())
    }

    /// It ends if it has nothing to wait for.
    pub(super) fn end_if_done(&mut self, node: usize) -> Result<(), String> {
        let here = &self.nodes[node];
        if !here.leaving || !here.runs() || !here.calls.is_empty() {
            return Ok(());
        }
        if !here.call_failed {
            for (name, epoch) in &here.to_release {
                if self.broker.live(name, self.now).is_some_and(|held| held.epoch == *epoch) {
                    return Err(format!("{} has left, and {name} is not released", here.id));
                }
            }
        }
        self.end(node);
        Ok(())
    }

    pub(super) fn end(&mut self, node: usize) {
        self.nodes[node].alive = false;
        let time = if self.calm { 1 } else { self.random.range(1, 2 * TTL) };
        self.after(time, Happening::Starts(node));
    }

    /// Those who have said that they leave are not there, whatever comes of what they said before.
    pub(super) fn check_left(&self, node: usize) -> Result<(), String> {
        let here = &self.nodes[node];
        let local = here.local(self.now);
        for (id, until) in &here.left {
            if local < *until {
                self.check_gone(node, *id)?;
            }
        }
        Ok(())
    }

    fn check_gone(&self, node: usize, gone: NodeId) -> Result<(), String> {
        let here = &self.nodes[node];
        let has_name = |name: &&str| here.machine.owner(name).is_some_and(|owner| owner.node == gone);
        if here.machine.nodes().any(|id| id == gone)
            || here.view.keys().any(|(_, id, _)| *id == gone)
            || NAMES.iter().any(has_name)
        {
            return Err(format!("{} sees {gone}, who has left", here.id));
        }
        Ok(())
    }

    pub(super) fn leave_for_good(&mut self, node: usize) -> Result<(), String> {
        let names = self.nodes[node].claims.keys().cloned().collect();
        self.nodes[node].gone = true;
        self.leave(node)?;
        self.after(AT_ONCE, Happening::IsGone(node, names));
        Ok(())
    }

    pub(super) fn is_gone(&mut self, node: usize, names: Vec<Arc<str>>) -> Result<(), String> {
        let gone = self.nodes[node].id;
        if self.nodes[node].alive {
            return Err(format!("{gone} is still leaving"));
        }
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.check_gone(other, gone)?;
        }
        let other = (node + 1) % self.nodes.len();
        for name in names {
            self.serial += 1;
            let claim = ClaimId(self.serial);
            let here = &mut self.nodes[other];
            here.claims.insert(name.clone(), (claim, None));
            here.machine.claim(claim, &name, claim.0, here.local(self.now));
            self.after(AT_ONCE, Happening::IsHeld(other, name));
        }
        self.drain(other)
    }

    pub(super) fn is_held(&mut self, node: usize, name: &Arc<str>) -> Result<(), String> {
        self.tally.freed += 1;
        let here = &self.nodes[node];
        match here.claims.get(name) {
            Some((_, Some(_))) => Ok(()),
            _ => Err(format!("{name} is not free, and who had it has left")),
        }
    }
}
