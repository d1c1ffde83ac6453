//! Sub-sessions: parts of a page with a life of their own, within that of the page.
//!
//! The page's session has the socket; a sub-session's messages wait at its own machine until the page has started it, and go
//! to the page's session then. The table of names is the page's. Source: protocol.md §9 and §14.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::bindings::{Seen, Stage};
use super::render::Place;
use super::{Session, Shared, Wakes};
use crate::frame::Lane;
use crate::id::SessionId;
use crate::js::Script;
use crate::proto::codec;
use crate::proto::message::{CacheEntry, ClientMessage, SessionStatus};
use crate::proto::session::{CloseReason, Event, JavascriptError, SendOutcome, SessionMachine, Status};
use crate::proto::value::TypedArray;
use crate::sync::{guard, lock};

/// Starts sub-sessions whose elements are in the page, or will be in a moment.
const START: &str = "\
const start = ([id, bundle], pause) => {
  if (document.getElementById(id)) Bonito.init_session(id, bundle, 'sub', false)
  else if (pause < 10000) setTimeout(start, pause, [id, bundle], pause * 2)
  else Bonito.send_to_julia({ msg_type: '10', session: id, subsession: 'delete' })
}
for (const sub of __lookup_interpolated('subs')) start(sub, 1)";

/// Takes objects and sessions out of the page. Objects first and at once: `free_session` has its turn later, and one of them
/// may come again until then (protocol.md §8.3).
const FREE: &str = "\
for (const id of __lookup_interpolated('objects')) Bonito.force_free_object(id)
for (const id of __lookup_interpolated('sessions')) Bonito.free_session(id)";

/// What a sub-session starts with.
pub(super) struct Start {
    pub(super) cache: Vec<CacheEntry>,
    pub(super) items: Vec<Bytes>,
}

impl Session {
    /// A session for a part of this one's page. Closed from the start where there may be no more.
    pub(super) fn sub(&self, place: &Weak<Place>) -> Self {
        let id = SessionId::random()
            .unwrap_or_else(|error| panic!("the operating system gives no random bytes: {error}"));
        let sub = self.0.new_sub(id);
        if lock(&self.0.bindings.table).join(self.id(), sub.clone(), place.clone()) {
            // It has no socket of its own: its page speaks for it.
            sub.with_machine(|machine| _ = machine.handle_attached(self.0.now()));
        } else {
            let closed = self.0.close_reason().or_else(|| self.0.page().close_reason());
            if closed.is_none() {
                let limit = self.host().limits().sub_sessions;
                let page = Self(self.0.page().clone());
                page.complain(|| format!("the page has {limit} parts already: one more is not alive"));
            }
            sub.end(closed.unwrap_or(CloseReason::Capacity));
        }
        Self(sub)
    }

    /// All that the page runs when it starts this sub-session, once. Its observables travel with the values of now.
    pub(super) fn start(&self) -> Option<Start> {
        let (page, mut values) = (self.0.page().id(), HashMap::new());
        let (cache, (mut items, on_load)) = loop {
            let mut locked = lock(&self.0.bindings.table);
            let table = &mut *locked;
            let member = table.members.get_mut(&self.id()).filter(|member| member.stage == Stage::Drawn)?;
            let on_the_page = |seen: &Seen| table.tree.holds(page, seen.observable.id());
            let missing: Vec<_> = member
                .seen
                .iter()
                .filter(|seen| !on_the_page(seen) && !values.contains_key(&seen.observable.id()))
                .map(|seen| seen.observable.clone())
                .collect();
            if missing.is_empty() {
                let queued = self.0.with_machine(|machine| {
                    let queued = machine.render()?;
                    machine.display(self.0.now());
                    Some(queued)
                })?;
                member.stage = Stage::Sent;
                let mut cache = Vec::with_capacity(member.seen.len());
                for seen in &member.seen {
                    let id = seen.observable.id();
                    // What the page's own session holds never leaves it; whatever another one holds may.
                    cache.push(match values.remove(&id) {
                        Some(value) if !on_the_page(seen) => {
                            CacheEntry::Observable { id: id.to_string(), value }
                        }
                        _ => CacheEntry::Track(id.to_string()),
                    });
                    if let Some(bound) = table.observables.get_mut(&id)
                        && bound.slot.is_none()
                    {
                        bound.slot = Some(seen.observable.link(self.0.page(), &mut || false).slot);
                    }
                }
                break (cache, queued);
            }
            // Encoding runs code of the values' types.
            drop(locked);
            values.extend(missing.iter().map(|observable| (observable.id(), observable.encoded().0)));
        };
        items.extend(self.starts());
        items.extend(on_load);
        Some(Start { cache, items })
    }

    /// What a sub-session starts with, as one value.
    pub(super) fn start_bundle(&self) -> Option<TypedArray<u8>> {
        let Start { cache, items } = self.start()?;
        codec::encode_bundle(&self.id().to_string(), SessionStatus::Sub, &cache, &items)
            .inspect_err(
                |error| tracing::error!(session = ?self.id(), "a part of a page cannot be sent: {error}"),
            )
            .ok()
            .map(|bundle| TypedArray::from(bundle.to_vec()))
    }

