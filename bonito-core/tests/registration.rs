//! Which connection a session gets.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bonito_core::{
    CloseCode, CloseReason, Endpoint, Frame, FrontendConnection, Lane, NoConnection, Outcome, Script,
    SendError, Session, Status, WebSocketConnection, js,
};
use bytes::Bytes;
use http::request::Parts;
use support::{Page, endpoint, said, settle, upgrade_request};

/// A connection that can be told from others.
#[derive(Debug)]
struct Named(&'static str);

impl FrontendConnection for Named {
    fn write(&self, bytes: Bytes, _: Lane) -> Result<(), SendError> {
        Err(SendError::full(bytes))
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}

    fn setup_connection(&self, _: &Session) -> Option<Script> {
        Some(js!("create_connection($(self.0))"))
    }
}

fn name(session: &Session) -> String {
    format!("{:?}", session.connection())
}

fn request(header: Option<&str>) -> Parts {
    let mut request = http::Request::get("/page");
    if let Some(header) = header {
        request = request.header(header, "1");
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn the_last_registered_that_answers_wins() {
    let live = endpoint();
    live.register_connection(|_| Some(Arc::new(Named("first"))));
    live.register_connection(|request| {
        if request.parts()?.headers.contains_key("x-second") { Some(Arc::new(Named("second"))) } else { None }
    });
    assert_eq!(name(&live.session()), "Named(\"first\")");
    assert_eq!(name(&live.session_for(&request(None))), "Named(\"first\")");
    assert_eq!(name(&live.session_for(&request(Some("x-second")))), "Named(\"second\")");
    live.register_connection(|_| Some(Arc::new(Named("third"))));
    assert_eq!(name(&live.session_for(&request(Some("x-second")))), "Named(\"third\")");
    assert_eq!(name(&live.session_with(Arc::new(Named("given")))), "Named(\"given\")");
}

#[tokio::test]
async fn without_an_answer_it_is_a_websocket_of_the_endpoint() {
    let live = endpoint();
    live.register_connection(|_| None);
    let session = live.session_for(&request(None));
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    session.eval(js!("hello()"));
    settle().await;
    assert_eq!(page.received(), ["hello()"]);
}

#[test]
fn a_forced_connection_is_before_all_others_until_it_is_taken_back() {
    let live = endpoint();
    live.register_connection(|_| Some(Arc::new(Named("registered"))));
    live.force_connection(|_| Arc::new(Named("forced")));
    live.register_connection(|_| Some(Arc::new(Named("later"))));
    assert_eq!(name(&live.session()), "Named(\"forced\")");
    live.force_connection(|_| Arc::new(NoConnection));
    assert_eq!(name(&live.session_for(&request(None))), "NoConnection");
    live.unforce_connection();
    assert_eq!(name(&live.session()), "Named(\"later\")");
}

#[test]
fn a_choice_may_register_and_may_panic() {
    let live = endpoint();
    let inner = live.clone();
    live.register_connection(|_| Some(Arc::new(Named("first"))));
    live.register_connection(move |_| {
        inner.register_connection(|_| panic!("on purpose"));
        None
    });
    live.force_connection(|_| panic!("on purpose"));
    for _ in 0..3 {
        assert_eq!(name(&live.session()), "Named(\"first\")");
    }
}

#[test]
fn what_a_forced_choice_owns_is_dropped_outside_the_lock() {
    struct Asks(Endpoint, Arc<AtomicUsize>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.session();
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let live = endpoint();
    let dropped = Arc::new(AtomicUsize::new(0));
    let asks = Asks(live.clone(), dropped.clone());
    live.force_connection(move |_| {
        let _owned = &asks;
        Arc::new(Named("forced"))
    });
    live.unforce_connection();
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_route_serves_a_registered_connection_that_has_a_handler_and_no_other() {
    let live = endpoint();
    live.register_connection(|_| Some(Arc::new(WebSocketConnection::default())));
    let session = live.session();
    let _html = session.page("t", "");
    let _page = Page::open(&live, &session).await;
    assert_eq!(session.status(), Status::Open);

    let session = live.session_with(Arc::new(Named("own")));
    let (parts, ()) = upgrade_request(&session).body(()).unwrap().into_parts();
    let Outcome::Respond(response) = live.handle(&parts).await else { panic!("let in") };
    assert_eq!(response.status(), 404);
}

#[test]
fn a_page_without_a_connection_has_all_and_leaves_nothing() {
    let live = endpoint();
    let session = live.session_with(Arc::new(NoConnection));
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = reasons.clone();
    session.on_close(move |_, reason| seen.lock().unwrap().push(reason));
    session.eval(js!("first"));
    let html = session.page("t", "");
    let bundle = html.split("atob(\"").nth(1).unwrap().split('"').next().unwrap();
    let bundle = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bundle).unwrap();
    let bundle = Bytes::from(bundle);
    assert_eq!(said(&bundle).iter().filter(|said| said.contains("set_no_connection")).count(), 1);
    assert_eq!(*reasons.lock().unwrap(), [CloseReason::NoConnection]);
    assert_eq!((live.stats().sessions, live.stats().bindings), (0, 0));
    assert!(live.find(session.id()).is_none());
}

/// A registered choice that hands out one connection again and again, instead of making one for each session.
#[tokio::test(start_paused = true)]
async fn one_connection_never_carries_what_is_for_another_session() {
    let live = endpoint();
    let shared = Arc::new(WebSocketConnection::default());
    live.register_connection(move |_| Some(shared.clone()));
    let (ada, bob) = (live.session(), live.session());
    let _pages = (ada.page("t", ""), bob.page("t", ""));
    let adas = Page::open(&live, &ada).await;
    adas.read_only(Some(1));
    (1..=3).for_each(|n| _ = ada.eval(Script::new(format!("for ada {n}"))));
    settle().await;
    let bobs = Page::connect(&live, &bob).await;
    bobs.loaded();
    ada.eval(Script::new("for ada 4"));
    settle().await;
    let frames = bobs.frames();
    let [Frame::Close(Some(close))] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!(close.code, CloseCode::INTERNAL, "the mistake is the server's");
    adas.read_only(None);
    settle().await;
    assert_eq!(adas.received(), ["for ada 1", "for ada 2", "for ada 3", "for ada 4"]);
    assert_eq!((ada.status(), bob.status()), (Status::Open, Status::Displayed));
}
