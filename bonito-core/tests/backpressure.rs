//! What becomes of messages that come faster than a page takes them: which are kept, and what their sender is told.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bonito_core::{
    CloseReason, Delivered, Delivery, Endpoint, Limits, Observable, SendOutcome, Session, Status, js,
};
use support::{Page, endpoint, endpoint_with, settle};

fn script(n: usize) -> bonito_core::Script {
    bonito_core::Script::new(format!("step({n})"))
}

fn why_closed(session: &Session) -> Option<CloseReason> {
    let reason = Arc::new(OnceLock::new());
    let seen = reason.clone();
    session.on_close(move |_, why| _ = seen.set(why));
    reason.get().copied()
}

/// Nothing but a message wakes the loop of a socket.
fn without_timers(limits: &mut Limits) {
    let hour = Duration::from_secs(3600);
    (limits.hello_timeout, limits.ping_interval, limits.dead_after) = (hour, hour, hour);
}

/// What is held up for ever never comes true.
async fn soon(condition: impl Fn() -> bool) {
    let coming = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), coming).await.expect("it is held up");
}

async fn open_with<T>(live: &Endpoint, observable: &Observable<T>) -> (Session, Page)
where
    T: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let session = live.session();
    session.eval(js!("$(observable)"));
    let _html = session.page("t", "");
    let page = Page::open(live, &session).await;
    (session, page)
}

#[tokio::test]
async fn of_an_observable_whose_every_value_counts_none_is_left_out() {
    let live = endpoint();
    let line = Observable::new(0).delivery(Delivery::Every);
    let state = Observable::new(0);
    let session = live.session();
    session.eval(js!("$(line), $(state)"));
    let _html = session.page("t", "");
    line.set(1);
    line.set(2);
    let page = Page::open(&live, &session).await;
    page.cut();
    settle().await;
    for n in 3..=5 {
        line.set(n);
        state.set(n);
    }
    session.eval(script(1));
    line.set(6);
    state.set(6);
    state.set(7);
    let page_again = Page::open(&live, &session).await;
    let (l, s) = (line.id(), state.id());
    assert_eq!(page.received(), [format!("{l}=1"), format!("{l}=2")]);
    let said = |of, n| format!("{of}={n}");
    assert_eq!(
        page_again.received(),
        [said(l, 3), said(l, 4), said(l, 5), said(s, 5), "step(1)".into(), said(l, 6), said(s, 7)],
        "what is seen is what was set, in that order, and of the other observable not all"
    );
}

#[tokio::test]
async fn values_that_each_count_do_so_against_the_limit_of_messages() {
    let live = endpoint_with(|limits| limits.queued_messages = 10);
    for (delivery, closed) in [(Delivery::Latest, None), (Delivery::Every, Some(CloseReason::Overflow))] {
        let value = Observable::new(0).delivery(delivery);
        let (session, page) = open_with(&live, &value).await;
        page.cut();
        settle().await;
        for n in 1..=10 {
            value.set(n);
        }
        assert_eq!(session.status(), Status::SoftClosed);
        value.set(11);
        assert_eq!(session.status() == Status::Closed, closed.is_some(), "{delivery:?}");
    }
}

#[tokio::test]
async fn large_values_that_each_count_wait_in_their_lane() {
    let live = endpoint();
    let value = Observable::new(0).large().delivery(Delivery::Every);
    let (session, page) = open_with(&live, &value).await;
    page.cut();
    settle().await;
    for n in 1..=3 {
        value.set(n);
    }
    session.eval(script(1));
    let page = Page::open(&live, &session).await;
    let id = value.id();
    assert_eq!(
        page.received(),
        ["step(1)".to_owned(), format!("{id}=1"), format!("{id}=2"), format!("{id}=3")]
    );
}

