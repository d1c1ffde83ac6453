//! A session: one page in one browser, and what the application holds of it.

mod bind;
mod bindings;
mod eval;
mod hooks;
mod info;
mod message;
mod render;
mod shared;
mod sub;
mod tasks;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::request::Parts;

pub(crate) use bind::Bindable;
pub use eval::EvalError;
pub use render::{List, Region};
pub(crate) use shared::{Attach, Held, Pull, Shared, Tally, Wakes, WeakShared};

use crate::connection::FrontendConnection;
use crate::frame::Lane;
use crate::host::Host;
use crate::id::SessionId;
use crate::js;
use crate::js::Script;
use crate::observable::Observable;
use crate::proto::DecodeError;
use crate::proto::resume::PROTOCOL;
use crate::proto::session::{CloseReason, SendOutcome, Status};

/// One page in one browser. A clone is another handle to the same session.
///
/// Made by [`Endpoint::session`](crate::Endpoint::session) in a handler of the application. Fill it with observables,
/// [bindings](Self::text) and scripts, hand out its [page](Self::page), and it comes alive when the page connects:
///
/// ```
/// use bonito_core::{Endpoint, Observable};
///
/// let live = Endpoint::builder("/live").build();
/// let session = live.session();
/// let count = Observable::new(0);
/// let clicked = count.clone();
/// let body = format!(
///     "<button {}>+1</button> {}",
///     session.on_click(move || clicked.update(|n| *n += 1)),
///     session.text(&count),
/// );
/// let html: String = session.page("Counter", body);
/// # assert!(html.contains("<span data-bonito-text"));
/// ```
///
/// # Failure
///
/// * The page never connects, or its connection is lost and does not come back: the
///   [`CleanupPolicy`](crate::CleanupPolicy) closes the session.
/// * While the connection is lost, messages queue, and values of an observable collapse to the last one. More than
///   [`Limits`](crate::Limits) allow ends the session with [`CloseReason::Overflow`], and the page says so when it comes
///   back; nothing is dropped silently.
/// * A page that resumes gets what was lost with its socket; of one that cannot, what had already been handed to the socket may
///   or may not have arrived.
/// * Messages are lost, or may be: [`on_continuity_lost`](Self::on_continuity_lost) tells, and so does the page.
/// * Everything called on a closed session does nothing.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Shared>);

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).field("status", &self.status()).finish()
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Session {}

impl Session {
    /// The id of the session. It stands in the URL of the page's WebSocket.
    pub fn id(&self) -> SessionId {
        self.0.id()
    }

    /// Where the session stands.
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// The connection to the browser.
    pub fn connection(&self) -> &Arc<dyn FrontendConnection> {
        self.0.connection()
    }

    /// Runs JavaScript in the page, once, in order with everything else that is sent. Before the page is made, the
    /// script becomes part of it.
    ///
    /// An exception comes back to [`on_javascript_error`](Self::on_javascript_error). A script whose values cannot travel
    /// is logged and `Refused`.
    pub fn eval(&self, script: impl Into<Script>) -> SendOutcome {
        let Some(message) = self.eval_message(&script.into()) else { return SendOutcome::Refused };
        self.0.send(|machine| machine.send(message))
    }

    /// Runs JavaScript in the page as [`eval`](Self::eval) does, on the [lane](crate::Lane::LargeData) for large data: it keeps
    /// its place among what is large, and holds up nothing else. For scripts with large values in them:
    ///
    /// ```
    /// # use bonito_core::{js, Endpoint};
    /// # let session = Endpoint::builder("/live").build().session();
    /// let pixels = vec![0_u8; 1 << 20];
    /// session.send_large(js!("draw($(pixels))"));
    /// ```
    ///
    /// A connection without such a lane takes it after what is not large. A script that is sent after the page was made and
    /// has observables in it stays on the other lane, where the page learns of them.
    pub fn send_large(&self, script: impl Into<Script>) -> SendOutcome {
        let script = script.into();
        let lane = if script.has_observables() { Lane::LowLatency } else { Lane::LargeData };
        let Some(message) = self.eval_message(&script) else { return SendOutcome::Refused };
        self.0.send_in(lane, |machine| match lane {
            Lane::LowLatency => machine.send(message),
            Lane::LargeData => machine.send_large(message),
        })
    }

    /// Runs JavaScript in the page when it has loaded, after everything else. Once the page is made this is
    /// [`eval`](Self::eval).
    pub fn on_load(&self, script: impl Into<Script>) -> SendOutcome {
        let Some(message) = self.eval_message(&script.into()) else { return SendOutcome::Refused };
        self.0.send(|machine| machine.send_on_load(message))
    }

