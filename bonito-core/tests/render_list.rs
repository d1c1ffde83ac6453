//! Keyed lists in a page.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::collections::HashMap;

use bonito_core::proto::message::ClientMessage;
use bonito_core::{CloseReason, Endpoint, Observable, Session, Status};
use support::model::Model;
use support::region::{Subs, reasons};
use support::{endpoint, settle};

type Item = (u32, i32);

struct Fixture {
    live: Endpoint,
    session: Session,
    items: Observable<Vec<Item>>,
    subs: Subs,
    html: String,
}

/// A list of `key:value` and a text of the item's own.
fn fixture(first: &[Item]) -> Fixture {
    let live = endpoint();
    let session = live.session();
    let items = Observable::new(first.to_vec());
    let subs = Subs::default();
    let seen = subs.clone();
    let list = session.render_list(
        &items,
        |(key, _)| {
            assert_ne!(*key, 13, "on purpose");
            *key
        },
        move |sub, (key, value)| {
            seen.add(sub);
            let own = Observable::new(format!("{value}"));
            format!("{key}:{} ", sub.text(&own))
        },
    );
    let html = session.page("t", list.tag("ul").item_tag("li"));
    Fixture { live, session, items, subs, html }
}

fn shown(items: &[Item]) -> String {
    let all: String = items.iter().map(|(key, value)| format!("{key}:{value} ")).collect();
    all.trim().to_owned()
}

/// The items' elements by their keys.
fn identities(model: &Model) -> HashMap<String, u64> {
    let root = model.dom.elements().next().unwrap();
    let list = root.elements().next().unwrap();
    list.elements().map(|item| (item.text().split(':').next().unwrap().to_owned(), item.identity)).collect()
}

#[tokio::test]
async fn items_come_go_and_move_without_being_made_anew() {
    let fixture = fixture(&[(1, 0), (2, 0), (3, 0)]);
    assert!(fixture.html.contains("<ul data-jscall-id=") && fixture.html.matches("<li id=").count() == 3);
    let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
    assert_eq!(model.text(), "1:0 2:0 3:0");
    let first = identities(&model);
    let one = fixture.subs.get(0);
    let two = reasons(&fixture.subs.get(1));
    for (items, drawn) in [
        (vec![(3, 0), (1, 0), (2, 0)], 3),
        (vec![(1, 0), (3, 0)], 3),
        (vec![(4, 0), (1, 0), (5, 0), (3, 0), (6, 0)], 6),
        (vec![(6, 0), (5, 0), (4, 0), (3, 0), (1, 0)], 6),
        (vec![(3, 0), (1, 0)], 6),
    ] {
        fixture.items.set(items.clone());
        model.exchange().await;
        assert_eq!((model.text(), fixture.subs.len()), (shown(&items), drawn));
        let now = identities(&model);
        for key in ["1", "3"] {
            assert_eq!(now[key], first[key], "{key} is the element that it was");
        }
        let n = items.len();
        assert_eq!((model.tables(), fixture.session.binding_count()), ((n, n), n));
    }
    assert_eq!((one.status(), two.lock().unwrap().clone()), (Status::Open, vec![CloseReason::Replaced]));
    fixture.items.set(vec![]);
    model.exchange().await;
    assert_eq!((model.text().as_str(), model.tables(), fixture.session.binding_count()), ("", (0, 0), 0));
    assert_eq!(model.warnings, [] as [String; 0]);
}

#[tokio::test]
async fn an_item_that_changed_is_made_anew_and_the_others_are_not() {
    let fixture = fixture(&[(1, 0), (2, 0)]);
    let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
    let old = fixture.subs.get(1);
    let first = identities(&model);
    fixture.items.set(vec![(2, 5), (1, 0)]);
    model.exchange().await;
    assert_eq!((model.text().as_str(), fixture.subs.len(), old.status()), ("2:5 1:0", 3, Status::Closed));
    assert_eq!(identities(&model)["1"], first["1"]);
    assert_ne!(identities(&model)["2"], first["2"]);
    assert_eq!(model.tables(), (2, 2));
}

#[tokio::test]
async fn an_item_that_goes_while_it_is_made_anew_goes_when_it_can() {
    let fixture = fixture(&[(1, 0), (2, 0)]);
    let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
    fixture.items.set(vec![(1, 1), (2, 0)]);
    fixture.items.set(vec![(2, 0)]);
    fixture.items.set(vec![(2, 0), (1, 2)]);
    model.exchange().await;
    assert_eq!(
        (model.text().as_str(), model.tables(), fixture.session.binding_count()),
        ("2:0 1:2", (2, 2), 2)
    );
    assert_eq!(model.waiting(), 0, "nothing is sent to where nothing is");
    assert_eq!(model.warnings, [] as [String; 0]);
}

#[tokio::test]
async fn of_items_with_one_key_the_first_is_shown() {
    let fixture = fixture(&[(1, 0), (1, 1), (2, 0)]);
    let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
    assert_eq!(model.text(), "1:0 2:0");
    fixture.items.set(vec![(2, 0), (2, 1), (1, 1)]);
    model.exchange().await;
    assert_eq!(model.text(), "2:0 1:1");
}

#[tokio::test]
async fn a_key_that_panics_leaves_the_list_as_it_is() {
    let fixture = fixture(&[(1, 0)]);
    let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
    fixture.items.set(vec![(2, 0), (13, 0)]);
    model.exchange().await;
    assert_eq!(model.text(), "1:0");
    fixture.items.set(vec![(2, 0)]);
    model.exchange().await;
    assert_eq!(model.text(), "2:0");
}

