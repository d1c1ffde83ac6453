//! The tables as the task of a cluster sees them: what comes from other nodes is read here, and given to connections.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Core, Sink, read, write};
use crate::address::{AddressId, Posted};
use crate::proto::cluster::{ClaimId, Event, Outcome};
use crate::registry::group::{Groups, Table};
use crate::registry::unique::{Names, UniqueNames};

pub(super) struct Tables<M, Meta> {
    names: Weak<Names<M>>,
    groups: Weak<Table<M, Meta>>,
}

impl<M, Meta> Tables<M, Meta> {
    pub(super) fn new(names: &UniqueNames<M>, groups: &Groups<M, Meta>) -> Self {
        Self { names: Arc::downgrade(&names.0), groups: Arc::downgrade(&groups.0) }
    }
}

impl<M, Meta> Tables<M, Meta>
where
    M: Clone + DeserializeOwned + 'static,
{
    fn deliver(&self, core: &Core, claim: ClaimId, message: &[u8]) -> Outcome {
        let target = core.name(claim).and_then(|name| self.names.upgrade()?.target(&name, claim, core.now()));
        let Some(target) = target else { return Outcome::Nobody };
        let Some(message) = read::<M>(message) else { return Outcome::Unreadable };
        match target.deliver(message) {
            Posted::Queued => Outcome::Queued,
            Posted::Refused => Outcome::Refused,
            Posted::Nobody => Outcome::Nobody,
        }
    }
}

impl<M, Meta> Sink for Tables<M, Meta>
where
    M: Clone + DeserializeOwned + 'static,
    Meta: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn handle(&self, core: &Core, event: Event) {
        match event {
            Event::Held { claim, epoch, until } => core.handle_held(claim, epoch, until),
            Event::Renewed { claim, until } => core.handle_renewed(claim, until),
            Event::Lost { claim, reason, .. } => core.handle_lost(claim, reason, self),
            Event::Receipt { receipt, outcome } => core.handle_receipt(receipt, outcome),
            Event::Deliver { claim, from, receipt, message } => {
                let outcome = self.deliver(core, claim, &message);
                if let Some(receipt) = receipt {
                    core.answer(from, receipt, outcome);
                }
            }
            Event::Published { group, message } => {
                let Some(groups) = self.groups.upgrade() else { return };
                if let (Some(targets), Some(message)) = (groups.targets(&group), read::<M>(&message)) {
                    // A full mailbox here is this node's own affair: the publisher has its count.
                    let refused =
                        targets.iter().filter(|target| target.deliver(message.clone()).is_refused()).count();
                    if refused > 0 {
                        tracing::debug!(group = &*group, refused, "members do not keep up");
                    }
                }
            }
            Event::Joined { group, node, serial, meta } => {
                if let (Some(groups), Some(meta)) = (self.groups.upgrade(), read::<Meta>(&meta)) {
                    groups.insert_remote(&group, AddressId::remote(node, serial), meta);
                }
            }
            Event::Left { group, node, serial } => {
                if let Some(groups) = self.groups.upgrade() {
                    groups.remove(&group, AddressId::remote(node, serial));
                }
            }
        }
    }

    fn member(&self, group: &str, serial: u64) -> Option<Bytes> {
        let meta = self.groups.upgrade()?.meta(group, AddressId::local(serial))?;
        crate::sync::guard("Serialize", || write::<Meta>(&meta))?
    }

    fn lost(&self, owner: AddressId, name: &str, serial: u64) {
        if let Some(names) = self.names.upgrade() {
            names.remove(owner, name, serial);
        }
    }
}
