//! What a session goes through, in words: where it stands, what happens to it, what becomes of its messages.

use super::resume::ContinuityLost;
use super::value::RawValue;
#[cfg(doc)]
use crate::Limits;

/// Where a session stands.
///
/// `Uninitialized → Rendered → Displayed → Open ⇄ SoftClosed → Closed`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Created; the application fills it.
    Uninitialized,
    /// The page has been made.
    Rendered,
    /// The page has been handed out; from here on the time runs in which it must connect.
    Displayed,
    /// The page has loaded and a connection is up.
    Open,
    /// The connection is lost; messages queue and the browser may come back.
    SoftClosed,
    /// Over. No way leads back.
    Closed,
}

/// Why a session closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application closed it.
    Application,
    /// The cleanup policy closed it.
    Cleanup,
    /// Its connection ended, and the policy allows no soft close.
    Disconnected,
    /// More waited for the browser than [`Limits`] allow. What waited is lost, and the page is told so.
    Overflow,
    /// Its page and the server disagree about what has been delivered; the page is told so.
    Mismatch,
    /// Its page was handed out, and never connects: see [`NoConnection`](crate::NoConnection).
    NoConnection,
    /// There was no room: the endpoint or its owner held as much as [`Limits::total_bytes`] or [`Limits::identity_bytes`] allow
    /// and it more than its share, or its owner as many as [`Limits::identity_sessions`]; the endpoint held as many sessions as [`Limits::sessions`] allows, or more that had lost their connection than its
    /// policy [keeps](crate::CleanupPolicy::kept); or its page as many parts as [`Limits::sub_sessions`] allows.
    Capacity,
    /// It was part of a page, which shows something else in its place.
    Replaced,
    /// It was part of a page, and page code removed its element.
    Removed,
}

/// What became of a message for the browser: back-pressure as a value, since sending never waits.
///
/// Whoever sends much slows down at [`Queued`](Self::Queued), or at [`Session::on_high_water`](crate::Session::on_high_water).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendOutcome {
    /// A connection is up and takes it next: less than [`Limits::congestion_bytes`] wait before it.
    Sent,
    /// It waits for a browser that is not there, or that does not keep up.
    Queued,
    /// It waits for the browser, in place of an earlier value that nobody will see.
    Compacted,
    /// Nothing of it reaches the page. The session is closed, or closes for this: more would wait than [`Limits`] allow, and
    /// what cannot be kept is not left out in silence. Or the message cannot be encoded, which the log says.
    Refused,
}

/// An error that page code raised.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JavascriptError {
    /// What was being done.
    pub message: String,
    /// The exception, as JavaScript prints it.
    pub exception: String,
    /// The stack, one frame a line; may be empty.
    pub stacktrace: String,
}

impl JavascriptError {
    fn held(&self) -> usize {
        self.message.len() + self.exception.len() + self.stacktrace.len()
    }
}

/// What happened to a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The page has loaded and the connection is up: for the first time, or again.
    Opened {
        /// Whether the session was open before.
        again: bool,
        /// Whether the page goes on where it was, and gets all that it was sent.
        resumed: bool,
    },
    /// The page set an observable.
    Update {
        /// Its name on the wire: untrusted.
        id: String,
        /// The value: untrusted.
        payload: RawValue,
    },
    /// Page code failed.
    JavascriptError(JavascriptError),
    /// Page code warns.
    JavascriptWarning(String),
    /// A sub-session of the page has loaded, or has failed to, or is there again after a reconnect.
    SubLoaded {
        /// Its name on the wire: untrusted.
        session: String,
        /// Why it failed; `None` when it has loaded.
        error: Option<JavascriptError>,
    },
    /// The DOM of a sub-session has left the page.
    SubRemoved {
        /// Its name on the wire: untrusted.
        session: String,
    },
    /// Page code asks for the DOM of a sub-session.
    SubRequested {
        /// Its name on the wire: untrusted.
        session: String,
        /// `data-jscall-id` of the node that it is to replace: untrusted.
        replace: String,
    },
    /// The connection is lost.
    SoftClosed,
    /// Messages are lost, or may be.
    ContinuityLost(ContinuityLost),
    /// Much waits for the browser.
    HighWater,
    /// Little waits for the browser again.
    LowWater,
    /// The session is over.
    Closed(CloseReason),
}

impl Event {
    /// Bytes that came from the page and are held until the event has been polled.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Update { id, payload } => id.len() + payload.as_bytes().len(),
            Self::JavascriptError(error) => error.held(),
            Self::JavascriptWarning(message) => message.len(),
            Self::SubLoaded { session, error } => {
                session.len() + error.as_ref().map_or(0, JavascriptError::held)
            }
            Self::SubRemoved { session } => session.len(),
            Self::SubRequested { session, replace } => session.len() + replace.len(),
            Self::Opened { .. }
            | Self::SoftClosed
            | Self::ContinuityLost(_)
            | Self::HighWater
            | Self::LowWater
            | Self::Closed(_) => 0,
        }
    }
}
