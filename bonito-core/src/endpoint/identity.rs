//! Whose session it is: what the application says of the request for the page and of the one for the socket.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use super::Endpoint;
use crate::session::Session;
use crate::sync::guard;

type Identify = dyn Fn(&Parts) -> Option<String> + Send + Sync;

/// What [`EndpointBuilder::identity`](super::EndpointBuilder::identity) was given, if anything.
#[derive(Clone, Default)]
pub(super) struct Identity(Option<Arc<Identify>>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.0.is_some()).finish()
    }
}

impl Identity {
    pub(super) fn new(identify: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(identify)))
    }

    /// Who asks, as far as the application says.
    pub(super) fn of(&self, request: &Parts) -> Option<String> {
        self.0.as_ref().and_then(|identify| identify(request))
    }
}

/// Whose sessions they are.
impl Endpoint {
    /// Whether whoever sends this request is whom the session [belongs to](Session::set_identity). For connections at a
    /// route of your own; [`handle`](Self::handle) and [`refusal`](Self::refusal) ask for themselves.
    ///
    /// An identity hook that panics is logged, and the answer is no.
    pub fn may_connect(&self, session: &Session, request: &Parts) -> bool {
        let asking = guard("EndpointBuilder::identity", || self.0.identity.of(request));
        let may = asking.is_some_and(|asking| asking.as_deref() == session.identity().as_deref());
        if !may {
            // Who they are is not for the log.
            tracing::warn!(
                session = ?session.id(),
                has_owner = session.identity().is_some(),
                endpoint_has_identity_hook = self.0.identity.0.is_some(),
                "a connection by somebody else is refused; make sessions with Endpoint::session_for or Session::set_identity"
            );
        }
        may
    }
}
