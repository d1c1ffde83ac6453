//! Breaking connections on purpose: the handle to break them with.

mod delay;
mod flaky;
mod state;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub use flaky::Flaky;
use state::{Shared, Way};

/// Breaks the connections that were made with it, when it is told to. A clone is another handle to the same ones.
///
/// Wrap the transport of a socket where it is made, with [`Flaky::new`] or [`wrap`](Self::wrap). As long as nothing is asked
/// for, everything passes as it is.
///
/// ```
/// use bonito_core::{Disconnect, Session, Transport, WebSocketHandler, run_connection_loop};
/// use bonito_testkit::Faults;
///
/// async fn serve(session: &Session, handler: &WebSocketHandler, transport: impl Transport, faults: &Faults) -> Disconnect {
///     run_connection_loop(session, handler, faults.wrap(transport)).await
/// }
/// ```
///
/// | fault | whom it meets | the end here | the far end |
/// |---|---|---|---|
/// | [`cut`](Self::cut) | who is connected | an error of kind `Io`, at once | its connection ends without a close frame |
/// | [`half_open`](Self::half_open) | who is connected | takes all that is written, and hears nothing | hears nothing |
/// | [`latency`](Self::latency) | all, until [`heal`](Self::heal) | | everything later, in its order |
/// | [`stall_reading`](Self::stall_reading) | all, until then | hears nothing | is not read: its writes fill up |
/// | [`stall_writing`](Self::stall_writing) | all, until then | a sink that takes no more | hears nothing |
/// | [`cut_after_frames`](Self::cut_after_frames) | each, from then on | | |
/// | [`cut_after_bytes`](Self::cut_after_bytes) | each, from then on | | |
///
/// Nothing is ever changed, doubled or put out of order: TCP does none of that. What was under way when a connection was cut is
/// lost, as on a real one.
///
/// Time is tokio's, and so under the test's control with `start_paused`. What is drawn at random depends on the
/// [`seed`](Self::seed) and on the order in which connections come; the seed is logged.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl Faults {
    /// No faults so far, and a seed of its own each time, which is logged at level `INFO`.
    pub fn new() -> Self {
        let seed = RandomState::new().hash_one(());
        tracing::info!(seed, "connections may break on purpose");
        Self::with_seed(seed)
    }

    /// No faults so far; what is drawn at random repeats an earlier run.
    pub fn with_seed(seed: u64) -> Self {
        Self(Arc::new(Shared::new(seed)))
    }

    /// What [`with_seed`](Self::with_seed) needs to repeat this.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// How many connections there are that have not been cut, those that are half-open included.
    pub fn connections(&self) -> usize {
        self.0.connections()
    }

    /// A connection that this handle can break. As [`Flaky::new`].
    pub fn wrap<T>(&self, transport: T) -> Flaky<T> {
        Flaky::new(transport, self)
    }

    /// Ends all connections that there are, at once and without a close frame, as a crash or a reset does. What was under way is
    /// lost.
    pub fn cut(&self) {
        self.0.cut();
    }

    /// Lets all connections that there are carry nothing any more, without a word, as after a router has forgotten them. What is
    /// written seems to have been sent. They never recover: only a timeout of their own or a [`cut`](Self::cut) ends them.
    ///
    /// When the end here lets go, its real connection is closed, and the far end hears of that; in a network it would not.
    pub fn half_open(&self) {
        self.0.half_open();
    }

    /// Lets everything take so long, in both directions and anew for each frame. Frames keep their order, so one that is slow
    /// holds up those behind it. Zero is none.
    ///
    /// A direction holds up to 256 frames or 1 MiB that are under way; then it takes no more until some have arrived. A flush
    /// ends when all has been written to the real connection, so it takes as long as the latency.
    pub fn latency(&self, latency: RangeInclusive<Duration>) {
        self.0.latency(latency);
    }

    /// Stops reading: what the far end sends waits, and soon it can send no more.
    pub fn stall_reading(&self, stalled: bool) {
        self.0.stall(Way::Reading, stalled);
    }

    /// Stops writing, as to a far end that does not read: what is written waits, and soon no more is taken.
    pub fn stall_writing(&self, stalled: bool) {
        self.0.stall(Way::Writing, stalled);
    }

    /// Cuts each connection after it has carried so many frames more, both directions together; each draws its own number. The
    /// frame that would be one too many is lost.
    pub fn cut_after_frames(&self, frames: RangeInclusive<u64>) {
        self.0.limit_frames(frames);
    }

    /// Cuts each connection after it has carried so many bytes of payload more, both directions together; each draws its own
    /// number. The frame that would be too much is lost.
    pub fn cut_after_bytes(&self, bytes: RangeInclusive<u64>) {
        self.0.limit_bytes(bytes);
    }

    /// No latency, no stall and no further cuts. What is half-open stays so.
    pub fn heal(&self) {
        self.0.heal();
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("seed", &self.seed())
            .field("connections", &self.connections())
            .finish()
    }
}
