//! The lane for large data: what waits there keeps its own order, and holds up nothing on the other.
//!
//! It may have a socket of its own, the *leg*. Source: protocol.md §2.6.

use bytes::Bytes;

use super::{Epoch, SendOutcome, SessionMachine, Status, Transmit};
use crate::Limits;
use crate::id::ObservableId;
use crate::proto::outbox::Outbox;

#[derive(Debug)]
pub(super) struct Large {
    /// Absent until there is something large, as in most sessions.
    outbox: Option<Box<Outbox>>,
    queued_bytes: usize,
    /// The socket that carries this lane alone.
    pub(super) leg: Option<Leg>,
}

#[derive(Debug)]
pub(super) struct Leg {
    epoch: Epoch,
    /// It took the place of another while a page was connected: it may be the first sign of a page that comes anew.
    early: bool,
}

impl Large {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { outbox: None, queued_bytes: limits.queued_large_bytes, leg: None }
    }

    fn outbox(&mut self) -> &mut Outbox {
        self.outbox.get_or_insert_with(|| Box::new(Outbox::new()))
    }

    pub(super) fn len(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }

    pub(super) fn awaits(&self, id: ObservableId) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| outbox.awaits(id))
    }

    pub(super) fn restore(&mut self, unsent: Vec<Transmit>) {
        if !unsent.is_empty() {
            self.outbox().restore(unsent.into_iter());
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Transmit> {
        self.outbox.as_mut()?.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.outbox = None;
    }

    pub(super) fn overflows(&self, messages: usize) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| {
            outbox.len() > 1 && (outbox.others() > messages || outbox.bytes() > self.queued_bytes)
        })
    }
}

/// The leg.
impl SessionMachine {
    /// A socket for large data comes; the one before is stale from now on. `None` if the session is closed.
    pub fn handle_leg_attached(&mut self) -> Option<Epoch> {
        if self.status == Status::Closed {
            return None;
        }
        self.last_epoch = Epoch(self.last_epoch.0 + 1);
        let early = self.large.leg.is_some() && self.attachment.is_some();
        self.large.leg = Some(Leg { epoch: self.last_epoch, early });
        Some(self.last_epoch)
    }

    /// The socket for large data is gone. Answers whether it was the session's own.
    pub fn handle_leg_detached(&mut self, epoch: Epoch) -> bool {
        let current = self.is_current_leg(epoch);
        if current {
            self.large.leg = None;
        }
        current
    }

    /// A page takes over from another. Answers whether the leg was the other's; then it is the session's no more.
    pub fn handle_leg_takeover(&mut self) -> bool {
        match &mut self.large.leg {
            Some(leg) if leg.early => {
                leg.early = false;
                false
            }
            _ => self.handle_leg_left(),
        }
    }

    /// The page is gone, and its leg is the session's no more. Answers whether there was one.
    pub fn handle_leg_left(&mut self) -> bool {
        self.large.leg.take().is_some()
    }

    /// Whether this is the session's own socket for large data.
    pub fn is_current_leg(&self, epoch: Epoch) -> bool {
        self.large.leg.as_ref().is_some_and(|leg| leg.epoch == epoch)
    }

    /// Whether there is a socket for large data alone.
    pub fn has_leg(&self) -> bool {
        self.large.leg.is_some()
    }
}

/// Messages.
impl SessionMachine {
    /// A large message. It keeps its place among the large ones. In a page in the making all have one order.
    pub fn send_large(&mut self, bytes: Bytes) -> SendOutcome {
        if self.status == Status::Uninitialized {
            return self.send(bytes);
        }
        self.push_large(|outbox, _| {
            outbox.push_back(Transmit::barrier(bytes));
            false
        })
    }

    /// A value of an observable with large values. While it cannot be delivered it gives way to the next one.
    pub fn send_large_update(&mut self, id: ObservableId, bytes: Bytes) -> SendOutcome {
        if self.status == Status::Uninitialized {
            return self.send_update(id, bytes);
        }
        self.push_large(|outbox, deliverable| {
            if deliverable {
                outbox.push_back(Transmit::update(id, bytes));
                false
            } else {
                outbox.push_collapsing(id, bytes)
            }
        })
    }

    /// Whether there is something large for the browser, and the browser takes it.
    pub fn has_large_transmit(&self) -> bool {
        self.is_ready() && self.has_room() && !self.large.is_empty()
    }

    /// The next large message. Whoever cannot get rid of it gives it back with
    /// [`handle_large_unsent`](Self::handle_large_unsent).
    #[must_use = "a message that is not sent must be given back"]
    pub fn poll_large_transmit(&mut self) -> Option<Transmit> {
        if !self.is_ready() {
            return None;
        }
        let transmit = match self.stream_mut() {
            Some(_) => self.poll_stream(|machine| machine.large.pop_front())?,
            None => self.large.pop_front()?,
        };
        self.messages_out += 1;
        Some(transmit)
    }

    /// These large messages, the last that were polled, have not reached a socket after all.
    pub fn handle_large_unsent(&mut self, unsent: Vec<Transmit>) {
        if self.status == Status::Closed {
            return;
        }
        self.messages_out = self.messages_out.saturating_sub(unsent.len() as u64);
        if let Some(stream) = self.stream_mut() {
            return stream.ring.unsend(unsent.len());
        }
        self.large.restore(unsent);
    }

    pub(super) fn push_large(&mut self, push: impl FnOnce(&mut Outbox, bool) -> bool) -> SendOutcome {
        if self.status == Status::Closed {
            return SendOutcome::Refused;
        }
        let deliverable = self.is_ready() && self.has_room() && self.large.bytes() < self.congestion_bytes;
        match (push(self.large.outbox(), deliverable), deliverable) {
            (true, _) => SendOutcome::Compacted,
            (false, true) => SendOutcome::Sent,
            (false, false) => SendOutcome::Queued,
        }
    }
}
