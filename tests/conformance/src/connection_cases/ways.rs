//! How a way is lost, comes back, and ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bonito_core::{Endpoint, FrontendConnection, Lane, Script, SendError, Session, Status, WebSocketHandler};
use bytes::Bytes;

use super::{heard, open, step};
use crate::FarEnd;
use crate::client::{patiently, until};

case! {
    /// While the way is known to be lost all is kept, and comes once, in order, before all later. A connection that does not
    /// notice throws away what it is given.
    a_lost_way_is_noticed_and_what_waits_comes_once(session, far) {
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        for _ in 0..5 {
            assert_eq!(heard(&mut far).await, [] as [usize; 0], "what has arrived does not come again");
            far.cut().await;
            until(|| session.status() == Status::SoftClosed).await;
            (0..20).for_each(|n| _ = session.eval(step(n, 100)));
            open(&session, &mut far).await;
            (20..25).for_each(|n| _ = session.eval(step(n, 0)));
            assert_eq!(heard(&mut far).await, (0..25).collect::<Vec<_>>());
        }
    }
}

case! {
    /// Whoever asks decides by it whether to wait or to go on.
    is_open_tells_the_truth(session, far) {
        let connection = far.connection();
        let _html = session.page("t", "");
        for _ in 0..3 {
            open(&session, &mut far).await;
            assert!(connection.is_open(), "the page is there");
            far.cut().await;
            until(|| session.status() == Status::SoftClosed).await;
            until(|| !connection.is_open()).await;
        }
        open(&session, &mut far).await;
        session.close();
        until(|| !connection.is_open()).await;
    }
}

case! {
    /// What a connection owns goes when its session ends; a second end must not take what somebody else has by then.
    a_session_that_ends_closes_the_way_once(spawn) {
        let live = Endpoint::builder("/live").build();
        let mut far = spawn(live.clone()).await;
        let closes = Arc::new(AtomicUsize::new(0));
        let watched = Arc::new(Watched { inner: far.connection(), closes: closes.clone() });
        let session = live.session_with(watched);
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        session.close();
        session.close();
        session.soft_close();
        while let Some(message) = patiently(far.receive(), "the page is not told that the way is gone").await {
            assert!(super::number(&message).is_none(), "nothing was sent");
        }
        assert_eq!(closes.load(Ordering::Relaxed), 1);
        let connection = far.connection();
        assert!(!connection.is_open());
        for lane in [Lane::LowLatency, Lane::LargeData] {
            let refused = connection.write(Bytes::from_static(b"late"), lane);
            assert_eq!(refused.unwrap_err().into_bytes(), "late", "what is refused comes back");
        }
        connection.close();
        assert!(!connection.is_open());
    }
}

case! {
    /// A session in a table of the connection's own that nobody takes out is held for ever.
    nothing_is_left_behind(spawn) {
        let live = Endpoint::builder("/live").build();
        for _ in 0..20 {
            let mut far = spawn(live.clone()).await;
            let connection = Arc::downgrade(&far.connection());
            let session = live.session_with(far.connection());
            let _html = session.page("t", "");
            open(&session, &mut far).await;
            session.close();
            drop((session, far));
            until(|| connection.upgrade().is_none()).await;
        }
        until(|| live.stats().sessions == 0 && live.stats().sockets == 0).await;
    }
}

/// A connection whose ends are counted.
struct Watched {
    inner: Arc<dyn FrontendConnection>,
    closes: Arc<AtomicUsize>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl FrontendConnection for Watched {
    fn write(&self, bytes: Bytes, lane: Lane) -> Result<(), SendError> {
        self.inner.write(bytes, lane)
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn open(&self) {
        self.inner.open();
    }

    fn close(&self) {
        self.closes.fetch_add(1, Ordering::Relaxed);
        self.inner.close();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        self.inner.setup_connection(session)
    }

    fn displayed(&self, session: &Session) {
        self.inner.displayed(session);
    }

    fn socket_handler(&self, query: &str) -> Option<WebSocketHandler> {
        self.inner.socket_handler(query)
    }

    fn use_parent_session(&self) -> bool {
        self.inner.use_parent_session()
    }
}
