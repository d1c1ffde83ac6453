//! Values that the page is to see each of.

use bytes::Bytes;

use super::{SendOutcome, SessionMachine, Status, Transmit};

/// Commands of the application.
impl SessionMachine {
    /// A value of an observable that is never left out: it counts like any other message, and others may still collapse across
    /// it.
    pub fn send_each(&mut self, bytes: Bytes) -> SendOutcome {
        self.push(|outbox, _| {
            outbox.push_back(Transmit::each(bytes));
            false
        })
    }

    /// The same among the large ones.
    pub fn send_large_each(&mut self, bytes: Bytes) -> SendOutcome {
        if self.status == Status::Uninitialized {
            return self.send_each(bytes);
        }
        self.push_large(|outbox, _| {
            outbox.push_back(Transmit::each(bytes));
            false
        })
    }
}
