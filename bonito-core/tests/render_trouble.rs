//! Parts of a page when the page is away, slow, odd or hostile.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::{Arc, Mutex, OnceLock};

use bonito_core::proto::codec;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{CloseReason, FrontendConnection, Lane, Observable, Script, SendError, Session, Status};
use bytes::Bytes;
use support::model::{Model, loaded};
use support::region::{Subs, fixture, fixture_with, reasons};
use support::{endpoint, endpoint_with, settle};

const NOTHING: [&str; 0] = [];

fn gone(session: impl std::fmt::Display, subsession: &str) -> ClientMessage {
    ClientMessage::CloseSession { session: session.to_string(), subsession: subsession.into() }
}

fn wanted(session: impl std::fmt::Display, replace: &str) -> ClientMessage {
    ClientMessage::GetSessionDom { session: session.to_string(), replace: replace.into() }
}

#[tokio::test]
async fn while_the_page_is_away_nothing_piles_up_and_it_comes_back_to_the_newest() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    model.cut();
    settle().await;
    let old = fixture.subs.last();
    for n in 1..=10_000 {
        fixture.value.set(n + 100);
    }
    let info = fixture.session.info();
    assert_eq!((fixture.subs.len(), info.queued_messages, info.queued_bytes), (1, 0, 0));
    assert_eq!(old.status(), Status::Open, "the page still shows it");
    model.connect(&fixture.live, &fixture.session).await;
    assert_eq!((model.text().as_str(), model.swaps, fixture.subs.len()), ("10100 own10100 s0", 1, 2));
    assert_eq!(model.warnings, NOTHING);
}

#[tokio::test]
async fn one_swap_is_under_way_at_a_time_and_the_next_is_of_the_newest_value() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    for n in 1..=1000 {
        fixture.value.set(n + 100);
        settle().await;
    }
    assert_eq!(fixture.subs.len(), 2);
    model.exchange().await;
    assert_eq!((model.text().as_str(), model.swaps, fixture.subs.len()), ("1100 own1100 s0", 2, 3));
}

#[tokio::test]
async fn a_page_that_never_says_it_has_loaded_holds_no_more_than_the_limits() {
    let fixture = fixture_with(|limits| limits.queued_bytes = 10_000);
    let mut model = fixture.open().await;
    model.reports = false;
    fixture.value.set(1);
    model.exchange().await;
    let sub = fixture.subs.last();
    assert_eq!(sub.status(), Status::Displayed);
    sub.eval(Script::new("x".repeat(4_000)));
    assert!(fixture.session.info().queued_bytes > 4_000, "it counts as waiting for the page");
    fixture.value.set(2);
    model.exchange().await;
    assert_eq!(fixture.subs.len(), 2);
    for _ in 0..3 {
        sub.eval(Script::new("x".repeat(4_000)));
    }
    assert_eq!(*reasons(&fixture.session).lock().unwrap(), [CloseReason::Overflow]);
}

#[tokio::test]
async fn what_waits_for_several_parts_is_bounded_as_a_whole() {
    let live = endpoint_with(|limits| limits.queued_bytes = 10_000);
    let session = live.session();
    let (tick, subs) = (Observable::new(0), Subs::default());
    let regions: String = (0..3)
        .map(|_| {
            let seen = subs.clone();
            let region = session.render(&tick, move |sub, _| {
                seen.add(sub);
                ""
            });
            region.to_string()
        })
        .collect();
    let html = session.page("t", regions);
    let mut model = Model::load(&html);
    for index in 0..2 {
        subs.get(index).eval(Script::new("x".repeat(4_000)));
    }
    assert_eq!(session.status(), Status::Displayed);
    subs.get(2).eval(Script::new("x".repeat(4_000)));
    assert_eq!(*reasons(&session).lock().unwrap(), [CloseReason::Overflow]);
    model.receive();
}

#[tokio::test]
async fn what_a_closed_part_let_the_page_set_it_sets_no_more() {
    let live = endpoint();
    let session = live.session();
    let (value, which) = (Observable::new(1), Observable::new(0));
    let bound = value.clone();
    let region = session.render(&which, move |sub, which| {
        if *which == 0 { format!("<input {}>", sub.on_input(&bound)) } else { String::new() }
    });
    let html = session.page("t", region);
    let mut model = Model::open(&live, &session, &html).await;
    which.set(1);
    // The page still shows the field, and what is typed there is on its way.
    model.page.as_ref().unwrap().update(value.id(), 5);
    settle().await;
    assert_eq!(value.get(), 1);
    model.exchange().await;
    assert_eq!((model.tables(), value.session_count()), ((1, 0), 0));
}

