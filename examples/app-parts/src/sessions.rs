//! An app's own table of sessions, for routes that serve them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bonito_core::{Session, SessionId, Status};

/// Sessions with their connections, by id. A clone is the same table.
pub struct Sessions<C>(Arc<Mutex<HashMap<SessionId, (Session, C)>>>);

impl<C> Clone for Sessions<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> Default for Sessions<C> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<C> fmt::Debug for Sessions<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl<C: Clone + Send + 'static> Sessions<C> {
    /// Keeps the session until it is closed, whoever closes it.
    pub fn save(&self, session: &Session, connection: C) {
        let table = self.clone();
        session.on_close(move |session, _| table.remove(session.id()));
        self.with(|table| table.insert(session.id(), (session.clone(), connection)));
        if session.status() == Status::Closed {
            self.remove(session.id());
        }
    }

    /// The session whose id stands in the path of a request.
    pub fn find(&self, id: &str) -> Option<(Session, C)> {
        let id = id.parse().ok()?;
        self.with(|table| table.get(&id).cloned())
    }

    fn remove(&self, id: SessionId) {
        let removed = self.with(|table| table.remove(&id));
        drop(removed);
    }

    /// Nothing else happens under the lock: a session that closes comes back here to be removed.
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<SessionId, (Session, C)>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use bonito_core::Endpoint;

    use super::*;

    #[tokio::test]
    async fn a_session_is_found_until_it_is_closed() {
        let (live, sessions) = (Endpoint::builder("/live").build(), Sessions::default());
        let session = live.session();
        sessions.save(&session, 7);
        let id = session.id().to_string();
        assert_eq!(sessions.find(&id).unwrap(), (session.clone(), 7));
        assert!(sessions.find("7").is_none());
        session.close();
        assert!(sessions.find(&id).is_none());
        sessions.save(&session, 7);
        assert!(sessions.find(&id).is_none());
    }
}
