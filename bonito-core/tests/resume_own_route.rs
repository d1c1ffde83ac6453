//! Pages that resume at a route of the application's own. Source: protocol.md §18.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bonito_core::proto::codec;
use bonito_core::proto::message::{Packet, ServerMessage};
use bonito_core::{
    FrontendConnection, Lane, Observable, Script, SendError, Session, Status, WebSocketHandler,
    WebSocketSetup, js,
};
use bytes::Bytes;
use support::stream::{Stream, page_key};
use support::{Page, endpoint, settle};

/// A connection over sockets of the application's own.
#[derive(Debug, Default)]
struct Route(WebSocketHandler, AtomicUsize);

impl FrontendConnection for Route {
    fn write(&self, bytes: Bytes, _: Lane) -> Result<(), SendError> {
        self.0.write(bytes)
    }

    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    fn open(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }

    fn close(&self) {
        self.0.close();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        Some(WebSocketSetup::new("/sockets").resumable(true).script(session))
    }
}

fn step(n: usize) -> Script {
    Script::new(format!("step({n})"))
}

/// What an application writes to a handler by itself.
fn pong() -> Bytes {
    codec::encode_packet(&Packet::Bare(ServerMessage::PingPong)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn at_a_route_of_ones_own_nothing_is_lost_over_cuts() {
    let live = endpoint();
    let route = Arc::new(Route::default());
    let session = live.session_with(route.clone());
    let input = Observable::new(0);
    let heard = Arc::<Mutex<Vec<usize>>>::default();
    let log = heard.clone();
    session.keep(input.on(move |value| log.lock().unwrap().push(*value)));
    session.eval(js!("$(input)"));
    let html = session.page("t", "").to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).expect("the page has the key"));
    page.dial_over(&route.0);
    assert!(!page.greet().await.unwrap().resumed);
    page.loaded();
    settle().await;
    assert_eq!(session.status(), Status::Open);
    for n in 0..20 {
        session.eval(step(3 * n));
        page.update(input.id(), 2 * n);
        settle().await;
        // What has been written last is had every other time.
        page.cut(n % 2 == 0).await;
        assert_eq!(session.status(), Status::SoftClosed);
        session.eval(step(3 * n + 1));
        page.update(input.id(), 2 * n + 1);
        page.dial_over(&route.0);
        assert!(page.greet().await.unwrap().resumed);
        session.eval(step(3 * n + 2));
        settle().await;
        page.read();
    }
    assert_eq!(page.log, (0..60).map(|n| format!("step({n})")).collect::<Vec<_>>());
    assert_eq!(*heard.lock().unwrap(), (0..40).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_written_to_the_handler_of_an_older_socket_comes_over_the_newer() {
    let live = endpoint();
    let route = Arc::new(Route::default());
    let newer = WebSocketHandler::new();
    let session = live.session_with(route.clone());
    let html = session.page("t", "").to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.dial_over(&route.0);
    page.greet().await.unwrap();
    page.loaded();
    settle().await;
    let older = page.socket.take().unwrap();
    older.read_only(Some(0));
    // More than the loop of a socket that takes nothing holds itself.
    for _ in 0..5 {
        route.0.write(pong()).unwrap();
    }
    page.dial_over(&newer);
    assert!(page.greet().await.unwrap().resumed);
    assert_eq!(older.closed_behind().await, Some(4001), "the older one ends");
    drop(older);
    settle().await;
    assert_eq!(page.read(), ["pong"; 5]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_with_a_plain_socket_comes_in_the_stream_that_takes_over() {
    let live = endpoint();
    let route = Arc::new(Route::default());
    let newer = WebSocketHandler::new();
    let session = live.session_with(route.clone());
    let html = session.page("t", "").to_string();
    let plain = Page::over(&session, &route.0).await;
    plain.loaded();
    settle().await;
    plain.read_only(Some(1));
    (0..10).for_each(|n| _ = session.eval(step(n)));
    settle().await;
    assert_ne!(live.stats().in_flight_bytes, 0, "the plain socket has been handed it");
    route.0.write(pong()).unwrap();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.dial_over(&newer);
    page.greet().await.unwrap();
    assert_eq!(live.stats().in_flight_bytes, 0, "no longer charged");
    page.loaded();
    assert_eq!(plain.closed_behind().await, Some(4001), "the plain one ends");
    drop(plain);
    settle().await;
    assert_eq!(live.stats().in_flight_bytes, 0);
    let mut expected: Vec<_> = (1..10).map(|n| format!("step({n})")).collect();
    expected.push("pong".to_owned());
    assert_eq!(page.read(), expected, "all but what the plain one has taken");
}

#[tokio::test(start_paused = true)]
async fn each_socket_that_takes_the_session_opens_its_connection() {
    let live = endpoint();
    let route = Arc::new(Route::default());
    let opened = || route.1.load(Ordering::Relaxed);
    let session = live.session_with(route.clone());
    let html = session.page("t", "").to_string();
    assert_eq!(opened(), 0);
    let plain = Page::over(&session, &route.0).await;
    assert_eq!(opened(), 1);
    drop(plain);
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    for times in 2..=3 {
        page.dial_over(&route.0);
        page.greet().await.unwrap();
        assert_eq!(opened(), times);
        page.cut(true).await;
    }
}
