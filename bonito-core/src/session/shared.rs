//! What all handles of one session share: the machine behind its lock, and who may act on its outputs.
//!
//! Two roles are taken by one thread at a time and by nobody while a lock is held: the *writer*, between taking messages
//! from the machine and having handed them to the connection, and the *dispatcher*, which runs the application's
//! callbacks. Whoever finds a role taken leaves the work to its holder, which looks again before it gives the role up.

mod attachment;
mod desk;
mod hold;
mod inbox;
mod leg;
mod stream;
mod wake;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use super::bindings::{Bindings, Kept};
use super::hooks::Hooks;
use super::render::Parts;
use super::tasks::Tasks;
use crate::budget::Seat;
use crate::connection::{FrontendConnection, SendErrorKind, WebSocketHandler};
use crate::frame::Lane;
use crate::host::Host;
use crate::id::{ObservableId, SessionId};
use crate::observable::Delivery;
use crate::proto::codec;
use crate::proto::compress;
use crate::proto::message::{CacheEntry, SessionStatus};
use crate::proto::outbox::Transmit;
use crate::proto::policy::{Metadata, SessionInfo};
use crate::proto::session::{CloseReason, Event, PONG, SendOutcome, SessionMachine, Status};
use crate::sync::{guard, lock};
pub(crate) use attachment::{Attach, Pull};
use desk::{Desk, Next};
use hold::Holding;
pub(crate) use hold::{Held, Tally};
use leg::Leg;
use wake::Told;
pub(crate) use wake::Wakes;

pub(crate) type WeakShared = Weak<Shared>;

#[derive(Debug)]
pub(crate) struct Shared {
    id: SessionId,
    pub(super) host: Arc<dyn Host>,
    state: Mutex<State>,
    connection: Arc<dyn FrontendConnection>,
    /// The session of the page, for a sub-session.
    page: Option<Arc<Self>>,
    pub(crate) bindings: Arc<Bindings>,
    pub(super) kept: Kept,
    pub(super) parts: Parts,
    pub(super) hooks: Hooks,
    pub(super) tasks: Tasks,
}

#[derive(Debug)]
struct State {
    machine: SessionMachine,
    /// Observables that the page of this session brings along.
    cache: Vec<CacheEntry>,
    desk: Desk,
    dispatching: bool,
    /// Counts the sockets that have come, tells which one the session went to, and which still want it.
    tickets: u64,
    attached: u64,
    queue: BTreeSet<u64>,
    leg: Leg,
    about: About,
    /// What the endpoint was told last of the bytes that wait for a lost browser.
    held: usize,
    /// Apart, since most messages need none of it.
    holding: Box<Holding>,
}

/// What the application says of the session.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) identity: Option<Arc<str>>,
    pub(super) metadata: Metadata,
}

impl State {
    /// Whoever waits is woken by the caller, once no lock is held.
    #[must_use]
    fn finish_writing(&mut self, lane: Lane) -> Vec<Waker> {
        *self.writes(lane) = false;
        self.desk.take_waiting()
    }

    /// The next thing that the application's hooks are told.
    fn poll_event(&mut self) -> Option<Event> {
        let water = |high| if high { Event::HighWater } else { Event::LowWater };
        self.machine.poll_event().or_else(|| self.holding.water.poll().map(water))
    }

    /// Takes the dispatcher's role, if there is something to do and nobody has it. Answers what is to be done first.
    fn begin_dispatch(&mut self) -> Option<Event> {
        if self.dispatching {
            return None;
        }
        let event = self.poll_event();
        self.dispatching = event.is_some();
        event
    }

    /// Whether the loop that serves the session will look for messages of this lane before it sleeps. For large ones it is
    /// woken in any case, since they may be another loop's.
    fn stay_awake(&mut self, lane: Lane, awake: bool) {
        if lane == Lane::LowLatency {
            self.desk.stay_awake(awake);
        }
    }
}

impl Shared {
    pub(crate) fn new(
        id: SessionId,
        host: Arc<dyn Host>,
        connection: Arc<dyn FrontendConnection>,
        seat: Option<Seat>,
        identity: Option<&str>,
    ) -> Arc<Self> {
        let bindings = Bindings::new(id, host.limits().sub_sessions);
        let about = About { identity: identity.map(Arc::from), metadata: Metadata::default() };
        Self::with_page(id, host, connection, bindings, None, (seat, about))
    }

    /// A sub-session of this one's page.
    pub(super) fn new_sub(self: &Arc<Self>, id: SessionId) -> Arc<Self> {
        let page = self.page().clone();
        let (host, connection) = (self.host.clone(), self.connection.clone());
        Self::with_page(id, host, connection, self.bindings.clone(), Some(page), Default::default())
    }

