//! Rare meetings: of a call with its own consequences, of a wake-up with its check, of a socket with its end.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake};
use std::time::Duration;

use bonito_core::proto::codec;
use bonito_core::proto::message::{Body, CacheEntry, ClientMessage, Packet};
use bonito_core::{
    Disconnect, Endpoint, FrontendConnection, Lane, Limits, Observable, Script, SendError, Session, Status,
    WebSocketHandler, js, run_connection_loop,
};
use bytes::Bytes;
use support::{Page, endpoint, endpoint_with, idle_socket, said, settle};

type Write = dyn Fn(Bytes) -> Result<(), SendError> + Send + Sync;

/// A connection whose `write` is the test's own.
#[derive(Default)]
struct Scripted {
    write: Mutex<Option<Arc<Write>>>,
    setup: Mutex<Option<Script>>,
}

impl Scripted {
    fn on_write(&self, write: impl Fn(Bytes) -> Result<(), SendError> + Send + Sync + 'static) {
        *self.write.lock().unwrap() = Some(Arc::new(write));
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl FrontendConnection for Scripted {
    fn write(&self, bytes: Bytes, _: Lane) -> Result<(), SendError> {
        let write = self.write.lock().unwrap().clone();
        write.map_or(Ok(()), |write| write(bytes))
    }
    fn is_open(&self) -> bool {
        true
    }
    fn close(&self) {
        *self.write.lock().unwrap() = None;
    }
    fn setup_connection(&self, _: &Session) -> Option<Script> {
        self.setup.lock().unwrap().clone()
    }
}

fn session_over(live: &Endpoint) -> (Arc<Scripted>, Session) {
    let connection = Arc::new(Scripted::default());
    let session = live.session_with(connection.clone());
    (connection, session)
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

/// What a connection has taken.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<Bytes>>>);

impl Taken {
    fn take(&self, bytes: Bytes) -> Result<(), SendError> {
        self.0.lock().unwrap().push(bytes);
        Ok(())
    }

    fn said(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().flat_map(said).collect()
    }
}

#[test]
fn a_flush_while_the_connection_is_still_refusing_counts() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    let taken = Taken::default();
    let (refused, sink, flushing) = (Mutex::new(false), taken.clone(), session.clone());
    connection.on_write(move |bytes| {
        if std::mem::replace(&mut *refused.lock().unwrap(), true) {
            return sink.take(bytes);
        }
        // The way is clear again before the refusal has come back to the session.
        std::thread::scope(|scope| _ = scope.spawn(|| flushing.flush()));
        Err(SendError::full(bytes))
    });
    session.eval(script(1));
    assert_eq!(taken.said(), ["step(1)"]);
    session.close();
}

#[test]
fn what_the_lost_way_refused_goes_by_the_new_one_that_is_there_already() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    let taken = Taken::default();
    let (refused, sink, same) = (Mutex::new(false), taken.clone(), session.clone());
    connection.on_write(move |bytes| {
        if std::mem::replace(&mut *refused.lock().unwrap(), true) {
            return sink.take(bytes);
        }
        same.soft_close();
        same.process_message(loaded(&same)).unwrap();
        Err(SendError::closed(bytes))
    });
    session.eval(script(1));
    assert_eq!(session.status(), Status::Open);
    assert_eq!(taken.said(), ["step(1)"]);
    session.close();
}

#[tokio::test]
async fn a_flush_reaches_a_connection_that_a_socket_serves() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let handler = WebSocketHandler::new();
    let full = Arc::new(Mutex::new(true));
    let (gate, target) = (full.clone(), handler.clone());
    connection.on_write(move |bytes| match *gate.lock().unwrap() {
        true => Err(SendError::full(bytes)),
        false => target.write(bytes),
    });
    let _html = session.page("t", "");
    let page = Page::over(&session, &handler).await;
    page.loaded();
    settle().await;
    session.eval(script(1));
    settle().await;
    *full.lock().unwrap() = false;
    session.flush();
    settle().await;
    assert_eq!(page.received(), ["step(1)"]);
}

#[tokio::test]
async fn a_message_by_another_way_wakes_the_socket() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::connect(&live, &session).await;
    settle().await;
    session.eval(script(1));
    settle().await;
    session.process_message(loaded(&session)).unwrap();
    settle().await;
    assert_eq!(page.received(), ["step(1)"]);
}

