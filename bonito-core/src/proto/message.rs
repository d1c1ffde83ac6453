//! The messages of the protocol (`docs/src/protocol.md` §5, §6, §9.1).
//!
//! | tag | message | direction | fields |
//! |---|---|---|---|
//! | `"0"` | `UpdateObservable` | both | `id`, `payload` |
//! | `"1"` | `OnjsCallback` | to the browser | `obs`, `payload` |
//! | `"2"` | `EvalJavascript` | to the browser | `payload` |
//! | `"3"` | `JavascriptError` | to the server | `message`, `exception`, `stacktrace` |
//! | `"4"` | `JavascriptWarning` | to the server | `message` |
//! | `"8"` | `DoneLoading` | to the server | `session`, `message`, `exception`, `stacktrace` |
//! | `"9"` | `Fused` | to the browser | `payload`: packets |
//! | `"10"` | `CloseSession` | to the server | `session`, `subsession` |
//! | `"11"` | `PingPong` | both | |
//! | `"12"` | `UpdateSession` | to the browser | `session_id`, `session_status`, `messages`, `html`, `replace`, `dom_node_selector` |
//! | `"13"` | `GetSessionDom` | to the server | `session`, `replace` |
//!
//! Every message is a map with its tag as text under `msg_type`. To the browser it may be wrapped in an [`Envelope`],
//! which brings objects into the page's cache.

mod code;

pub use code::Code;
pub(crate) use code::text;

use super::value::RawValue;

/// `msg_type` of each message.
pub(crate) mod tag {
    pub(crate) const UPDATE_OBSERVABLE: &str = "0";
    pub(crate) const ONJS_CALLBACK: &str = "1";
    pub(crate) const EVAL_JAVASCRIPT: &str = "2";
    pub(crate) const JAVASCRIPT_ERROR: &str = "3";
    pub(crate) const JAVASCRIPT_WARNING: &str = "4";
    pub(crate) const DONE_LOADING: &str = "8";
    pub(crate) const FUSED: &str = "9";
    pub(crate) const CLOSE_SESSION: &str = "10";
    pub(crate) const PING_PONG: &str = "11";
    pub(crate) const UPDATE_SESSION: &str = "12";
    pub(crate) const GET_SESSION_DOM: &str = "13";
}

/// A message to the browser.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServerMessage {
    /// `"0"`: sets an observable and runs its listeners. An id that the page does not know is dropped there.
    UpdateObservable {
        /// The observable.
        id: String,
        /// Its new value.
        payload: RawValue,
    },
    /// `"1"`: adds a listener to an observable.
    OnjsCallback {
        /// The observable: a [cache key](RawValue::cache_key), or the [observable](RawValue::observable) itself.
        observable: RawValue,
        /// Code that returns the listener. Without a `return`, every later update of the observable fails (§11).
        code: Code,
    },
    /// `"2"`: runs code; its result is ignored.
    EvalJavascript {
        /// The code.
        code: Code,
    },
    /// `"9"`: several at once, in order. One that fails does not stop the others.
    Fused(Vec<Packet>),
    /// `"11"`: the answer to a ping, or an unasked sign of life.
    PingPong,
    /// `"12"`: mounts a sub-session, or another one in its place. Belongs into an envelope of that sub-session.
    UpdateSession {
        /// The sub-session.
        session_id: String,
        /// Its status; absent means [`SessionStatus::Sub`].
        session_status: Option<SessionStatus>,
        /// What runs after the mount, as in a bundle.
        messages: Vec<Packet>,
        /// A [DOM node](RawValue::dom), [HTML](RawValue::html), or text where `replace` is false.
        html: RawValue,
        /// Whether the target itself is replaced, not what is in it.
        replace: bool,
        /// `data-jscall-id` of the target.
        dom_node_selector: String,
    },
}

/// What stands in a frame to the browser, or in a list of messages.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these two forms")]
pub enum Packet {
    /// A message by itself. It may bring no object (101, 109).
    Bare(ServerMessage),
    /// Messages with the objects that they use (extension 107).
    Enveloped(Envelope),
}

