//! What the application wants to be told about a session.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::Session;
use crate::proto::resume::ContinuityLost;
use crate::proto::session::{CloseReason, Event, JavascriptError};
use crate::sync::{guard, lock};

type Hook<A> = Arc<dyn Fn(&Session, A) + Send + Sync>;
type TextHook = Arc<dyn Fn(&Session, &str) + Send + Sync>;
type ErrorHook = Arc<dyn Fn(&Session, &JavascriptError) + Send + Sync>;

/// Complaints about one page that are logged as warnings; further ones are for debugging, so that a hostile page cannot
/// fill the log.
const COMPLAINTS: u32 = 20;

#[derive(Default)]
pub(crate) struct Hooks {
    state: Mutex<State>,
    complaints: AtomicU32,
}

#[derive(Default)]
struct State {
    /// Absent until there is a hook, as in most sessions.
    table: Option<Box<Table>>,
    closed: bool,
}

#[derive(Default)]
struct Table {
    open: Vec<Hook<bool>>,
    soft_close: Vec<Hook<()>>,
    continuity_lost: Vec<Hook<ContinuityLost>>,
    high_water: Vec<Hook<()>>,
    low_water: Vec<Hook<()>>,
    close: Vec<Hook<CloseReason>>,
    error: Vec<ErrorHook>,
    warning: Vec<TextHook>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

impl Hooks {
    /// Adds a hook, unless the session is over and would keep it for ever. Answers whether it did.
    fn add(&self, add: impl FnOnce(&mut Table)) -> bool {
        let mut state = lock(&self.state);
        if !state.closed {
            add(state.table.get_or_insert_default());
        }
        !state.closed
    }

    fn hooks<H: Clone>(&self, which: impl FnOnce(&Table) -> &Vec<H>) -> Vec<H> {
        lock(&self.state).table.as_deref().map(|table| which(table).clone()).unwrap_or_default()
    }

    pub(super) fn run(&self, session: &Session, event: &Event) {
        match event {
            Event::Opened { again, resumed } => {
                tracing::debug!(session = ?session.id(), again, resumed, "open");
                let hooks = self.hooks(|table| &table.open);
                each(hooks, |hook| hook(session, *again));
            }
            Event::SoftClosed => {
                tracing::debug!(session = ?session.id(), "soft-closed");
                let hooks = self.hooks(|table| &table.soft_close);
                each(hooks, |hook| hook(session, ()));
            }
            Event::ContinuityLost(reason) => {
                tracing::warn!(session = ?session.id(), ?reason, "continuity is lost");
                let hooks = self.hooks(|table| &table.continuity_lost);
                each(hooks, |hook| hook(session, *reason));
            }
            Event::HighWater => {
                tracing::debug!(session = ?session.id(), "much waits for the page");
                let hooks = self.hooks(|table| &table.high_water);
                each(hooks, |hook| hook(session, ()));
            }
            Event::LowWater => {
                let hooks = self.hooks(|table| &table.low_water);
                each(hooks, |hook| hook(session, ()));
            }
            Event::Closed(reason) => {
                tracing::debug!(session = ?session.id(), ?reason, "closed");
                // Nothing comes after this one, so all hooks go, and what they own with them.
                let hooks = {
                    let mut state = lock(&self.state);
                    state.closed = true;
                    state.table.take()
                };
                each(hooks.unwrap_or_default().close, |hook| hook(session, *reason));
            }
            Event::JavascriptError(error) => {
                session.complain(|| {
                    format!(
                        "JavaScript error: {:?} {:?} at {:?}",
                        error.message, error.exception, error.stacktrace
                    )
                });
                let hooks = self.hooks(|table| &table.error);
                each(hooks, |hook| hook(session, error));
            }
            Event::JavascriptWarning(message) => {
                session.complain(|| format!("JavaScript warning: {message:?}"));
                let hooks = self.hooks(|table| &table.warning);
                each(hooks, |hook| hook(session, message));
            }
            Event::Update { .. }
            | Event::SubLoaded { .. }
            | Event::SubRemoved { .. }
            | Event::SubRequested { .. } => {}
        }
    }
}

fn each<H>(hooks: Vec<H>, call: impl Fn(&H)) {
    for hook in hooks {
        guard("a hook of a session", || call(&hook));
    }
}

/// Hooks. They run outside every lock, one at a time, in the order of the events; one that panics is logged. They go
/// with the session.
impl Session {
    /// Logs what is wrong with the page. Whatever the page wrote must be in it as `Debug` prints it, on one line.
    pub(super) fn complain(&self, what: impl FnOnce() -> String) {
        if self.0.hooks.complaints.fetch_add(1, Ordering::Relaxed) < COMPLAINTS {
            tracing::warn!(session = ?self.id(), "{}", what());
        } else {
            tracing::debug!(session = ?self.id(), "{}", what());
        }
    }

