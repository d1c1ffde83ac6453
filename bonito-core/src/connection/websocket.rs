//! The connection over a WebSocket, whichever server the socket belongs to.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::slot::{Refused, Slot, Weight};
use super::{FrontendConnection, SendError};
use crate::frame::Lane;
use crate::host::Host;
use crate::id::SessionId;
use crate::js::Script;
use crate::proto::session::Epoch;
use crate::session::Session;

/// Bytes that a handler holds between a session and its socket.
const ROOM: usize = 1 << 20;

/// The end of a WebSocket that a connection writes to; [`run_connection_loop`](crate::run_connection_loop) is the end that
/// the socket is on.
///
/// For a connection of your own that is a WebSocket of your own server: keep one, forward
/// [`write`](FrontendConnection::write), [`is_open`](FrontendConnection::is_open) and
/// [`close`](FrontendConnection::close) to it, and run the loop in the handler of your route. A clone is another handle to
/// the same.
#[derive(Clone, Default)]
pub struct WebSocketHandler {
    end: Arc<End>,
    lanes: Lanes,
    /// The other one of two handlers that come and go together.
    other: Option<Arc<End>>,
}

#[derive(Default)]
struct End {
    /// The one session that it is for.
    session: OnceLock<SessionId>,
    slot: Slot<Epoch, (Lane, Bytes)>,
}

impl Weight for (Lane, Bytes) {
    fn bytes(&self) -> usize {
        self.1.len()
    }
}

/// What goes over the sockets of a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lanes {
    #[default]
    Both,
    Only(Lane),
}

/// Messages that a socket has not taken, each with its lane.
pub(crate) type Unsent = VecDeque<(Lane, Bytes)>;

impl fmt::Debug for WebSocketHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketHandler").field("open", &self.is_open()).finish()
    }
}

impl WebSocketHandler {
    /// A handler that no socket has come to yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Two handlers, for low latency and for large data, whose sockets come and go together.
    pub(super) fn pair() -> (Self, Self) {
        let (main, large) = (Arc::<End>::default(), Arc::<End>::default());
        let handler = |end: &Arc<End>, other: &Arc<End>, lane| Self {
            end: end.clone(),
            lanes: Lanes::Only(lane),
            other: Some(other.clone()),
        };
        (handler(&main, &large, Lane::LowLatency), handler(&large, &main, Lane::LargeData))
    }

    pub(crate) fn lanes(&self) -> Lanes {
        self.lanes
    }

    /// Whether it is for large data alone.
    pub(crate) fn is_large(&self) -> bool {
        self.lanes == Lanes::Only(Lane::LargeData)
    }

    /// Hands a message to the socket. It goes out with whatever else is ready at the next turn of the loop.
    ///
    /// # Errors
    ///
    /// The message comes back if no socket is there or if it does not keep up.
    pub fn write(&self, bytes: Bytes) -> Result<(), SendError> {
        self.write_in(bytes, Lane::LowLatency)
    }

    pub(super) fn write_in(&self, bytes: Bytes, lane: Lane) -> Result<(), SendError> {
        self.end.slot.push((lane, bytes), ROOM).map_err(|((_, bytes), refused)| match refused {
            Refused::Closed => SendError::closed(bytes),
            Refused::Full => SendError::full(bytes),
        })
    }

    /// Whether a socket is there.
    pub fn is_open(&self) -> bool {
        self.end.slot.is_open()
    }

    /// Ends the socket, not the session.
    pub fn close(&self) {
        if let Some(waker) = self.end.slot.close() {
            waker.wake();
        }
    }

    /// Ends the other one's socket, so that a page makes both anew: one that has lost only the socket it receives from
    /// would not send any more. To be called under the session's lock, in one go with what the session thinks of that
    /// socket; its loop is to be woken outside.
    #[must_use = "the loop is to be woken"]
    pub(crate) fn close_other(&self) -> Option<Waker> {
        self.other.as_ref()?.slot.close()
    }

    /// Whether it is for this session: it is for the first that a socket comes to.
    pub(crate) fn claim(&self, session: SessionId) -> bool {
        *self.end.session.get_or_init(|| session) == session
    }

    /// A new socket comes; what the one before has not taken is handed back.
    pub(crate) fn begin(&self, epoch: Epoch) -> Unsent {
        self.end.slot.begin(epoch)
    }

    /// The socket of this attachment is gone; what it has not taken is handed back.
    /// The waker of its loop goes along, to be dropped outside every lock.
    pub(crate) fn end(&self, epoch: Epoch) -> (Unsent, Option<Waker>) {
        self.end.slot.end(epoch)
    }

    /// The next message for the socket of this attachment.
    pub(crate) fn pop(&self, epoch: Epoch) -> Option<Bytes> {
        self.end.slot.pop(epoch).map(|(_, bytes)| bytes)
    }