/// Messages with the objects that they use (extension 107, `docs/src/protocol.md` §4).
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol has these four parts")]
pub struct Envelope {
    /// The session that holds the objects; the page creates it where it does not exist.
    pub session: String,
    /// The status of a session that is created.
    pub status: SessionStatus,
    /// Objects for the page's cache; what another one refers to comes before it.
    pub cache: Vec<CacheEntry>,
    /// The messages.
    pub body: Body,
}

/// What an envelope holds.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these two forms")]
pub enum Body {
    /// One message: a frame.
    Message(ServerMessage),
    /// Many messages: the bundle that a session starts with.
    Bundle(Vec<Packet>),
}

/// What a session is to the page (`docs/src/protocol.md` §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatus {
    /// `"root"`: the page's own.
    Root,
    /// `"sub"`: lives as long as its node in the page.
    Sub,
}

impl SessionStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Sub => "sub",
        }
    }
}

/// An object for the page's cache.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these two forms")]
pub enum CacheEntry {
    /// An observable (101). If the page has it already, its value there stays.
    Observable {
        /// Its id: not empty, never used before, and no name of `Object.prototype` such as `constructor`.
        id: String,
        /// Its value.
        value: RawValue,
    },
    /// The key of an object that another session brought, and that this one holds from now on too (109).
    Track(String),
}

/// A message from the browser. Anything in it may be a lie.
///
/// A page can send any map, so that every field may be missing or of another type. What happens then:
///
/// | field | missing, or not text |
/// |---|---|
/// | `id` of an update | the frame is refused, as of the wrong type |
/// | `payload` | missing is nil; any value is right |
/// | `session`, `subsession`, `replace` | empty, which is no session's id |
/// | `message`, `stacktrace`, `exception` of an error | empty |
/// | `exception` of `DoneLoading` | missing, nil and `"nothing"` are `None`; what is not text is empty |
/// | `msg_type` | [`Unknown`](Self::Unknown) |
///
/// Text is cut after [`MAX_TEXT_BYTES`]; an id, a session or a tag longer than
/// [`Limits::name_bytes`](crate::Limits::name_bytes) refuses the frame as too large. Of a field that comes twice the
/// last counts; other fields are passed over.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientMessage {
    /// `"0"`: the page set an observable.
    UpdateObservable {
        /// The observable.
        id: String,
        /// Its new value: a slice of the frame.
        payload: RawValue,
    },
    /// `"3"`: something failed in the page.
    JavascriptError {
        /// What the client was doing.
        message: String,
        /// The exception.
        exception: String,
        /// Where it was thrown.
        stacktrace: String,
    },
    /// `"4"`: page code warns.
    JavascriptWarning {
        /// The warning.
        message: String,
    },
    /// `"8"`: a session of the page has loaded, has failed to, or is there again after a reconnect.
    DoneLoading {
        /// The session.
        session: String,
        /// Always empty in the existing client.
        message: String,
        /// Why it failed; `None` when it has loaded.
        exception: Option<String>,
        /// Where it failed.
        stacktrace: String,
    },
    /// `"10"`: the DOM of a sub-session has left the page.
    CloseSession {
        /// The sub-session.
        session: String,
        /// `"delete"` from the client, anything from page code.
        subsession: String,
    },
    /// `"11"`: the page lives.
    PingPong,
    /// `"13"`: page code asks for a sub-session's DOM.
    GetSessionDom {
        /// The sub-session.
        session: String,
        /// `data-jscall-id` of the node to replace.
        replace: String,
    },
    /// A message that is none of the above.
    Unknown {
        /// Its `msg_type`; empty where that is missing or not text.
        tag: String,
    },
}

/// Longest text of an error, a warning or a stack trace that is kept, in bytes. The client sends whole messages as
/// JSON in them (`docs/src/protocol.md` §11).
pub const MAX_TEXT_BYTES: usize = 8 << 10;
