//! Whether what happens may: what each node is told, and what holds of all of them after each step and at the end.

use std::collections::BTreeSet;

use bonito_core::NameLost;
use bonito_core::proto::cluster::{Event, Outcome};

use super::{CALM, GROUPS, Mutant, NAMES, Node, TTL, World};

impl World {
    pub(super) fn told(&mut self, node: usize, event: Event) -> Result<(), String> {
        let now = self.now;
        let here = &mut self.nodes[node];
        let local = here.local(now);
        match event {
            Event::Held { claim, epoch, .. } => {
                self.tally.held += 1;
                let told = here.claims.values_mut().find(|(mine, _)| *mine == claim);
                let (_, held) = told.ok_or("a claim is held that nobody wants")?;
                *held = Some(epoch);
            }
            Event::Renewed { claim, .. } => {
                if !here.claims.values().any(|(mine, epoch)| *mine == claim && epoch.is_some()) {
                    return Err("a claim is renewed that is not held".into());
                }
            }
            Event::Lost { claim, name, reason } => {
                let lost = here.claims.remove(&name).ok_or("a claim is lost that nobody has")?;
                if lost.0 != claim {
                    return Err("another claim is lost than is there".into());
                }
                match reason {
                    NameLost::Taken => self.tally.taken += 1,
                    NameLost::Expired if self.calm && now > CALM + TTL => {
                        return Err(format!("{name} is lost, and nothing is wrong"));
                    }
                    NameLost::Expired => self.tally.expired += 1,
                    _ => {}
                }
            }
            Event::Deliver { claim, from, receipt, message } => {
                self.tally.delivered += 1;
                let text = String::from_utf8(message.to_vec()).unwrap();
                let [sender, number, name, epoch] = text.split(' ').collect::<Vec<_>>()[..] else {
                    return Err(format!("{text} came as a message to a name"));
                };
                if here.claims.get(name).map(|(mine, _)| *mine) != Some(claim) {
                    return Err(format!("a message to {name} came to another claim"));
                }
                if here.machine.may_act(claim, local).map(|epoch| epoch.to_string()).as_deref() != Some(epoch)
                {
                    return Err(format!("a message of epoch {epoch} came to {name}, who may not act in it"));
                }
                here.machine.answer(from, receipt.unwrap(), Outcome::Queued);
                self.in_order(node, sender, number)?;
            }
            Event::Published { message, .. } => {
                self.tally.published += 1;
                let text = String::from_utf8(message.to_vec()).unwrap();
                let (sender, number) = text.split_once(' ').ok_or("no number")?;
                self.in_order(node, sender, number)?;
            }
            Event::Receipt { outcome, .. } => {
                if outcome == Outcome::Nobody {
                    self.tally.stale += 1;
                }
            }
            Event::Joined { group, node, serial, meta } => _ = here.view.insert((group, node, serial), meta),
            Event::Left { group, node, serial } => {
                here.view.remove(&(group, node, serial)).ok_or("a member left that was not there")?;
            }
        }
        Ok(())
    }

    /// Messages of one process come in order and once.
    fn in_order(&mut self, node: usize, sender: &str, number: &str) -> Result<(), String> {
        let (sender, number) = (sender.parse().unwrap(), number.parse().unwrap());
        let last =
            self.nodes[node].heard.insert(bonito_core::NodeId::new(sender), number).unwrap_or_default();
        if number > last { Ok(()) } else { Err(format!("message {number} came after {last}")) }
    }

    /// Who may act under each name at this very moment.
    pub(super) fn check(&mut self) -> Result<(), String> {
        for node in self.nodes.iter().filter(|node| node.runs()) {
            let local = node.local(self.now);
            for (name, (claim, told)) in &node.claims {
                let epoch = match self.mutant {
                    Some(Mutant::ActsOnTrust) => *told,
                    _ => node.machine.may_act(*claim, local),
                };
                let Some(epoch) = epoch else { continue };
                let who = node.number;
                match self.acting.get(name) {
                    Some((later, _, _)) if *later > epoch => {
                        return Err(format!("{name}: node {who} acts in epoch {epoch} after epoch {later}"));
                    }
                    Some((same, other, theirs)) if *same == epoch && (*other, *theirs) != (who, *claim) => {
                        return Err(format!("{name}: nodes {who} and {other} act in epoch {epoch}"));
                    }
                    former => {
                        if former.is_some_and(|(_, other, _)| *other != who) {
                            self.tally.moved += 1;
                        }
                        self.acting.insert(name.clone(), (epoch, who, *claim));
                    }
                }
            }
        }
        // One node after the other, so also two that act now in different epochs are found, whatever their order.
        for name in NAMES {
            let acts = |node: &&Node| {
                let claim = node.claims.get(name);
                claim.is_some_and(|(claim, _)| node.machine.may_act(*claim, node.local(self.now)).is_some())
            };
            if self.nodes.iter().filter(|node| node.runs()).filter(acts).count() > 1 {
                return Err(format!("{name}: two nodes may act"));
            }
        }
        Ok(())
    }

    /// Nothing has gone wrong for long: everybody knows everything.
    pub(super) fn check_end(&self) -> Result<(), String> {
        let nodes: Vec<_> = self.nodes.iter().filter(|node| !node.gone).collect();
        let all: BTreeSet<_> = nodes.iter().flat_map(|node| node.listed()).collect();
        for node in &nodes {
            let me = node.id;
            let others: Vec<_> = nodes.iter().map(|node| node.id).filter(|id| *id != me).collect();
            let known: BTreeSet<_> = node.machine.nodes().collect();
            if known != others.iter().copied().collect() {
                return Err(format!("{me} knows {known:?} of {others:?}"));
            }
            let theirs: BTreeSet<_> = all.iter().filter(|(_, id, ..)| *id != me).cloned().collect();
            if node.seen() != theirs {
                return Err(format!("{me} sees {:?} in place of {theirs:?}", node.seen()));
            }
            for group in GROUPS {
                let members: usize = node.machine.members(group).iter().map(|(_, members)| members).sum();
                let expected = theirs.iter().filter(|(name, ..)| &**name == group).count();
                if members != expected {
                    return Err(format!("{me} counts {members} in place of {expected} in {group}"));
                }
            }
            for name in NAMES {
                let owner = nodes.iter().filter(|other| other.id != me).find_map(|other| {
                    let (claim, _) = other.claims.get(name)?;
                    Some((other.id, other.machine.may_act(*claim, other.local(self.now))?))
                });
                let known = node.machine.owner(name).map(|owner| (owner.node, owner.epoch));
                if known != owner {
                    return Err(format!("{me} knows {known:?} as {name} in place of {owner:?}"));
                }
            }
            for (name, (claim, _)) in &node.claims {
                let epoch = node.machine.may_act(*claim, node.local(self.now));
                let there = self.broker.live(name, self.now).map(|held| held.epoch);
                if epoch.is_none() || epoch != there {
                    return Err(format!(
                        "{me} claims {name}, and is {epoch:?} where the broker has {there:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}
