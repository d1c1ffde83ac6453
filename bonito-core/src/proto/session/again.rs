//! Values that are sent once more, since the page shows another one.

use bytes::Bytes;

use super::{SendOutcome, SessionMachine, Status};
use crate::frame::Lane;
use crate::id::ObservableId;

impl SessionMachine {
    /// A value that was sent before, once more. Whether or not it can be delivered at once, it gives way to the next one that
    /// cannot, or that is sent again.
    pub fn send_again(&mut self, id: ObservableId, lane: Lane, bytes: Bytes) -> SendOutcome {
        match lane {
            Lane::LargeData if self.status != Status::Uninitialized => {
                self.push_large(|outbox, _| outbox.push_collapsing(id, bytes))
            }
            Lane::LargeData | Lane::LowLatency => self.push(|outbox, _| outbox.push_collapsing(id, bytes)),
        }
    }

    /// Whether a value of the observable that could not be delivered, or was [sent again](Self::send_again), waits behind all
    /// that is no value.
    pub fn awaits(&self, id: ObservableId) -> bool {
        self.outbox.awaits(id) || self.large.awaits(id)
    }
}
