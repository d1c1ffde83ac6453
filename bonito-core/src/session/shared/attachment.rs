//! Which socket serves the session, and what becomes of its messages when another one comes or none is left.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::{Shared, wake_all};
use crate::connection::{Lanes, SendErrorKind, Unsent, WebSocketHandler};
use crate::frame::Lane;
use crate::proto::outbox::Transmit;
use crate::proto::policy::SessionInfo;
use crate::proto::session::{CloseReason, Epoch, SessionMachine};
use crate::runtime::Disconnect;
use crate::session::Session;
use crate::sync::{guard, lock};

/// Most messages that a socket's loop takes at a time.
pub(super) const BATCH: usize = 64;

/// What became of a socket loop's wish for messages.
#[derive(Debug)]
pub(crate) enum Pull {
    /// Messages went to the connection.
    Taken,
    /// None is there, or the connection takes none for now; the loop will be woken.
    Empty,
    /// The connection is closed.
    Lost,
}

/// What became of a socket loop's wish for the session.
#[derive(Debug)]
pub(crate) enum Attach {
    /// The session is the loop's.
    Done(Epoch),
    /// The session is closed.
    Closed,
    /// The session is resumed by others, and this socket cannot.
    Plain,
    /// A socket that came later has the session.
    Superseded,
    /// Not yet; the loop will be woken, and looks again at this time.
    Wait(Option<Instant>),
}

/// A socket's place among those that want the session. The newest has it first, and those before it not at all.
#[derive(Debug)]
pub(crate) struct Ticket(u64, Arc<Shared>);

impl Drop for Ticket {
    fn drop(&mut self) {
        let woken = {
            let mut state = lock(&self.1.state);
            state.queue.remove(&self.0);
            state.desk.take_waiting()
        };
        wake_all(woken);
    }
}

