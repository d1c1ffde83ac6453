//! The seam to a web framework: an endpoint answers requests, and an adapter copies the answers.

mod assets;
mod builder;
mod cluster;
mod connections;
mod identity;
mod inner;
mod kept;
mod origin;
mod pattern;
mod relief;
mod route;
mod socket;
mod stats;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select;
use http::Response;
use http::request::Parts;

pub use builder::EndpointBuilder;
pub use connections::ConnectionRequest;
use inner::Inner;
pub use socket::{Mounted, SocketOptions, SocketStats};
pub use stats::{Stats, Totals};

use crate::SessionId;
use crate::behaviour::Conn;
use crate::connection::WebSocketHandler;
use crate::host::Host;
use crate::limits::Limits;
use crate::proto::later;
use crate::proto::policy::CleanupPolicy;
#[cfg(doc)]
use crate::proto::policy::DefaultCleanupPolicy;
use crate::proto::resume::PROTOCOL;
use crate::proto::session::Arrival;
use crate::runtime::behaviour::run_behaviour;
use crate::runtime::relay::run_relayed;
use crate::runtime::relay::tunnel::Tunnel;
use crate::runtime::{Disconnect, run_connection_loop, run_resumable_connection_loop_as};
use crate::session::Session;
use crate::transport::Transport;

/// Where the live sessions of an app are mounted. A clone is another handle to the same endpoint.
///
/// It owns one route of the app, under which it serves the browser client and the sessions' WebSockets, and holds the
/// sessions. The app keeps its server, router, middleware and pages; an adapter (`bonito-axum`, …) turns the endpoint into
/// a route of its framework.
///
/// Runs on tokio: the first session made or request answered inside a runtime starts the endpoint's one cleanup task there.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Inner>);

impl Endpoint {
    /// An endpoint under this path, such as `/live`. An empty path or `/` is the root, which leaves the app no other page.
    ///
    /// # Panics
    ///
    /// If the path is not empty and does not begin with a slash, or contains anything but letters, digits and `/-._~`.
    pub fn builder(path: &str) -> EndpointBuilder {
        EndpointBuilder::new(path)
    }

    /// The path under which the endpoint is mounted, without a slash at its end.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The bounds in force.
    pub fn limits(&self) -> &Limits {
        self.0.limits()
    }

    /// The session with this id, unless it is closed.
    pub fn find(&self, id: SessionId) -> Option<Session> {
        self.0.find(id)
    }

    /// Replaces the policy. It is asked about all sessions at once.
    pub fn set_cleanup_policy(&self, policy: impl CleanupPolicy) {
        self.0.set_policy(Arc::new(policy));
    }

    /// Changes how long sessions wait for a lost browser, [`DefaultCleanupPolicy::cleanup_time`], for those that wait
    /// already too. A policy of the application's own has no such time: then nothing changes, and the answer is `false`.
    pub fn set_cleanup_time(&self, time: Duration) -> bool {
        self.0.set_cleanup_time(time)
    }

    /// Has the policy asked about all sessions at once, since something has changed that it decides by: a login was revoked,
    /// memory is short.
    pub fn recheck_sessions(&self) {
        self.0.recheck();
    }

