//! Pages that resume: every message comes once and in order, over any number of sockets. Source: protocol.md §18.3.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod common;
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::proto::resume::Control;
use bonito_core::{Frame, Observable, Script, SendOutcome, Session, Status, js};
use bytes::Bytes;
use common::Random;
use support::stream::{Stream, page_key};
use support::{endpoint, endpoint_with, settle};

fn step(n: usize) -> Script {
    Script::new(format!("step({n})"))
}

fn steps(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("step({n})")).collect()
}

/// The values that the page has set, in order.
fn heard(session: &Session) -> (Observable<u32>, Arc<Mutex<Vec<u32>>>) {
    let input = Observable::new(0);
    let heard = Arc::<Mutex<Vec<u32>>>::default();
    let log = heard.clone();
    session.keep(input.on(move |value| log.lock().unwrap().push(*value)));
    session.eval(js!("$(input)"));
    (input, heard)
}

#[tokio::test(start_paused = true)]
async fn the_page_has_the_key_and_the_offer_is_answered() {
    let live = endpoint();
    let session = live.session();
    let html = session.page("t", "").to_string();
    let key = page_key(&html).unwrap();
    let mut page = Stream::new(&live, &session, key);
    let welcome = page.connect().await.unwrap();
    assert_eq!((welcome.resumed, welcome.received, welcome.message_bytes), (false, 0, 1 << 20));
    page.loaded();
    settle().await;
    assert_eq!(session.status(), Status::Open);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_welcome_and_no_message_before_the_page_has_loaded() {
    let live = endpoint();
    let session = live.session();
    let html = session.page("t", "").to_string();
    session.eval(step(0));
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.dial().await;
    settle().await;
    assert_eq!(page.socket().frames(), []);
    assert_eq!(session.status(), Status::Displayed, "nobody has the session before the hello");
    page.greet().await.unwrap();
    assert_eq!(page.news(), [""; 0]);
    page.loaded();
    settle().await;
    assert_eq!(page.news(), steps(0..1));
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_with_the_socket_comes_again_and_what_was_had_does_not() {
    let live = endpoint();
    let session = live.session();
    let (input, heard) = heard(&session);
    let mut page = Stream::open(&live, &session).await;
    for n in 0..4 {
        assert_eq!(session.eval(step(n)), SendOutcome::Sent);
    }
    settle().await;
    page.read_some(2);
    page.update(input.id(), 1);
    settle().await;
    page.cut(false).await;
    assert_eq!(session.status(), Status::SoftClosed);
    session.eval(step(4));
    page.update(input.id(), 2);
    let welcome = page.connect().await.unwrap();
    assert_eq!((welcome.resumed, welcome.received), (true, 2), "the word that it has loaded, and a value");
    assert_eq!(session.status(), Status::Open, "with the welcome");
    assert_eq!(page.read(), steps(0..5));
    assert_eq!(*heard.lock().unwrap(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn over_a_thousand_sockets_every_message_comes_once_and_in_order() {
    let live = endpoint();
    let session = live.session();
    let (input, heard) = heard(&session);
    let mut page = Stream::open(&live, &session).await;
    let mut random = Random(18);
    let (mut sent, mut set) = (0, 0);
    for _ in 0..1000 {
        for _ in 0..random.below(4) {
            session.eval(step(sent));
            sent += 1;
        }
        for _ in 0..random.below(4) {
            set += 1;
            page.update(input.id(), set);
        }
        if random.below(2) == 0 {
            settle().await;
        }
        let some = random.below(5);
        page.read_some(some);
        if random.below(3) == 0 {
            page.ack();
        }
        page.cut(random.below(2) == 0).await;
        assert!(page.connect().await.unwrap().resumed);
    }
    settle().await;
    assert_eq!(page.read(), steps(0..sent));
    assert_eq!(*heard.lock().unwrap(), (1..=set).collect::<Vec<_>>());
    assert_eq!(live.stats().sockets, 1, "at most one live socket");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_half_opens_is_replaced_and_its_late_frames_count_for_nothing() {
    let live = endpoint();
    let session = live.session();
    let (input, heard) = heard(&session);
    let mut page = Stream::open(&live, &session).await;
    let old = page.socket.take().unwrap();
    page.update(input.id(), 1);
    page.connect().await.unwrap();
    old.update(input.id(), 99);
    old.send_frame(Frame::Binary(Control::Ack(1000).encode()));
    settle().await;
    assert_eq!(*heard.lock().unwrap(), [1]);
    assert_eq!(old.closed().await, Some(4001));
    session.eval(step(0));
    settle().await;
    assert_eq!(page.read(), steps(0..1));
    assert_eq!(live.stats().sockets, 1);
}

#[tokio::test(start_paused = true)]
async fn each_side_acknowledges_after_32_frames_and_after_a_second() {
    let live = endpoint();
    let session = live.session();
    let (input, _heard) = heard(&session);
    let mut page = Stream::open(&live, &session).await;
    for n in 0..31 {
        page.update(input.id(), n);
    }
    settle().await;
    page.read();
    assert_eq!(page.controls, [Control::Ack(32)], "the word that it has loaded is one of them");
    page.update(input.id(), 77);
    settle().await;
    page.read();
    assert_eq!(page.controls.len(), 1);
    tokio::time::sleep(Duration::from_millis(990)).await;
    settle().await;
    page.read();
    assert_eq!(page.controls.len(), 1);
    tokio::time::sleep(Duration::from_millis(20)).await;
    settle().await;
    page.read();
    assert_eq!(page.controls.last(), Some(&Control::Ack(33)));
    assert_eq!(page.unacknowledged.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_side_acknowledges_after_64_kib() {
    let live = endpoint();
    let session = live.session();
    let input = Observable::new(String::new());
    session.eval(js!("$(input)"));
    let mut page = Stream::open(&live, &session).await;
    page.update(input.id(), "x".repeat(60 << 10));
    settle().await;
    page.read();
    assert_eq!(page.controls, []);
    page.update(input.id(), "x".repeat(5 << 10));
    settle().await;
    page.read();
    assert_eq!(page.controls, [Control::Ack(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_ping_gets_a_pong_that_is_not_counted() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    page.say(&Control::Ping);
    settle().await;
    page.read();
    assert_eq!((page.controls.as_slice(), page.received), ([Control::Pong].as_slice(), 0));
}

#[tokio::test(start_paused = true)]
async fn the_server_stops_at_the_bounds_and_an_acknowledgement_wakes_it() {
    let live = endpoint_with(|limits| limits.replay_messages = 10);
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    for n in 0..35 {
        session.eval(step(n));
        settle().await;
    }
    assert_eq!(page.read(), steps(0..10));
    page.ack();
    settle().await;
    assert_eq!(page.read(), steps(0..20));
    page.cut(true).await;
    page.connect().await.unwrap();
    assert_eq!(page.read(), steps(0..30), "the hello acknowledges too");
    page.ack();
    settle().await;
    assert_eq!(page.read(), steps(0..35));
}

#[tokio::test(start_paused = true)]
async fn the_server_stops_at_the_bound_of_bytes_but_one_message_is_never_too_much() {
    let live = endpoint_with(|limits| limits.replay_bytes = 1000);
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let long = |n: usize| Script::new(format!("step({n})/*{}*/", "x".repeat(2000)));
    session.eval(long(0));
    session.eval(long(1));
    settle().await;
    assert_eq!(page.read().len(), 1);
    page.ack();
    settle().await;
    assert_eq!(page.read().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn values_that_are_not_acknowledged_collapse_to_the_last_but_never_across_a_script() {
    let live = endpoint();
    let session = live.session();
    let (a, b) = (Observable::new(0), Observable::new(0));
    session.eval(js!("$(a), $(b)"));
    let mut page = Stream::open(&live, &session).await;
    for n in 1..=3 {
        a.set(n);
        b.set(-n);
        settle().await;
    }
    session.eval(step(0));
    settle().await;
    a.set(4);
    a.set(5);
    settle().await;
    page.cut(false).await;
    a.set(6);
    a.set(7);
    page.connect().await.unwrap();
    let (a, b) = (a.id(), b.id());
    assert_eq!(
        page.read(),
        [format!("{a}=3"), format!("{b}=-3"), "step(0)".into(), format!("{a}=5"), format!("{a}=7")]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_application_writes_to_the_handler_is_counted_as_all_else() {
    let live = endpoint();
    let handler = bonito_core::WebSocketHandler::new();
    let session = live.session_with(Arc::new(bonito_core::WebSocketConnection::new(handler.clone())));
    let mut page = Stream::open(&live, &session).await;
    session.eval(step(0));
    settle().await;
    let frame = page.socket().frames().pop().unwrap();
    page.received = 1;
    let Frame::Binary(bytes) = frame else { panic!("{frame:?}") };
    handler.write(bytes.clone()).unwrap();
    settle().await;
    page.cut(false).await;
    page.connect().await.unwrap();
    session.eval(step(1));
    settle().await;
    assert_eq!(page.read(), steps(0..2));
    page.ack();
    settle().await;
    assert_eq!(session.status(), Status::Open);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_frame_counts_and_the_page_goes_on_behind_it() {
    let live = endpoint();
    let session = live.session();
    let (input, heard) = heard(&session);
    let mut page = Stream::open(&live, &session).await;
    page.unacknowledged.push_back(Bytes::from_static(b"\x81"));
    page.socket().send_frame(Frame::Binary(Bytes::from_static(b"\x81")));
    page.update(input.id(), 1);
    settle().await;
    assert_eq!(page.socket().closed().await, Some(1007));
    page.cut(false).await;
    let welcome = page.connect().await.unwrap();
    assert_eq!((welcome.resumed, welcome.received), (true, 2));
    assert_eq!(*heard.lock().unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn large_data_has_one_count_with_all_else() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    session.send_large(step(1));
    session.eval(step(0));
    settle().await;
    page.read_some(1);
    page.cut(false).await;
    page.connect().await.unwrap();
    assert_eq!(page.read(), steps(0..2));
}

/// It went out once, as a control frame that makes no sense: the page closed the socket, and so on for ever.
#[tokio::test(start_paused = true)]
async fn what_the_application_writes_is_no_control_frame() {
    let live = endpoint();
    let handler = bonito_core::WebSocketHandler::new();
    let session = live.session_with(Arc::new(bonito_core::WebSocketConnection::new(handler.clone())));
    let mut page = Stream::open(&live, &session).await;
    handler.write(Bytes::from_static(b"\xc1\x92\x02\x00")).unwrap();
    session.eval(step(1));
    settle().await;
    assert_eq!(page.news(), steps(1..2));
    assert_eq!(page.controls, []);
}