    /// Calls `hook` whenever the page has loaded and its connection is up. The flag says whether that is so again, after
    /// a lost connection. For the session of a [part](Self::render) of the page: when the page shows it, and again with the
    /// page.
    pub fn on_open(&self, hook: impl Fn(&Self, bool) + Send + Sync + 'static) {
        let hook: Hook<bool> = Arc::new(hook);
        self.0.hooks.add(|table| table.open.push(hook));
    }

    /// Calls `hook` whenever the connection is lost and the browser may come back; for the session of a
    /// [part](Self::render), the connection of its page.
    pub fn on_soft_close(&self, hook: impl Fn(&Self) + Send + Sync + 'static) {
        let hook: Hook<()> = Arc::new(move |session, ()| hook(session));
        self.0.hooks.add(|table| table.soft_close.push(hook));
    }

    /// Calls `hook` when messages of a page that [resumes](crate::Takeover) are lost, or may be, with the reason; the page
    /// is told too, and by default loads afresh. Before [`on_close`](Self::on_close), but for
    /// [`ContinuityLost::TakenOver`], after which the session goes on with another page. Source: protocol.md §18.5.
    pub fn on_continuity_lost(&self, hook: impl Fn(&Self, ContinuityLost) + Send + Sync + 'static) {
        let hook: Hook<ContinuityLost> = Arc::new(hook);
        self.0.hooks.add(|table| table.continuity_lost.push(hook));
    }

    /// Calls `hook` when what waits for the page has risen to [`Limits::high_water_bytes`](crate::Limits::high_water_bytes),
    /// from the making of the page on: the browser is away, or does not keep up. Whoever sends much makes a pause, until
    /// [`on_low_water`](Self::on_low_water). A [part](Self::render) has what waits for its page.
    ///
    /// It may be called in the middle of the send, or of the [`Observable::set`](crate::Observable::set), that was too much, after
    /// all other pages have been told.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// # let session = bonito_core::Endpoint::builder("/live").build().session();
    /// let pause = Arc::new(AtomicBool::new(false));
    /// let (high, low) = (pause.clone(), pause.clone());
    /// session.on_high_water(move |_| high.store(true, Ordering::Relaxed));
    /// session.on_low_water(move |_| low.store(false, Ordering::Relaxed));
    /// ```
    pub fn on_high_water(&self, hook: impl Fn(&Self) + Send + Sync + 'static) {
        let hook: Hook<()> = Arc::new(move |session, ()| hook(session));
        self.0.page().hooks.add(|table| table.high_water.push(hook));
    }

    /// Calls `hook` when, after [`on_high_water`](Self::on_high_water), what waits for the page has fallen to
    /// [`Limits::low_water_bytes`](crate::Limits::low_water_bytes). What falls and rises again before a hook could be called is
    /// not told, so the two alternate and the last one told is what holds. Not called when the session closes.
    pub fn on_low_water(&self, hook: impl Fn(&Self) + Send + Sync + 'static) {
        let hook: Hook<()> = Arc::new(move |session, ()| hook(session));
        self.0.page().hooks.add(|table| table.low_water.push(hook));
    }

    /// Calls `hook` once, when the session is over, with the reason; at once if it is.
    pub fn on_close(&self, hook: impl Fn(&Self, CloseReason) + Send + Sync + 'static) {
        let hook: Hook<CloseReason> = Arc::new(hook);
        if !self.0.hooks.add(|table| table.close.push(hook.clone())) {
            let reason = self.0.close_reason().unwrap_or(CloseReason::Application);
            each(vec![hook], |hook| hook(self, reason));
        }
    }

    /// Calls `hook` with every error of page code, be it yours, ours, or the page's own. Each is logged as well.
    pub fn on_javascript_error(&self, hook: impl Fn(&Self, &JavascriptError) + Send + Sync + 'static) {
        let hook: ErrorHook = Arc::new(hook);
        self.0.hooks.add(|table| table.error.push(hook));
    }

    /// Calls `hook` with every text that page code passes to `Bonito.send_warning`.
    pub fn on_javascript_warning(&self, hook: impl Fn(&Self, &str) + Send + Sync + 'static) {
        let hook: TextHook = Arc::new(hook);
        self.0.hooks.add(|table| table.warning.push(hook));
    }
}
