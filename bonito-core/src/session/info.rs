//! What is known of a session besides its state: whose it is, and what the application says of it.

use std::any::Any;
use std::sync::Arc;

use super::Session;
use crate::proto::policy::{Datum, SessionInfo};
use crate::proto::session::CloseReason;

/// What a [`CleanupPolicy`](crate::CleanupPolicy) decides by.
impl Session {
    /// What a cleanup policy sees of the session.
    pub fn info(&self) -> SessionInfo {
        self.0.info()
    }

    /// Whom the session belongs to.
    pub fn identity(&self) -> Option<Arc<str>> {
        self.0.with_about(|about| about.identity.clone())
    }

    /// Says whom the session belongs to, before its page is handed out: nobody else may connect to it. See
    /// [`EndpointBuilder::identity`](crate::EndpointBuilder::identity), without which nobody can;
    /// [`Endpoint::session_for`](crate::Endpoint::session_for) does this by itself.
    ///
    /// Changed later, it counts from the next connection on. Where that identity holds as much as
    /// [`Limits::identity_sessions`](crate::Limits::identity_sessions) or
    /// [`Limits::identity_bytes`](crate::Limits::identity_bytes) allow, the session closes, with
    /// [`CloseReason::Capacity`].
    pub fn set_identity(&self, identity: Option<&str>) {
        if self.0.set_identity(identity.map(Arc::from)) {
            self.host().changed(&self.of_page());
        } else {
            tracing::warn!(session = ?self.id(), "its owner has too many sessions, or they hold too much: it is closed");
            self.of_page().0.close(CloseReason::Capacity);
        }
    }

    /// Says something about the session that its policy may decide by; see
    /// [`SessionInfo::metadata`](crate::SessionInfo::metadata). Of one key the last value counts. The policy is asked anew when to
    /// look at the session.
    ///
    /// Of more than 32 keys none is taken any more: that is logged, and the answer is `false`.
    ///
    /// ```
    /// # use bonito_core::Endpoint;
    /// #[derive(Debug, PartialEq)]
    /// enum Plan { Free, Paid }
    ///
    /// let session = Endpoint::builder("/live").build().session();
    /// session.set_metadata("plan", Plan::Free);
    /// assert_eq!(session.info().metadata("plan"), Some(&Plan::Free));
    /// ```
    pub fn set_metadata<T: Any + Send + Sync>(&self, key: &'static str, value: T) -> bool {
        let value: Arc<Datum> = Arc::new(value);
        self.change_metadata(key, Some(&value))
    }

    /// Takes back what was said under this key.
    pub fn remove_metadata(&self, key: &'static str) {
        self.change_metadata(key, None);
    }

    fn change_metadata(&self, key: &'static str, value: Option<&Arc<Datum>>) -> bool {
        // What the values own is dropped outside the lock.
        let former = self.0.with_about(|about| {
            let changed = about.metadata.with(key, value.cloned())?;
            Some(std::mem::replace(&mut about.metadata, changed))
        });
        if former.is_none() {
            tracing::error!(session = ?self.id(), key, "a session has too much metadata: this is not taken");
            return false;
        }
        drop(former);
        self.host().changed(&self.of_page());
        true
    }

    /// The session of the page that this one is part of, or is.
    fn of_page(&self) -> Self {
        Self(self.0.page().clone())
    }
}
