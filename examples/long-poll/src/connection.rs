//! The connection: what Rust keeps for the page until the page has confirmed it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app_parts::Sessions;
use bonito_core::{FrontendConnection, Lane, Script, SendError, Session};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::batch;

/// Bytes that are kept for a page. More wait in the session.
const ROOM: usize = 1 << 20;
/// A poll is answered after this time, since proxies end quiet requests after 60 s.
const POLL: Duration = Duration::from_secs(25);
/// A batch waits so long for the one before it to be worked off.
const TURN: Duration = Duration::from_secs(10);
/// Without a poll for so long, the page counts as gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// One session's connection over polls. A clone is another handle to the same.
#[derive(Clone)]
pub struct LongPoll(Arc<Inner>);

struct Inner {
    sessions: Sessions<LongPoll>,
    compression: bool,
    patience: Duration,
    state: Mutex<State>,
    /// Notified when something has changed that a poll or the watch waits for.
    changed: Notify,
}

struct State {
    /// The page has asked for the way to be opened, and was not lost since.
    open: bool,
    closed: bool,
    /// The page may not have these yet. The first has the number `first`.
    kept: VecDeque<Bytes>,
    first: u64,
    bytes: usize,
    /// The number of the page's next message.
    expected: u64,
    /// A request hands messages of the page to the session.
    receiving: bool,
    /// The number of the newest poll, as the page counts them.
    newest: u64,
    /// Counts the polls that were let in. Only the last of them is answered.
    turn: u64,
    /// Polls that wait.
    polls: usize,
    /// When the last of them ended.
    quiet_since: Instant,
    watched: bool,
}

/// What a poll comes to.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "part of an app")]
pub enum Polled {
    /// A batch.
    Messages(Bytes),
    /// Nothing for now.
    Nothing,
    /// The way has to be opened first: the page was lost, or never there.
    NotOpen,
    /// A newer poll has come, so nobody waits for this one's answer.
    Superseded,
    /// The page confirms what it cannot have.
    Unknown,
    /// The session is over.
    Closed,
}

/// What became of a batch of the page.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "part of an app")]
pub enum Received {
    /// All before this number has come.
    UpTo(u64),
    /// Nothing was taken: another request has been worked off for long, and still is.
    Busy,
    /// Messages in between are missing.
    Gap,
    /// The session is over.
    Closed,
}

impl fmt::Debug for LongPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongPoll").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

// [connection]
impl FrontendConnection for LongPoll {
    fn write(&self, bytes: Bytes, _lane: Lane) -> Result<(), SendError> {
        let mut state = self.state();
        if !state.open || state.closed {
            return Err(SendError::closed(bytes));
        }
        // One message fits in any case.
        if !state.kept.is_empty() && state.bytes + bytes.len() > ROOM {
            return Err(SendError::full(bytes));
        }
        state.bytes += bytes.len();
        state.kept.push_back(bytes);
        drop(state);
        self.0.changed.notify_waiters();
        Ok(())
    }

    fn is_open(&self) -> bool {
        let state = self.state();
        state.open && !state.closed
    }

    fn close(&self) {
        self.state().closed = true;
        self.0.changed.notify_waiters();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        self.0.sessions.save(session, self.clone());
        let script = Script::new(include_str!("page.js"))
            .with("url", &format!("/poll/{}", session.id()))
            .with("compression", &self.0.compression);
        Some(script)
    }
}
// [/connection]

