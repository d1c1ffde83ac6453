//! What sessions may hold together: bytes and sessions, of one owner and of all.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bonito_core::proto::message::ClientMessage;
use bonito_core::proto::value::RawValue;
use bonito_core::{
    CloseReason, DualWebSocketConnection, Endpoint, EndpointBuilder, Limits, Observable, Outcome, Script,
    SendOutcome, Session, Stats, Status, TypedArray, js,
};
use support::stream::Stream;
use support::{Page, endpoint_with, settle, upgrade_request};

/// What is charged at a time.
const STEP: usize = 4 << 10;

fn owned(change: impl FnOnce(&mut Limits)) -> EndpointBuilder {
    let mut limits = Limits::default();
    change(&mut limits);
    let who = |request: &http::request::Parts| Some(request.headers.get("x-user")?.to_str().ok()?.to_owned());
    Endpoint::builder("/live").limits(limits).identity(who)
}

fn by(user: Option<&str>) -> http::request::Parts {
    let request = http::Request::get("/");
    let request = if let Some(user) = user { request.header("x-user", user) } else { request };
    request.body(()).unwrap().into_parts().0
}

fn why_closed(session: &Session) -> Option<CloseReason> {
    let reason = Arc::new(OnceLock::new());
    let seen = reason.clone();
    session.on_close(move |_, why| _ = seen.set(why));
    reason.get().copied()
}

async fn open(live: &Endpoint) -> (Session, Page) {
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(live, &session).await;
    (session, page)
}

async fn open_stuck(live: &Endpoint) -> (Session, Page) {
    let (session, page) = open(live).await;
    page.read_only(Some(0));
    settle().await;
    (session, page)
}

/// A message of about so many bytes.
fn of_bytes(bytes: usize) -> Script {
    js!("use($(TypedArray::from(vec![0_u8; bytes])))")
}

/// So many steps more wait for the page, to the byte.
fn fill(session: &Session, steps: usize) -> SendOutcome {
    session.eval(exactly(steps * STEP))
}

/// A message of exactly so many bytes.
fn exactly(bytes: usize) -> Script {
    let more_than = |inside| {
        let probe = Endpoint::builder("/probe").build().session();
        let _html = probe.page("t", "");
        probe.eval(of_bytes(inside));
        probe.info().queued_bytes - inside
    };
    of_bytes(bytes - more_than(bytes - more_than(bytes)))
}

/// Lets the cleanup task, which has a thread of its own, come to rest.
async fn relieved(mut done: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("the endpoint has made no room");
}

#[tokio::test]
async fn sessions_of_one_owner_are_refused_exactly_at_the_bound_and_free_again() {
    let live = owned(|limits| limits.identity_sessions = 3).build();
    for _ in 0..3 {
        let ada: Vec<_> = (0..3).map(|_| live.session_for(&by(Some("ada")))).collect();
        assert!(ada.iter().all(|session| session.status() != Status::Closed));
        assert_eq!(
            live.capacity_refusal(&by(Some("ada"))).map(|refusal| refusal.status().as_u16()),
            Some(503)
        );
        let refused = live.session_for(&by(Some("ada")));
        assert_eq!((refused.status(), why_closed(&refused)), (Status::Closed, Some(CloseReason::Capacity)));
        for other in [Some("bob"), None] {
            assert!(live.capacity_refusal(&by(other)).is_none());
            let session = live.session_for(&by(other));
            assert_ne!(session.status(), Status::Closed);
            session.close();
        }
        let late = live.session();
        late.set_identity(Some("ada"));
        assert_eq!(why_closed(&late), Some(CloseReason::Capacity), "nor does a session become one too many");
        ada.iter().for_each(Session::close);
        assert!(live.capacity_refusal(&by(Some("ada"))).is_none());
    }
    assert_eq!(live.stats(), Stats::default());
    assert_eq!(live.totals().refused_sessions, 6, "three were asked for, and three made");
}