    /// Calls a JavaScript function in the page with every value of the observable, wherever it was set. The script is a
    /// function: `js!("(value) => { … }")`. One that returns `false` is not called again, nor one of a [part](Self::render) that is
    /// over.
    ///
    /// ```
    /// # use bonito_core::{js, Endpoint, Observable};
    /// # let session = Endpoint::builder("/live").build().session();
    /// let title = Observable::new("Hello".to_owned());
    /// session.on_js(&title, js!("(title) => { document.title = title }"));
    /// ```
    pub fn on_js<T>(&self, observable: &Observable<T>, listener: impl Into<Script>) -> SendOutcome
    where
        T: serde::Serialize + Send + Sync + 'static,
    {
        let bindable = Bindable::read(observable);
        self.bind(&bindable);
        let Some(message) = self.listener_message(&bindable, &listener.into()) else {
            return SendOutcome::Refused;
        };
        self.0.send(|machine| machine.send(message))
    }

    /// `target` gets every value that `source` is set to from now on, for as long as the session lives: in the page there and
    /// then, without waiting for the server, and in Rust when it hears of it. The page may not set `target` by this.
    ///
    /// Linking both ways is fine: a value that the target has already stops there, and when both are set at the same time, they
    /// end at one of the two values.
    ///
    /// Source: `linkjs` of Bonito; `OnjsCallback`, protocol.md §5.
    pub fn link_js<T>(&self, source: &Observable<T>, target: &Observable<T>) -> SendOutcome
    where
        T: serde::Serialize + Send + Sync + 'static,
    {
        self.keep(source.lead(target));
        // Rust sets its own end by itself, so the page does not tell: nothing that is on its way can go round for ever.
        let link = js!("(value) => {
               const target = $(target.read_only())
               if (!Object.is(target.value, value)) target.notify(value, true)
             }");
        self.on_js(source, link)
    }

    /// Takes a message that came from the browser over a connection of the application's own; see
    /// [`FrontendConnection`]. The listeners that it concerns have run when this returns, unless somebody else is running
    /// them.
    ///
    /// # Errors
    ///
    /// If the message is not one of the protocol, or exceeds the [`Limits`](crate::Limits), or the session is closed, or
    /// as much waits for the application as the limits allow. Nothing else is lost with it.
    pub fn process_message(&self, bytes: impl Into<Bytes>) -> Result<(), SessionError> {
        self.0.page().receive_unfenced(bytes.into())
    }

    /// Hands waiting messages to a connection of the application's own that refused one and takes them again now.
    pub fn flush(&self) {
        self.0.page().flush();
    }

    /// Says that the connection is gone and the browser may come back. If the policy allows no soft close, this is
    /// [`close`](Self::close).
    ///
    /// While a socket's [loop](crate::run_connection_loop) serves the session it does nothing: the end of an old socket
    /// must not touch what a newer one owns. The session of a [part](Self::render) has the connection of its page.
    pub fn soft_close(&self) {
        self.0.page().soft_close();
    }

    /// Ends the session: its page is told, its tasks stop, its observables forget it, and its id is not found any more.
    /// What still waits for the page is not sent; await an [`eval_value`](Self::eval_value) first to know that it has it.
    pub fn close(&self) {
        self.0.close(CloseReason::Application);
    }

    /// The subprotocol to answer this request for a WebSocket with, if it offers it and the page of the session can
    /// [resume](crate::Takeover). In a route of your own: name it in `Sec-WebSocket-Protocol`, and then serve the socket with
    /// [`run_resumable_connection_loop`](crate::run_resumable_connection_loop); without it, with
    /// [`run_connection_loop`](crate::run_connection_loop). [`Endpoint::handle`](crate::Endpoint::handle) does so for its own.
    pub fn protocol(&self, request: &Parts) -> Option<&'static str> {
        let offered = request
            .headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|protocol| protocol.trim() == PROTOCOL);
        (offered && self.0.is_resumable()).then_some(PROTOCOL)
    }

    pub(crate) fn host(&self) -> &Arc<dyn Host> {
        &self.0.host
    }
}

/// Why [`Session::process_message`] refused a message.
#[derive(Debug)]
pub struct SessionError(Kind);

#[derive(Debug)]
enum Kind {
    Decode(DecodeError),
    Closed,
    Full,
}

impl SessionError {
    pub(crate) fn closed() -> Self {
        Self(Kind::Closed)
    }

    pub(crate) fn full() -> Self {
        Self(Kind::Full)
    }

    /// Whether as much waits for the application as [`Limits`](crate::Limits) allow: stop reading, and try again.
    pub fn is_full(&self) -> bool {
        matches!(self.0, Kind::Full)
    }

    /// Whether the session is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.0, Kind::Closed)
    }

    /// Whether the message holds what no page may send.
    pub fn is_forbidden(&self) -> bool {
        matches!(&self.0, Kind::Decode(error) if error.is_forbidden())
    }

    /// Whether the message exceeded the [`Limits`](crate::Limits).
    pub fn is_too_large(&self) -> bool {
        matches!(&self.0, Kind::Decode(error) if error.is_too_large())
    }
}

impl From<DecodeError> for SessionError {
    fn from(error: DecodeError) -> Self {
        Self(Kind::Decode(error))
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Decode(_) => f.write_str("the message is not one of the protocol"),
            Kind::Closed => f.write_str("the session is closed"),
            Kind::Full => f.write_str("too much waits for the application, try again later"),
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Kind::Decode(error) => Some(error),
            Kind::Closed | Kind::Full => None,
        }
    }
}
