//! The life of one session as a machine: inputs and time go in, messages and events come out.
//!
//! Four kinds of methods, after quinn's `Connection`:
//! * **getters**;
//! * **inputs** `handle_*`: what a socket or the page did;
//! * **commands** of the application: [`send`](SessionMachine::send), [`send_update`](SessionMachine::send_update),
//!   [`render`](SessionMachine::render), [`display`](SessionMachine::display), [`close`](SessionMachine::close);
//! * **outputs** `poll_*`. After any input or command poll events until there are none, then transmits.
//!
//! Source: protocol.md §10 and the session states at its end; design.md §5.

mod again;
mod each;
mod inbox;
mod large;
mod level;
mod resume;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

pub use super::event::{CloseReason, Event, JavascriptError, SendOutcome, Status};
use super::message::ClientMessage;
use super::outbox::Outbox;
pub use super::outbox::Transmit;
use super::policy::{Metadata, SessionInfo};
use super::resume::{ContinuityLost, Replay};
use super::truce::Truce;
use crate::Limits;
use crate::id::{ObservableId, SessionId};
use large::Large;
pub use resume::Arrival;
use resume::Resume;

/// Names one attachment of a connection to a session. Inputs of an older one are ignored, so a stale socket can never
/// touch what a newer one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(u64);

#[derive(Debug)]
struct Attachment {
    epoch: Epoch,
    /// Since when the page has said that it has loaded; before that it gets nothing.
    ready: Option<Instant>,
}

/// See the [module](self).
#[derive(Debug)]
pub struct SessionMachine {
    id: SessionId,
    queued_messages: usize,
    queued_bytes: usize,
    congestion_bytes: usize,
    inbox_messages: usize,
    inbox_bytes: usize,
    status: Status,
    close_reason: Option<CloseReason>,
    last_epoch: Epoch,
    attachment: Option<Attachment>,
    truce: Truce,
    /// What a page key has been made for.
    resume: Option<Box<Resume>>,
    replay: Replay,
    message_bytes: usize,
    continuity_lost: Option<ContinuityLost>,
    opened_before: bool,
    outbox: Outbox,
    large: Large,
    /// Scripts that the page runs last while loading.
    on_load: Vec<Bytes>,
    events: VecDeque<Event>,
    event_bytes: usize,
    created: Instant,
    displayed: Option<Instant>,
    disconnected: Instant,
    last_activity: Instant,
    messages_in: u64,
    messages_out: u64,
}

/// Getters.
impl SessionMachine {
    /// A session that nobody knows yet.
    pub fn new(id: SessionId, limits: &Limits, now: Instant) -> Self {
        Self {
            id,
            queued_messages: limits.queued_messages,
            queued_bytes: limits.queued_bytes,
            congestion_bytes: limits.congestion_bytes,
            inbox_messages: limits.inbox_messages,
            inbox_bytes: limits.inbox_bytes,
            status: Status::Uninitialized,
            close_reason: None,
            last_epoch: Epoch(0),
            attachment: None,
            truce: Truce::new(limits.takeover_pause),
            resume: None,
            replay: Replay::new(limits),
            message_bytes: limits.message_bytes,
            continuity_lost: None,
            opened_before: false,
            outbox: Outbox::new(),
            large: Large::new(limits),
            on_load: Vec::new(),
            events: VecDeque::new(),
            event_bytes: 0,
            created: now,
            displayed: None,
            disconnected: now,
            last_activity: now,
            messages_in: 0,
            messages_out: 0,
        }
    }

    /// Where the session stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Why the session closed, if it did.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// Whether this attachment is the session's own.
    pub fn is_current(&self, epoch: Epoch) -> bool {
        self.attachment.as_ref().is_some_and(|attachment| attachment.epoch == epoch)
    }

    /// The attachment that the session has now.
    pub fn epoch(&self) -> Option<Epoch> {
        self.attachment.as_ref().map(|attachment| attachment.epoch)
    }

