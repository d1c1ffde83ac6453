//! The connection over two WebSockets, so that large data holds up nothing.

use bytes::Bytes;

use super::{FrontendConnection, SendError, WebSocketHandler};
use crate::frame::Lane;
use crate::js::Script;
use crate::session::Session;

/// The query of the socket that the page sends over.
const LOW_LATENCY: &str = "low_latency";
/// The query of the socket for large data.
const LARGE_DATA: &str = "large_data";

/// A connection over two WebSockets at the endpoint's own route: one for small messages that somebody waits for, one for
/// [large data](Session::send_large).
///
/// * The session is open when the first of them is and the page has loaded; what is large waits until the second is there.
/// * Each of the two [lanes](Lane) keeps its order. A small message may overtake a large one, and the other way round.
/// * If one socket is lost both are made anew, since a page that has lost the second alone may not send any more
///   (protocol.md §2.6). What waits is kept; what a socket had taken when it died may or may not have arrived.
/// * It counts twice against [`Limits::sockets`](crate::Limits::sockets).
///
/// ```
/// # use std::sync::Arc;
/// use bonito_core::{DualWebSocketConnection, Endpoint, Observable, js};
///
/// let live = Endpoint::builder("/live").build();
/// live.register_connection(|_| Some(Arc::new(DualWebSocketConnection::new())));
///
/// let session = live.session();
/// let image = Observable::new(Vec::<u8>::new()).large();
/// session.on_js(&image, js!("(image) => { draw(image) }"));
/// ```
///
/// For sockets at a route of your own, keep one inside a connection of yours, forward to it, set the page up with
/// [`setup_dual_websocket_connection_js`], and run [`run_connection_loop`](crate::run_connection_loop) with the handler that
/// [`socket_handler`](FrontendConnection::socket_handler) has for the query of the request.
#[derive(Clone, Debug)]
pub struct DualWebSocketConnection {
    main: WebSocketHandler,
    large: WebSocketHandler,
}

impl Default for DualWebSocketConnection {
    fn default() -> Self {
        let (main, large) = WebSocketHandler::pair();
        Self { main, large }
    }
}

impl DualWebSocketConnection {
    /// A connection that no socket has come to yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl FrontendConnection for DualWebSocketConnection {
    fn write(&self, bytes: Bytes, lane: Lane) -> Result<(), SendError> {
        match lane {
            Lane::LowLatency => self.main.write_in(bytes, lane),
            Lane::LargeData => self.large.write_in(bytes, lane),
        }
    }

    fn is_open(&self) -> bool {
        self.main.is_open()
    }

    fn close(&self) {
        self.main.close();
        self.large.close();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        Some(setup_dual_websocket_connection_js(&session.host().urls().sessions, session))
    }

    fn socket_handler(&self, query: &str) -> Option<WebSocketHandler> {
        match query {
            LOW_LATENCY => Some(self.main.clone()),
            LARGE_DATA => Some(self.large.clone()),
            _ => None,
        }
    }
}

/// The main socket comes last: it is the one that `window.WEBSOCKET` is.
const SETUP: &str = "\
const lookup = __lookup_interpolated, here = window.location.href
import(new URL(lookup('module'), here).href).then((websocket) => {
  const socket = (query, main_connection) => websocket.setup_connection({
    proxy_url: new URL(lookup('url'), here).href,
    session_id: lookup('session'),
    compression_enabled: lookup('compression'),
    query,
    main_connection,
  })
  socket('?' + lookup('large_data'), false)
  socket('?' + lookup('low_latency'), true)
}).catch((error) => { Bonito.send_error('The connection could not be set up', error) })";

/// The script with which a page opens the two WebSockets of a [`DualWebSocketConnection`] at `url` with the id of the session
/// appended, and `?low_latency` or `?large_data`. See
/// [`setup_websocket_connection_js`](crate::setup_websocket_connection_js). Source: protocol.md §2.6.
pub fn setup_dual_websocket_connection_js(url: &str, session: &Session) -> Script {
    let host = session.host();
    Script::new(SETUP)
        .with("module", &host.urls().websocket_module)
        .with("url", &if url.ends_with('/') { url.to_owned() } else { format!("{url}/") })
        .with("session", &session.id().to_string())
        .with("compression", &host.compression().is_some())
        .with("low_latency", LOW_LATENCY)
        .with("large_data", LARGE_DATA)
}