#[tokio::test]
async fn the_refusal_of_a_page_says_when_to_come_back() {
    let live = owned(|limits| limits.sessions = 1).build();
    let session = live.session();
    let refusal = live.capacity_refusal(&by(None)).unwrap();
    assert_eq!(refusal.status(), 503);
    assert!(refusal.headers().contains_key("retry-after"));
    session.close();
    assert!(live.capacity_refusal(&by(None)).is_none());
    live.drain(std::time::Duration::ZERO).await;
    assert_eq!(live.capacity_refusal(&by(None)).unwrap().status(), 503);
}

#[tokio::test]
async fn bytes_of_all_sessions_are_bounded_and_those_who_hold_most_pay() {
    let live = endpoint_with(|limits| limits.total_bytes = 64 * STEP);
    let (big, _big) = open_stuck(&live).await;
    let (small, _small) = open_stuck(&live).await;
    let (healthy, healthy_page) = open(&live).await;
    // At the bound nobody is closed.
    fill(&big, 50);
    fill(&small, 14);
    settle().await;
    assert_eq!(live.stats().held_bytes, 64 * STEP);
    assert_eq!(live.totals().evicted, 0);
    // One step more, of one that holds no more than its share: somebody else pays.
    assert_ne!(fill(&small, 1), SendOutcome::Refused);
    relieved(|| why_closed(&big) == Some(CloseReason::Capacity)).await;
    assert_eq!((small.status(), healthy.status()), (Status::Open, Status::Open));
    assert_eq!(live.stats().held_bytes, 15 * STEP, "it gives all of it back");
    assert_eq!(live.totals().evicted, 1);
    healthy.eval(Script::new("step(1)"));
    settle().await;
    assert_eq!(healthy_page.received(), ["step(1)"]);
}

#[tokio::test]
async fn sessions_whose_connection_is_lost_go_first() {
    let live = endpoint_with(|limits| limits.total_bytes = 40 * STEP);
    // With three sessions, a third each is an equal share.
    let _idle = open(&live).await;
    let (connected, _page) = open_stuck(&live).await;
    fill(&connected, 22);
    let (gone, page) = open(&live).await;
    page.cut();
    settle().await;
    fill(&gone, 19);
    relieved(|| why_closed(&gone) == Some(CloseReason::Capacity)).await;
    assert_eq!(connected.status(), Status::Open, "although it holds more");
}

#[tokio::test]
async fn where_nobody_makes_room_a_session_far_beyond_its_share_is_refused_at_once() {
    let live = endpoint_with(|limits| limits.total_bytes = 40 * STEP);
    let (session, _page) = open_stuck(&live).await;
    assert_ne!(fill(&session, 40), SendOutcome::Refused);
    assert_eq!(fill(&session, 11), SendOutcome::Refused);
    assert_eq!(why_closed(&session), Some(CloseReason::Capacity));
    assert_eq!(live.stats().held_bytes, 0);
}

#[tokio::test]
async fn bytes_of_one_owner_are_bounded_whatever_others_hold() {
    let live = owned(|limits| limits.identity_bytes = 20 * STEP).build();
    let stuck = async |user| {
        let session = live.session_for(&by(Some(user)));
        let _html = session.page("t", "");
        let (request, ()) = upgrade_request(&session).header("x-user", user).body(()).unwrap().into_parts();
        let page = Page::connect_by(&live, &session, &request).await;
        page.loaded();
        settle().await;
        page.read_only(Some(0));
        (session, page)
    };
    let ((one, _one), (two, _two), (other, _other)) =
        (stuck("ada").await, stuck("ada").await, stuck("bob").await);
    fill(&other, 19);
    fill(&one, 12);
    fill(&two, 8);
    settle().await;
    assert!(
        live.capacity_refusal(&by(Some("ada"))).is_some(),
        "at the bound there is no room for a page more"
    );
    assert!(live.capacity_refusal(&by(Some("bob"))).is_none());
    assert_eq!(live.totals().evicted, 0);
    fill(&two, 1);
    relieved(|| why_closed(&one) == Some(CloseReason::Capacity)).await;
    assert_eq!((two.status(), other.status()), (Status::Open, Status::Open));
    assert!(live.capacity_refusal(&by(Some("ada"))).is_none());
}