#[tokio::test]
async fn who_sends_is_told_what_becomes_of_it() {
    let live = endpoint_with(|limits| limits.queued_messages = 100);
    let session = live.session();
    assert_eq!(session.eval(script(0)), SendOutcome::Queued);
    let _html = session.page("t", "");
    assert_eq!(session.eval(script(1)), SendOutcome::Queued);
    let page = Page::open(&live, &session).await;
    assert_eq!(session.eval(script(2)), SendOutcome::Sent);
    assert_eq!(session.send_large(script(3)), SendOutcome::Sent);
    page.read_only(Some(0));
    // More than the socket has room for, and than is waited with.
    let mut outcomes = Vec::new();
    while outcomes.last() != Some(&SendOutcome::Queued) {
        assert!(outcomes.len() < 20, "{outcomes:?}");
        outcomes.push(session.eval(js!("use($(vec![0_u8; 50_000]))")));
        settle().await;
    }
    assert!(outcomes.len() > 2, "{outcomes:?}");
    let refused = (0..200).find(|n| session.eval(script(*n)) == SendOutcome::Refused);
    assert!(refused.is_some_and(|n| n > 50), "{refused:?}");
    assert_eq!(session.status(), Status::Closed, "what cannot be kept is not left out in silence");
    assert_eq!(session.info().queued_bytes, 0);
    assert_eq!(session.eval(script(4)), SendOutcome::Refused);
}

#[tokio::test]
async fn who_sends_to_many_is_told_how_many_keep_up() {
    let live = endpoint_with(|limits| limits.queued_bytes = 1000);
    let value = Observable::new(String::new());
    let (_keeps_up, _page) = open_with(&live, &value).await;
    let (_gone, page) = open_with(&live, &value).await;
    let (full, full_page) = open_with(&live, &value).await;
    page.cut();
    full_page.cut();
    settle().await;
    let told = |sent, queued, compacted, refused| {
        let mut told = Delivered::default();
        (told.sent, told.queued, told.compacted, told.refused) = (sent, queued, compacted, refused);
        told
    };
    assert_eq!(value.send("a".into()), told(1, 2, 0, 0));
    assert_eq!(value.send("b".into()), told(1, 0, 2, 0));
    for n in 0..8 {
        full.eval(bonito_core::Script::new(format!("step({n}) {}", " ".repeat(50))));
    }
    assert_eq!(value.send("x".repeat(500)), told(1, 0, 1, 1));
    assert_eq!(why_closed(&full), Some(CloseReason::Overflow));
    let told_now = value.send("d".into());
    assert_eq!(told_now, told(1, 0, 1, 0), "the one that is closed follows no more");
    assert!(!told_now.is_keeping_up());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_for_a_value_holds_up_no_other() {
    let live = endpoint_with(|limits| {
        limits.queued_messages = 1;
        without_timers(limits);
    });
    let value = Observable::new(0).delivery(Delivery::Every);
    // The one that ends is the first of those that follow.
    let (ends, page) = open_with(&live, &value).await;
    let (_healthy, healthy) = open_with(&live, &value).await;
    page.cut();
    while ends.status() != Status::SoftClosed {
        tokio::task::yield_now().await;
    }
    let flushes = healthy.flushes();
    value.set(1);
    while healthy.flushes() == flushes {
        tokio::task::yield_now().await;
    }
    let (let_go, go) = std::sync::mpsc::channel::<()>();
    let go = Mutex::new(go);
    ends.on_close(move |_, _| _ = go.lock().unwrap().recv());
    let setter = value.clone();
    let setting = std::thread::spawn(move || {
        setter.set(2);
        setter.set(3);
    });
    let second = format!("{}=2", value.id());
    soon(|| healthy.received().contains(&second)).await;
    assert!(!setting.is_finished(), "whoever sets the value waits for the hook, and the other page does not");
    drop(let_go);
    tokio::task::spawn_blocking(|| setting.join().unwrap()).await.unwrap();
    assert_eq!(value.get(), 3);
}

/// What holds up a healthy session here would do so for ever: the stuck ones take nothing until the end of the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_threads_that_set_values_are_held_up_by_no_stuck_session() {
    const SETTERS: usize = 8;
    const VALUES: usize = 20;
    let live = endpoint_with(|limits| limits.queued_messages = usize::MAX);
    let values: Vec<_> = (0..SETTERS).map(|_| Observable::new(0).delivery(Delivery::Every)).collect();
    let (mut healthy, mut stuck) = (Vec::new(), Vec::new());
    for n in 0..1000 {
        let session = live.session();
        for value in &values {
            session.eval(js!("$(value)"));
        }
        let _html = session.page("t", "");
        let page = Page::connect(&live, &session).await;
        if n % 10 == 0 {
            page.read_only(Some(0));
            stuck.push((session, page));
        } else {
            healthy.push((session, page));
        }
    }
    for (session, page) in healthy.iter().chain(&stuck) {
        page.loaded();
        while session.status() != Status::Open {
            tokio::task::yield_now().await;
        }
    }
    let setting: Vec<_> = values
        .iter()
        .cloned()
        .map(|value| std::thread::spawn(move || (1..=VALUES).for_each(|n| value.set(n))))
        .collect();
    for (_, page) in &healthy {
        let mut received = Vec::new();
        while received.len() < SETTERS * VALUES {
            received.extend(page.received());
            tokio::task::yield_now().await;
        }
        for value in &values {
            let id = format!("{}=", value.id());
            let of_it = received.iter().filter_map(|said| said.strip_prefix(&id)?.parse().ok());
            assert_eq!(of_it.collect::<Vec<usize>>(), (1..=VALUES).collect::<Vec<_>>());
        }
    }
    for setting in setting {
        setting.join().unwrap();
    }
    for (session, page) in &stuck {
        assert_eq!(page.received(), [] as [&str; 0]);
        assert_eq!(session.status(), Status::Open);
    }
}

