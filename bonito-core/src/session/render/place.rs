//! A place in the page and the sub-session that fills it.

use std::fmt::{self, Display};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::Part;
use crate::id::SessionId;
use crate::js::Script;
use crate::observable::Subscription;
use crate::proto::codec;
use crate::proto::message::SessionStatus;
use crate::proto::session::{CloseReason, Status};
use crate::proto::value::{RawValue, TypedArray};
use crate::session::sub::Start;
use crate::session::{Session, WeakShared};
use crate::sync::{guard, lock};

/// Fills the element of new content. Runs in the page when the element is in it; not part of the element, since HTML that
/// comes with one is wrapped in another (protocol.md §3.5) and knows nothing of where it belongs, and a `<tr>` has to.
const FILL: &str = "\
const at = document.getElementById(__lookup_interpolated('id'))
if (at) at.innerHTML = __lookup_interpolated('html')";

/// Takes an element away.
const REMOVE: &str = "\
document.querySelector('[data-jscall-id=\"' + __lookup_interpolated('name') + '\"]')?.remove()";

/// Takes an element away that is to be shown elsewhere.
const REMOVE_ID: &str = "document.getElementById(__lookup_interpolated('id'))?.remove()";

/// A place in the page whose content changes as a whole.
///
/// At most one new content is under way to the page; the next is made when the page has started that one, from what holds
/// then. So nothing piles up, however fast values come and however long the page is away.
pub(crate) struct Place {
    number: u32,
    parent: WeakShared,
    draw: Box<dyn Fn(&Session) -> String + Send + Sync>,
    state: Mutex<State>,
    kept: Mutex<Option<Subscription>>,
}

struct State {
    tag: &'static str,
    phase: Phase,
    content: Option<Content>,
    /// Former content that the page has until it shows the present one.
    former: Vec<SessionId>,
    /// What is shown is not of the newest value.
    stale: bool,
    /// The node that the next content replaces, if that is not the place's own.
    target: Option<String>,
    /// The place is to go as soon as nothing is under way to it.
    leaving: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The page shows the content.
    Idle,
    /// New content is being made.
    Drawing,
    /// New content is under way to the page: in its HTML, or in a message.
    Sent,
    /// The place is no more.
    Gone,
}

struct Content {
    session: Session,
    /// Its HTML, until the page has it.
    html: Option<String>,
    /// It went by a message, which may be lost.
    by_message: bool,
}