#[tokio::test]
async fn while_there_is_no_room_a_new_page_waits_and_one_that_comes_back_does_not() {
    let live = endpoint_with(|limits| limits.total_bytes = 20 * STEP);
    let asked = async |session: &Session| {
        let (request, ()) = upgrade_request(session).body(()).unwrap().into_parts();
        match live.handle(&request).await {
            Outcome::Respond(refusal) => {
                assert!(refusal.headers().contains_key("retry-after"));
                refusal.status().as_u16()
            }
            Outcome::Upgrade(_) => 101,
        }
    };
    let new = live.session();
    let _html = new.page("t", "");
    let (gone, page) = open(&live).await;
    page.cut();
    settle().await;
    fill(&gone, 20);
    assert_eq!(asked(&new).await, 503);
    assert_eq!(live.session().status(), Status::Closed);
    assert_eq!(asked(&gone).await, 101, "it takes away what there is too much of");
    let totals = live.totals();
    assert_eq!((totals.refused_sockets, totals.refused_sessions), (1, 1));
    let _back = Page::open(&live, &gone).await;
    assert_eq!(live.stats().held_bytes, 0);
    assert_eq!(asked(&new).await, 101);
}

#[tokio::test]
async fn large_data_of_a_page_that_never_opens_its_socket_counts() {
    let live = endpoint_with(|limits| limits.total_bytes = 100 * STEP);
    live.register_connection(|_| Some(Arc::new(DualWebSocketConnection::default())));
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::connect_with(&live, &session, "low_latency").await;
    page.loaded();
    settle().await;
    assert_eq!(session.status(), Status::Open);
    for _ in 0..5 {
        session.send_large(of_bytes(20 * STEP));
        settle().await;
    }
    assert!(live.stats().held_bytes >= 100 * STEP, "{:?}", live.stats());
    session.send_large(of_bytes(20 * STEP));
    relieved(|| why_closed(&session) == Some(CloseReason::Capacity)).await;
    assert_eq!(live.stats().held_bytes, 0);
}

#[tokio::test]
async fn what_is_on_its_way_counts_until_the_socket_has_it() {
    let live = endpoint_with(|_| {});
    let (session, page) = open(&live).await;
    page.read_only(Some(1));
    fill(&session, 3);
    fill(&session, 2);
    settle().await;
    let stats = live.stats();
    assert_eq!((stats.queued_bytes, stats.in_flight_bytes), (0, 5 * STEP), "the one goes with the other");
    assert_eq!(stats.held_bytes, 5 * STEP);
    page.read_only(None);
    settle().await;
    let stats = live.stats();
    assert_eq!((stats.queued_bytes, stats.in_flight_bytes, stats.held_bytes), (0, 0, 0));
    page.read_only(Some(1));
    fill(&session, 3);
    fill(&session, 2);
    settle().await;
    page.cut();
    settle().await;
    let stats = live.stats();
    assert_eq!((stats.queued_bytes, stats.in_flight_bytes), (2 * STEP, 0), "the other waits again");
}

#[tokio::test]
async fn what_a_page_that_resumes_has_not_acknowledged_counts_and_is_told_of() {
    let live = endpoint_with(|limits| {
        (limits.replay_bytes, limits.high_water_bytes, limits.low_water_bytes) =
            (20 * STEP, 10 * STEP, 2 * STEP);
    });
    let session = live.session();
    let told = Observable::new(Vec::new());
    let (high, low) = (told.clone(), told.clone());
    session.on_high_water(move |_| high.update(|told: &mut Vec<_>| told.push("high")));
    session.on_low_water(move |_| low.update(|told| told.push("low")));
    let mut page = Stream::open(&live, &session).await;
    page.read();
    page.ack();
    settle().await;
    assert_eq!(live.stats().held_bytes, 0);
    for _ in 0..5 {
        fill(&session, 9);
        settle().await;
    }
    // Three are kept for the page to acknowledge, and two wait for that.
    assert_eq!((live.stats().held_bytes, told.get()), (45 * STEP, vec!["high"]));
    page.read();
    page.ack();
    settle().await;
    assert_eq!((live.stats().held_bytes, told.get()), (18 * STEP, vec!["high", "low"]));
    page.read();
    page.ack();
    settle().await;
    assert_eq!(live.stats().held_bytes, 0);
    page.cut(false).await;
    fill(&session, 12);
    assert_eq!((live.stats().held_bytes, told.get().len()), (12 * STEP, 3));
    page.connect().await.unwrap();
    settle().await;
    page.read();
    page.ack();
    settle().await;
    assert_eq!((live.stats().held_bytes, told.get().len()), (0, 4));
}