    /// Whether the browser takes messages now.
    pub fn is_ready(&self) -> bool {
        self.ready_since().is_some()
    }

    /// Since when the browser takes messages, if it does now.
    pub fn ready_since(&self) -> Option<Instant> {
        self.attachment.as_ref().and_then(|attachment| attachment.ready)
    }

    /// Whether there is something for the browser, and the browser takes it.
    pub fn has_transmit(&self) -> bool {
        self.is_ready() && (self.has_again() || self.has_room() && !self.outbox.is_empty())
    }

    /// What a cleanup policy sees.
    pub fn info(&self) -> SessionInfo {
        SessionInfo {
            id: self.id,
            status: self.status,
            created: self.created,
            displayed: self.displayed,
            disconnected: self.attachment.is_none().then_some(self.disconnected),
            last_activity: self.last_activity,
            queued_messages: self.outbox.len() + self.large.len() + self.unacknowledged().0,
            queued_bytes: self.outbox.bytes() + self.large.bytes() + self.unacknowledged().1,
            messages_in: self.messages_in,
            messages_out: self.messages_out,
            identity: None,
            metadata: Metadata::default(),
        }
    }
}

/// Inputs.
impl SessionMachine {
    /// A connection takes the session over; whoever had it before is stale from now on. `None` if the session is closed, or
    /// has a [stream](Self::has_stream), which only a [hello](Self::handle_hello) opens.
    pub fn handle_attached(&mut self, now: Instant) -> Option<Epoch> {
        if self.status == Status::Closed || self.has_stream() {
            return None;
        }
        if self.attachment.is_some() {
            self.truce.handle_takeover(now);
        }
        Some(self.attach(now))
    }

    fn attach(&mut self, now: Instant) -> Epoch {
        self.last_epoch = Epoch(self.last_epoch.0 + 1);
        if self.status == Status::Open {
            self.lose_connection(now);
        }
        self.attachment = Some(Attachment { epoch: self.last_epoch, ready: None });
        self.last_epoch
    }

    /// The page sent a message. Answers whether it counted: an input of a stale attachment does not.
    pub fn handle_message(&mut self, epoch: Epoch, message: ClientMessage, now: Instant) -> bool {
        if !self.is_current(epoch) {
            return false;
        }
        self.count_received();
        self.take(message, now);
        true
    }

    /// The page sent a message over a connection without attachments of its own: that it has loaded attaches it, if
    /// nothing is attached. Answers whether it counted: on a closed session it does not.
    pub fn handle_unfenced_message(&mut self, message: ClientMessage, now: Instant) -> bool {
        if self.status == Status::Closed {
            return false;
        }
        let announces = match &message {
            ClientMessage::DoneLoading { session, exception: None, .. } => *session == self.id.to_string(),
            _ => false,
        };
        if announces && self.attachment.is_none() {
            self.handle_attached(now);
        }
        self.take(message, now);
        true
    }

    fn take(&mut self, message: ClientMessage, now: Instant) {
        self.messages_in += 1;
        self.last_activity = now;
        match message {
            ClientMessage::UpdateObservable { id, payload } => {
                self.emit(Event::Update { id, payload });
            }
            ClientMessage::DoneLoading { session, message, exception, stacktrace } => {
                self.handle_done_loading(session, message, exception, stacktrace, now);
            }
            ClientMessage::JavascriptError { message, exception, stacktrace } => {
                let error = JavascriptError { message, exception, stacktrace };
                self.emit(Event::JavascriptError(error));
            }
            ClientMessage::JavascriptWarning { message } => {
                self.emit(Event::JavascriptWarning(message));
            }
            // One that waits answers all: a page that pings and does not read holds no more.
            ClientMessage::PingPong if self.is_ready() && !self.outbox.has_neutral() => {
                self.outbox.push_back(Transmit::neutral(PONG));
            }
            ClientMessage::CloseSession { session, .. } => self.emit(Event::SubRemoved { session }),
            ClientMessage::GetSessionDom { session, replace } => {
                self.emit(Event::SubRequested { session, replace });
            }
            ClientMessage::PingPong | ClientMessage::Unknown { .. } => {}
        }
    }