impl LongPoll {
    /// A connection that no page has opened yet. `sessions` is where the routes look for it; `compression` is what the
    /// endpoint was built with.
    pub fn new(sessions: &Sessions<Self>, compression: bool) -> Self {
        let state = State {
            open: false,
            closed: false,
            kept: VecDeque::new(),
            first: 0,
            bytes: 0,
            expected: 0,
            receiving: false,
            newest: 0,
            turn: 0,
            polls: 0,
            quiet_since: Instant::now(),
            watched: false,
        };
        Self(Arc::new(Inner {
            sessions: sessions.clone(),
            compression,
            patience: PATIENCE,
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// How long a page may be without a poll before it counts as gone; 10 s by default. For a connection that has no other
    /// handle yet.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.patience = patience;
        }
        self
    }

    /// Nobody else's code runs under this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page has all before `from` and wants what follows. The page numbers its polls from 1 on, and the newest one gets
    /// it: of two that wait, one has lost its page, and they need not have come in their order. Two may have one number:
    /// browsers repeat a request by themselves when its connection was lost. Then the later one counts.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: messages are kept until a later poll confirms them.
    pub async fn poll(&self, session: &Session, number: u64, from: u64, open: bool) -> Polled {
        let deadline = Instant::now() + POLL;
        let poll = match self.begin(number, from, open) {
            Ok(poll) => poll,
            Err(polled) => return polled,
        };
        self.watch(session);
        // There may be room again.
        session.flush();
        loop {
            let changed = self.0.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(polled) = self.look(poll.turn) {
                return polled;
            }
            if open || timeout_at(deadline, changed).await.is_err() {
                return Polled::Nothing;
            }
        }
    }

    fn begin(&self, number: u64, from: u64, open: bool) -> Result<Poll, Polled> {
        let turn = {
            let mut state = self.state();
            if state.closed {
                return Err(Polled::Closed);
            }
            if number < state.newest {
                return Err(Polled::Superseded);
            }
            if !state.open && !open {
                return Err(Polled::NotOpen);
            }
            if from > state.first + state.kept.len() as u64 {
                return Err(Polled::Unknown);
            }
            while state.first < from
                && let Some(had) = state.kept.pop_front()
            {
                state.bytes -= had.len();
                state.first += 1;
            }
            state.open = true;
            state.newest = number;
            state.polls += 1;
            state.turn += 1;
            state.turn
        };
        self.0.changed.notify_waiters();
        Ok(Poll { connection: self.clone(), turn })
    }

    /// What there is for this poll at the moment.
    fn look(&self, turn: u64) -> Option<Polled> {
        let state = self.state();
        if state.closed {
            return Some(Polled::Closed);
        }
        if state.turn != turn {
            return Some(Polled::Superseded);
        }
        if state.kept.is_empty() {
            return None;
        }
        let messages: Vec<&Bytes> = state.kept.iter().take(batch::MESSAGES).collect();
        Some(Polled::Messages(batch::encode(state.first, messages)))
    }

    /// The page has sent messages, the first of them with this number. Those that have come before are passed over, and so are
    /// those that are none of the protocol: what they were is lost, and the page may go on.
    ///
    /// A page whose line was cut sends again what an earlier request may still be handing over, so a batch waits for the one
    /// before it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future while it waits takes nothing, and it does not wait after that.
    pub async fn receive(&self, session: &Session, first: u64, messages: Vec<Bytes>) -> Received {
        let Some(turn) = self.turn().await else { return Received::Busy };
        let expected = self.state().expected;
        if first > expected {
            return Received::Gap;
        }
        for message in messages.into_iter().skip((expected - first) as usize) {
            // The application's listeners run in here.
            match session.process_message(message) {
                Err(error) if error.is_full() => break,
                Err(error) if error.is_closed() => return Received::Closed,
                Ok(()) | Err(_) => self.state().expected += 1,
            }
        }
        drop(turn);
        Received::UpTo(self.state().expected)
    }

    async fn turn(&self) -> Option<Turn<'_>> {
        let deadline = Instant::now() + TURN;
        loop {
            let changed = self.0.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(turn) = Turn::take(self) {
                return Some(turn);
            }
            timeout_at(deadline, changed).await.ok()?;
        }
    }

    /// Has a task, one for each session, look whether polls still come.
    fn watch(&self, session: &Session) {
        let watched = std::mem::replace(&mut self.state().watched, true);
        if !watched {
            let (connection, watched) = (self.clone(), session.clone());
            session.spawn(async move { connection.wait_for_silence(&watched).await });
        }
    }

    async fn wait_for_silence(&self, session: &Session) {
        loop {
            let changed = self.0.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let quiet_since = {
                let mut state = self.state();
                let quiet = state.open && state.polls == 0;
                let quiet_since = quiet.then_some(state.quiet_since);
                if quiet_since.is_some_and(|since| since.elapsed() >= self.0.patience) {
                    state.open = false;
                }
                quiet_since
            };
            match quiet_since {
                Some(since) if since.elapsed() >= self.0.patience => session.soft_close(),
                Some(since) => sleep_until(since + self.0.patience).await,
                None => changed.await,
            }
        }
    }
}

/// A poll that counts.
struct Poll {
    connection: LongPoll,
    turn: u64,
}

impl Drop for Poll {
    fn drop(&mut self) {
        {
            let mut state = self.connection.state();
            state.polls -= 1;
            state.quiet_since = Instant::now();
        }
        self.connection.0.changed.notify_waiters();
    }
}

/// The right to hand messages to the session. One request has it at a time, and no lock is held meanwhile.
struct Turn<'a>(&'a LongPoll);

impl<'a> Turn<'a> {
    fn take(connection: &'a LongPoll) -> Option<Self> {
        let taken = std::mem::replace(&mut connection.state().receiving, true);
        // Not made for nothing: its drop would give back what somebody else has.
        if taken { None } else { Some(Self(connection)) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().receiving = false;
        self.0.0.changed.notify_waiters();
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