    /// Lets all sockets go within `deadline`, so that the process can end: a graceful shutdown.
    ///
    /// From now on no socket is let in (503). Those that are there leave one by one over the first three quarters of the time,
    /// each when all that waits for its page has been written: the page is told by close code 1012 to come back, and when, so
    /// that it finds the next process and not all do at once. What a page sends until it has answered the close is still
    /// received. Sockets that are left at the deadline are dropped.
    ///
    /// Servers do not wait for sockets they have upgraded, so await this before, or beside, the server's own shutdown:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use bonito_core::Endpoint;
    /// # async fn serve(listener: tokio::net::TcpListener, app: axum::Router, live: Endpoint, stop: tokio::sync::oneshot::Receiver<()>) {
    /// let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
    ///     let _ = stop.await;
    ///     live.drain(Duration::from_secs(30)).await;
    /// });
    /// # serving.await.ok(); }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not end the drain. A second call waits for the first one's deadline.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let before = self.0.sockets.load(Ordering::Relaxed);
        let drain = self.0.begin_drain(deadline);
        let last = later(drain.deadline, self.limits().close_timeout);
        let left = loop {
            let gone = self.0.socket_gone.notified();
            let left = self.0.sockets.load(Ordering::Relaxed);
            if left == 0 || self.0.now() >= last {
                break left;
            }
            select(pin!(gone), self.0.sleep_until(last)).await;
        };
        if let Some(relay) = &self.0.relay {
            relay.leave().await;
        }
        Drained { closed: before.saturating_sub(left), left }
    }

    /// Answers a request to any path under the endpoint's. All checks that a browser's request must pass are made here.
    ///
    /// | request | answer |
    /// |---|---|
    /// | `GET …/assets/<file>` | the browser client, immutable |
    /// | `GET …/<session id>` with a WebSocket upgrade | [`Outcome::Upgrade`] |
    /// | the same without | 426 if there is such a session |
    /// | a [behaviour](crate::WebSocketBehaviour) with a WebSocket upgrade | what its `connect` answers |
    /// | no such session or file | 404 |
    /// | another origin, or somebody whose session it [is not](Self::may_connect) | 403 |
    /// | another method | 405 |
    /// | more sockets than [`Limits::sockets`], or the endpoint drains | 503 with `Retry-After` |
    /// | a new page or behaviour, while sessions hold [`Limits::total_bytes`] or its identity [`Limits::identity_bytes`] | the same |
    pub async fn handle(&self, parts: &Parts) -> Outcome {
        self.0.start_sweeper();
        match self.0.mounts.find(&self.0.path, parts.uri.path()) {
            Some((mount, params)) => route::behaviour(self, mount, params, parts).await,
            None => match cluster::elsewhere(self, parts).await {
                Some(outcome) => outcome,
                None => route::answer(self, parts),
            },
        }
    }

    /// Why a request may not become a WebSocket of a page: the method, the headers or the origin, or that a session whose id is
    /// a part of the path, however it is written there, [belongs to somebody else](Self::may_connect). For sockets in a route
    /// of your own; [`handle`](Self::handle) asks for its own ones. Whether there is such a session, and how many sockets there
    /// may be, is for you to say; so is whose the session is, where its id is not in the path.
    ///
    /// ```
    /// use bonito_core::Endpoint;
    ///
    /// let live = Endpoint::builder("/live").build();
    /// let (request, ()) = http::Request::get("/sockets/1").body(()).unwrap().into_parts();
    /// assert_eq!(live.refusal(&request).unwrap().status(), 426);
    /// ```
    #[must_use = "a refused request is to be answered with the refusal"]
    pub fn refusal(&self, parts: &Parts) -> Option<Response<Bytes>> {
        route::refusal(self, parts)
    }

    /// Why a plain request may not speak for a page: its origin. For connections of your own that are not WebSockets, in
    /// routes of your own.
    ///
    /// Browsers name the origin of some requests only; of those without one, `Sec-Fetch-Site` tells which come from another
    /// site. A request with neither is none of a current browser's, or goes to a host without TLS.
    ///
    /// ```
    /// use bonito_core::Endpoint;
    ///
    /// let live = Endpoint::builder("/live").build();
    /// let (request, ()) = http::Request::post("/poll/1")
    ///     .header("host", "app.example")
    ///     .header("origin", "https://evil.example")
    ///     .body(())
    ///     .unwrap()
    ///     .into_parts();
    /// assert_eq!(live.origin_refusal(&request).unwrap().status(), 403);
    /// ```
    #[must_use = "a refused request is to be answered with the refusal"]
    pub fn origin_refusal(&self, parts: &Parts) -> Option<Response<Bytes>> {
        route::origin_refusal(self, parts)
    }

    /// Why no page may be made for this request: there is no room for one more session of whoever asks, or the endpoint drains.
    /// 503 with `Retry-After`, for a handler that would rather say so than show a page that does not come alive. Ask before
    /// [`session_for`](Self::session_for):
    ///
    /// ```
    /// use bonito_core::Endpoint;
    ///
    /// let live = Endpoint::builder("/live").build();
    /// # let (request, ()) = http::Request::get("/").body(()).unwrap().into_parts();
    /// match live.capacity_refusal(&request) {
    ///     Some(refusal) => assert_eq!(refusal.status(), 503),
    ///     None => drop(live.session_for(&request)),
    /// }
    /// ```
    #[must_use = "a refused request is to be answered with the refusal"]
    pub fn capacity_refusal(&self, parts: &Parts) -> Option<Response<Bytes>> {
        route::capacity_refusal(self, parts)
    }

    pub(crate) fn accept(
        &self,
        session: Session,
        handler: WebSocketHandler,
        parts: &Parts,
    ) -> Option<Accepted> {
        let permit = Permit::take(&self.0)?;
        let arrival = session.protocol(parts).map(|_| session.0.arrival());
        let served = Served::Session(session, handler, arrival);
        Some(Accepted { endpoint: self.clone(), served, permit })
    }
}