    /// The connection is gone. Answers whether it was the session's own.
    pub fn handle_detached(&mut self, epoch: Epoch, now: Instant) -> bool {
        if !self.is_current(epoch) {
            return false;
        }
        self.attachment = None;
        self.disconnected = now;
        if self.status == Status::Open {
            self.lose_connection(now);
        }
        true
    }

    /// The page that this session is a part of has lost its connection, or has it again. Nothing but the event comes of it:
    /// the page's own session keeps what waits.
    pub fn handle_page_event(&mut self, event: Event) {
        if self.status == Status::Open {
            self.emit(event);
        }
    }

    /// These messages, the last that were polled, have not reached a socket after all.
    pub fn handle_unsent(&mut self, unsent: Vec<Transmit>) {
        if self.status == Status::Closed {
            return;
        }
        // The application may have written to the socket's handler itself.
        self.messages_out = self.messages_out.saturating_sub(unsent.len() as u64);
        if let Some(stream) = self.stream_mut() {
            return stream.ring.unsend(unsent.len());
        }
        self.outbox.restore(unsent.into_iter());
    }

    fn handle_done_loading(
        &mut self,
        session: String,
        message: String,
        exception: Option<String>,
        stacktrace: String,
        now: Instant,
    ) {
        let error = exception.map(|exception| JavascriptError { message, exception, stacktrace });
        if session != self.id.to_string() {
            self.emit(Event::SubLoaded { session, error });
            return;
        }
        if let Some(error) = error {
            self.emit(Event::JavascriptError(error));
            return;
        }
        let Some(attachment) = &mut self.attachment else { return };
        if attachment.ready.is_some() {
            return;
        }
        attachment.ready = Some(now);
        if let Some(stream) = self.stream_mut() {
            stream.loaded = true;
        }
        self.open(false);
    }

    fn open(&mut self, resumed: bool) {
        self.status = Status::Open;
        let again = std::mem::replace(&mut self.opened_before, true);
        self.emit(Event::Opened { again, resumed });
    }

    fn lose_connection(&mut self, now: Instant) {
        self.status = Status::SoftClosed;
        self.disconnected = now;
        self.emit(Event::SoftClosed);
    }
}

/// Commands.
impl SessionMachine {
    /// A message that keeps its place among the others.
    pub fn send(&mut self, bytes: Bytes) -> SendOutcome {
        self.push(|outbox, _| {
            outbox.push_back(Transmit::barrier(bytes));
            false
        })
    }

    /// The same for a message that is as it leaves, compressed if the connection wants that.
    pub(crate) fn send_prepared(&mut self, bytes: Bytes) -> SendOutcome {
        self.push(|outbox, _| {
            outbox.push_back(Transmit::given_back(bytes));
            false
        })
    }

    /// A value of an observable. While it cannot be delivered it gives way to the next one.
    pub fn send_update(&mut self, id: ObservableId, bytes: Bytes) -> SendOutcome {
        self.push(|outbox, deliverable| {
            if deliverable {
                outbox.push_back(Transmit::update(id, bytes));
                false
            } else {
                outbox.push_collapsing(id, bytes)
            }
        })
    }

    /// A script that the page runs last while it loads. Once the page is made, that is an ordinary message.
    pub fn send_on_load(&mut self, bytes: Bytes) -> SendOutcome {
        if self.status == Status::Uninitialized {
            self.on_load.push(bytes);
            return SendOutcome::Queued;
        }
        self.send(bytes)
    }

