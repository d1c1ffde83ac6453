//! Live, server-driven sessions for existing Rust web apps.
//!
//! ```no_run
//! use axum::{Router, extract::State, response::Html, routing::get, serve::ListenerExt};
//! use bonito_core::{Endpoint, Observable};
//!
//! async fn index(State(live): State<Endpoint>) -> Html<String> {
//!     let session = live.session();
//!     let count = Observable::new(0);
//!     let clicked = count.clone();
//!     let button = session.on_click(move || clicked.update(|n| *n += 1));
//!     Html(session.page("Counter", format!("<button {button}>+1</button> {}", session.text(&count))))
//! }
//!
//! # async fn serve() -> std::io::Result<()> {
//! let live = Endpoint::builder("/live").build();
//! let app = Router::new().route("/", get(index)).merge(bonito_axum::routes(&live)).with_state(live);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
//! # }
//! ```
//!
//! The app keeps its server, router, middleware and templates. A page comes alive: [`Observable`]s held in Rust stay in step
//! with the browser over a WebSocket, Rust runs JavaScript in the page with [`js!`], the page calls back.
//!
//! # What can go wrong
//!
//! * **The connection is lost.** The [`Session`] waits; messages queue, and values of one observable collapse to the last.
//!   When the browser comes back it gets what waited and what was lost with its socket, once and in order, and so does the
//!   server. If it does not come back, the [`CleanupPolicy`] ends the session. For clients that cannot resume, what had
//!   already been handed to a socket when it died may or may not have arrived.
//! * **Too much waits.** The session ends, and its page says so: nothing is dropped silently. The bounds are [`Limits`].
//! * **The page sends nonsense.** A value of the wrong type is refused with a warning; a message that breaks the protocol ends
//!   its socket with a [`CloseCode`], and the session waits for the next. Neither panics, nor touches another session.
//! * **A callback panics.** It is logged, and everything else goes on.
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | mounting, and what may be chosen | [`Endpoint`], [`EndpointBuilder`], and the adapter of your framework |
//! | pages and bindings | [`Session`], [`Page`], [`Head`] |
//! | values | [`Observable`], [`TypedArray`], [`Timestamp`], [`Html`], [`Node`] |
//! | parts of a page that change as a whole | [`Session::render`], [`Session::render_list`], [`Region`], [`List`] |
//! | form controls, uploads, tables | [`widgets`] |
//! | JavaScript | [`js!`], [`Script`], [`Session::eval_value`] |
//! | when sessions end | [`CleanupPolicy`], [`DefaultCleanupPolicy`], [`Endpoint::drain`] |
//! | lost lines | [`Takeover`], [`ContinuityLost`], [`Session::on_continuity_lost`] |
//! | what may wait, and how much | [`Limits`], [`SendOutcome`], [`Delivery`] |
//! | raw WebSockets, names and groups | [`WebSocketBehaviour`], [`Registry`] |
//! | several processes | [`ClusterBackend`], [`EndpointBuilder::cluster`] |
//! | a connection of your own | [`FrontendConnection`], [`WebSocketHandler`], [`run_connection_loop`] |
//! | an adapter of your own | [`Endpoint::handle`], [`Outcome`], [`Accepted`], [`Transport`] |
//! | the wire | [`proto`] |
//!
//! Callbacks run on the task of the session's socket: keep them short and hand long work to [`Session::spawn`]. Logging is by
//! `tracing`; nothing secret is in it.
//!
//! # Features
//!
//! * `maud`: heads and fragments can be spliced into maud templates.

mod address;
mod behaviour;
mod budget;
mod client;
mod cluster;
mod connection;
mod endpoint;
mod frame;
mod host;
mod id;
mod js;
mod limits;
mod observable;
mod page;
pub mod proto;
mod registry;
mod runtime;
mod session;
mod sync;
mod transport;
pub mod widgets;

pub use address::{Address, AddressId, Posted};
pub use behaviour::{Conn, Context, Peer, Terminate, TerminateError, WebSocketBehaviour};
pub use cluster::{Acquired, BackendFuture, ClusterBackend, ClusterError, Held, Incoming, Received, Renewed};
pub use connection::{
    DualWebSocketConnection, FrontendConnection, NoConnection, SendError, WebSocketConnection,
    WebSocketHandler, WebSocketSetup, setup_dual_websocket_connection_js, setup_websocket_connection_js,
};
pub use endpoint::{
    Accepted, ConnectionRequest, Drained, Endpoint, EndpointBuilder, Mounted, Outcome, SocketOptions,
    SocketStats, Stats, Totals,
};
pub use frame::{CloseCode, CloseFrame, Frame, Lane};
pub use id::{InvalidSessionId, ObservableId, SessionId};
pub use js::{Interpolate, Interpolated, Script};
pub use limits::Limits;
pub use observable::{Delivered, Delivery, Observable, Observables, ReadOnly, Subscription, on_any};
pub use page::{Binding, Fragment, Head, Html, Node, Page};
pub use proto::cluster::{ClusterOptions, NameLost, NodeId};
pub use proto::policy::{CleanupPolicy, DefaultCleanupPolicy, Kept, SessionInfo};
pub use proto::resume::{ContinuityLost, Refusal, Takeover};
pub use proto::session::{CloseReason, JavascriptError, SendOutcome, Status};
pub use proto::value::{NdArray, Timestamp, TypedArray};
pub use registry::{
    DeliverError, Groups, Member, Membership, Presence, PresenceChange, Published, RegisterError,
    Registration, Registry, UniqueNames,
};
pub use runtime::relay::RelayOptions;
pub use runtime::{Disconnect, run_connection_loop, run_resumable_connection_loop};
pub use session::{EvalError, List, Region, Session, SessionError};
pub use transport::{Joined, Transport, TransportError, TransportErrorKind, join};

/// For [`js!`].
#[doc(hidden)]
pub use bonito_macros::script as __script;

/// JavaScript with values of Rust in it: `js!("…$(expression)…")` makes a [`Script`].
///
/// The expression is Rust, and its value anything that is [`Interpolate`]: what serde can serialize, an [`Observable`],
/// another [`Script`]. Values travel beside the source and never become part of it, so `$(…)` stands wherever JavaScript
/// takes an expression, and not inside one of its strings. JavaScript's own `$(` is written `$$(`.
///
/// ```
/// use bonito_core::{js, Observable};
///
/// let name = "O'Hara </script>";
/// let count = Observable::new(1);
/// let script = js!("document.title = $(name) + ': ' + $(count).value; $(count).on((n) => { console.log(n) })");
/// ```
#[macro_export]
macro_rules! js {
    ($source:literal $(,)?) => {
        $crate::__script!($crate, $source)
    };
}