    fn with_page(
        id: SessionId,
        host: Arc<dyn Host>,
        connection: Arc<dyn FrontendConnection>,
        bindings: Arc<Bindings>,
        page: Option<Arc<Self>>,
        (seat, about): (Option<Seat>, About),
    ) -> Arc<Self> {
        let machine = SessionMachine::new(id, host.limits(), host.now());
        let state = State {
            machine,
            cache: Vec::new(),
            desk: Desk::default(),
            dispatching: false,
            tickets: 0,
            attached: 0,
            queue: BTreeSet::new(),
            leg: Leg::default(),
            about,
            held: 0,
            holding: Box::new(Holding::new(seat, host.limits())),
        };
        Arc::new(Self {
            id,
            host,
            state: Mutex::new(state),
            connection,
            page,
            bindings,
            kept: Kept::default(),
            parts: Parts::default(),
            hooks: Hooks::default(),
            tasks: Tasks::default(),
        })
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn now(&self) -> Instant {
        self.host.now()
    }

    /// Since when the page takes messages, if it does now.
    pub(crate) fn ready_since(&self) -> Option<Instant> {
        lock(&self.state).machine.ready_since()
    }

    /// The session of the page: itself, unless it is a sub-session.
    pub(super) fn page(self: &Arc<Self>) -> &Arc<Self> {
        self.page.as_ref().unwrap_or(self)
    }

    pub(super) fn is_sub(&self) -> bool {
        self.page.is_some()
    }

    pub(super) fn connection(&self) -> &Arc<dyn FrontendConnection> {
        &self.connection
    }

    /// The handler for a socket that comes to the endpoint's own route.
    pub(crate) fn socket_handler(&self, query: &str) -> Option<WebSocketHandler> {
        guard("FrontendConnection::socket_handler", || self.connection.socket_handler(query)).flatten()
    }

    /// Looks at the machine or commands it, without following up on its outputs.
    pub(super) fn with_machine<R>(&self, run: impl FnOnce(&mut SessionMachine) -> R) -> R {
        run(&mut lock(&self.state).machine)
    }

    /// What is known of the session, but for what the application says of it.
    pub(crate) fn bare_info(&self) -> SessionInfo {
        self.with_machine(|machine| machine.info())
    }

    pub(super) fn info(&self) -> SessionInfo {
        let mut info = self.bare_info();
        info.queued_bytes += self.held();
        self.with_about(|about| {
            info.identity.clone_from(&about.identity);
            info.metadata = about.metadata.clone();
        });
        info
    }

    /// What is said of a sub-session is said of its page.
    pub(super) fn with_about<R>(&self, run: impl FnOnce(&mut About) -> R) -> R {
        let session = self.page.as_deref().unwrap_or(self);
        run(&mut lock(&session.state).about)
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.with_machine(|machine| machine.close_reason())
    }

    pub(super) fn status(&self) -> Status {
        self.with_machine(|machine| machine.status())
    }
}

/// From the application to the browser.
impl Shared {
    pub(crate) fn send(
        self: &Arc<Self>,
        push: impl FnOnce(&mut SessionMachine) -> SendOutcome,
    ) -> SendOutcome {
        self.send_in(Lane::LowLatency, push)
    }

    pub(super) fn send_in(
        self: &Arc<Self>,
        lane: Lane,
        push: impl FnOnce(&mut SessionMachine) -> SendOutcome,
    ) -> SendOutcome {
        let (outcome, wakes) = self.queue(lane, push);
        wakes.run();
        outcome
    }

    /// Queues a value. Takes only the session's own lock, so the caller may hold the observable's.
    pub(crate) fn queue_update(
        self: &Arc<Self>,
        id: ObservableId,
        lane: Lane,
        delivery: Delivery,
        frame: Bytes,
    ) -> (SendOutcome, Wakes) {
        let push = |machine: &mut SessionMachine| match (lane, delivery) {
            (Lane::LowLatency, Delivery::Latest) => machine.send_update(id, frame),
            (Lane::LowLatency, Delivery::Every) => machine.send_each(frame),
            (Lane::LargeData, Delivery::Latest) => machine.send_large_update(id, frame),
            (Lane::LargeData, Delivery::Every) => machine.send_large_each(frame),
        };
        self.queue(lane, push)
    }

    /// Queues a value once more, which may give way to any later one.
    pub(crate) fn queue_again(self: &Arc<Self>, id: ObservableId, lane: Lane, frame: Bytes) -> Wakes {
        self.queue(lane, |machine| machine.send_again(id, lane, frame)).1
    }

    /// Whether a value of the observable that was queued once more still waits.
    pub(super) fn awaits(&self, id: ObservableId) -> bool {
        self.with_machine(|machine| machine.awaits(id))
    }

    pub(super) fn queue(
        self: &Arc<Self>,
        lane: Lane,
        push: impl FnOnce(&mut SessionMachine) -> SendOutcome,
    ) -> (SendOutcome, Wakes) {
        match &self.page {
            Some(page) => self.queue_at(page, &mut lock(&self.state).machine, push),
            None => self.queue_here(lane, push),
        }
    }