/// Connections come and go.
impl Shared {
    /// A socket has come.
    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        let mut state = lock(&self.state);
        state.tickets += 1;
        let ticket = state.tickets;
        state.queue.insert(ticket);
        Ticket(ticket, self.clone())
    }

    /// A socket's loop takes the session over, once the writer has finished and the truce is over. What the handler's last socket left behind
    /// goes back to the queue.
    pub(crate) fn poll_attach(
        self: &Arc<Self>,
        handler: &WebSocketHandler,
        ticket: &Ticket,
        waker: &Waker,
    ) -> Attach {
        let mut state = lock(&self.state);
        if ticket.0 < state.attached {
            return Attach::Superseded;
        }
        if state.machine.has_stream() {
            return Attach::Plain;
        }
        let truce = state.machine.poll_truce(self.now());
        let newer = state.queue.last().is_some_and(|newest| *newest > ticket.0);
        if state.is_writing_here() || truce.is_some() || newer {
            state.desk.wait(waker);
            return Attach::Wait(truce);
        }
        let stale_leg = state.machine.epoch().is_some() && state.machine.handle_leg_takeover();
        let Some(epoch) = state.machine.handle_attached(self.now()) else { return Attach::Closed };
        state.attached = ticket.0;
        state.holding.in_flight = [0; 2];
        let unsent = handler.begin(epoch);
        restore(&mut state.machine, unsent);
        state.account(&*self.host);
        let former = state.desk.attach(waker);
        let mut woken = Vec::from_iter(former);
        if stale_leg {
            woken.extend(handler.close_other());
            woken.extend(state.leg.socket.take());
        }
        drop(state);
        wake_all(woken);
        guard("FrontendConnection::open", || self.connection.open());
        self.host.changed(&Session(self.clone()));
        self.dispatch();
        Attach::Done(epoch)
    }

    /// Lets the loop that serves the session look at what has changed around it.
    pub(crate) fn wake(&self) {
        let woken = {
            let state = lock(&self.state);
            state.desk.socket().into_iter().chain(&state.leg.socket).cloned().collect()
        };
        wake_all(woken);
    }

    /// Whether the loop of this attachment has to end, and why. If not, the loop is at work from now on until
    /// [`pull`](Self::pull) finds nothing; then the waker is called when there is something to do.
    pub(crate) fn poll_end(
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
            if !state.machine.is_current(epoch) {
                return Some(Disconnect::Superseded);
            }
            state.desk.at_work(waker)
        };
        handler.poll_closing(epoch, waker).is_ready().then_some(Disconnect::HandlerClosed)
    }

    /// The loop of this attachment takes a batch and hands it to the connection, whose `write` leads back to the
    /// handler that the loop reads.
    pub(crate) fn pull(self: &Arc<Self>, epoch: Epoch, lanes: Lanes, room: usize, waker: &Waker) -> Pull {
        match lanes {
            Lanes::Only(lane) => self.pull_lane(epoch, lanes, lane, room, waker),
            Lanes::Both => match self.pull_lane(epoch, lanes, Lane::LowLatency, room, waker) {
                Pull::Empty => self.pull_lane(epoch, lanes, Lane::LargeData, room, waker),
                pull => pull,
            },
        }
    }

    fn pull_lane(
        self: &Arc<Self>,
        epoch: Epoch,
        lanes: Lanes,
        lane: Lane,
        room: usize,
        waker: &Waker,
    ) -> Pull {
        let mut batch = {
            let mut state = lock(&self.state);
            let current = match lanes {
                Lanes::Only(Lane::LargeData) => state.machine.is_current_leg(epoch),
                Lanes::Only(Lane::LowLatency) | Lanes::Both => state.machine.is_current(epoch),
            };
            if !current {
                return Pull::Empty;
            }
            if *state.writes(lane) {
                state.desk.wait(waker);
                return Pull::Empty;
            }
            // Whoever pulls has written all that it had.
            state.holding.land(lanes);
            let mut batch = Vec::new();
            let mut bytes = 0;
            while batch.len() < BATCH && bytes < room {
                let Some(transmit) = state.poll_transmit(lane) else { break };
                bytes += transmit.bytes.len();
                batch.push(transmit);
            }
            if batch.is_empty() {
                state.account(&*self.host);
                state.stay_awake(lane, false);
                return Pull::Empty;
            }
            *state.writes(lane) = true;
            batch
        };
        let mut written = 0;
        let mut failure = None;
        for transmit in &batch {
            match self.write(transmit, lane) {
                Ok(()) => written += 1,
                Err(kind) => {
                    failure = Some(kind);
                    break;
                }
            }
        }
        let (woken, told) = {
            let mut state = lock(&self.state);
            state.handle_unsent(lane, batch.split_off(written));
            state.holding.fly(lane, batch.iter().map(|transmit| transmit.bytes.len()).sum());
            let told = state.account(&*self.host);
            state.stay_awake(lane, failure.is_none());
            (state.finish_writing(lane), told)
        };
        wake_all(woken);
        self.tell(told);
        match failure {
            Some(SendErrorKind::Closed) => Pull::Lost,
            Some(SendErrorKind::Full) if written == 0 => Pull::Empty,
            _ => Pull::Taken,
        }
    }

    /// Whether so much waits for the application that the socket should not be read. Then the waker is called.
    pub(crate) fn poll_inbox(&self, waker: &Waker) -> Poll<()> {
        let mut state = lock(&self.state);
        if !state.machine.is_inbox_full() {
            return Poll::Ready(());
        }
        state.desk.wait(waker);
        Poll::Pending
    }

    /// The socket of this attachment is gone. Answers whether it was the session's own.
    pub(crate) fn detach(self: &Arc<Self>, epoch: Epoch, handler: &WebSocketHandler) -> bool {
        let draining = self.host.drain().is_some();
        let (was_current, woken, _wakers) = {
            let mut state = lock(&self.state);
            // Under the session's lock: a socket that comes now finds these messages at the one place or at the other.
            let (unsent, waker) = handler.end(epoch);
            let current = state.machine.is_current(epoch);
            let (mut socket, mut woken) = (None, Vec::new());
            // In a stream a newer socket may have a handler of its own, and what this one holds is in nobody's count.
            if current || state.machine.has_stream() {
                let left = !unsent.is_empty();
                restore(&mut state.machine, unsent);
                if left && !current {
                    state.account(&*self.host);
                    woken.extend(state.desk.socket().cloned());
                }
            }
            if current {
                state.holding.in_flight = [0; 2];
                state.machine.handle_detached(epoch, self.now());
                state.account(&*self.host);
                socket = state.desk.detach();
                woken = state.desk.take_waiting();
                // In a drain each socket leaves in its turn.
                if !draining && state.machine.handle_leg_left() {
                    woken.extend(handler.close_other());
                    woken.extend(state.leg.socket.take());
                }
            }
            (current, woken, (waker, socket))
        };
        wake_all(woken);
        if was_current {
            self.after_detach();
        }
        was_current
    }

    /// The connection that has no loop here is gone.
    pub(in crate::session) fn soft_close(self: &Arc<Self>) {
        let lost = {
            let mut state = lock(&self.state);
            let lost = match state.machine.epoch() {
                Some(epoch) if state.desk.socket().is_none() => {
                    state.machine.handle_detached(epoch, self.now())
                }
                _ => false,
            };
            state.account(&*self.host);
            lost
        };
        if lost {
            self.after_detach();
        }
    }

    pub(super) fn after_detach(self: &Arc<Self>) {
        if self.host.allow_soft_close() {
            self.host.changed(&Session(self.clone()));
            self.dispatch();
        } else {
            self.close(CloseReason::Disconnected);
        }
    }

    /// Ends the session and takes down all that it owns, once.
    pub(crate) fn close(self: &Arc<Self>, reason: CloseReason) {
        if self.is_sub() {
            return self.close_sub(reason);
        }
        self.close_unless(reason, |_| false);
    }

    /// Ends the session if nothing has come or gone since it looked like this.
    pub(crate) fn close_if_still(self: &Arc<Self>, seen: &SessionInfo, reason: CloseReason) -> bool {
        self.close_unless(reason, |now| (now.status, now.disconnected) != (seen.status, seen.disconnected))
    }

    fn close_unless(self: &Arc<Self>, reason: CloseReason, stay: impl FnOnce(SessionInfo) -> bool) -> bool {
        let (woken, seat) = {
            let mut state = lock(&self.state);
            if stay(state.machine.info()) || !state.machine.close(reason, self.now()) {
                return false;
            }
            state.account(&*self.host);
            state.cache = Vec::new();
            let seat = state.holding.leave();
            let mut woken = state.desk.take_waiting();
            woken.extend(state.desk.detach());
            woken.extend(state.leg.socket.take());
            (woken, seat)
        };
        wake_all(woken);
        drop(seat);
        self.host.closed(self.id);
        guard("FrontendConnection::close", || self.connection.close());
        self.end_belongings();
        let (subs, owned) = self.bindings.clear();
        guard("what the bindings of a session owned", || drop(owned));
        self.dispatch();
        for sub in subs {
            sub.end(reason);
        }
        true
    }

    /// What the session owns goes with it.
    pub(in crate::session) fn end_belongings(&self) {
        self.tasks.abort();
        guard("what a session owned", || self.kept.clear());
        guard("what the parts of a page owned", || self.parts.clear());
    }
}

/// What a socket has not taken goes back to the front of its lane.
pub(super) fn restore(machine: &mut SessionMachine, unsent: Unsent) {
    if machine.has_stream() {
        // A stream's messages pass through no handler: this is what the application has written to it.
        unsent.into_iter().for_each(|(_, bytes)| _ = machine.send_prepared(bytes));
        return;
    }
    let (small, large) = by_lane(unsent);
    machine.handle_unsent(small);
    machine.handle_large_unsent(large);
}

pub(super) fn by_lane(unsent: Unsent) -> (Vec<Transmit>, Vec<Transmit>) {
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for (lane, bytes) in unsent {
        match lane {
            Lane::LowLatency => small.push(Transmit::given_back(bytes)),
            Lane::LargeData => large.push(Transmit::given_back(bytes)),
        }
    }
    (small, large)
}
