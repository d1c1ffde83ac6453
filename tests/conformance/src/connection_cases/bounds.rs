//! Pages that do not read, say nonsense, or want too much.

use std::sync::{Arc, Mutex};

use bonito_core::{CloseReason, Endpoint, Observable, Status, js};
use bytes::Bytes;

use super::{heard, open, step, too_large, update};
use crate::FarEnd;
use crate::client::until;

case! {
    /// A connection that is full gets what it did not take again, first and once. One that takes all the same, and drops it or
    /// puts it last, is found out here.
    a_page_that_does_not_read_misses_nothing(session, far) {
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        for _ in 0..3 {
            // More than a connection should hold, and less than the limit of what may wait.
            (0..110).for_each(|n| _ = session.eval(step(n, 64 << 10)));
            assert_eq!(session.status(), Status::Open);
            assert_eq!(heard(&mut far).await, (0..110).collect::<Vec<_>>());
        }
    }
}

case! {
    /// Somebody who sends nonsense must not end the session of whoever has its page.
    garbage_is_refused_and_the_session_lives(session, far) {
        let value = Observable::new(0_u32);
        session.eval(js!("$(value)"));
        let _html = session.page("t", "");
        for garbage in [&b"\xc1"[..], b"", b"\x00", b"\x81\xa8msg_type\xa3999", b"GET / HTTP/1.1\r\n\r\n"] {
            open(&session, &mut far).await;
            far.send(Bytes::from_static(garbage)).await;
            far.cut().await;
            until(|| session.status() == Status::SoftClosed).await;
        }
        open(&session, &mut far).await;
        far.send(update(&value.id().to_string(), 1)).await;
        until(|| value.get() == 1).await;
        session.eval(step(1, 0));
        assert_eq!(heard(&mut far).await, [1]);
    }
}

case! {
    /// What a page sends is bounded before it is read, and an honest page that sends too much may go on.
    a_message_too_large_is_refused_and_the_session_lives(session, far) {
        let warnings = Arc::new(Mutex::new(0));
        let seen = warnings.clone();
        session.on_javascript_warning(move |_, _| *seen.lock().unwrap() += 1);
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        far.send(too_large()).await;
        far.cut().await;
        until(|| session.status() == Status::SoftClosed).await;
        open(&session, &mut far).await;
        session.eval(step(1, 0));
        assert_eq!(heard(&mut far).await, [1]);
        assert_eq!(*warnings.lock().unwrap(), 0, "it reached the application");
    }
}

case! {
    /// A connection that takes all there is for a page that does not read has the memory of the server for its bound.
    a_flood_is_bounded(session, far) {
        let reason = Arc::new(Mutex::new(None));
        let seen = reason.clone();
        session.on_close(move |_, reason| *seen.lock().unwrap() = Some(reason));
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        for n in 0..1000 {
            session.eval(step(n, 64 << 10));
            if session.status() == Status::Closed {
                break;
            }
            // The loop of a socket may run.
            tokio::task::yield_now().await;
        }
        assert_eq!(*reason.lock().unwrap(), Some(CloseReason::Overflow), "64 MB went somewhere");
        until(|| !far.connection().is_open()).await;
    }
}