    /// Queues a message of the page's own session, or one that a sub-session hands on.
    pub(super) fn queue_here(
        self: &Arc<Self>,
        lane: Lane,
        push: impl FnOnce(&mut SessionMachine) -> SendOutcome,
    ) -> (SendOutcome, Wakes) {
        let mut state = lock(&self.state);
        let outcome = push(&mut state.machine);
        let told = state.account_for(lane, &*self.host);
        let next = match lane {
            Lane::LowLatency if state.machine.has_transmit() => state.desk.offer(),
            Lane::LargeData if state.machine.has_large_transmit() && !state.writes_large() => {
                state.large_socket().map_or(Next::Pump, |waker| Next::Wake(waker.clone()))
            }
            Lane::LowLatency | Lane::LargeData => Next::Nothing,
        };
        let end = if state.machine.poll_overflow() {
            Some(CloseReason::Overflow)
        } else {
            told.bursts.then_some(CloseReason::Capacity)
        };
        if let Some(reason) = end {
            return (SendOutcome::Refused, Wakes::close(self, reason));
        }
        let wakes = match next {
            Next::Nothing => Wakes::default(),
            Next::Wake(waker) => Wakes::socket(lane, waker),
            Next::Pump => Wakes::pump(self),
        };
        (outcome, wakes.tell(self, told))
    }

    /// The page learns of an observable: with the page while it is being made, by a message afterwards.
    /// Answers whether it was with the page.
    pub(super) fn announce(self: &Arc<Self>, entry: CacheEntry) -> (bool, Wakes) {
        {
            let mut state = lock(&self.state);
            if state.machine.status() == Status::Uninitialized {
                if let CacheEntry::Observable { value, .. } = &entry {
                    state.holding.cache += value.as_bytes().len();
                }
                state.cache.push(entry);
                state.account(&*self.host);
                return (true, Wakes::default());
            }
        }
        // Registers before anything refers to it, protocol.md §4; the pong inside is only there to carry the envelope.
        let status = if self.is_sub() { SessionStatus::Sub } else { SessionStatus::Root };
        let announcement = codec::encode_envelope(&self.id.to_string(), status, &[entry], &PONG);
        match announcement {
            Ok(message) => (false, self.queue(Lane::LowLatency, |machine| machine.send(message)).1),
            Err(error) => {
                tracing::error!(session = ?self.id, "an observable cannot be sent: {error}");
                (false, Wakes::default())
            }
        }
    }

    /// The page is being made: its observables, its messages, its last scripts. `None` if it was made before.
    pub(crate) fn render(&self) -> Option<(Vec<CacheEntry>, Vec<Bytes>, Vec<Bytes>)> {
        let mut state = lock(&self.state);
        let (queued, on_load) = state.machine.render()?;
        let cache = std::mem::take(&mut state.cache);
        state.holding.cache = 0;
        state.account(&*self.host);
        Some((cache, queued, on_load))
    }

    /// The page has been handed out.
    pub(crate) fn display(&self) {
        let now = self.now();
        self.with_machine(|machine| machine.display(now));
    }

    /// Hands what waits to the connection, or has the socket's loop do so.
    pub(super) fn flush(self: &Arc<Self>) {
        let (socket, leg) = {
            let state = lock(&self.state);
            (state.desk.socket().cloned(), state.leg.socket.clone())
        };
        leg.into_iter().for_each(Waker::wake);
        match socket {
            Some(waker) => waker.wake(),
            None => self.pump(),
        }
    }

    /// Hands what waits to a connection that has no loop here.
    fn pump(self: &Arc<Self>) {
        loop {
            let (epoch, lane, transmit) = {
                let mut state = lock(&self.state);
                if !state.desk.may_pump() {
                    return;
                }
                let Some(epoch) = state.machine.epoch() else { return };
                let Some((lane, transmit)) = state.poll_any_transmit() else { return };
                state.desk.begin();
                (epoch, lane, transmit)
            };
            let result = self.write(&transmit, lane);
            let (woken, told, go_on, lost) = {
                let mut state = lock(&self.state);
                let woken = state.finish_writing(Lane::LowLatency);
                match result {
                    Ok(()) => (woken, state.account(&*self.host), true, false),
                    Err(kind) => {
                        state.handle_unsent(lane, vec![transmit]);
                        let closed = kind == SendErrorKind::Closed;
                        let lost = closed && state.machine.handle_detached(epoch, self.now());
                        let told = state.account(&*self.host);
                        // The way may be clear again, or another one there, since the refusal was decided on.
                        (woken, told, state.desk.is_wanted_again() || closed && !lost, lost)
                    }
                }
            };
            wake_all(woken);
            if lost {
                self.after_detach();
            }
            self.tell(told);
            if !go_on {
                return;
            }
        }
    }

    fn write(&self, transmit: &Transmit, lane: Lane) -> Result<(), SendErrorKind> {
        let bytes = self.prepare(transmit);
        match guard("FrontendConnection::write", || self.connection.write(bytes, lane)) {
            Some(result) => result.map_err(|error| error.kind()),
            None => Err(SendErrorKind::Closed),
        }
    }

    fn prepare(&self, transmit: &Transmit) -> Bytes {
        if transmit.prepared { transmit.bytes.clone() } else { self.compress(&transmit.bytes) }
    }

    fn compress(&self, bytes: &Bytes) -> Bytes {
        match self.host.compression() {
            Some(container) => compress::compress(bytes, container),
            None => bytes.clone(),
        }
    }
}

fn wake_all(waiting: Vec<Waker>) {
    for waker in waiting {
        waker.wake();
    }
}