impl Place {
    pub(super) fn new(
        parent: &Session,
        draw: impl Fn(&Session) -> String + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = State {
            tag: "div",
            // Until the first content is there, none may take its place: values that come meanwhile wait for it.
            phase: Phase::Drawing,
            content: None,
            former: Vec::new(),
            stale: false,
            target: None,
            leaving: false,
        };
        Arc::new(Self {
            number: parent.0.bindings.next_node(),
            parent: Arc::downgrade(&parent.0),
            draw: Box::new(draw),
            state: Mutex::new(state),
            kept: Mutex::new(None),
        })
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// `data-jscall-id` of the element.
    pub(super) fn name(&self) -> String {
        format!("r{}", self.number)
    }

    pub(super) fn keep(&self, subscription: Subscription) {
        *lock(&self.kept) = Some(subscription);
    }

    pub(super) fn set_tag(&self, tag: &'static str) {
        lock(&self.state).tag = tag;
    }

    fn parent(&self) -> Option<Session> {
        self.parent.upgrade().map(Session)
    }

    /// Makes content on a sub-session of its own; `None` if that panicked.
    fn draw(self: &Arc<Self>, parent: &Session) -> (Session, Option<String>) {
        let sub = parent.sub(&Arc::downgrade(self));
        let html = guard("the view of a part of a page", || (self.draw)(&sub));
        (sub, html)
    }

    /// Makes the first content. The element is there even if that fails, for the next one.
    pub(super) fn draw_first(self: &Arc<Self>) {
        let Some(parent) = self.parent() else { return };
        let (session, html) = self.draw(&parent);
        let mut state = lock(&self.state);
        state.phase = if session.status() == Status::Closed { Phase::Idle } else { Phase::Sent };
        let html = Some(html.unwrap_or_default());
        state.content = Some(Content { session, html, by_message: false });
    }

    /// Starts the first content of a place that was made after its page was.
    pub(super) fn start_late(self: &Arc<Self>) {
        let Some(parent) = self.parent() else { return };
        if parent.status() == Status::Uninitialized {
            return;
        }
        let session = lock(&self.state).content.as_ref().map(|content| content.session.clone());
        if let Some(message) = session.and_then(|session| parent.start_message(&[session])) {
            if let Some(content) = &mut lock(&self.state).content {
                content.by_message = true;
            }
            parent.0.send(|machine| machine.send(message));
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        lock(&self.state).phase == Phase::Gone
    }

    /// The content is of an older value.
    pub(super) fn change(self: Arc<Self>) {
        lock(&self.state).stale = true;
        self.advance();
    }

    /// Page code asks for the content in the place of another node.
    pub(in crate::session) fn redraw(self: Arc<Self>, content: SessionId, target: &str) {
        {
            let mut state = lock(&self.state);
            let shown = state.content.as_ref().is_some_and(|c| c.session.id() == content);
            if !shown || state.phase != Phase::Idle {
                return;
            }
            state.target = Some(target.to_owned());
            state.stale = true;
        }
        self.advance();
    }

    /// The page has started the content, or could not.
    pub(in crate::session) fn handle_loaded(self: Arc<Self>, id: SessionId, failed: bool) {
        let (mut leaving, session) = {
            let mut state = lock(&self.state);
            let State { phase, content: Some(content), former, .. } = &mut *state else { return };
            if content.session.id() != id || *phase != Phase::Sent {
                return;
            }
            content.html = None;
            *phase = Phase::Idle;
            (std::mem::take(former), content.session.clone())
        };
        if failed {
            session.0.end_subtree(CloseReason::Replaced);
        }
        if session.status() == Status::Closed {
            leaving.push(id);
        }
        session.0.free(&leaving);
        self.advance();
    }

    /// Page code has removed the element.
    pub(in crate::session) fn handle_removed(self: Arc<Self>, id: SessionId) {
        let mut gone = vec![id];
        {
            let mut state = lock(&self.state);
            if state.content.as_ref().is_none_or(|content| content.session.id() != id) {
                // Replaced meanwhile: it goes when the page has started what comes instead.
                return;
            }
            state.phase = Phase::Gone;
            state.content = None;
            gone.append(&mut state.former);
        }
        self.forget(&gone);
    }

    /// The application has closed the content. The page goes on showing it, until there is other.
    pub(in crate::session) fn handle_closed(self: Arc<Self>, id: SessionId) {
        let content = {
            let state = lock(&self.state);
            let content = state.content.as_ref().filter(|content| content.session.id() == id);
            content.filter(|_| state.phase == Phase::Idle).map(|content| content.session.clone())
        };
        if let Some(content) = content {
            content.0.free(&[id]);
        }
    }

    /// The place is to go. Answers what the page has to let go of then; `None` if something is still under way to it, and
    /// the place goes by itself later.
    pub(super) fn leave(&self) -> Option<Vec<SessionId>> {
        let (session, mut gone) = {
            let mut state = lock(&self.state);
            let by_message = state.content.as_ref().is_some_and(|content| content.by_message);
            if state.phase == Phase::Drawing || state.phase == Phase::Sent && by_message {
                state.leaving = true;
                return None;
            }
            state.phase = Phase::Gone;
            let session = state.content.take().map(|content| content.session);
            (session, std::mem::take(&mut state.former))
        };
        if let Some(session) = session {
            session.0.end_subtree(CloseReason::Replaced);
            gone.push(session.id());
        }
        Some(gone)
    }

    /// Nothing is left of the place.
    fn forget(&self, gone: &[SessionId]) {
        self.end();
        if let Some(parent) = self.parent() {
            parent.0.free(gone);
            parent.0.parts.remove(self.number);
        }
    }

    /// The content as it goes into the page that is being made.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tag, id, html) = {
            let state = lock(&self.state);
            let Some(Content { session, html: Some(html), .. }) = &state.content else {
                return f.write_str("<!-- the page has this part already -->");
            };
            (state.tag, session.id(), html.clone())
        };
        write!(f, "<{tag} id=\"{id}\" data-jscall-id=\"{}\">{html}</{tag}>", self.name())
    }

    /// The content for a message that puts it into the page: its session, its HTML, what it starts with.
    pub(super) fn take_first(&self) -> Option<(SessionId, String, TypedArray<u8>)> {
        let (session, html) = {
            let mut state = lock(&self.state);
            let content = state.content.as_mut()?;
            content.by_message = true;
            (content.session.clone(), content.html.take()?)
        };
        Some((session.id(), html, session.start_bundle().unwrap_or_default()))
    }