#[tokio::test]
async fn a_connection_that_takes_messages_elsewhere_gets_all_of_them() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let (handler, taken) = (WebSocketHandler::new(), Taken::default());
    let sink = taken.clone();
    connection.on_write(move |bytes| sink.take(bytes));
    let _html = session.page("t", "");
    (0..500).for_each(|n| _ = session.eval(script(n)));
    let page = Page::over(&session, &handler).await;
    page.loaded();
    settle().await;
    assert_eq!(taken.said().len(), 500);
}

#[tokio::test]
async fn a_session_closed_while_its_socket_writes_ends_as_closed() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let handler = WebSocketHandler::new();
    let (target, closing) = (handler.clone(), session.clone());
    connection.on_write(move |bytes| {
        closing.close();
        target.close();
        target.write(bytes)
    });
    let _html = session.page("t", "");
    let page = Page::over(&session, &handler).await;
    page.loaded();
    settle().await;
    session.eval(script(1));
    assert_eq!(page.closed().await, Some(4004));
}

#[tokio::test]
async fn a_handler_closed_while_its_socket_writes_ends_as_closed() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let handler = WebSocketHandler::new();
    let target = handler.clone();
    connection.on_write(move |bytes| {
        target.close();
        target.write(bytes)
    });
    let _html = session.page("t", "");
    let page = Page::over(&session, &handler).await;
    page.loaded();
    settle().await;
    session.eval(script(1));
    assert_eq!(page.closed().await, Some(1000));
    assert!(matches!(page.serving.await.unwrap(), Disconnect::HandlerClosed));
    assert_eq!(session.info().queued_messages, 1, "it waits for the next socket");
    session.close();
}

#[tokio::test]
async fn closing_the_handler_of_a_stuck_socket_ends_it() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let handler = WebSocketHandler::new();
    let target = handler.clone();
    connection.on_write(move |bytes| target.write(bytes));
    let _html = session.page("t", "");
    let page = Page::over(&session, &handler).await;
    page.loaded();
    settle().await;
    page.read_only(Some(1));
    (0..3).for_each(|n| _ = session.eval(script(n)));
    settle().await;
    handler.close();
    settle().await;
    assert_eq!(session.status(), Status::SoftClosed);
    session.close();
}

#[tokio::test]
async fn what_the_application_wrote_to_the_handler_itself_waits_too() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let handler = WebSocketHandler::new();
    let target = handler.clone();
    connection.on_write(move |bytes| target.write(bytes));
    let _html = session.page("t", "");
    let page = Page::over(&session, &handler).await;
    page.loaded();
    settle().await;
    page.read_only(Some(0));
    handler.write(Bytes::from_static(b"\x81\xa8msg_type\xa211")).unwrap();
    page.cut();
    assert!(page.serving.await.is_ok());
    let page = Page::over(&session, &handler).await;
    page.loaded();
    settle().await;
    assert_eq!(page.received(), ["pong"]);
    session.close();
}

#[tokio::test]
async fn pings_of_a_page_that_does_not_read_hold_nothing() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.read_only(Some(0));
    for _ in 0..10_000 {
        page.send(&ClientMessage::PingPong);
    }
    settle().await;
    assert!(session.info().messages_in > 5_000);
    assert!(session.info().queued_messages < 10, "{}", session.info().queued_messages);
    page.read_only(None);
    settle().await;
    assert!(page.received().contains(&"pong".to_owned()));
}

/// A waker that looks at the session, as an executor of the application's own might.
struct Curious(Session);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        self.0.status();
    }
}

