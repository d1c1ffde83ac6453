//! What travels in a stream that resumes: every kind of message, once, and nothing that only a page without a stream needs.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::proto::message::ClientMessage;
use bonito_core::proto::resume::Control;
use bonito_core::{Endpoint, Observable, Script, SessionId, Status, TypedArray, js};
use support::stream::{Stream, page_key};
use support::{endpoint, settle};

fn step(n: usize) -> Script {
    Script::new(format!("step({n})"))
}

fn done(session: &str) -> ClientMessage {
    ClientMessage::DoneLoading {
        session: session.to_owned(),
        message: String::new(),
        exception: None,
        stacktrace: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn all_ways_of_sending_share_one_count() {
    let live = endpoint();
    let session = live.session();
    let known = Observable::new(0);
    session.eval(js!("$(known)"));
    let mut page = Stream::open(&live, &session).await;
    let late = Observable::new("late".to_owned());
    for round in 0..20 {
        session.eval(step(round));
        session.send_large(step(1000 + round));
        session.on_load(step(2000 + round));
        known.set(round + 1);
        session.on_js(&late, js!("() => {}"));
        page.send(&ClientMessage::PingPong);
        settle().await;
        let received = page.received;
        page.read();
        assert!(page.received >= received + 6, "each is one of them");
        page.ack();
        page.say(&Control::Ping);
        page.cut(round % 2 == 0).await;
        assert!(page.connect().await.unwrap().resumed, "{round}");
    }
    settle().await;
    let log = page.news();
    for round in 0..20 {
        for text in [
            format!("step({round})"),
            format!("step({})", 1000 + round),
            format!("{}={}", known.id(), round + 1),
        ] {
            assert_eq!(log.iter().filter(|said| **said == text).count(), 1, "{text}");
        }
    }
    assert_eq!(log.iter().filter(|said| *said == "pong").count(), 20);
    assert_eq!(session.status(), Status::Open);
}

#[tokio::test(start_paused = true)]
async fn it_resumes_after_any_number_of_acknowledgements() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let mut sent = 0;
    for round in 0..50 {
        for _ in 0..round {
            session.eval(step(sent));
            sent += 1;
            settle().await;
            page.read();
            page.ack();
        }
        page.cut(true).await;
        assert!(page.connect().await.unwrap().resumed);
    }
    assert_eq!(page.read(), (0..sent).map(|n| format!("step({n})")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn binary_values_come_again_whole() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(TypedArray::from(vec![0_u8]));
    session.eval(js!("$(value)"));
    let mut page = Stream::open(&live, &session).await;
    value.set(TypedArray::from((0..=255).collect::<Vec<u8>>()));
    settle().await;
    let first = page.socket().frames();
    page.cut(false).await;
    page.dial().await;
    page.say(&Control::Hello(page.hello()));
    settle().await;
    let again = page.socket().frames();
    assert_eq!(again[1..], first, "behind the welcome");
}

#[tokio::test(start_paused = true)]
async fn quiet_for_longer_than_anything_is_kept_it_resumes() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    session.eval(step(0));
    settle().await;
    page.read();
    page.ack();
    for _ in 0..(24 * 60) {
        tokio::time::sleep(Duration::from_secs(10)).await;
        page.say(&Control::Ping);
        settle().await;
        page.read();
    }
    page.cut(true).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert!(page.connect().await.unwrap().resumed);
    assert_eq!(page.read(), ["step(0)"]);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_page_that_was_under_way_comes_once() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    let views = Arc::new(AtomicUsize::new(0));
    let subs = Arc::<Mutex<Vec<SessionId>>>::default();
    let (count, seen) = (views.clone(), subs.clone());
    let region = session.render(&value, move |sub, value| {
        count.fetch_add(1, Ordering::Relaxed);
        seen.lock().unwrap().push(sub.id());
        format!("<b>{value}</b>")
    });
    let opened = Arc::<Mutex<Vec<bool>>>::default();
    let log = opened.clone();
    session.on_open(move |_, again| log.lock().unwrap().push(again));
    let html = session.page("t", region).to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.connect().await.unwrap();
    page.loaded();
    let first = subs.lock().unwrap()[0].to_string();
    page.send(&done(&first));
    settle().await;
    page.news();
    for n in 1..=5 {
        value.set(n);
        settle().await;
        page.cut(false).await;
        assert!(page.connect().await.unwrap().resumed);
        settle().await;
        let swaps = page.news().iter().filter(|said| *said == "swap").count();
        assert_eq!((swaps, views.load(Ordering::Relaxed)), (1, n + 1), "once, and made once");
        let sub = subs.lock().unwrap().last().unwrap().to_string();
        page.send(&done(&sub));
        settle().await;
    }
    assert_eq!(*opened.lock().unwrap(), [false, true, true, true, true, true]);
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_list_that_were_under_way_come_once() {
    let live = endpoint();
    let session = live.session();
    let items = Observable::new(vec![1, 2]);
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let list = session.render_list(
        &items,
        |item| *item,
        move |_, item| {
            count.fetch_add(1, Ordering::Relaxed);
            format!("<b>{item}</b>")
        },
    );
    let html = session.page("t", list).to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.connect().await.unwrap();
    page.loaded();
    settle().await;
    page.news();
    items.set(vec![1, 2, 3]);
    settle().await;
    page.read();
    let expected = page.news().len();
    assert!(expected > 0);
    items.set(vec![1, 2, 3, 4]);
    settle().await;
    page.cut(false).await;
    page.connect().await.unwrap();
    settle().await;
    assert_eq!((page.news().len(), made.load(Ordering::Relaxed)), (expected, 4));
}

#[tokio::test(start_paused = true)]
async fn an_evaluation_that_was_under_way_is_answered_once() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let asked = session.clone();
    let asking = tokio::spawn(async move { asked.eval_value::<u32>(js!("1 + 1")).await });
    settle().await;
    page.cut(false).await;
    page.connect().await.unwrap();
    settle().await;
    assert_eq!(page.news().len(), 1);
    page.cut(true).await;
    page.connect().await.unwrap();
    assert_eq!(page.news().len(), 0, "it is not evaluated twice");
    session.close();
    assert!(asking.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn five_hundred_pages_that_came_resumed_and_went_leave_nothing() {
    let live = endpoint();
    for _ in 0..500 {
        let session = live.session();
        let mut page = Stream::open(&live, &session).await;
        session.eval(step(0));
        page.cut(false).await;
        page.connect().await.unwrap();
        page.cut(false).await;
        session.close();
    }
    settle().await;
    let stats = live.stats();
    assert_eq!(
        (stats.sessions, stats.sockets, stats.tasks, stats.bindings, stats.queued_bytes),
        (0, 0, 0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_little_and_gets_all_that_is_no_value() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(vec![0_u8; 1000]);
    session.eval(js!("$(value)"));
    let mut page = Stream::open(&live, &session).await;
    page.socket().read_only(Some(0));
    for n in 0..3000_u32 {
        value.set(vec![n as u8; 1000]);
        if n % 100 == 0 {
            session.eval(step(n as usize));
            settle().await;
        }
        let queued = session.info().queued_bytes;
        assert!(queued < 600 << 10, "{queued} bytes wait for a reader that does not read");
    }
    page.socket().read_only(None);
    for _ in 0..100 {
        settle().await;
        page.read();
        page.ack();
    }
    settle().await;
    let log = page.news();
    let steps: Vec<_> = log.iter().filter(|said| said.starts_with("step")).cloned().collect();
    assert_eq!(steps, (0..30).map(|n| format!("step({})", n * 100)).collect::<Vec<_>>());
    let last = format!("{}=", value.id());
    assert!(log.last().unwrap().starts_with(&last), "the last value comes at the end");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_forgotten_the_session_says_so_to_every_tab() {
    let before = endpoint();
    let mut tabs = Vec::new();
    for _ in 0..10 {
        let session = before.session();
        tabs.push(Stream::open(&before, &session).await);
    }
    let after: Endpoint = endpoint();
    for tab in &tabs {
        let outcome = after.handle(&support::stream::offer(&tab.session)).await;
        let bonito_core::Outcome::Respond(response) = outcome else { panic!("let in") };
        assert_eq!(response.status(), 404);
    }
}