    /// The message that starts the sub-sessions below this one that have been drawn.
    pub(crate) fn starts(&self) -> Option<Bytes> {
        let drawn: Vec<Self> = {
            let table = lock(&self.0.bindings.table);
            let children = table.tree.children(self.id());
            let members = children.filter_map(|id| table.members.get(&id));
            members
                .filter(|member| member.stage == Stage::Drawn)
                .map(|member| Self(member.session.clone()))
                .collect()
        };
        self.start_message(&drawn)
    }

    /// The message that starts those of these sub-sessions that were not started yet.
    pub(super) fn start_message(&self, subs: &[Self]) -> Option<Bytes> {
        let subs: Vec<(String, TypedArray<u8>)> =
            subs.iter().filter_map(|sub| Some((sub.id().to_string(), sub.start_bundle()?))).collect();
        if subs.is_empty() { None } else { self.code_message(&Script::new(START).with("subs", &subs)) }
    }

    /// Whether the page shows what is below this session: it is there, and has started it.
    pub(super) fn is_shown(&self) -> bool {
        let ready = self.0.page().with_machine(|machine| machine.is_ready());
        ready && matches!(lock(&self.0.bindings.table).stage(self.id()), None | Some(Stage::Open))
    }
}

/// What the page's session and its sub-sessions do for each other.
impl Shared {
    /// Queues a message of this sub-session, and hands on what the page takes: under this session's lock, so that messages
    /// arrive in the order in which they were sent.
    pub(super) fn queue_at(
        self: &Arc<Self>,
        page: &Arc<Self>,
        machine: &mut SessionMachine,
        push: impl FnOnce(&mut SessionMachine) -> SendOutcome,
    ) -> (SendOutcome, Wakes) {
        let before = machine.info().queued_bytes;
        let outcome = push(machine);
        if machine.is_ready() {
            let (mut outcome, mut all) = (outcome, Wakes::default());
            while let Some(transmit) = machine.poll_transmit() {
                let (queued, wakes) =
                    page.queue_here(Lane::LowLatency, |machine| machine.send(transmit.bytes));
                outcome = queued;
                all.merge(wakes);
            }
            while let Some(transmit) = machine.poll_large_transmit() {
                let (queued, wakes) =
                    page.queue_here(Lane::LargeData, |machine| machine.send_large(transmit.bytes));
                outcome = queued;
                all.merge(wakes);
            }
            return (outcome, all);
        }
        // What its content is made of goes with it.
        if machine.status() == Status::Uninitialized {
            return (outcome, Wakes::default());
        }
        let more = machine.info().queued_bytes.saturating_sub(before);
        let held = self.bindings.held.fetch_add(more, Ordering::Relaxed) + more;
        let overflow = machine.poll_overflow() || held > self.host.limits().queued_bytes;
        let bursts = page.account_for_parts();
        if overflow || bursts {
            let reason = if overflow { CloseReason::Overflow } else { CloseReason::Capacity };
            (SendOutcome::Refused, Wakes::close(page, reason))
        } else {
            (outcome, Wakes::default())
        }
    }

    fn release_for_parts(self: &Arc<Self>, bytes: usize) {
        self.bindings.held.fetch_sub(bytes, Ordering::Relaxed);
        self.page().account_for_parts();
    }

    /// Bytes that wait for sub-sessions of the page to start.
    pub(super) fn held(&self) -> usize {
        if self.is_sub() { 0 } else { self.bindings.held.load(Ordering::Relaxed) }
    }

    /// The sub-sessions of the page, if this is its session.
    pub(super) fn subs(&self) -> Vec<Arc<Self>> {
        if self.is_sub() {
            return Vec::new();
        }
        lock(&self.bindings.table).members.values().map(|member| member.session.clone()).collect()
    }

    fn find_sub(&self, name: &str) -> Option<(Arc<Self>, Option<Arc<Place>>)> {
        let id = name.parse().ok()?;
        let table = lock(&self.bindings.table);
        table.members.get(&id).map(|member| (member.session.clone(), member.place.upgrade()))
    }

    /// The page has started a sub-session, or failed to, or has it again after a reconnect.
    pub(super) fn sub_loaded(self: &Arc<Self>, name: &str, error: Option<JavascriptError>) {
        let Some((sub, place)) = self.find_sub(name) else {
            return tracing::trace!(session = ?self.id(), "word of a sub-session that is gone");
        };
        let failed = error.is_some();
        let Some(first) = sub.open(error) else { return };
        if let Some(place) = place {
            place.handle_loaded(sub.id(), failed);
        }
        if first {
            sub.parts.each(|part| part.advance());
        }
    }

