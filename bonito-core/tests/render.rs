//! Parts of a page: what the server does, and a page that does with it what the browser client does.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bonito_core::{CloseReason, Observable, Script, SessionId, Status, js};
use support::model::{Model, Stage};
use support::region::{Subs, fixture, fixture_with, reasons};
use support::{endpoint, settle};

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn the_content_is_there_at_first_paint_and_lives() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    assert_eq!(model.text(), "0 own0 s0");
    let sub = fixture.subs.last();
    assert_eq!((sub.status(), model.stage(&sub.id().to_string())), (Status::Open, Some(Stage::Delete)));
    assert_eq!(model.ran, ["sub(0)"]);
    fixture.shared.set("s1".into());
    model.exchange().await;
    assert_eq!(model.text(), "0 own0 s1");
}

#[tokio::test]
async fn a_value_swaps_the_content_and_the_old_one_goes_on_both_sides() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let old = fixture.subs.last();
    let reasons = reasons(&old);
    let before = (model.tables(), fixture.session.binding_count());
    fixture.value.set(1);
    assert_eq!((old.status(), old.binding_count()), (Status::Closed, 0), "at once");
    assert_eq!(*reasons.lock().unwrap(), [CloseReason::Replaced]);
    model.exchange().await;
    assert_eq!((model.text().as_str(), model.swaps), ("1 own1 s0", 1));
    let new = fixture.subs.last();
    assert_eq!(model.subs(), [new.id().to_string()]);
    assert_eq!((model.tables(), fixture.session.binding_count()), before);
    assert_eq!(model.warnings, NOTHING, "each is freed once");
    assert_ne!(new.id(), old.id());
}

#[tokio::test]
async fn ten_thousand_swaps_leave_what_ten_leave() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let mut after_ten = None;
    for n in 1..=10_000 {
        fixture.value.set(n + 100);
        model.exchange().await;
        let left = (
            model.tables(),
            fixture.session.binding_count(),
            fixture.shared.session_count(),
            fixture.value.listener_count(),
            fixture.session.info().queued_messages,
        );
        if n == 10 {
            after_ten = Some(left);
        }
        assert!(n < 10 || Some(left) == after_ten, "after {n}: {left:?} and not {after_ten:?}");
    }
    assert_eq!(model.text(), "10100 own10100 s0");
    assert_eq!((fixture.subs.len(), model.swaps), (10_001, 10_000));
    assert_eq!(model.warnings, NOTHING);
}

#[tokio::test]
async fn an_observable_of_many_parts_is_sent_once_and_leaves_with_the_last() {
    let live = endpoint();
    let session = live.session();
    let shared = Observable::new("s0".to_owned());
    let tick = Observable::new(0);
    let regions: Vec<String> = (0..3)
        .map(|_| {
            let shared = shared.clone();
            session.render(&tick, move |sub, _| sub.text(&shared)).to_string()
        })
        .collect();
    let html = session.page("t", regions.concat());
    let mut model = Model::open(&live, &session, &html).await;
    let text = model.brought[0].clone();
    assert_eq!(model.brought, [&*text; 3], "who brings it first does not matter");
    shared.set("s1".into());
    model.exchange().await;
    assert_eq!((model.text().as_str(), model.updates), ("s1s1s1", 1));
    for (left, objects) in [(2, 1), (1, 1), (0, 0)] {
        let sub = model.subs().pop().unwrap();
        model.remove("id", &sub);
        model.exchange().await;
        assert_eq!(model.tables(), (left, objects));
        assert_eq!(session.binding_count(), objects);
    }
    assert_eq!((shared.listener_count(), tick.listener_count()), (0, 0), "nothing follows any more");
}

#[tokio::test]
async fn what_the_page_itself_holds_is_tracked_and_not_brought_again() {
    let live = endpoint();
    let session = live.session();
    let (shared, tick) = (Observable::new(7), Observable::new(0));
    session.eval(js!("use($(shared))"));
    let common = shared.clone();
    let region = session.render(&tick, move |sub, _| {
        sub.eval(js!("use($(common))"));
        ""
    });
    let html = session.page("t", region);
    let mut model = Model::open(&live, &session, &html).await;
    tick.set(1);
    model.exchange().await;
    let id = shared.id();
    assert_eq!(model.brought, [format!("new {id}"), format!("track {id}"), format!("track {id}")]);
    assert_eq!((shared.session_count(), model.tables()), (1, (1, 1)));
}

#[tokio::test]
async fn a_value_set_before_the_page_follows_is_told_when_it_does() {
    let fixture = fixture();
    fixture.shared.set("before the page".into());
    // The HTML was made from the old value; the page is made, and the values go on.
    let mut model = Model::load(&fixture.html);
    fixture.shared.set("before it connects".into());
    model.connect(&fixture.live, &fixture.session).await;
    assert_eq!(model.text(), "0 own0 before it connects");
    // The message is under way, and the page hears of values that it does not follow yet.
    fixture.value.set(1);
    fixture.shared.set("under way".into());
    model.exchange().await;
    assert_eq!(model.text(), "1 own1 under way");
}