#[tokio::test]
async fn a_list_that_changes_before_the_page_connects_is_right_when_it_does() {
    let fixture = fixture(&[(1, 0), (2, 0)]);
    fixture.items.set(vec![(2, 0), (3, 0)]);
    let mut model = Model::load(&fixture.html);
    fixture.items.set(vec![(3, 1), (2, 0)]);
    assert_eq!((model.text().as_str(), fixture.subs.len()), ("1:0 2:0", 2));
    model.connect(&fixture.live, &fixture.session).await;
    assert_eq!((model.text().as_str(), model.tables()), ("3:1 2:0", (2, 2)));
}

#[tokio::test]
async fn two_thousand_items_come_and_go_in_one_message() {
    let fixture = fixture(&[]);
    let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
    let many: Vec<Item> = (100..2_100).map(|key| (key, 0)).collect();
    fixture.items.set(many.clone());
    assert_eq!(fixture.session.info().queued_messages, 1);
    model.exchange().await;
    assert_eq!((model.text(), model.tables().0), (shown(&many), 2_000));
    fixture.items.set(vec![(100, 0)]);
    model.exchange().await;
    assert_eq!((model.text().as_str(), model.tables()), ("100:0", (1, 1)));
}

#[tokio::test]
async fn an_item_that_page_code_removes_is_gone_until_it_comes_again() {
    let fixture = fixture(&[(1, 0), (2, 0), (3, 0)]);
    let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
    let two = fixture.subs.get(1);
    model.remove("id", &two.id().to_string());
    model.exchange().await;
    assert_eq!((two.status(), model.tables()), (Status::Closed, (2, 2)));
    fixture.items.set(vec![(4, 0), (2, 7), (3, 0), (1, 0)]);
    model.exchange().await;
    assert_eq!(model.text(), "4:0 3:0 1:0");
    fixture.items.set(vec![(3, 0)]);
    fixture.items.set(vec![(3, 0), (2, 8)]);
    model.exchange().await;
    assert_eq!((model.text().as_str(), model.tables()), ("3:0 2:8", (2, 2)));
}

#[tokio::test]
async fn a_list_in_a_part_waits_for_it_and_goes_with_it() {
    let live = endpoint();
    let session = live.session();
    let (which, items) = (Observable::new(0), Observable::new(vec![1]));
    let within = items.clone();
    let region = session.render(&which, move |sub, which| {
        let list = sub.render_list(&within, |item| *item, |sub, item| sub.text(&Observable::new(*item)));
        format!("{which}/{list}")
    });
    let html = session.page("t", region);
    let mut model = Model::open(&live, &session, &html).await;
    which.set(1);
    items.set(vec![2, 1]);
    model.exchange().await;
    assert_eq!((model.text().as_str(), items.listener_count()), ("1/21", 1));
    assert_eq!((model.tables(), session.binding_count()), ((3, 2), 2));
    session.close();
    assert_eq!((items.listener_count(), session.binding_count()), (0, 0));
}

/// A small generator, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test]
async fn whatever_happens_on_the_way_the_page_ends_at_the_list_that_holds() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let fixture = fixture(&[(1, 0), (2, 0), (3, 0), (4, 0)]);
        let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
        let (mut lost, mut parted) = (false, false);
        for _ in 0..40 {
            match dice.roll(if seed % 2 == 0 { 9 } else { 10 }) {
                0..=4 => {
                    let mut keys: Vec<u32> = (1..=8).filter(|_| dice.roll(3) > 0).collect();
                    for at in (1..keys.len()).rev() {
                        let with = dice.roll(at as u64 + 1) as usize;
                        keys.swap(at, with);
                    }
                    let items = keys.into_iter().map(|key| (key, i32::from(dice.roll(8) == 0))).collect();
                    fixture.items.set(items);
                }
                5 => {
                    settle().await;
                    model.receive();
                }
                6 => {
                    model.flush();
                }
                7 | 8 => model.exchange().await,
                _ => {
                    if dice.roll(2) == 0 {
                        // What the page has not read is lost; what it has to say is kept.
                        settle().await;
                        if let Some(page) = &model.page {
                            lost |= !page.frames().is_empty();
                        }
                    }
                    parted = true;
                    model.cut();
                    settle().await;
                    model.connect(&fixture.live, &fixture.session).await;
                }
            }
        }
        model.exchange().await;
        let items = fixture.items.get();
        assert_eq!(model.text(), shown(&items), "seed {seed}");
        assert_eq!(fixture.session.binding_count(), items.len(), "seed {seed}");
        // What was under way to an item that has gone since waits for its place in vain, until the page gives up.
        assert!(parted || model.waiting() == 0, "seed {seed}");
        if !lost {
            assert_eq!(model.tables(), (items.len(), items.len()), "seed {seed}");
            assert_eq!(model.warnings, [] as [String; 0], "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_page_that_says_an_item_is_gone_twice_hears_of_it_once() {
    let fixture = fixture(&[(1, 0)]);
    let mut model = Model::open(&fixture.live, &fixture.session, &fixture.html).await;
    let sub = fixture.subs.last();
    for _ in 0..3 {
        model
            .send(ClientMessage::CloseSession { session: sub.id().to_string(), subsession: "delete".into() });
    }
    model.exchange().await;
    assert_eq!((model.tables(), model.warnings.len()), ((0, 0), 0));
}
