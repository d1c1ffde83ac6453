//! From the browser to the application: messages are decoded, the machine takes them, and callbacks run.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use super::{Shared, wake_all};
use crate::proto::DecodeError;
use crate::proto::codec;
use crate::proto::compress;
use crate::proto::message::ClientMessage;
use crate::proto::session::{Epoch, Event, SessionMachine, Status};
use crate::session::{Session, SessionError};
use crate::sync::{guard, lock};

impl Shared {
    /// A message came over this attachment. Stale ones count as done. Answers whether so much waits for the application that no
    /// more should be read, for which [`poll_inbox`](Self::poll_inbox) is to be asked then.
    pub(crate) fn receive(self: &Arc<Self>, epoch: Epoch, bytes: Bytes) -> Result<bool, SessionError> {
        let message = match self.decode(bytes) {
            Ok(message) => message,
            Err(error) => {
                self.with_machine(|machine| machine.handle_malformed(epoch));
                return Err(error.into());
            }
        };
        Ok(self.handle(|machine, now| machine.handle_message(epoch, message, now)).1)
    }

    /// A message came over a connection that has no loop here.
    pub(in crate::session) fn receive_unfenced(self: &Arc<Self>, bytes: Bytes) -> Result<(), SessionError> {
        let (closed, full) =
            self.with_machine(|machine| (machine.status() == Status::Closed, machine.is_inbox_full()));
        if closed {
            return Err(SessionError::closed());
        }
        if full {
            return Err(SessionError::full());
        }
        let message = self.decode(bytes)?;
        if self.handle(|machine, now| machine.handle_unfenced_message(message, now)).0 {
            self.flush();
            Ok(())
        } else {
            Err(SessionError::closed())
        }
    }

    fn decode(&self, bytes: Bytes) -> Result<ClientMessage, DecodeError> {
        let limits = self.host.limits();
        // A socket is told so by its framework before; nobody tells a connection of the application's own.
        if bytes.len() > limits.message_bytes {
            return Err(DecodeError::too_large(format!(
                "expected a message of at most {} bytes, {} came: send less at once",
                limits.message_bytes,
                bytes.len()
            )));
        }
        let bytes = match self.host.compression() {
            Some(_) => compress::decompress(bytes, limits)?,
            None => bytes,
        };
        codec::decode_client(bytes, limits)
    }

    /// Answers whether the input counted, and whether the inbox is full.
    fn handle(self: &Arc<Self>, input: impl FnOnce(&mut SessionMachine, Instant) -> bool) -> (bool, bool) {
        let mut state = lock(&self.state);
        let before = state.machine.status();
        let counted = input(&mut state.machine, self.now());
        if before != state.machine.status() {
            let (told, full) = (state.account(&*self.host), state.machine.is_inbox_full());
            // What is large has waited for the page to be loaded.
            let leg = state.leg.socket.clone();
            drop(state);
            leg.into_iter().for_each(Waker::wake);
            self.host.changed(&Session(self.clone()));
            self.tell(told);
            self.dispatch();
            return (counted, full);
        }
        // As nearly all messages.
        let first = state.begin_dispatch();
        let (told, full) = (state.settle(&*self.host), state.machine.is_inbox_full());
        drop(state);
        self.dispatch_from(first);
        self.tell(told);
        (counted, full)
    }

    /// Runs the application's callbacks for all that has happened, unless somebody already does.
    pub(in crate::session) fn dispatch(self: &Arc<Self>) {
        let first = lock(&self.state).begin_dispatch();
        self.dispatch_from(first);
    }

    fn dispatch_from(self: &Arc<Self>, mut next: Option<Event>) {
        while let Some(event) = next {
            // Callbacks are guarded one by one; this is for what they own, which may panic when it is dropped.
            guard("what a callback owned", || self.handle_event(event));
            let woken = {
                let mut state = lock(&self.state);
                next = state.poll_event();
                state.dispatching = next.is_some();
                state.settle(&*self.host);
                if next.is_none() { state.desk.take_waiting() } else { Vec::new() }
            };
            wake_all(woken);
        }
    }

    fn handle_event(self: &Arc<Self>, event: Event) {
        let session = Session(self.clone());
        match event {
            Event::Update { id, payload } => self.bindings.receive(&session, &id, &payload),
            Event::SubLoaded { session, error } => self.sub_loaded(&session, error),
            Event::SubRemoved { session } => self.sub_removed(&session),
            Event::SubRequested { session, replace } => self.sub_requested(&session, &replace),
            Event::Opened { again, resumed } if !self.is_sub() => {
                self.hooks.run(&session, &event);
                if again {
                    self.tell_subs(&event);
                }
                // In a stream that goes on nothing was lost, and nothing must come twice.
                self.resume_parts(again && !resumed);
            }
            Event::SoftClosed if !self.is_sub() => {
                self.hooks.run(&session, &event);
                self.tell_subs(&event);
            }
            event => self.hooks.run(&session, &event),
        }
    }
}
