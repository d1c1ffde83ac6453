//! Which connection a new session gets.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::request::Parts;

use super::Endpoint;
use crate::connection::{FrontendConnection, WebSocketConnection};
use crate::session::Session;
use crate::sync::guard;

type Choose = dyn Fn(&ConnectionRequest<'_>) -> Option<Arc<dyn FrontendConnection>> + Send + Sync;

/// What a registered connection is chosen by; see [`Endpoint::register_connection`].
#[derive(Clone, Copy, Debug)]
pub struct ConnectionRequest<'a> {
    parts: Option<&'a Parts>,
}

impl<'a> ConnectionRequest<'a> {
    /// The request for the page, if the application passed it with [`Endpoint::session_for`].
    pub fn parts(&self) -> Option<&'a Parts> {
        self.parts
    }
}

/// The choices that the application has registered.
#[derive(Default)]
pub(super) struct Connections(RwLock<Table>);

#[derive(Clone, Default)]
struct Table {
    registered: Arc<Vec<Arc<Choose>>>,
    forced: Option<Arc<Choose>>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("registered", &self.table().registered.len()).finish()
    }
}

impl Connections {
    fn table(&self) -> Table {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let former = {
            let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let former = table.clone();
            change(&mut table);
            former
        };
        // What a choice that has gone owns is dropped outside the lock.
        drop(former);
    }

    /// Asks the application, outside the lock.
    fn choose(&self, request: &ConnectionRequest<'_>) -> Arc<dyn FrontendConnection> {
        let Table { registered, forced } = self.table();
        forced
            .iter()
            .chain(registered.iter().rev())
            .find_map(|choose| guard("a registered connection", || choose(request)).flatten())
            .unwrap_or_else(|| Arc::new(WebSocketConnection::default()))
    }
}

/// Sessions, and the connections they get.
impl Endpoint {
    /// A new session, for one page.
    ///
    /// Its connection is what [`register_connection`](Self::register_connection) says, and by default a
    /// [`WebSocketConnection`] at the endpoint's own route.
    ///
    /// When the endpoint already holds [`Limits::sessions`](crate::Limits::sessions), or
    /// [`Limits::total_bytes`](crate::Limits::total_bytes), the session is closed from the start, with
    /// [`CloseReason::Capacity`](crate::CloseReason::Capacity): its page shows what it shows, and does not come alive. Those who
    /// would rather answer 503 ask [`capacity_refusal`](Self::capacity_refusal) before.
    ///
    /// # Panics
    ///
    /// If the operating system gives no random bytes.
    pub fn session(&self) -> Session {
        self.session_by(ConnectionRequest { parts: None }, None)
    }

    /// A new session, as [`session`](Self::session) makes it, for the page that answers this request. It belongs to whom
    /// [`EndpointBuilder::identity`](crate::EndpointBuilder::identity) sees in the request, and what has been registered may
    /// choose the connection by it.
    ///
    /// It is closed from the start as well where its owner has as many sessions already as
    /// [`Limits::identity_sessions`](crate::Limits::identity_sessions) allows, or they hold
    /// [`Limits::identity_bytes`](crate::Limits::identity_bytes).
    ///
    /// # Panics
    ///
    /// If the operating system gives no random bytes, or the identity hook panics.
    pub fn session_for(&self, request: &Parts) -> Session {
        let identity = self.0.identity.of(request);
        self.session_by(ConnectionRequest { parts: Some(request) }, identity.as_deref())
    }

    /// A new session over this connection, whatever has been registered. One connection is for one session.
    ///
    /// # Panics
    ///
    /// If the operating system gives no random bytes.
    pub fn session_with(&self, connection: Arc<dyn FrontendConnection>) -> Session {
        self.0.add(connection, None)
    }

    /// Registers a kind of connection for new sessions, now or at any time later. `choose` makes a connection, one for each
    /// session, or answers `None` to leave the session to others: the last registered that answers `Some` wins, and without
    /// any the session gets a [`WebSocketConnection`].
    ///
    /// A connection over WebSockets that is handed out twice serves the first session that connects; sockets of the other are
    /// refused.
    ///
    /// It stays for as long as the endpoint does. One that panics is logged and counts as `None`. It runs outside every lock,
    /// in [`session`](Self::session) and [`session_for`](Self::session_for); it must not block where those are called from
    /// async code.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use bonito_core::{Endpoint, NoConnection};
    ///
    /// let live = Endpoint::builder("/live").build();
    /// live.register_connection(|request| {
    ///     // Only for pages that are asked for with this header.
    ///     if request.parts()?.headers.contains_key("x-preview") { Some(Arc::new(NoConnection)) } else { None }
    /// });
    /// ```
    pub fn register_connection<F>(&self, choose: F)
    where
        F: Fn(&ConnectionRequest<'_>) -> Option<Arc<dyn FrontendConnection>> + Send + Sync + 'static,
    {
        self.0.connections.change(|table| Arc::make_mut(&mut table.registered).push(Arc::new(choose)));
    }

    /// Gives every new session a connection that `make` makes, whatever has been registered or will be, until
    /// [`unforce_connection`](Self::unforce_connection). A second call replaces the first.
    ///
    /// One that panics is logged, and its session gets what is registered.
    pub fn force_connection<F>(&self, make: F)
    where
        F: Fn(&ConnectionRequest<'_>) -> Arc<dyn FrontendConnection> + Send + Sync + 'static,
    {
        let choose: Arc<Choose> = Arc::new(move |request| Some(make(request)));
        self.0.connections.change(|table| table.forced = Some(choose));
    }

    /// New sessions get what is registered again.
    pub fn unforce_connection(&self) {
        self.0.connections.change(|table| table.forced = None);
    }

    fn session_by(&self, request: ConnectionRequest<'_>, identity: Option<&str>) -> Session {
        self.0.add(self.0.connections.choose(&request), identity)
    }
}