#[tokio::test]
async fn a_value_set_between_the_rendering_and_the_page_is_in_the_page() {
    let live = endpoint();
    let session = live.session();
    let (value, tick) = (Observable::new(1), Observable::new(0));
    let shown = value.clone();
    let region = session.render(&tick, move |sub, _| {
        sub.eval(js!("use($(shown))"));
        ""
    });
    value.set(2);
    let html = session.page("t", region);
    let model = Model::load(&html);
    assert_eq!(model.objects()[&value.id().to_string()], 2);
}

#[tokio::test]
async fn an_object_that_comes_back_has_its_value_of_now() {
    let live = endpoint();
    let session = live.session();
    let (value, which) = (Observable::new(1), Observable::new(true));
    let shown = value.clone();
    let region = session.render(&which, move |sub, which| {
        if *which {
            sub.eval(js!("use($(shown))"));
        }
        ""
    });
    let other = Observable::new(false);
    let shown = value.clone();
    let second = session.render(&other, move |sub, which| {
        if *which {
            sub.eval(js!("use($(shown))"));
        }
        ""
    });
    let html = session.page("t", format!("{region}{second}"));
    let mut model = Model::open(&live, &session, &html).await;
    which.set(false);
    settle().await;
    // The page has the new content and has said so, and the answer that frees the old one is under way.
    model.receive();
    model.flush();
    settle().await;
    value.set(2);
    other.set(true);
    model.exchange().await;
    assert_eq!(model.objects()[&value.id().to_string()], 2);
    assert_eq!((model.tables(), value.session_count()), ((2, 1), 1));
    which.set(true);
    other.set(false);
    value.set(3);
    model.exchange().await;
    assert_eq!(model.objects()[&value.id().to_string()], 3);
}

#[tokio::test]
async fn what_the_page_sets_reaches_the_parts_and_does_not_echo() {
    let live = endpoint();
    let session = live.session();
    let (value, tick) = (Observable::new(1), Observable::new(0));
    let bound = value.clone();
    let region = session.render(&tick, move |sub, _| format!("<input {}>", sub.on_input(&bound)));
    let html = session.page("t", region);
    let mut model = Model::open(&live, &session, &html).await;
    model.page.as_ref().unwrap().update(value.id(), 5);
    model.exchange().await;
    assert_eq!((value.get(), model.updates), (5, 0));
    model.remove("data-jscall-id", &model.dom_region());
    model.exchange().await;
    model.page.as_ref().unwrap().update(value.id(), 6);
    model.exchange().await;
    assert_eq!(value.get(), 5, "its part is gone");
}

#[tokio::test]
async fn messages_wait_for_the_start_and_keep_their_order() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    fixture.value.set(1);
    let sub = fixture.subs.last();
    for n in 0..3 {
        sub.eval(Script::new(format!("later({n})")));
    }
    fixture.session.eval(Script::new("page()"));
    model.exchange().await;
    sub.eval(Script::new("open()"));
    fixture.session.eval(Script::new("last()"));
    model.exchange().await;
    let ran: Vec<&str> = model.ran.iter().map(String::as_str).collect();
    assert_eq!(ran, ["sub(0)", "page()", "sub(1)", "later(0)", "later(1)", "later(2)", "open()", "last()"]);
    assert_eq!(fixture.session.info().queued_bytes, 0);
}

#[tokio::test]
async fn a_part_has_what_a_session_has() {
    let live = endpoint();
    let session = live.session();
    let tick = Observable::new(0);
    let subs = Subs::default();
    let seen = subs.clone();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = opened.clone();
    let region = session.render(&tick, move |sub, tick| {
        seen.add(sub);
        let count = count.clone();
        sub.on_open(move |_, again| {
            assert!(!again);
            count.fetch_add(1, Ordering::Relaxed);
        });
        sub.spawn(std::future::pending());
        sub.on_load(Script::new(format!("last({tick})")));
        sub.eval(Script::new(format!("first({tick})")));
        ""
    });
    let html = session.page("t", region);
    let mut model = Model::open(&live, &session, &html).await;
    assert_eq!((session.task_count(), live.stats().tasks), (1, 1));
    tick.set(1);
    model.exchange().await;
    assert_eq!((session.task_count(), live.stats().tasks, subs.get(0).task_count()), (1, 1, 0));
    assert_eq!(model.ran, ["first(0)", "last(0)", "first(1)", "last(1)"]);
    assert_eq!(opened.load(Ordering::Relaxed), 2);
    // An answer finds its way to who asked.
    let sub = subs.last();
    let asked = tokio::spawn(async move { sub.eval_value::<i32>(js!("1 + 1")).await });
    settle().await;
    model.receive();
    let before = session.binding_count();
    asked.abort();
    settle().await;
    assert!(session.binding_count() < before, "and is forgotten with the question");
}

