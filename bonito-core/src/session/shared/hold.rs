//! What a session holds besides its messages, and what all of it is charged to.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Shared, State, Told, WeakShared};
use crate::budget::{Pressure, Seat};
use crate::connection::Lanes;
use crate::frame::Lane;
use crate::host::Host;
use crate::limits::Limits;
use crate::proto::session::Status;
use crate::proto::water::Water;
use crate::sync::lock;

/// What counts towards the [budgets](crate::budget) that a session shares with others.
#[derive(Debug)]
pub(super) struct Holding {
    /// Gone once the session is closed; a sub-session has none, since its page is charged.
    seat: Option<Seat>,
    pub(super) water: Water,
    /// Bytes that sockets have been handed and may not have written, by lane.
    pub(super) in_flight: [usize; 2],
    /// Bytes of the values that go with a page in the making.
    pub(super) cache: usize,
    /// Bytes that wait for parts of the page to start.
    parts: usize,
    uploads: usize,
    /// Bytes of what waited for the dispatcher when that was accounted for last.
    inbox: usize,
}

impl Holding {
    pub(super) fn new(seat: Option<Seat>, limits: &Limits) -> Self {
        let water = Water::new(limits);
        Self { seat, water, in_flight: [0; 2], cache: 0, parts: 0, uploads: 0, inbox: 0 }
    }

    /// The seat is free for another, once no lock is held.
    #[must_use = "it is dropped outside the lock"]
    pub(super) fn leave(&mut self) -> Option<Seat> {
        self.seat.take()
    }

    /// A socket has been handed so many bytes.
    pub(super) fn fly(&mut self, lane: Lane, bytes: usize) {
        self.in_flight[lane as usize] = bytes;
    }

    /// A socket has written all that it was handed, or is gone.
    pub(super) fn land(&mut self, lanes: Lanes) {
        match lanes {
            Lanes::Both => self.in_flight = [0; 2],
            Lanes::Only(lane) => self.in_flight[lane as usize] = 0,
        }
    }

    fn bytes(&self) -> usize {
        self.in_flight.iter().sum::<usize>() + self.cache + self.parts + self.uploads
    }
}

impl State {
    /// Accounts for what waits, whenever that may have changed. Answers what is to be told of it.
    pub(super) fn account(&mut self, host: &dyn Host) -> Told {
        let held = self.machine.held_bytes();
        let before = std::mem::replace(&mut self.held, held);
        let crowded = held != before && host.held(before, held);
        let water = self.holding.water.handle_level(self.machine.waiting_bytes());
        let inbox = self.inbox();
        self.holding.inbox = inbox;
        let all = self.machine.outbound_bytes() + inbox + self.holding.bytes();
        let seat = self.holding.seat.as_mut();
        let pressure = seat.map_or(Pressure::Fits, |seat| seat.charge(all));
        let charge = self.holding.seat.as_ref().map_or(0..usize::MAX, Seat::still);
        self.machine.set_level(held, (all, charge), self.holding.water.still());
        Told { crowded: crowded || pressure > Pressure::Fits, bursts: pressure == Pressure::Bursts, water }
    }

    /// Bytes of what waits for the dispatcher. Without one it waits for nobody: whoever accounts for it dispatches it next.
    fn inbox(&self) -> usize {
        if self.dispatching { self.machine.pending_bytes() } else { 0 }
    }

    /// The same after a message of the page has come or was dispatched, where most change nothing. The session's status has not.
    pub(super) fn settle(&mut self, host: &dyn Host) -> Told {
        let same = self.inbox() == self.holding.inbox && self.machine.is_level();
        if same { Told::default() } else { self.account(host) }
    }

    /// The same after a message of this lane has come, where most change nothing.
    pub(super) fn account_for(&mut self, lane: Lane, host: &dyn Host) -> Told {
        if lane == Lane::LowLatency && self.machine.is_level() { Told::default() } else { self.account(host) }
    }
}

impl Shared {
    /// Whom the session belongs to. Answers whether they may have one more.
    pub(in crate::session) fn set_identity(&self, identity: Option<Arc<str>>) -> bool {
        let mut state = lock(&self.page.as_deref().unwrap_or(self).state);
        let seated = match &mut state.holding.seat {
            Some(seat) => seat.set_identity(identity.as_deref()),
            None => true,
        };
        state.about.identity = identity;
        seated
    }

    pub(crate) fn tally(&self) -> Tally {
        let state = lock(&self.state);
        let info = state.machine.info();
        Tally {
            status: info.status,
            queued_bytes: info.queued_bytes + self.held(),
            in_flight_bytes: state.holding.in_flight.iter().sum(),
            messages_in: info.messages_in,
            messages_out: info.messages_out,
        }
    }

    /// Bytes that the session is charged with, if it is to blame that there is too much in all.
    pub(crate) fn excess(&self) -> Option<usize> {
        lock(&self.state).holding.seat.as_ref()?.excess()
    }

    /// Whether there is no room for anything new beside this session, and its page would bring something new: it has not been
    /// here before, and nothing waits for it that it would take away.
    pub(crate) fn would_crowd(&self) -> bool {
        let state = lock(&self.state);
        let new = matches!(state.machine.status(), Status::Rendered | Status::Displayed);
        new && state.machine.waiting_bytes() == 0 && state.holding.seat.as_ref().is_some_and(Seat::is_full)
    }

    /// What waits for parts of the page to start is more, or less. Answers whether it is far too much.
    pub(in crate::session) fn account_for_parts(&self) -> bool {
        let mut state = lock(&self.state);
        state.holding.parts = self.bindings.held.load(Ordering::Relaxed);
        state.account(&*self.host).bursts
    }

    /// Room for an upload, if there is any.
    pub(crate) fn try_hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let mut held = Held { session: Arc::downgrade(self.page()), bytes: 0 };
        held.try_grow(bytes).then_some(held)
    }
}

/// A session in numbers.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) status: Status,
    pub(crate) queued_bytes: usize,
    pub(crate) in_flight_bytes: usize,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
}

/// Bytes of an upload, which its session is charged with until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    session: WeakShared,
    bytes: usize,
}

impl Held {
    /// Room for so many bytes more, if there is any.
    pub(crate) fn try_grow(&mut self, bytes: usize) -> bool {
        let Some(session) = self.session.upgrade() else { return false };
        let mut state = lock(&session.state);
        let room = state.holding.seat.as_mut().is_some_and(|seat| seat.try_add(bytes));
        if room {
            self.bytes += bytes;
            state.holding.uploads += bytes;
        }
        room
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(session) = self.session.upgrade() {
            let mut state = lock(&session.state);
            state.holding.uploads -= self.bytes;
            state.account(&*session.host);
        }
    }
}