#[tokio::test]
async fn what_comes_from_pages_counts_while_it_waits_for_the_application() {
    let live = endpoint_with(|_| {});
    let (session, page) = open(&live).await;
    let first = AtomicBool::new(true);
    let held = Arc::new(OnceLock::new());
    let (seen, counts, sender) = (held.clone(), live.clone(), session.clone());
    session.on_javascript_warning(move |_, _| {
        if first.swap(false, Ordering::SeqCst) {
            // A second message waits behind this one.
            let payload = RawValue::encode(&"w".repeat(5 * STEP)).unwrap();
            let message = ClientMessage::UpdateObservable { id: "nobody".into(), payload };
            let message = bonito_core::proto::codec::encode_client(&message).unwrap();
            sender.process_message(message).unwrap();
            let _ = seen.set(counts.stats().held_bytes);
        }
    });
    page.send(&ClientMessage::JavascriptWarning { message: "first".into() });
    settle().await;
    assert_eq!(held.get(), Some(&(5 * STEP)));
    assert_eq!(live.stats().held_bytes, 0);
}

#[tokio::test]
async fn pages_in_the_making_count() {
    let live = endpoint_with(|limits| limits.total_bytes = 20 * STEP);
    let session = live.session();
    let value = Observable::new("x".repeat(8 * STEP));
    session.eval(js!("$(value)"));
    fill(&session, 8);
    let held = live.stats().held_bytes;
    assert!((16 * STEP..18 * STEP).contains(&held), "{held}");
    let _html = session.page("t", "");
    assert_eq!(live.stats().held_bytes, 0, "they are the page's now");
}

#[tokio::test]
async fn ten_thousand_sessions_that_come_and_go_leave_no_budget_taken() {
    let live = owned(|limits| (limits.sessions, limits.identity_sessions) = (3, 2)).build();
    for n in 0..10_000 {
        let session = live.session_for(&by((n % 3 > 0).then_some("ada")));
        fill_cheaply(&session);
        if n % 100 == 0 {
            let _html = session.page("t", "");
            let (request, ()) =
                upgrade_request(&session).header("x-user", "ada").body(()).unwrap().into_parts();
            if n % 3 > 0 {
                let page = Page::connect_by(&live, &session, &request).await;
                page.loaded();
                settle().await;
                page.cut();
                settle().await;
                fill_cheaply(&session);
            }
        }
        assert_ne!(session.status(), Status::Closed, "{n}");
        session.close();
    }
    settle().await;
    assert_eq!(live.stats(), Stats::default());
    assert_eq!(live.totals().sessions, 10_000);
    let all = [Some("ada"), Some("ada"), None].map(|user| live.session_for(&by(user)).status());
    assert!(!all.contains(&Status::Closed), "there is room for as many as ever");
}

fn fill_cheaply(session: &Session) {
    session.eval(of_bytes(2 * STEP));
}

#[tokio::test]
async fn totals_outlive_their_sessions() {
    let live = endpoint_with(|limits| limits.queued_messages = 2);
    let (session, page) = open(&live).await;
    session.eval(Script::new("step(1)"));
    page.send(&ClientMessage::JavascriptWarning { message: "w".into() });
    settle().await;
    let before = live.totals();
    assert_eq!((before.sessions, before.messages_in, before.messages_out), (1, 2, 1));
    page.cut();
    settle().await;
    for n in 0..3 {
        session.eval(Script::new(format!("step({n})")));
    }
    let after = live.totals();
    assert_eq!(session.status(), Status::Closed);
    assert_eq!((after.overflowed, after.evicted), (1, 0));
    assert_eq!((after.messages_in, after.messages_out), (2, 1));
    assert_eq!(live.stats(), Stats::default());
}
