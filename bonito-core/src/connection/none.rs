//! Pages without a server.

use bytes::Bytes;

use super::{FrontendConnection, SendError};
use crate::frame::Lane;
use crate::js::Script;
use crate::proto::session::CloseReason;
use crate::session::Session;

/// What tells a page that it has no server.
pub(crate) const NO_CONNECTION: &str = "Bonito.set_no_connection()";

/// The connection of a page that never connects: a report, an export, a preview.
///
/// Listeners and values of the page work in the page: [`Session::on_js`], and observables that page code sets. What concerns
/// the server goes nowhere, and nothing tries to connect. The session closes when its page has been handed out, so bind
/// everything before. A page that needs no
/// server for its client either is a [static page](Session::static_page).
///
/// ```
/// # use std::sync::Arc;
/// use bonito_core::{Endpoint, NoConnection, Observable, Status, js};
///
/// let live = Endpoint::builder("/live").build();
/// let session = live.session_with(Arc::new(NoConnection));
/// let volume = Observable::new(3);
/// session.on_js(&volume, js!("(volume) => { document.title = volume }"));
/// let html = session.page("Volume", format!("<input type=\"range\" {}>", session.on_input(&volume)));
/// assert_eq!(session.status(), Status::Closed);
/// # assert!(html.contains("init_session"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to it")]
pub struct NoConnection;

impl FrontendConnection for NoConnection {
    fn write(&self, bytes: Bytes, _lane: Lane) -> Result<(), SendError> {
        Err(SendError::closed(bytes))
    }

    fn is_open(&self) -> bool {
        false
    }

    fn close(&self) {}

    fn setup_connection(&self, _session: &Session) -> Option<Script> {
        Some(Script::new(NO_CONNECTION))
    }

    fn displayed(&self, session: &Session) {
        session.0.close(CloseReason::NoConnection);
    }
}