#[tokio::test]
async fn content_that_fails_to_load_closes_and_the_next_has_its_turn() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let before = (model.tables(), fixture.session.binding_count());
    model.reports = false;
    fixture.value.set(1);
    model.exchange().await;
    let sub = fixture.subs.last();
    let errors = Arc::new(Mutex::new(Vec::new()));
    let log = errors.clone();
    sub.on_javascript_error(move |_, error| log.lock().unwrap().push(error.exception.clone()));
    model.reports = true;
    let id = sub.id().to_string();
    model.send(loaded(&id, Some("SyntaxError: of some kind".into())));
    model.send(loaded(&id, None));
    model.send(loaded(&id, Some("again".into())));
    model.exchange().await;
    assert_eq!(*errors.lock().unwrap(), ["SyntaxError: of some kind"]);
    assert_eq!((sub.status(), sub.binding_count()), (Status::Closed, 0));
    fixture.value.set(2);
    model.exchange().await;
    assert_eq!(model.text(), "2 own2 s0");
    assert_eq!((model.tables(), fixture.session.binding_count()), before);
}

#[tokio::test]
async fn page_code_that_removes_the_element_ends_the_part_and_what_is_in_it() {
    let live = endpoint();
    let session = live.session();
    let (outer, inner) = (Observable::new(0), Observable::new(0));
    let (outers, inners) = (Subs::default(), Subs::default());
    let (seen, seen_inside, within) = (outers.clone(), inners.clone(), inner.clone());
    let region = session.render(&outer, move |sub, n| {
        seen.add(sub);
        let seen = seen_inside.clone();
        let inside = sub.render(&within, move |sub, n| {
            seen.add(sub);
            format!("{n} {}", sub.text(&Observable::new("in")))
        });
        format!("{n}<p>{inside}</p>")
    });
    let html = session.page("t", region);
    let mut model = Model::open(&live, &session, &html).await;
    assert_eq!((model.text().as_str(), model.tables().0), ("00 in", 2));
    let closed = [reasons(&outers.last()), reasons(&inners.last())];
    model.remove("id", &outers.last().id().to_string());
    model.exchange().await;
    for reasons in closed {
        assert_eq!(*reasons.lock().unwrap(), [CloseReason::Removed]);
    }
    assert_eq!((model.tables(), session.binding_count()), ((0, 0), 0));
    assert_eq!((outer.listener_count(), inner.listener_count()), (0, 0));
    outer.set(1);
    inner.set(1);
    model.exchange().await;
    assert_eq!((outers.len(), inners.len(), model.warnings.len()), (1, 1, 0));
}

#[tokio::test]
async fn nested_parts_swap_alone_and_go_with_the_outer_one() {
    let live = endpoint();
    let session = live.session();
    let (outer, inner) = (Observable::new(0), Observable::new(0));
    let inners = Subs::default();
    let (seen, within) = (inners.clone(), inner.clone());
    let region = session.render(&outer, move |sub, n| {
        let seen = seen.clone();
        let inside = sub.render(&within, move |sub, n| {
            seen.add(sub);
            let own = Observable::new(n.to_string());
            sub.text(&own)
        });
        format!("{n}/{inside}")
    });
    let html = session.page("t", region);
    let mut model = Model::open(&live, &session, &html).await;
    let before = (model.tables(), session.binding_count());
    for n in 1..=20 {
        inner.set(n);
        model.exchange().await;
        assert_eq!(model.text(), format!("{}/{n}", n - 1));
        let old = inners.last();
        outer.set(n);
        assert_eq!(old.status(), Status::Closed);
        // Before the page has heard of it.
        inner.set(n);
        model.exchange().await;
        assert_eq!(model.text(), format!("{n}/{n}"));
        assert_eq!(
            (model.tables(), session.binding_count(), inner.listener_count()),
            (before.0, before.1, 1)
        );
    }
    assert_eq!(model.warnings, NOTHING);
}

/// A connection so quick that what the page says to a swap has come before the swap counts as sent.
#[derive(Debug, Default)]
struct Quick {
    session: OnceLock<Session>,
    said: Arc<Mutex<Vec<ClientMessage>>>,
}

impl Quick {
    fn answer(&self) {
        let said = std::mem::take(&mut *self.said.lock().unwrap());
        for message in said {
            self.session.get().unwrap().process_message(codec::encode_client(&message).unwrap()).unwrap();
        }
    }
}

