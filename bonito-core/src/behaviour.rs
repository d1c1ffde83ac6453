//! Raw WebSocket behaviours: five callbacks, beside the sessions and on the same routes.

mod conn;
mod context;
mod socket;
mod terminate;

use std::future::{Future, ready};

use bytes::Bytes;
use http::Response;

pub(crate) use conn::States;
pub use conn::{Conn, Peer};
pub use context::Context;
pub(crate) use socket::{CallbackFuture, Instance, Socket, connect};
pub use terminate::{Terminate, TerminateError};

use crate::frame::Frame;

/// What one WebSocket does, as five callbacks. Mounted with [`EndpointBuilder::socket`](crate::EndpointBuilder::socket).
///
/// ```
/// use bonito_core::{Conn, Context, Endpoint, Frame, WebSocketBehaviour};
///
/// struct Echo;
///
/// impl WebSocketBehaviour for Echo {
///     type Message = ();
///
///     async fn init(_conn: &Conn, _cx: &mut Context<Self>) -> Self {
///         Self
///     }
///
///     async fn handle_client_message(&mut self, frame: Frame, cx: &mut Context<Self>) {
///         cx.push(frame);
///     }
///
///     async fn handle_server_message(&mut self, _message: (), _cx: &mut Context<Self>) {}
/// }
///
/// let live = Endpoint::builder("/live").socket::<Echo>("/echo").build();
/// # drop(live);
/// ```
///
/// The value is the state of one connection. Callbacks of one connection run one at a time; while one runs, the socket is not
/// read and the mailbox fills, so that whoever is faster is held up or told.
///
/// # Failure
///
/// * A callback that panics, or calls [`Context::fail`], is logged; the client gets close code 1011, and
///   [`terminate`](Self::terminate) the reason [`Terminate::Error`].
/// * A connection that ends while a callback runs, because the server drains or drops the socket, drops the callback's future
///   at its `.await`. Then [`terminate`](Self::terminate) runs.
/// * What the peer sends against the WebSocket protocol or over [`Limits`](crate::Limits) ends the connection with 1002, 1007
///   or 1009, and [`Terminate::Error`].
pub trait WebSocketBehaviour: Sized + Send + 'static {
    /// What other parts of the server send to the connection's [`Address`](crate::Address).
    type Message: Send + 'static;

    /// The handshake: authenticates and authorizes the client. An error is the HTTP response that refuses it; nothing is
    /// upgraded then. By default everybody may connect who has passed the endpoint's own checks: the origin, the limits.
    ///
    /// A panic is answered with 500.
    fn connect(conn: &Conn) -> impl Future<Output = Result<(), Response<Bytes>>> + Send {
        let _ = conn;
        ready(Ok(()))
    }

    /// The connection is up. Makes the state, pushes what the client is to hear first, and registers the
    /// [address](Context::address) where others shall find it.
    ///
    /// If this panics there is no state, and [`terminate`](Self::terminate) is not called.
    fn init(conn: &Conn, cx: &mut Context<Self>) -> impl Future<Output = Self> + Send;

    /// The client has sent a [`Frame::Text`] or [`Frame::Binary`]. Pings are answered by the library, and close frames arrive
    /// as the reason of [`terminate`](Self::terminate).
    fn handle_client_message(
        &mut self,
        frame: Frame,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send;

    /// Another part of the server has sent a message to the connection's address.
    fn handle_server_message(
        &mut self,
        message: Self::Message,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send;

    /// The connection has ended: cleans up. Called exactly once for each [`init`](Self::init) that has returned, with the
    /// names that the connection had released already. By default does nothing but drop the state.
    ///
    /// It runs to its end even if the server drops the socket's future: what is left runs as a task of its own.
    fn terminate(self, reason: Terminate) -> impl Future<Output = ()> + Send {
        let _ = reason;
        ready(())
    }
}