    /// The page is being made: hands over what it runs while loading, before and after the connection is set up. `None`
    /// if it was made before or the session is closed.
    pub fn render(&mut self) -> Option<(Vec<Bytes>, Vec<Bytes>)> {
        if self.status != Status::Uninitialized {
            return None;
        }
        self.status = Status::Rendered;
        let mut queued = Vec::with_capacity(self.outbox.len());
        while let Some(transmit) = self.outbox.pop_front() {
            queued.push(transmit.bytes);
        }
        // Most pages wait for their browser with nothing in it.
        self.outbox.clear();
        Some((queued, std::mem::take(&mut self.on_load)))
    }

    /// The page has been handed out; from now on it is expected.
    pub fn display(&mut self, now: Instant) {
        if self.status == Status::Rendered {
            self.status = Status::Displayed;
            self.displayed = Some(now);
            self.disconnected = now;
        }
    }

    /// Ends the session. Answers whether it was open until now.
    pub fn close(&mut self, reason: CloseReason, now: Instant) -> bool {
        if self.status == Status::Closed {
            return false;
        }
        let lost = self.loss(reason);
        if self.attachment.take().is_some() {
            self.disconnected = now;
        }
        self.resume = None;
        self.status = Status::Closed;
        self.close_reason = Some(reason);
        self.outbox.clear();
        self.large.clear();
        self.large.leg = None;
        self.on_load = Vec::new();
        self.events.retain(|event| {
            !matches!(
                event,
                Event::Update { .. }
                    | Event::SubLoaded { .. }
                    | Event::SubRemoved { .. }
                    | Event::SubRequested { .. }
            )
        });
        self.event_bytes = self.events.iter().map(Event::held).sum();
        self.continuity_lost = lost;
        if let Some(lost) = lost {
            self.emit(Event::ContinuityLost(lost));
        }
        self.emit(Event::Closed(reason));
        true
    }

    fn push(&mut self, push: impl FnOnce(&mut Outbox, bool) -> bool) -> SendOutcome {
        if self.status == Status::Closed {
            return SendOutcome::Refused;
        }
        let deliverable = self.is_ready() && self.has_room() && self.outbox.bytes() < self.congestion_bytes;
        match (push(&mut self.outbox, deliverable), deliverable) {
            (true, _) => SendOutcome::Compacted,
            (false, true) => SendOutcome::Sent,
            (false, false) => SendOutcome::Queued,
        }
    }
}

/// Outputs.
impl SessionMachine {
    /// The next message for the connection. Whoever cannot get rid of it gives it back with
    /// [`handle_unsent`](Self::handle_unsent).
    #[must_use = "a message that is not sent must be given back"]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if !self.is_ready() {
            return None;
        }
        let transmit = match self.stream_mut() {
            Some(_) => self.poll_stream(|machine| machine.outbox.pop_front())?,
            None => self.outbox.pop_front()?,
        };
        self.messages_out += 1;
        Some(transmit)
    }

    /// Until when a connection has to wait before it takes the session over; `None` if it need not. A session without a
    /// connection may be had at once.
    #[must_use = "a takeover that comes too early goes on for ever"]
    pub fn poll_truce(&self, now: Instant) -> Option<Instant> {
        self.attachment.as_ref().and_then(|_| self.truce.poll_timeout(now))
    }

    /// Whether more waits than the limits allow. The session is to be closed with [`CloseReason::Overflow`]: what does
    /// not fit cannot be lost silently.
    #[must_use = "a session that overflows must be closed"]
    pub fn poll_overflow(&self) -> bool {
        // A page in the making holds what its application puts in, and one message alone is never too much.
        let overflows = self.outbox.len() > 1
            && (self.outbox.others() > self.queued_messages || self.outbox.bytes() > self.queued_bytes);
        self.status != Status::Uninitialized && (overflows || self.large.overflows(self.queued_messages))
    }
}

/// `{msg_type: "11"}`, protocol.md §2.5.
pub(crate) const PONG: Bytes = Bytes::from_static(b"\x81\xa8msg_type\xa211");

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start somewhere")]
#[path = "session_tests.rs"]
mod tests;