    /// The next message for the socket of this attachment. Without one, the waker is called when one comes.
    pub(crate) fn poll_pop(&self, epoch: Epoch, waker: &Waker) -> Option<Bytes> {
        self.end.slot.poll_pop(epoch, waker).map(|(_, bytes)| bytes)
    }

    /// Whether the application has asked for the end of this attachment's socket. If not, the waker is called when it
    /// does, and the loop is at work from now on until [`poll_pop`](Self::poll_pop) finds no message.
    pub(crate) fn poll_closing(&self, epoch: Epoch, waker: &Waker) -> Poll<()> {
        self.end.slot.poll_closing(epoch, waker)
    }
}

/// The connection that sessions have by default: a WebSocket at the endpoint's own route.
#[derive(Clone, Debug, Default)]
pub struct WebSocketConnection {
    handler: WebSocketHandler,
}

impl WebSocketConnection {
    /// A connection over the sockets of this handler.
    pub fn new(handler: WebSocketHandler) -> Self {
        Self { handler }
    }
}

impl FrontendConnection for WebSocketConnection {
    fn write(&self, bytes: Bytes, lane: Lane) -> Result<(), SendError> {
        self.handler.write_in(bytes, lane)
    }

    fn is_open(&self) -> bool {
        self.handler.is_open()
    }

    fn close(&self) {
        self.handler.close();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        Some(WebSocketSetup::new(&session.host().urls().sessions).resumable(true).script(session))
    }

    fn socket_handler(&self, _query: &str) -> Option<WebSocketHandler> {
        Some(self.handler.clone())
    }
}

/// The script with which a page opens its WebSocket at `url` with the id of the session appended, for
/// [`FrontendConnection::setup_connection`]. [`WebSocketSetup`] has more to choose.
///
/// `url` may be absolute (`https://…`, `wss://…`), or a path on the page's own host. From an https page a path
/// gives `wss`; give an absolute URL as `https://`. Source: protocol.md §2.1.
pub fn setup_websocket_connection_js(url: &str, session: &Session) -> Script {
    WebSocketSetup::new(url).script(session)
}

/// How a page opens its WebSocket.
#[derive(Clone, Debug)]
pub struct WebSocketSetup {
    url: String,
    query: String,
    main_connection: bool,
    resumable: bool,
}

/// The address is made absolute in the page, since only that works in every browser; the client turns http into ws.
const SETUP: &str = "\
const lookup = __lookup_interpolated, here = window.location.href
import(new URL(lookup('module'), here).href).then((websocket) => websocket.setup_connection({
  proxy_url: new URL(lookup('url'), here).href,
  session_id: lookup('session'),
  compression_enabled: lookup('compression'),
  query: lookup('query'),
  main_connection: lookup('main'),
  resume: lookup('resume'),
})).catch((error) => { Bonito.send_error('The connection could not be set up', error) })";

impl WebSocketSetup {
    /// To this URL the id of the session is appended, after a slash.
    pub fn new(url: impl Into<String>) -> Self {
        let mut url = url.into();
        if !url.ends_with('/') {
            url.push('/');
        }
        Self { url, query: String::new(), main_connection: true, resumable: false }
    }

    /// What follows the id in the URL, the question mark included.
    #[must_use]
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// Whether the page sends over this socket; by default it does. A page with several sockets has one that is.
    #[must_use]
    pub fn main_connection(mut self, main: bool) -> Self {
        self.main_connection = main;
        self
    }

    /// Whether the page can go on where it was after its socket is lost, protocol.md §18. Default no: the socket's route must
    /// answer with the subprotocol that [`Session::protocol`] names, and serve it with
    /// [`run_resumable_connection_loop`](crate::run_resumable_connection_loop).
    #[must_use]
    pub fn resumable(mut self, resumable: bool) -> Self {
        self.resumable = resumable;
        self
    }

    /// The script. One that is [resumable](Self::resumable) has a secret in it, for this page alone: of several, the last
    /// one's opens the session.
    pub fn script(&self, session: &Session) -> Script {
        let host = session.host();
        let script = self.plain_script(session, host);
        match self.resumable.then(|| session.0.make_page_key()).flatten() {
            Some(key) => script.with_secret("resume", &URL_SAFE_NO_PAD.encode(key.as_bytes())),
            None => script,
        }
    }

    fn plain_script(&self, session: &Session, host: &Arc<dyn Host>) -> Script {
        Script::new(SETUP)
            .with("module", &host.urls().websocket_module)
            .with("url", &self.url)
            .with("session", &session.id().to_string())
            .with("compression", &host.compression().is_some())
            .with("query", &self.query)
            .with("main", &self.main_connection)
    }
}
