//! Connections of the application's own, and its own way to serve a WebSocket.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bonito_core::proto::codec;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{FrontendConnection, Lane, Script, SendError, SendOutcome, Session, Status};
use bytes::Bytes;
use support::{endpoint, said};

/// A connection that takes as many messages as there is room.
#[derive(Clone, Debug, Default)]
struct Bucket(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    room: usize,
    lost: bool,
    closed: bool,
    taken: VecDeque<Bytes>,
}

impl Bucket {
    fn room(&self, room: usize) {
        self.0.lock().unwrap().room = room;
    }

    fn taken(&self) -> Vec<String> {
        let taken: Vec<_> = self.0.lock().unwrap().taken.drain(..).collect();
        taken.iter().flat_map(said).collect()
    }
}

impl FrontendConnection for Bucket {
    fn write(&self, bytes: Bytes, _: Lane) -> Result<(), SendError> {
        let mut state = self.0.lock().unwrap();
        if state.lost {
            return Err(SendError::closed(bytes));
        }
        if state.taken.len() >= state.room {
            return Err(SendError::full(bytes));
        }
        state.taken.push_back(bytes);
        Ok(())
    }

    fn is_open(&self) -> bool {
        !self.0.lock().unwrap().lost
    }

    fn close(&self) {
        self.0.lock().unwrap().closed = true;
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        Some(bonito_core::js!("create_connection($(session.id().to_string()))"))
    }
}

fn loaded(session: &Session) -> Bytes {
    let message = ClientMessage::DoneLoading {
        session: session.id().to_string(),
        message: String::new(),
        exception: None,
        stacktrace: String::new(),
    };
    codec::encode_client(&message).unwrap()
}

fn script(n: usize) -> Script {
    Script::new(format!("step({n})"))
}

#[test]
fn messages_go_through_write_once_the_page_has_loaded() {
    let bucket = Bucket::default();
    bucket.room(100);
    let live = endpoint();
    let session = live.session_with(Arc::new(bucket.clone()));
    let html = session.page("t", "");
    assert!(!html.contains("setup_connection"));
    session.eval(script(1));
    assert_eq!(bucket.taken(), [] as [&str; 0]);
    session.process_message(loaded(&session)).unwrap();
    assert_eq!(session.status(), Status::Open);
    assert_eq!(session.eval(script(2)), SendOutcome::Sent);
    assert_eq!(bucket.taken(), ["step(1)", "step(2)"]);
    session.close();
    assert!(bucket.0.lock().unwrap().closed);
    assert!(session.process_message(loaded(&session)).unwrap_err().is_closed());
}

#[test]
fn what_it_does_not_take_it_gets_again_first() {
    let bucket = Bucket::default();
    bucket.room(2);
    let live = endpoint();
    let session = live.session_with(Arc::new(bucket.clone()));
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    (0..5).for_each(|n| _ = session.eval(script(n)));
    assert_eq!(bucket.taken(), ["step(0)", "step(1)"]);
    bucket.room(100);
    session.flush();
    assert_eq!(bucket.taken(), ["step(2)", "step(3)", "step(4)"]);
}

#[test]
fn a_lost_connection_soft_closes_and_its_message_waits_for_the_next() {
    let bucket = Bucket::default();
    bucket.room(100);
    let live = endpoint();
    let session = live.session_with(Arc::new(bucket.clone()));
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    bucket.0.lock().unwrap().lost = true;
    session.eval(script(1));
    assert_eq!(session.status(), Status::SoftClosed);
    session.eval(script(2));
    bucket.0.lock().unwrap().lost = false;
    session.process_message(loaded(&session)).unwrap();
    assert_eq!(bucket.taken(), ["step(1)", "step(2)"]);
    session.soft_close();
    assert_eq!(session.status(), Status::SoftClosed);
    session.process_message(loaded(&session)).unwrap();
    assert_eq!(session.status(), Status::Open);
}