impl FrontendConnection for Quick {
    fn write(&self, _: Bytes, _: Lane) -> Result<(), SendError> {
        self.answer();
        Ok(())
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}

    fn setup_connection(&self, _: &Session) -> Option<Script> {
        None
    }
}

#[test]
fn a_page_that_is_quick_to_tell_of_replaced_content_does_not_end_the_part() {
    let connection = Arc::new(Quick::default());
    let session = endpoint().session_with(connection.clone());
    connection.session.set(session.clone()).unwrap();
    let (value, subs, closed) = (Observable::new(0), Subs::default(), Arc::new(Mutex::new(Vec::new())));
    let (seen, log, said) = (subs.clone(), closed.clone(), connection.said.clone());
    let region = session.render(&value, move |sub, n| {
        let (n, log) = (*n, log.clone());
        sub.on_close(move |_, reason| log.lock().unwrap().push((n, reason)));
        seen.add(sub);
        // The page has started this one, and notices that the one before is out of its DOM.
        let before = seen.len().checked_sub(2).map(|index| gone(seen.get(index).id(), "delete"));
        said.lock().unwrap().extend([loaded(&sub.id().to_string(), None)].into_iter().chain(before));
        n.to_string()
    });
    let _html = session.page("t", region);
    connection.said.lock().unwrap().insert(0, loaded(&session.id().to_string(), None));
    connection.answer();
    for n in 1..=3 {
        value.set(n);
        assert_eq!((subs.len(), subs.last().status()), (n + 1, Status::Open));
    }
    let replaced = CloseReason::Replaced;
    assert_eq!(*closed.lock().unwrap(), [(0, replaced), (1, replaced), (2, replaced)]);
}

#[tokio::test]
async fn words_about_sessions_that_are_none_change_nothing() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let first = fixture.subs.last();
    fixture.value.set(1);
    model.exchange().await;
    let sub = fixture.subs.last();
    let opened = Arc::new(Mutex::new(0));
    let count = opened.clone();
    sub.on_open(move |_, _| *count.lock().unwrap() += 1);
    let foreign = endpoint().session();
    let before = (model.tables(), fixture.session.binding_count());
    for id in
        [first.id().to_string(), foreign.id().to_string(), "x".into(), String::new(), "constructor".into()]
    {
        model.send(loaded(&id, None));
        model.send(loaded(&id, Some("Error".into())));
        for kind in ["delete", "root", "", "sub"] {
            model.send(gone(&id, kind));
        }
        model.send(wanted(&id, "root"));
    }
    // Its own root, and the live part with its words repeated.
    model.send(gone(fixture.session.id(), "root"));
    model.send(wanted(fixture.session.id(), "root"));
    model.send(loaded(&sub.id().to_string(), None));
    model.send(loaded(&sub.id().to_string(), None));
    model.exchange().await;
    assert_eq!((fixture.session.status(), sub.status()), (Status::Open, Status::Open));
    assert_eq!((*opened.lock().unwrap(), foreign.status()), (0, Status::Uninitialized));
    assert_eq!(
        (model.tables(), fixture.session.binding_count(), fixture.subs.len()),
        (before.0, before.1, 2)
    );
    assert_eq!((model.swaps, model.warnings.len()), (1, 0));
    // A late word of what is gone, and twice the same of what goes.
    model.send(gone(sub.id(), "root"));
    model.send(gone(sub.id(), "delete"));
    model.exchange().await;
    assert_eq!((sub.status(), fixture.session.binding_count(), model.warnings.len()), (Status::Closed, 0, 0));
}

#[tokio::test]
async fn a_page_cannot_start_what_it_has_not_got() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    let subs = Subs::default();
    let seen = subs.clone();
    let region = session.render(&value, move |sub, _| {
        seen.add(sub);
        ""
    });
    let sub = subs.last();
    drop(region);
    session.process_message(codec::encode_client(&loaded(&sub.id().to_string(), None)).unwrap()).unwrap();
    assert_eq!(sub.status(), Status::Uninitialized);
}

