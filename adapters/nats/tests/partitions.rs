//! A process that cannot reach a broker that lives on, and those who can.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn and expect")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bonito_core::NameLost;
use support::node::Node;
use support::proxy::{Line, Proxy};
use support::{Broker, LONG};
use tokio::time::timeout;

/// The shortest that a registry takes is one second.
const LEASE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_whose_connection_is_closed_stops_before_another_may_act() {
    an_owner_that_is_cut_off_by(Line::Closes).await;
}

/// Nobody is told that the line is cut, and what was sent meanwhile comes when it is healed: renewals, claims and messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_whose_line_is_silent_stops_before_another_may_act() {
    an_owner_that_is_cut_off_by(Line::Stalls).await;
}

async fn an_owner_that_is_cut_off_by(cut: Line) {
    let broker = Broker::start();
    let line = Proxy::start(&broker).await;
    let owner = Node::start(&line.url(), "owner", LEASE).await;
    let other = Node::start(&broker.url(), "other", LEASE).await;
    owner.sees(&["other", "owner"]).await;
    other.sees(&["other", "owner"]).await;
    let ada = Arc::new(owner.gets("ada").await);
    let former = ada.epoch().unwrap();
    other.reaches("ada", "before").await;
    owner.hears("before").await;

    let lost = tokio::spawn({
        let ada = ada.clone();
        async move { (ada.lost().await, Instant::now()) }
    });
    line.set(cut);
    // The owner has the name for as long as the other knows: this is for its epoch, and for no later one.
    let _ = other.registry.unique().send("ada", "stale".to_owned());
    let mine = other.gets("ada").await;
    let (granted, acts) = (Instant::now(), ada.is_held());
    assert!(!acts, "the former owner may not act when another may");
    let (reason, told) = timeout(LONG, lost).await.expect("it is told").unwrap();
    assert_eq!(reason, NameLost::Expired);
    assert!(told < granted, "told {:?} too late", told - granted);
    assert!(mine.epoch().unwrap() > former);
    // Each is alone, as far as it can know.
    other.sees(&["other"]).await;
    owner.sees(&["owner"]).await;
    assert!(mine.is_held() && owner.claim("ada").await.is_none());

    line.set(Line::Carries);
    owner.sees(&["other", "owner"]).await;
    other.sees(&["other", "owner"]).await;
    owner.reaches("ada", "after").await;
    other.hears("after").await;
    assert!(owner.claim("ada").await.is_none(), "it is the other's");
    let bob = owner.gets("bob").await;
    other.reaches("bob", "again").await;
    owner.hears("again").await;
    assert!(bob.is_held() && mine.is_held() && !ada.is_held());
    assert_eq!(owner.heard(), ["before", "again"], "nothing that was for a name it had lost");
}

/// Both names are kept for a minute: only their release makes them free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_released_name_is_free_at_once() {
    let lease = 2 * LONG;
    let broker = Broker::start();
    let owner = Node::start(&broker.url(), "owner", lease).await;
    let other = Node::start(&broker.url(), "other", lease).await;
    let ada = owner.gets("ada").await;
    assert!(other.claim("ada").await.is_none());
    let former = ada.epoch();
    drop(ada);
    let ada = other.gets("ada").await;
    assert!(ada.epoch() > former);
    // And when the connection that has it ends.
    assert!(owner.claim("ada").await.is_none());
    other.session.close();
    let again = owner.gets("ada").await;
    assert!(again.epoch() > ada.epoch().or(former));
    assert!(!ada.is_held());
}