#[tokio::test]
async fn a_part_is_not_to_be_had_by_a_socket() {
    let fixture = fixture();
    let _model = fixture.open().await;
    let sub = fixture.subs.last();
    assert_eq!(fixture.live.find(sub.id()), None);
    let (parts, ()) = support::upgrade_request(&sub).body(()).unwrap().into_parts();
    let bonito_core::Outcome::Respond(response) = fixture.live.handle(&parts).await else { panic!() };
    assert_eq!(response.status(), 404);
    assert!(sub.id().to_string().parse::<SessionId>().is_ok(), "it looks like any other");
    assert_eq!(fixture.live.stats().sessions, 1);
}

#[tokio::test]
async fn a_view_that_panics_leaves_what_is_there() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let before = (model.tables(), fixture.session.binding_count());
    fixture.value.set(13);
    model.exchange().await;
    assert_eq!((model.text().as_str(), fixture.subs.last().status()), ("0 own0 s0", Status::Open));
    assert_eq!((model.tables(), fixture.session.binding_count()), before);
    fixture.value.set(14);
    model.exchange().await;
    assert_eq!(model.text(), "14 own14 s0");
}

#[tokio::test]
async fn a_first_view_that_panics_leaves_a_place_for_the_next() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    let region = session.render(&value, |_, value| {
        assert_ne!(*value, 0, "on purpose");
        value.to_string()
    });
    let html = session.page("t", region);
    let mut model = Model::open(&live, &session, &html).await;
    assert_eq!(model.text(), "");
    value.set(1);
    model.exchange().await;
    assert_eq!((model.text().as_str(), model.tables().0), ("1", 1));
}

#[tokio::test]
async fn a_page_has_so_many_parts_and_the_next_is_shown_but_does_not_live() {
    let fixture = fixture_with(|limits| limits.sub_sessions = 2);
    let mut model = fixture.open().await;
    let more = Observable::new(0);
    let subs = Subs::default();
    let seen = subs.clone();
    let view = move |sub: &bonito_core::Session, value: &i32| {
        seen.add(sub);
        value.to_string()
    };
    let _alive = fixture.session.render(&more, view.clone());
    let refused = fixture.session.render(&more, view);
    assert!(refused.to_string().contains(">0</div>"));
    assert_eq!(reasons(&subs.last()).lock().unwrap().as_slice(), [CloseReason::Capacity]);
    // While the page holds the old content there is no room for the new one either.
    fixture.value.set(1);
    model.exchange().await;
    assert_eq!((model.text().as_str(), fixture.subs.get(0).status()), ("0 own0 s0", Status::Open));
}

#[tokio::test]
async fn a_closed_session_shows_its_parts_and_nothing_more() {
    let fixture = fixture();
    fixture.session.close();
    let calls = fixture.subs.len();
    let value = Observable::new(5);
    let region =
        fixture.session.render(&value, |sub, value| format!("<b {}>{value}</b>", sub.on_click(|| {})));
    assert!(region.to_string().contains(">5</b>"));
    value.set(6);
    fixture.value.set(1);
    assert_eq!((fixture.subs.len(), value.listener_count(), fixture.value.listener_count()), (calls, 0, 0));
}

#[tokio::test]
async fn the_end_of_the_page_is_the_end_of_its_parts() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    fixture.value.set(1);
    let sub = fixture.subs.last();
    sub.spawn(std::future::pending());
    let reasons = reasons(&sub);
    // In the middle of a swap.
    fixture.session.close();
    assert_eq!(*reasons.lock().unwrap(), [CloseReason::Application]);
    assert_eq!((sub.status(), sub.task_count(), fixture.session.binding_count()), (Status::Closed, 0, 0));
    assert_eq!((fixture.shared.session_count(), fixture.value.listener_count()), (0, 0));
    model.receive();
    model.flush();
    fixture.value.set(2);
    settle().await;
    assert_eq!(fixture.subs.len(), 2);
}

/// A part has no connection of its own that could be lost, flushed, or bring messages.
#[tokio::test]
async fn the_connection_of_a_part_is_that_of_its_page() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let sub = fixture.subs.last();
    sub.soft_close();
    sub.flush();
    assert_eq!((sub.status(), fixture.session.status()), (Status::Open, Status::Open));
    sub.eval(Script::new("sub(1)"));
    model.exchange().await;
    assert_eq!(model.ran, ["sub(0)", "sub(1)"]);
}
