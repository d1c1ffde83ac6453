//! The code of the chapter on a WebSocket server of one's own.

pub mod actix;
pub mod axum;
pub mod hyper;
pub mod warp;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bonito_core::{
    CleanupPolicy, DefaultCleanupPolicy, Disconnect, Endpoint, FrontendConnection, Lane, Observable, Script,
    SendError, Session, SessionId, Status, Transport, WebSocketHandler, run_connection_loop,
    setup_websocket_connection_js,
};

/// Forwards to the handler, which is where the socket's loop takes messages from.
#[derive(Debug)]
pub struct MyConnection {
    handler: WebSocketHandler,
    sessions: Sessions,
}

impl FrontendConnection for MyConnection {
    fn write(&self, bytes: bytes::Bytes, _lane: Lane) -> Result<(), SendError> {
        self.handler.write(bytes)
    }

    fn is_open(&self) -> bool {
        self.handler.is_open()
    }

    fn close(&self) {
        self.handler.close();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        self.sessions.save(session, &self.handler);
        Some(setup_websocket_connection_js("/sockets", session))
    }
}

/// The app's own table: what its route needs of each session. A clone is the same table.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<HashMap<SessionId, Served>>>);

/// A session and the end of the socket that its connection writes to.
#[derive(Clone, Debug)]
pub struct Served {
    session: Session,
    handler: WebSocketHandler,
}

impl Sessions {
    fn save(&self, session: &Session, handler: &WebSocketHandler) {
        let sessions = self.clone();
        session.on_close(move |session, _| sessions.remove(session.id()));
        let served = Served { session: session.clone(), handler: handler.clone() };
        self.with(|table| table.insert(session.id(), served));
        if session.status() == Status::Closed {
            self.remove(session.id());
        }
    }

    fn remove(&self, id: SessionId) {
        let removed = self.with(|table| table.remove(&id));
        drop(removed);
    }

    /// The session whose id stands in the path of a request.
    pub fn find(&self, id: &str) -> Option<Served> {
        let id = id.parse().ok()?;
        self.with(|table| table.get(&id).cloned())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.with(|table| table.len())
    }

    /// Nothing else happens under the lock: a session that closes comes back here to be removed.
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<SessionId, Served>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Serves a socket, and decides what becomes of its session.
pub async fn serve(Served { session, handler }: Served, transport: impl Transport) {
    let disconnect = run_connection_loop(&session, &handler, transport).await;
    if disconnect.is_superseded() {
        // Another socket serves the session: it is not this one's to end.
        return;
    }
    match disconnect {
        // Option 1: whoever broke the protocol is out at once.
        Disconnect::Refused(_) => session.close(),
        // Option 2: the browser may come back. The loop has said so already; to say it again is harmless.
        _ => session.soft_close(),
    }
}

/// The cleanup task. Spawn it once.
pub async fn clean_up(sessions: Sessions, policy: impl CleanupPolicy) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = Instant::now();
        let all: Vec<Served> = sessions.with(|table| table.values().cloned().collect());
        for Served { session, .. } in all {
            if policy.should_cleanup(&session.info(), now) {
                // Its entry goes with it, by the hook of `save`.
                session.close();
            }
        }
    }
}

/// The rule of this app: half as patient as the library's.
pub fn my_rule() -> DefaultCleanupPolicy {
    let mut policy = DefaultCleanupPolicy::default();
    policy.cleanup_time = Duration::from_secs(30);
    policy
}

/// What the handlers of the app share.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct App {
    /// Makes the sessions.
    pub live: Endpoint,
    /// Those that have a page.
    pub sessions: Sessions,
}

impl App {
    /// An app, with its cleanup task running.
    pub fn start() -> Self {
        let app = Self { live: Endpoint::builder("/live").build(), sessions: Sessions::default() };
        tokio::spawn(clean_up(app.sessions.clone(), my_rule()));
        app
    }

    /// A session over the app's own connection.
    pub fn session(&self) -> Session {
        let connection = MyConnection { handler: WebSocketHandler::new(), sessions: self.sessions.clone() };
        self.live.session_with(Arc::new(connection))
    }

    /// A page with such a session.
    pub fn page(&self) -> String {
        let session = self.session();
        let count = Observable::new(0);
        let clicked = count.clone();
        let button = session.on_click(move || clicked.update(|n| *n += 1));
        session.page("Counter", format!("<button {button}>+1</button> {}", session.text(&count))).to_string()
    }
}