#[tokio::test]
async fn a_slow_reader_sees_high_and_low_water_and_holds_no_more_than_it_may() {
    const HIGH: usize = 200_000;
    const LOW: usize = 50_000;
    const EACH: usize = 10_000;
    let live = endpoint_with(|limits| (limits.high_water_bytes, limits.low_water_bytes) = (HIGH, LOW));
    let session = live.session();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (high, low) = (told.clone(), told.clone());
    session.on_high_water(move |session| high.lock().unwrap().push((true, session.info().queued_bytes)));
    session.on_low_water(move |session| low.lock().unwrap().push((false, session.info().queued_bytes)));
    let told = || std::mem::take(&mut *told.lock().unwrap());
    session.eval(js!("use($(vec![0_u8; 2 * HIGH]))"));
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    assert_eq!(told(), [], "what a page is made of does not wait");
    for _ in 0..3 {
        page.read_only(Some(0));
        settle().await;
        // A sender that heeds them holds no more than the mark, one message, and what is on its way.
        let mut high = Vec::new();
        while high.is_empty() {
            session.eval(js!("use($(vec![0_u8; EACH]))"));
            settle().await;
            high = told();
            assert!(session.info().queued_bytes < HIGH + 2 * EACH);
        }
        assert!(matches!(high[..], [(true, bytes)] if (HIGH..HIGH + 2 * EACH).contains(&bytes)), "{high:?}");
        session.eval(script(1));
        settle().await;
        assert_eq!(told(), [], "between the marks nothing is told");
        // It reads little by little.
        let mut low = Vec::new();
        while low.is_empty() {
            page.read_only(Some(1));
            settle().await;
            low = told();
        }
        assert!(matches!(low[..], [(false, bytes)] if bytes <= LOW), "{low:?}");
        page.read_only(None);
        settle().await;
        assert_eq!(told(), []);
    }
    page.cut();
    settle().await;
    session.eval(js!("use($(vec![0_u8; HIGH]))"));
    assert_eq!(told().len(), 1, "a page that is away is told of as well");
    session.close();
    assert_eq!(told(), [], "and the end is no low water");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn high_water_of_one_page_holds_up_no_other() {
    let live = endpoint_with(|limits| {
        limits.high_water_bytes = 1000;
        without_timers(limits);
    });
    let value = Observable::new(String::new());
    let (gone, page) = open_with(&live, &value).await;
    let (_healthy, healthy) = open_with(&live, &value).await;
    page.cut();
    while gone.status() != Status::SoftClosed {
        tokio::task::yield_now().await;
    }
    let (let_go, go) = std::sync::mpsc::channel::<()>();
    let go = Mutex::new(go);
    gone.on_high_water(move |_| _ = go.lock().unwrap().recv());
    let setter = value.clone();
    let setting = std::thread::spawn(move || setter.set("x".repeat(1000)));
    soon(|| !healthy.received().is_empty()).await;
    assert!(!setting.is_finished(), "whoever sets the value waits for the hook, and the other page does not");
    drop(let_go);
    tokio::task::spawn_blocking(|| setting.join().unwrap()).await.unwrap();
}