    /// The page has started this sub-session. Answers whether that is news; `None` if it was not sent there yet.
    fn open(self: &Arc<Self>, error: Option<JavascriptError>) -> Option<bool> {
        let (first, seen, wakes) = {
            let mut table = lock(&self.bindings.table);
            let member = table.members.get_mut(&self.id())?;
            if member.stage == Stage::Drawn {
                return None;
            }
            let first = member.stage == Stage::Sent && error.is_none();
            if first {
                member.stage = Stage::Open;
            }
            let seen = if first { std::mem::take(&mut member.seen) } else { Vec::new() };
            let (message, exception, stacktrace) = match error {
                Some(error) => (error.message, Some(error.exception), error.stacktrace),
                None => Default::default(),
            };
            let session = self.id().to_string();
            let loaded = ClientMessage::DoneLoading { session, message, exception, stacktrace };
            let mut held = 0;
            let (_, wakes) = self.queue(Lane::LowLatency, |machine| {
                held = machine.info().queued_bytes;
                if let Some(epoch) = machine.epoch() {
                    machine.handle_message(epoch, loaded, self.now());
                }
                SendOutcome::Queued
            });
            if first {
                self.release_for_parts(held);
            }
            (first, seen, wakes)
        };
        wakes.run();
        // Between the making of its HTML and now, values came before the page could follow them.
        for Seen { observable, version } in seen {
            if observable.version() != version {
                self.bindings.tell_again(&Session(self.page().clone()), observable.id());
            }
        }
        self.dispatch();
        Some(first)
    }

    /// The DOM of a sub-session has left the page.
    pub(super) fn sub_removed(self: &Arc<Self>, name: &str) {
        // What the server has taken away itself is reported as well.
        let Some((sub, place)) = self.find_sub(name) else { return };
        if !lock(&self.bindings.table).is_live(sub.id()) {
            return;
        }
        sub.end_subtree(CloseReason::Removed);
        match place {
            Some(place) => place.handle_removed(sub.id()),
            None => self.free(&[sub.id()]),
        }
    }

    /// Page code asks for the DOM of a sub-session.
    pub(super) fn sub_requested(self: &Arc<Self>, name: &str, replace: &str) {
        let plain =
            !replace.is_empty() && replace.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\".contains(&b));
        if let (true, Some((sub, Some(place)))) = (plain, self.find_sub(name)) {
            place.redraw(sub.id(), replace);
        }
    }

    /// The connection is lost, or there again: hooks of sub-sessions hear of it as those of the page do.
    pub(super) fn tell_subs(&self, event: &Event) {
        for sub in self.subs() {
            sub.with_machine(|machine| machine.handle_page_event(event.clone()));
            sub.dispatch();
        }
    }

    /// The connection is there, for the first time or again.
    pub(super) fn resume_parts(&self, again: bool) {
        self.parts.each(|part| part.resume(again));
        for sub in self.subs() {
            sub.parts.each(|part| part.resume(again));
        }
    }

    /// The application closes this sub-session.
    pub(super) fn close_sub(self: &Arc<Self>, reason: CloseReason) {
        let Some((_, place)) = self.find_sub(&self.id().to_string()) else { return };
        self.end_subtree(reason);
        if let Some(place) = place {
            place.handle_closed(self.id());
        }
    }

    /// Ends this sub-session and all below it; the page keeps their objects until they are [freed](Self::free).
    pub(super) fn end_subtree(self: &Arc<Self>, reason: CloseReason) {
        let (sessions, dropped) = lock(&self.bindings.table).close(self.id());
        guard("what the inputs of a session owned", || drop(dropped));
        for session in sessions {
            session.end(reason);
        }
    }

    /// Ends this sub-session alone.
    pub(super) fn end(self: &Arc<Self>, reason: CloseReason) {
        let held = self.with_machine(|machine| {
            let waits = machine.status() == Status::Displayed;
            let held = if waits { machine.info().queued_bytes } else { 0 };
            if machine.close(reason, self.now()) { held } else { 0 }
        });
        self.release_for_parts(held);
        self.end_belongings();
        self.dispatch();
    }

    /// The page lets closed sub-sessions go, with all below them and whatever only they held.
    pub(super) fn free(self: &Arc<Self>, ids: &[SessionId]) {
        let page = Session(self.page().clone());
        let (wakes, _dropped) = {
            let mut table = lock(&self.bindings.table);
            let (freed, members, bounds) = table.free(ids);
            if freed.sessions.is_empty() {
                return;
            }
            let names = |ids: &[SessionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
            let objects = freed.objects.iter().map(ToString::to_string).collect::<Vec<_>>();
            let script =
                Script::new(FREE).with("sessions", &names(&freed.sessions)).with("objects", &objects);
            // Under the lock: what is brought to the page anew comes behind this.
            let message = page.code_message(&script);
            let wakes =
                message.map(|message| page.0.queue_here(Lane::LowLatency, |machine| machine.send(message)).1);
            (wakes.unwrap_or_default(), (members, bounds))
        };
        wakes.run();
    }

    /// Forgets a sub-session that the page has never heard of.
    pub(super) fn discard(self: &Arc<Self>) {
        self.end_subtree(CloseReason::Replaced);
        let _dropped = lock(&self.bindings.table).free(&[self.id()]);
    }
}
