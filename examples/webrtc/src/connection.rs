//! The connection: what waits for the page, and which of its peers has it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use app_parts::Sessions;
use bonito_core::{FrontendConnection, Lane, Script, SendError, Session, Status};
use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes that wait for a data channel. More wait in the session.
const ROOM: usize = 1 << 20;
/// Peers of one session at a time: the one that serves it, and those that try to.
const PEERS: usize = 4;

/// One session's connection over data channels. A clone is another handle to the same.
#[derive(Clone)]
pub struct WebRtc(Arc<Inner>);

struct Inner {
    sessions: Sessions<WebRtc>,
    state: Mutex<State>,
    /// Notified when something has changed that a peer waits for.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The peer with an open channel. One that comes later takes over.
    current: Option<u64>,
    closed: bool,
    /// Messages that no channel has taken as a whole. They stay when a peer is lost.
    queue: VecDeque<Bytes>,
    bytes: usize,
    peers: usize,
    last: u64,
}

impl fmt::Debug for WebRtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtc").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

// [connection]
impl FrontendConnection for WebRtc {
    fn write(&self, bytes: Bytes, _lane: Lane) -> Result<(), SendError> {
        let mut state = self.state();
        if state.current.is_none() || state.closed {
            return Err(SendError::closed(bytes));
        }
        // One message fits in any case.
        if !state.queue.is_empty() && state.bytes + bytes.len() > ROOM {
            return Err(SendError::full(bytes));
        }
        state.bytes += bytes.len();
        state.queue.push_back(bytes);
        drop(state);
        self.0.changed.notify_waiters();
        Ok(())
    }

    fn is_open(&self) -> bool {
        let state = self.state();
        state.current.is_some() && !state.closed
    }

    fn close(&self) {
        self.state().closed = true;
        self.0.changed.notify_waiters();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        self.0.sessions.save(session, self.clone());
        Some(Script::new(include_str!("page.js")).with("url", &format!("/rtc/{}", session.id())))
    }
}
// [/connection]

impl WebRtc {
    /// A connection that no page has come to yet. `sessions` is where the route looks for it.
    pub fn new(sessions: &Sessions<Self>) -> Self {
        let (state, changed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { sessions: sessions.clone(), state, changed }))
    }

    /// Nobody else's code runs under this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes peers when something has changed.
    pub(crate) fn changed(&self) -> &Notify {
        &self.0.changed
    }

    /// A place for one more peer, if there is one.
    pub(crate) fn admit(&self, session: &Session) -> Option<Place> {
        let mut state = self.state();
        if state.closed || state.peers == PEERS {
            return None;
        }
        state.peers += 1;
        state.last += 1;
        Some(Place { connection: self.clone(), session: session.clone(), number: state.last })
    }
}

/// A peer that counts, and its claim to the session.
#[derive(Debug)]
pub(crate) struct Place {
    connection: WebRtc,
    session: Session,
    number: u64,
}

impl Place {
    pub(crate) fn connection(&self) -> &WebRtc {
        &self.connection
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The channel is open. Answers whether the session is this peer's: a later one keeps it.
    pub(crate) fn take_over(&self) -> bool {
        {
            let mut state = self.connection.state();
            if state.closed || state.current > Some(self.number) {
                return false;
            }
            state.current = Some(self.number);
        }
        self.connection.0.changed.notify_waiters();
        // The page will say again that it has loaded.
        if self.session.status() == Status::Open {
            self.session.soft_close();
        }
        true
    }

    /// Whether the peer, which has had the session, is to end: the session is over, or a later peer has it.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.connection.state();
        state.closed || state.current.is_some_and(|current| current > self.number)
    }

    /// The next message. It waits until it is [`sent`](Self::sent).
    pub(crate) fn next(&self) -> Option<Bytes> {
        let state = self.connection.state();
        state.queue.front().filter(|_| state.current == Some(self.number)).cloned()
    }

    /// The channel has the next message, all of it.
    pub(crate) fn sent(&self) {
        let mut state = self.connection.state();
        if state.current == Some(self.number)
            && let Some(sent) = state.queue.pop_front()
        {
            state.bytes -= sent.len();
        }
    }

    /// Gives the session up, if it is this peer's. The peer still counts.
    pub(crate) fn leave(&self) {
        {
            let mut state = self.connection.state();
            if state.current != Some(self.number) {
                return;
            }
            state.current = None;
        }
        self.session.soft_close();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
        self.connection.state().peers -= 1;
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
