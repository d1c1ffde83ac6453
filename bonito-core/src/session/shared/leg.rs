//! The two lanes of messages, and the socket for large data alone, beside the one that serves the session.

use std::sync::Arc;
use std::task::Waker;

use super::attachment::{Attach, restore};
use super::{Shared, State, wake_all};
use crate::connection::{Lanes, WebSocketHandler};
use crate::frame::Lane;
use crate::proto::outbox::Transmit;
use crate::proto::session::Epoch;
use crate::runtime::Disconnect;
use crate::sync::lock;

/// What the session keeps of the leg.
#[derive(Debug, Default)]
pub(super) struct Leg {
    pub(super) socket: Option<Waker>,
    /// Somebody hands large messages to it.
    pub(super) writing: bool,
    /// The number of the socket that the leg went to last.
    attached: u64,
}

impl Shared {
    /// A socket for large data has come. The newest has the leg, and those before it not at all.
    pub(crate) fn leg_ticket(&self) -> u64 {
        let mut state = lock(&self.state);
        state.tickets += 1;
        state.tickets
    }

    /// A socket's loop takes the leg over, once the writer has finished.
    pub(crate) fn poll_attach_leg(
        self: &Arc<Self>,
        handler: &WebSocketHandler,
        ticket: u64,
        waker: &Waker,
    ) -> Attach {
        let (former, epoch) = {
            let mut state = lock(&self.state);
            if ticket < state.leg.attached {
                return Attach::Superseded;
            }
            if state.machine.has_stream() {
                return Attach::Plain;
            }
            if state.leg.writing {
                state.desk.wait(waker);
                return Attach::Wait(None);
            }
            let Some(epoch) = state.machine.handle_leg_attached() else { return Attach::Closed };
            state.leg.attached = ticket;
            state.holding.land(Lanes::Only(Lane::LargeData));
            let unsent = handler.begin(epoch);
            restore(&mut state.machine, unsent);
            state.account(&*self.host);
            (state.leg.socket.replace(waker.clone()), epoch)
        };
        former.into_iter().for_each(Waker::wake);
        Attach::Done(epoch)
    }

    /// Whether the loop of this leg has to end, and why. If not, the waker is called when there is something to do.
    pub(crate) fn poll_leg_end(
        &self,
        epoch: Epoch,
        handler: &WebSocketHandler,
        waker: &Waker,
    ) -> Option<Disconnect> {
        let _former = {
            let mut state = lock(&self.state);
            if let Some(reason) = state.machine.close_reason() {
                return Some(Disconnect::SessionClosed(reason));
            }
            if !state.machine.is_current_leg(epoch) {
                drop(state);
                // One that went with its page may come back, one that a newer leg has replaced not.
                let closing = handler.poll_closing(epoch, waker).is_ready();
                return Some(if closing { Disconnect::HandlerClosed } else { Disconnect::Superseded });
            }
            match &state.leg.socket {
                Some(registered) if registered.will_wake(waker) => None,
                _ => state.leg.socket.replace(waker.clone()),
            }
        };
        handler.poll_closing(epoch, waker).is_ready().then_some(Disconnect::HandlerClosed)
    }

    /// The leg's socket is gone. Its page makes both sockets anew, but in a drain, where each leaves in its turn.
    pub(crate) fn detach_leg(&self, epoch: Epoch, handler: &WebSocketHandler) {
        let draining = self.host.drain().is_some();
        let (woken, _wakers) = {
            let mut state = lock(&self.state);
            let (unsent, waker) = handler.end(epoch);
            restore(&mut state.machine, unsent);
            state.holding.land(Lanes::Only(Lane::LargeData));
            state.account(&*self.host);
            let current = state.machine.is_current_leg(epoch);
            let (mut socket, mut woken) = (None, Vec::new());
            if current {
                state.machine.handle_leg_detached(epoch);
                socket = state.leg.socket.take();
                woken = state.desk.take_waiting();
                woken.extend(state.desk.socket().cloned());
                if !draining {
                    woken.extend(handler.close_other());
                }
            }
            (woken, (waker, socket))
        };
        wake_all(woken);
    }

    /// Whether there is a socket for large data alone.
    pub(crate) fn has_leg(&self) -> bool {
        lock(&self.state).machine.has_leg()
    }
}

/// The lanes.
impl State {
    /// Whether somebody hands messages of this lane to the connection.
    pub(super) fn writes(&mut self, lane: Lane) -> &mut bool {
        match lane {
            Lane::LowLatency => self.desk.writing_mut(),
            Lane::LargeData => &mut self.leg.writing,
        }
    }

    pub(super) fn poll_transmit(&mut self, lane: Lane) -> Option<Transmit> {
        match lane {
            Lane::LowLatency => self.machine.poll_transmit(),
            Lane::LargeData => self.machine.poll_large_transmit(),
        }
    }

    /// The next message for a connection that has no loop here: what is large comes last.
    pub(super) fn poll_any_transmit(&mut self) -> Option<(Lane, Transmit)> {
        let small = self.poll_transmit(Lane::LowLatency).map(|transmit| (Lane::LowLatency, transmit));
        small.or_else(|| self.poll_transmit(Lane::LargeData).map(|transmit| (Lane::LargeData, transmit)))
    }

    pub(super) fn handle_unsent(&mut self, lane: Lane, unsent: Vec<Transmit>) {
        match lane {
            Lane::LowLatency => self.machine.handle_unsent(unsent),
            Lane::LargeData => self.machine.handle_large_unsent(unsent),
        }
    }

    /// The loop that large messages are for, if there is one.
    pub(super) fn large_socket(&self) -> Option<&Waker> {
        self.leg.socket.as_ref().or_else(|| self.desk.socket())
    }

    /// Whether somebody hands messages to the socket that serves the session.
    pub(super) fn is_writing_here(&self) -> bool {
        self.desk.is_writing() || self.leg.socket.is_none() && self.leg.writing
    }

    /// Whether somebody who looks again is about to hand a large message on.
    pub(super) fn writes_large(&self) -> bool {
        self.leg.writing || self.leg.socket.is_none() && self.desk.is_writing()
    }
}

#[cfg(test)]
#[path = "leg_tests.rs"]
mod tests;
