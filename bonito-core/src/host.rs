//! What a session needs of the endpoint that it belongs to. The runtime stays behind this seam.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::proto::compress::Container;
use crate::proto::resume::Takeover;
use crate::{Limits, Session, SessionId};

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) trait Host: fmt::Debug + Send + Sync + 'static {
    fn now(&self) -> Instant;
    fn sleep_until(&self, at: Instant) -> BoxFuture;
    fn spawn(&self, future: BoxFuture);
    /// The same, where there may be no runtime: answers whether there is one.
    fn try_spawn(&self, future: BoxFuture) -> bool;
    fn limits(&self) -> &Limits;
    fn urls(&self) -> &Urls;
    /// Who may resume, and who else may connect.
    fn resumption(&self) -> Resumption;
    /// How messages to and from the browser are compressed.
    fn compression(&self) -> Option<Container>;
    /// Since when and until when the endpoint drains.
    fn drain(&self) -> Option<Drain>;
    /// Ends when the endpoint begins to drain.
    fn drain_begins(&self) -> BoxFuture;
    /// Whether a session outlives its socket.
    fn allow_soft_close(&self) -> bool;
    /// A connection came, went, or the page was handed out: the time of the next cleanup may be another.
    fn changed(&self, session: &Session);
    /// What waits for the browser of a session that has lost it were so many bytes and are now so many. May be called under
    /// the session's lock. Answers whether that is too much in all; then [`crowded`](Self::crowded) is to be called, under no
    /// lock.
    fn held(&self, before: usize, now: usize) -> bool;
    fn crowded(&self);
    /// The session is closed and is not to be found any more.
    fn closed(&self, id: SessionId);
}

/// What the endpoint says of pages that resume, and of those that cannot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resumption {
    /// What becomes of a page that was loaded twice.
    pub(crate) takeover: Takeover,
    /// Whether a socket that cannot resume may have a session that nobody has resumed.
    pub(crate) plain_clients: bool,
}

impl Default for Resumption {
    fn default() -> Self {
        Self { takeover: Takeover::default(), plain_clients: true }
    }
}

/// The times of a drain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// When it began.
    pub(crate) start: Instant,
    /// When it is over, whatever is left.
    pub(crate) deadline: Instant,
}

impl Drain {
    /// When the socket of this session leaves: ids are random, so leaving is spread evenly over the first three quarters.
    pub(crate) fn leave(&self, id: SessionId) -> Instant {
        self.leave_at(id.fraction())
    }

    /// When a socket leaves that stands at this fraction of all, from 0 to 1.
    pub(crate) fn leave_at(&self, fraction: f64) -> Instant {
        self.start + self.window().mul_f64(0.75 * fraction)
    }

    /// How long its page should stay away: until this process is gone, and then not all at once.
    pub(crate) fn retry_after(&self, id: SessionId, now: Instant) -> Duration {
        self.pause(id.fraction(), now)
    }

    /// The same for a socket that stands at this fraction of all.
    pub(crate) fn pause(&self, fraction: f64, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now) + self.window().mul_f64(fraction)
    }

    fn window(&self) -> Duration {
        self.deadline.saturating_duration_since(self.start)
    }
}

/// Where a page finds the client and its session, as the browser sees it.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    /// The client library.
    pub(crate) library: String,
    /// The module that opens the WebSocket.
    pub(crate) websocket_module: String,
    /// To this the id of a session is appended. Ends with a slash.
    pub(crate) sessions: String,
}
