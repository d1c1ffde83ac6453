//! A connection in memory, which is right, or wrong in one way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bonito_core::{Endpoint, FrontendConnection, Lane, Script, SendError, Session};
use bonito_testkit::FarEnd;
use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes on the way to the page.
const ROOM: usize = 256 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// It takes what it has no room for, and throws it away.
    DropsWhenFull,
    /// It has room for everything.
    NeverFull,
    /// It gives back what it has taken.
    TakesAndGivesBack,
    /// The newest message comes first.
    LastFirst,
    /// It does not tell that the way is lost.
    SilentLoss,
    /// It keeps what was on the way when it was lost, and sends it again.
    SendsAgain,
    /// It says that it is open, whatever is.
    AlwaysOpen,
    /// It goes on after its end.
    NeverEnds,
    /// It ends its session when the page sends nonsense.
    EndsOnGarbage,
    /// It keeps its session for ever.
    Leaks,
    /// It has no script.
    NoScript,
}

/// What a user would write.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    fault: Fault,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    up: bool,
    closed: bool,
    full: bool,
    way: VecDeque<Bytes>,
    bytes: usize,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) {
        let mut state = self.state();
        state.up = !state.closed;
        if self.fault != Fault::SendsAgain {
            (state.bytes, state.full) = (0, false);
            state.way.clear();
        }
    }

    fn cut(&self) {
        let session = {
            let mut state = self.state();
            state.up = false;
            state.session.clone()
        };
        if let (Some(session), true) = (session, self.fault != Fault::SilentLoss) {
            session.soft_close();
        }
        self.changed.notify_one();
    }

    fn handle_received(&self, message: Bytes) {
        let session = {
            let state = self.state();
            if !state.up {
                return;
            }
            state.session.clone()
        };
        let Some(session) = session else { return };
        if session.process_message(message).is_err() && self.fault == Fault::EndsOnGarbage {
            session.close();
        }
    }

    fn take(&self) -> Option<Option<Bytes>> {
        let (message, session) = {
            let mut state = self.state();
            if !state.up {
                return Some(None);
            }
            let message = state.way.pop_front()?;
            if self.fault == Fault::SendsAgain {
                state.way.push_back(message.clone());
            }
            state.bytes -= message.len().min(state.bytes);
            let flush = std::mem::take(&mut state.full);
            (message, if flush { state.session.clone() } else { None })
        };
        if let Some(session) = session {
            session.flush();
        }
        Some(Some(message))
    }
}

impl FrontendConnection for Memory {
    fn write(&self, bytes: Bytes, _lane: Lane) -> Result<(), SendError> {
        let mut state = self.state();
        if !state.up && self.fault != Fault::SilentLoss && self.fault != Fault::NeverEnds {
            return Err(SendError::closed(bytes));
        }
        if state.bytes >= ROOM && self.fault != Fault::NeverFull {
            if self.fault == Fault::DropsWhenFull {
                return Ok(());
            }
            if self.fault == Fault::TakesAndGivesBack {
                state.way.push_back(bytes.clone());
            }
            state.full = true;
            return Err(SendError::full(bytes));
        }
        state.bytes += bytes.len();
        if self.fault == Fault::LastFirst {
            state.way.push_front(bytes);
        } else {
            state.way.push_back(bytes);
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.state().up || self.fault == Fault::AlwaysOpen
    }

    fn close(&self) {
        let session = {
            let mut state = self.state();
            (state.up, state.closed) = (self.fault == Fault::NeverEnds, true);
            if self.fault == Fault::Leaks { None } else { state.session.take() }
        };
        drop(session);
        self.changed.notify_one();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        self.state().session = Some(session.clone());
        (self.fault != Fault::NoScript).then(|| Script::new("create_connection()"))
    }
}

/// The page's end.
pub(crate) struct MemoryFarEnd(Arc<Memory>);

pub(crate) async fn memory(_live: Endpoint) -> MemoryFarEnd {
    wrong(Fault::None).await
}

pub(crate) async fn wrong(fault: Fault) -> MemoryFarEnd {
    MemoryFarEnd(Arc::new(Memory { fault, ..Memory::default() }))
}

impl FarEnd for MemoryFarEnd {
    fn connection(&self) -> Arc<dyn FrontendConnection> {
        self.0.clone()
    }

    async fn connect(&mut self, _session: &Session) {
        self.0.connect();
    }

    async fn send(&mut self, message: Bytes) {
        self.0.handle_received(message);
    }

    async fn receive(&mut self) -> Option<Bytes> {
        loop {
            let changed = self.0.changed.notified();
            if let Some(taken) = self.0.take() {
                return taken;
            }
            changed.await;
        }
    }

    async fn cut(&mut self) {
        self.0.cut();
    }
}