#[test]
fn many_threads_send_and_none_overtakes_itself() {
    let bucket = Bucket::default();
    bucket.room(usize::MAX);
    let live = endpoint();
    let session = live.session_with(Arc::new(bucket.clone()));
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let session = &session;
            scope.spawn(move || {
                for n in 0..100 {
                    session.eval(Script::new(format!("{thread}:{n}")));
                }
            });
        }
    });
    session.flush();
    let taken = bucket.taken();
    assert_eq!(taken.len(), 800);
    for thread in 0..8 {
        let mine: Vec<_> = taken.iter().filter(|said| said.starts_with(&format!("{thread}:"))).collect();
        assert_eq!(
            mine,
            (0..100).map(|n| format!("{thread}:{n}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_write_that_calls_back_into_the_session_does_not_hang() {
    #[derive(Debug, Default)]
    struct Loopback(Mutex<Option<Session>>, Mutex<usize>);
    impl FrontendConnection for Loopback {
        fn write(&self, _: Bytes, _: Lane) -> Result<(), SendError> {
            let count = {
                let mut count = self.1.lock().unwrap();
                *count += 1;
                *count
            };
            let session = self.0.lock().unwrap().clone();
            if let (Some(session), true) = (session, count < 5) {
                session.eval(script(count));
                session.process_message(loaded(&session)).unwrap();
            }
            Ok(())
        }
        fn is_open(&self) -> bool {
            true
        }
        fn close(&self) {
            *self.0.lock().unwrap() = None;
        }
        fn setup_connection(&self, _: &Session) -> Option<Script> {
            None
        }
    }
    let loopback = Arc::new(Loopback::default());
    let live = endpoint();
    let session = live.session_with(loopback.clone());
    *loopback.0.lock().unwrap() = Some(session.clone());
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    session.eval(script(0));
    assert_eq!(*loopback.1.lock().unwrap(), 5);
    session.close();
}

#[test]
fn garbage_is_refused_and_the_session_lives_on() {
    let live = endpoint();
    let session = live.session_with(Arc::new(Bucket::default()));
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    let error = session.process_message(&b"\xc1"[..]).unwrap_err();
    assert!(!error.is_closed() && !error.is_too_large());
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(session.status(), Status::Open);
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_is_read() {
    for compression in [false, true] {
        let mut limits = bonito_core::Limits::default();
        limits.message_bytes = 1000;
        let live = bonito_core::Endpoint::builder("/live").limits(limits).compression(compression).build();
        let session = live.session_with(Arc::new(Bucket::default()));
        let _html = session.page("t", "");
        let error = session.process_message(vec![b'x'; 1001]).unwrap_err();
        assert!(error.is_too_large());
        let error = session.process_message(vec![b'x'; 1000]).unwrap_err();
        assert!(!error.is_too_large());
    }
}

#[test]
fn too_much_for_the_application_is_refused_until_it_has_caught_up() {
    let live = support::endpoint_with(|limits| limits.inbox_bytes = 10_000);
    let session = live.session_with(Arc::new(Bucket::default()));
    let value = bonito_core::Observable::new(String::new());
    session.eval(bonito_core::js!("$(value)"));
    let inner = session.clone();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let seen = outcomes.clone();
    let id = value.id().to_string();
    let update = move |text: &str| {
        let payload = bonito_core::proto::value::RawValue::encode(text).unwrap();
        codec::encode_client(&ClientMessage::UpdateObservable { id: id.clone(), payload }).unwrap()
    };
    let again = update.clone();
    let _on = value.on(move |text| {
        // The listener is slow, and the page goes on sending.
        if text == "first" {
            for _ in 0..20 {
                let result = inner.process_message(again(&"x".repeat(1000)));
                seen.lock().unwrap().push(result.is_err_and(|error| error.is_full()));
            }
        }
    });
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    session.process_message(update("first")).unwrap();
    assert_eq!(outcomes.lock().unwrap().iter().filter(|full| !**full).count(), 10);
    session.process_message(update("after")).unwrap();
    assert_eq!(value.get(), "after");
}

#[test]
fn a_hook_on_a_session_that_is_over_is_called_at_once() {
    let live = endpoint();
    let session = live.session();
    session.close();
    let called = Arc::new(Mutex::new(0));
    let count = called.clone();
    session.on_close(move |_, _| *count.lock().unwrap() += 1);
    assert_eq!(*called.lock().unwrap(), 1);
}