#[tokio::test]
async fn a_page_that_asks_gets_the_content_anew_where_it_asks() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let sub = fixture.subs.last();
    model.dom.set_html("<p data-jscall-id=\"here\">old</p>");
    for bad in ["", "a'b", "a\"b", "a\\b", "a b", "é"] {
        model.send(wanted(sub.id(), bad));
    }
    model.reports = false;
    model.exchange().await;
    assert_eq!(fixture.subs.len(), 1, "a selector that could be anything else is none");
    model.send(wanted(sub.id(), "here"));
    model.exchange().await;
    let new = fixture.subs.last();
    assert_eq!((model.text().as_str(), fixture.subs.len(), sub.status()), ("0 own0 s0", 2, Status::Closed));
    assert_ne!(new.id(), sub.id());
    // As often as it likes, one at a time.
    for _ in 0..100 {
        model.send(wanted(new.id(), "here"));
    }
    model.exchange().await;
    assert_eq!(fixture.subs.len(), 2);
}

#[tokio::test]
async fn a_swap_that_was_lost_with_its_line_is_made_anew() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let before = (model.tables(), fixture.session.binding_count());
    fixture.value.set(1);
    settle().await;
    model.lose();
    settle().await;
    fixture.value.set(2);
    model.connect(&fixture.live, &fixture.session).await;
    assert_eq!(model.text(), "2 own2 s0");
    assert_eq!(fixture.subs.get(1).status(), Status::Closed);
    assert_eq!((model.tables(), fixture.session.binding_count()), before);
}

#[tokio::test]
async fn a_swap_whose_answer_was_lost_with_the_line_ends_at_the_newest() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let before = (model.tables(), fixture.session.binding_count());
    fixture.value.set(1);
    settle().await;
    assert!(model.receive());
    assert_eq!(model.text(), "1 own1 s0");
    model.lose();
    settle().await;
    fixture.shared.set("s1".into());
    fixture.value.set(2);
    model.connect(&fixture.live, &fixture.session).await;
    assert_eq!(model.text(), "2 own2 s1");
    assert_eq!((model.tables(), fixture.session.binding_count()), before);
    assert_eq!(model.warnings, NOTHING);
}

#[tokio::test]
async fn a_reconnect_leaves_parts_that_are_there_alone() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    fixture.value.set(1);
    model.exchange().await;
    let sub = fixture.subs.last();
    for _ in 0..3 {
        model.cut();
        settle().await;
        sub.eval(Script::new("away()"));
        fixture.shared.set("away".into());
        model.connect(&fixture.live, &fixture.session).await;
    }
    assert_eq!((fixture.subs.len(), model.swaps, sub.status()), (2, 1, Status::Open));
    assert_eq!(model.text(), "1 own1 away");
    assert_eq!(model.ran.iter().filter(|source| *source == "away()").count(), 3);
}

#[tokio::test]
async fn an_application_may_close_a_part_and_its_place_goes_on() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let sub = fixture.subs.last();
    sub.close();
    assert_eq!(*reasons(&sub).lock().unwrap(), [CloseReason::Application]);
    model.exchange().await;
    assert_eq!(
        (model.text().as_str(), model.tables(), fixture.session.binding_count()),
        ("0 own0 s0", (0, 0), 0)
    );
    // One that is still under way.
    fixture.value.set(1);
    fixture.subs.last().close();
    model.exchange().await;
    assert_eq!(
        (model.text().as_str(), model.tables(), fixture.session.binding_count()),
        ("1 own1 s0", (0, 0), 0)
    );
    fixture.value.set(2);
    model.exchange().await;
    assert_eq!((model.text().as_str(), model.tables().0), ("2 own2 s0", 1));
    assert_eq!(model.warnings, NOTHING);
}

#[tokio::test]
async fn a_part_made_after_the_page_lives_when_it_is_put_there() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    let value = Observable::new(7);
    let region = fixture.session.render(&value, |sub, value| {
        let own = Observable::new(*value);
        sub.text(&own)
    });
    model.exchange().await;
    let html = format!("{}{region}", "<p></p>");
    model.dom.children.extend(support::dom::parse(&html));
    model.exchange().await;
    assert!(model.text().ends_with('7'), "{}", model.text());
    value.set(8);
    model.exchange().await;
    assert!(model.text().ends_with('8'), "{}", model.text());
    assert_eq!(model.tables().0, 2);
}

#[tokio::test]
async fn values_from_many_threads_end_at_the_newest() {
    let fixture = fixture();
    let mut model = fixture.open().await;
    for round in 0..20 {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let value = &fixture.value;
                scope.spawn(move || (0..50).for_each(|n| value.set(100 + round * 1000 + thread * 100 + n)));
            }
        });
        model.exchange().await;
        let last = fixture.value.get();
        assert_eq!(model.text(), format!("{last} own{last} s0"));
        assert_eq!(model.tables(), (1, 2));
    }
}