    /// The message that puts new content in the place of what is there.
    fn swap(
        &self,
        sub: &Session,
        html: &str,
        tag: &str,
        target: Option<&str>,
        replaced: Option<SessionId>,
    ) -> Option<Bytes> {
        let Start { cache, items } = sub.start()?;
        let id = sub.id().to_string();
        let text = |text: &str| RawValue::encode(text).ok();
        let name = self.name();
        let element =
            RawValue::dom(tag, &[], &[("id", text(&id)?), ("data-jscall-id", text(&name)?)]).ok()?;
        let mut all = Vec::with_capacity(items.len() + 2);
        if let (Some(_), Some(replaced)) = (target, replaced) {
            all.extend(sub.code_message(&Script::new(REMOVE_ID).with("id", &replaced.to_string())));
        }
        all.extend(sub.code_message(&Script::new(FILL).with("id", &id).with("html", html)));
        all.extend(items);
        let message = codec::encode_update_session(&id, &all, &element, target.unwrap_or(&name));
        message
            .and_then(|message| codec::encode_envelope(&id, SessionStatus::Sub, &cache, &message))
            .inspect_err(
                |error| tracing::error!(session = ?sub.id(), "a part of a page cannot be sent: {error}"),
            )
            .ok()
    }

    /// Makes new content and sends it. Answers whether there may be more to do.
    fn step(self: &Arc<Self>) -> bool {
        let Some(parent) = self.parent() else { return false };
        let shown = parent.is_shown();
        let (tag, target, replaced) = {
            let mut state = lock(&self.state);
            if state.phase != Phase::Idle || !shown {
                return false;
            }
            if state.leaving {
                drop(state);
                return self.step_out(&parent);
            }
            if !std::mem::take(&mut state.stale) {
                return false;
            }
            state.phase = Phase::Drawing;
            let replaced = state.content.as_ref().map(|content| content.session.id());
            (state.tag, state.target.take(), replaced)
        };
        let (session, html) = self.draw(&parent);
        let message = match html {
            Some(html) if session.status() != Status::Closed => {
                self.swap(&session, &html, tag, target.as_deref(), replaced)
            }
            Some(_) | None => None,
        };
        let Some(message) = message else {
            session.0.discard();
            let phase = &mut lock(&self.state).phase;
            if *phase == Phase::Drawing {
                *phase = Phase::Idle;
            }
            return true;
        };
        let content = Content { session: session.clone(), html: None, by_message: true };
        let former = {
            let mut state = lock(&self.state);
            if state.phase == Phase::Gone {
                drop(state);
                session.0.discard();
                return false;
            }
            state.phase = Phase::Sent;
            let former = state.content.replace(content);
            state.former.extend(former.as_ref().map(|former| former.session.id()));
            former
        };
        // Before the page can say that it is out of its DOM, as it would of content that page code has removed.
        if let Some(former) = former {
            former.session.0.end_subtree(CloseReason::Replaced);
        }
        parent.0.page().send(|machine| machine.send(message));
        true
    }

    fn step_out(self: &Arc<Self>, parent: &Session) -> bool {
        if let Some(gone) = self.leave() {
            parent.send_code(&Script::new(REMOVE).with("name", &self.name()));
            self.forget(&gone);
        }
        false
    }
}

impl Part for Place {
    fn advance(self: Arc<Self>) {
        while self.step() {}
    }

    fn end(&self) {
        let subscription = lock(&self.kept).take();
        drop(subscription);
    }

    fn resume(self: Arc<Self>, again: bool) {
        {
            let mut state = lock(&self.state);
            let by_message = state.content.as_ref().is_some_and(|content| content.by_message);
            if again && state.phase == Phase::Sent && by_message {
                state.phase = Phase::Idle;
                state.stale = true;
            }
        }
        self.advance();
    }
}

/// A part of a page that follows an observable, made by [`Session::render`]. Write it into the page's HTML, once.
///
/// Its element is a `<div>` unless you say otherwise. In the page it is found by its content: it has no class and no style
/// of its own.
#[derive(Clone)]
#[must_use = "a region is to be written into the page"]
pub struct Region(Arc<Place>);

impl Region {
    pub(super) fn new(place: Arc<Place>) -> Self {
        Self(place)
    }

    /// The element of the region: `region.tag("tbody")`.
    ///
    /// # Panics
    ///
    /// If it is not the name of an element.
    pub fn tag(self, tag: &'static str) -> Self {
        self.0.set_tag(checked(tag));
        self
    }
}

/// The name of an element, as HTML and scripts both take it.
pub(super) fn checked(tag: &'static str) -> &'static str {
    let mut bytes = tag.bytes();
    let ordinary = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-');
    assert!(ordinary, "expected the name of an element like \"tbody\", got {tag:?}");
    tag
}

impl Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Region").field(&self.0.name()).finish()
    }
}

#[cfg(feature = "maud")]
impl maud::Render for Region {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.to_string());
    }
}