/// What came of [`Endpoint::drain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Sockets that have gone.
    pub closed: usize,
    /// Sockets that did not go, not even at the deadline.
    pub left: usize,
}

/// What an adapter does with a request.
#[derive(Debug)]
#[must_use = "an outcome is to be acted upon"]
#[expect(clippy::exhaustive_enums, reason = "adapters match on both")]
pub enum Outcome {
    /// Answers with this response.
    Respond(Response<Bytes>),
    /// Upgrades to a WebSocket as its framework does, and then runs this.
    Upgrade(Accepted),
}

/// A socket that has passed all checks and is about to be upgraded.
#[derive(Debug)]
#[must_use = "an accepted socket is to be upgraded and run"]
pub struct Accepted {
    endpoint: Endpoint,
    served: Served,
    permit: Permit,
}

/// What a socket is for.
#[derive(Debug)]
enum Served {
    /// The place among the sockets of a session whose page resumes.
    Session(Session, WebSocketHandler, Option<Arrival>),
    Behaviour(socket::Seat, Arc<Conn>),
    /// A session of another process.
    Elsewhere(SessionId, Tunnel, Option<&'static str>),
}

impl Accepted {
    /// The bounds to set in the framework, buffers and sizes of messages above all.
    pub fn limits(&self) -> &Limits {
        self.endpoint.limits()
    }

    /// The session that the socket is for; `None` for that of a [behaviour](crate::WebSocketBehaviour), and for one that lives in
    /// [another process](EndpointBuilder::cluster).
    pub fn session(&self) -> Option<&Session> {
        match &self.served {
            Served::Session(session, ..) => Some(session),
            Served::Behaviour(..) | Served::Elsewhere(..) => None,
        }
    }

    /// The subprotocol that the answer must name in `Sec-WebSocket-Protocol`, if any: the page offers to resume, and then
    /// [`run`](Self::run) speaks it. An answer that leaves it out has the page speak as if it could not, and it is refused.
    pub fn protocol(&self) -> Option<&'static str> {
        match &self.served {
            Served::Session(_, _, Some(_)) => Some(PROTOCOL),
            Served::Elsewhere(.., protocol) => *protocol,
            Served::Session(_, _, None) | Served::Behaviour(..) => None,
        }
    }

    /// Serves the socket until it or the session ends; or runs the behaviour.
    ///
    /// # Cancel safety
    ///
    /// As for [`run_connection_loop`]. A behaviour gets [`Terminate::Stop`](crate::Terminate::Stop), in a task of its own.
    pub async fn run<T: Transport>(self, transport: T) -> Disconnect {
        let Self { endpoint, served, permit } = self;
        let disconnect = {
            // A future holds what it was handed besides what it makes of it, so the transport itself goes no further.
            let mut transport = pin!(transport);
            match served {
                Served::Session(session, handler, None) => {
                    run_connection_loop(&session, &handler, transport.as_mut()).await
                }
                Served::Session(session, handler, Some(arrival)) => {
                    run_resumable_connection_loop_as(arrival, &session, &handler, transport.as_mut()).await
                }
                Served::Behaviour(seat, conn) => {
                    let (socket, settings) = seat.socket(conn, endpoint.limits());
                    let running = run_behaviour(socket, endpoint.0.clone(), settings, transport.as_mut());
                    let disconnect = running.await;
                    drop(seat);
                    disconnect
                }
                // Apart, since it is larger than all others, which are far more.
                Served::Elsewhere(id, tunnel, _) => {
                    Box::pin(run_relayed(tunnel, id, &*endpoint.0, transport.as_mut())).await
                }
            }
        };
        drop(permit);
        disconnect
    }
}

/// A socket that counts.
#[derive(Debug)]
struct Permit(Arc<Inner>);

impl Permit {
    fn take(inner: &Arc<Inner>) -> Option<Self> {
        let permit = Self(inner.clone());
        let before = inner.sockets.fetch_add(1, Ordering::Relaxed);
        (before < inner.limits().sockets).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
        self.0.socket_gone.notify_waiters();
    }
}
