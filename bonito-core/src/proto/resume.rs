//! Resumable delivery: what two sides say to each other so that nothing is lost with a socket.
//!
//! [`Control`] frames travel between the messages; [`Key`]s open a stream and change with each socket; [`Acks`] says when to
//! acknowledge. The stream itself belongs to the [session](super::session::SessionMachine). Source: protocol.md §18.

mod acks;
mod control;
mod keys;
mod refusal;
mod ring;

pub use acks::Acks;
pub use control::{CONTROL_BYTES, Control, Hello, Welcome, is_control};
pub use keys::{Instance, Key, StreamId};
pub use refusal::{ContinuityLost, Refusal};

pub(crate) use keys::Keys;
pub(crate) use ring::{Replay, Ring};

/// The WebSocket subprotocol, protocol.md §18.1.
pub const PROTOCOL: &str = "bonito.resume.1";

/// What the operating system's random source has to give for one [hello](Hello): a name for a stream, should one begin, and
/// the key for the hello after this.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever has the random bytes")]
pub struct Fresh {
    /// Names the stream.
    pub stream: StreamId,
    /// Opens it the next time.
    pub key: Key,
}

/// What becomes of a page that was loaded twice: a duplicated tab has the same session and the same
/// [page key](Key) as the first.
///
/// It is told from a page that comes back, since each has made up an [`Instance`] when it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Takeover {
    /// The newest has the session. The one before is told so, and the application that
    /// [continuity is lost](ContinuityLost::TakenOver).
    Newest,
    /// The first keeps the session, and the second says that it is open elsewhere.
    Reject,
    /// The first keeps the session, and the second loads the page afresh into a session of its own.
    #[default]
    Fork,
}