#[test]
fn wakers_are_called_outside_every_lock() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    let (writing, is_writing) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    connection.on_write(move |_| {
        writing.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        Ok(())
    });
    let (done, is_done) = mpsc::channel();
    let sender = session.clone();
    std::thread::spawn(move || {
        sender.eval(script(1));
        done.send(()).unwrap();
    });
    is_writing.recv().unwrap();
    let waker = Arc::new(Curious(session.clone())).into();
    let handler = WebSocketHandler::new();
    {
        let mut waiting = pin!(run_connection_loop(&session, &handler, idle_socket()));
        for _ in 0..10 {
            assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    release.send(()).unwrap();
    assert_eq!(is_done.recv_timeout(Duration::from_secs(20)), Ok(()), "deadlock");
    session.close();
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_server_is_no_silence_of_the_peer() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    for _ in 0..3 {
        page.send_frame(bonito_core::Frame::Pong(Bytes::new()));
        tokio::time::advance(Duration::from_secs(31)).await;
        settle().await;
        assert_eq!(session.status(), Status::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn times_without_end_are_times() {
    let mut policy = bonito_core::DefaultCleanupPolicy::default();
    policy.cleanup_time = Duration::MAX;
    policy.connect_time = Duration::MAX;
    let mut limits = Limits::default();
    limits.hello_timeout = Duration::MAX;
    limits.ping_interval = Duration::MAX;
    limits.dead_after = Duration::MAX;
    limits.close_timeout = Duration::MAX;
    let live = Endpoint::builder("/live").limits(limits).cleanup_policy(policy).build();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    assert_eq!(session.status(), Status::Open);
    let asking = session.clone();
    let answer = tokio::spawn(async move { asking.eval_value_within::<u8>(js!("1"), Duration::MAX).await });
    settle().await;
    session.close();
    assert!(answer.await.unwrap().unwrap_err().is_closed());
    assert_eq!(page.closed().await, Some(4004));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_has_not_loaded_is_not_connected_by_whatever_it_sends() {
    let live = endpoint();
    let (_connection, session) = session_over(&live);
    let _html = session.page("t", "");
    session.process_message(&b"\xc1"[..]).unwrap_err();
    session.process_message(codec::encode_client(&ClientMessage::PingPong).unwrap()).unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(session.status(), Status::Closed);

    let (_connection, session) = session_over(&live);
    let _html = session.page("t", "");
    session.process_message(loaded(&session)).unwrap();
    session.soft_close();
    let value = Observable::new(0);
    session.eval(js!("$(value)"));
    let late = ClientMessage::UpdateObservable {
        id: value.id().to_string(),
        payload: bonito_core::proto::value::RawValue::encode(&7).unwrap(),
    };
    session.process_message(codec::encode_client(&late).unwrap()).unwrap();
    assert_eq!((value.get(), session.status()), (7, Status::SoftClosed));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(session.status(), Status::Closed);
}

#[test]
fn a_connection_may_set_itself_up_with_an_observable() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let state = Observable::new("waiting".to_owned());
    *connection.setup.lock().unwrap() = Some(js!("$(state).notify('connected')"));
    let html = session.page("t", "");
    let bundle = html.split("atob(\"").nth(1).unwrap().split('"').next().unwrap();
    let bundle = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bundle).unwrap();
    let Packet::Enveloped(envelope) = codec::decode_packet(bundle.into(), &Limits::default()).unwrap() else {
        panic!()
    };
    assert!(matches!(envelope.body, Body::Bundle(_)));
    let known = |entry: &CacheEntry| matches!(entry, CacheEntry::Observable { id, .. } if *id == state.id().to_string());
    assert!(envelope.cache.iter().any(known), "registered before it is referred to");
    session.close();
}

#[test]
fn a_session_that_is_closed_keeps_no_hook() {
    let live = endpoint_with(|limits| limits.sessions = 0);
    let session = live.session();
    assert_eq!(session.status(), Status::Closed);
    let token = Arc::new(());
    let held = || (session.clone(), token.clone());
    let (a, b, c, d, e) = (held(), held(), held(), held(), held());
    session.on_open(move |_, _| _ = &a);
    session.on_soft_close(move |_| _ = &b);
    session.on_close(move |_, _| _ = &c);
    session.on_javascript_error(move |_, _| _ = &d);
    session.on_javascript_warning(move |_, _| _ = &e);
    drop(session);
    assert_eq!(Arc::strong_count(&token), 1);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_waits_for_its_turn_does_not_take_it_from_one_that_came_later() {
    let live = endpoint();
    let (connection, session) = session_over(&live);
    let handler = WebSocketHandler::new();
    let target = handler.clone();
    connection.on_write(move |bytes| target.write(bytes));
    let _html = session.page("t", "");
    let mut pages = Vec::new();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let page = Page::over(&session, &handler).await;
        page.loaded();
        pages.push(page);
    }
    let mut earlier = pin!(run_connection_loop(&session, &handler, idle_socket()));
    assert!(earlier.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
    let later = Page::over(&session, &handler).await;
    later.loaded();
    // Its executor comes round to the earlier one last of all.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(session.status(), Status::Open);
    assert!(
        earlier.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending(),
        "it says goodbye"
    );
    assert_eq!(session.status(), Status::Open);
    session.eval(script(1));
    settle().await;
    assert_eq!(later.received(), ["step(1)"]);
    session.close();
}
