//! Names and groups over the backend.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::{
    Address, ClusterBackend, ClusterOptions, Endpoint, NameLost, Posted, PresenceChange, Registry, Session,
};
use futures_util::future::join;
use tokio::time::timeout;

use super::{TTL, unused};
use crate::client::{patiently, until};

/// A process that is one node.
async fn node(backend: Arc<dyn ClusterBackend>, scope: &str) -> Registry<String, String> {
    let mut options = ClusterOptions::new(scope);
    options.lease_ttl = TTL;
    Registry::clustered(backend, options).await.unwrap()
}

/// A connection, and what it has heard.
struct Ear {
    session: Session,
    address: Address<String>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    fn new() -> Self {
        let session = Endpoint::builder("/live").build().session();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let hears = heard.clone();
        let address = session.on_message(move |message: String| hears.lock().unwrap().push(message));
        Self { session, address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    async fn hears(&self, count: usize) -> Vec<String> {
        until(|| self.heard().len() >= count).await;
        self.heard()
    }
}

case! {
    /// A message to a name reaches its owner in whatever process, whether the sender waits for word of it or not.
    a_name_is_reached_from_another_node(connect) {
        let scope = unused("scope");
        let (here, there) = (node(connect().await, &scope).await, node(connect().await, &scope).await);
        let ada = Ear::new();
        let name = here.unique().register("ada", &ada.address).unwrap();
        patiently(name.held(), "the name is not held").await.unwrap();
        assert_eq!(patiently(there.unique().deliver("ada", "one".into()), "no word").await.unwrap(), Posted::Queued);
        until(|| there.unique().find("ada").is_some()).await;
        for text in ["two", "three"] {
            assert_eq!(there.unique().send("ada", text.into()), Posted::Queued);
        }
        assert_eq!(here.unique().send("ada", "from here".into()), Posted::Queued);
        let mut heard = ada.hears(4).await;
        heard.retain(|text| text != "from here");
        assert_eq!(heard, ["one", "two", "three"]);
        assert!(there.unique().find("ada").is_some_and(|id| id.node().is_some()));
        assert!(here.unique().find("ada").is_some_and(|id| id.node().is_none()));
    }
}

case! {
    /// A name that nobody has, or whose owner has gone, is answered with `Nobody`.
    nobody_is_an_answer(connect) {
        let scope = unused("scope");
        let (here, there) = (node(connect().await, &scope).await, node(connect().await, &scope).await);
        assert_eq!(there.unique().send("ada", "hello".into()), Posted::Nobody);
        assert_eq!(there.unique().deliver("ada", "hello".into()).await.unwrap(), Posted::Nobody);
        let ada = Ear::new();
        let name = here.unique().register("ada", &ada.address).unwrap();
        patiently(name.held(), "the name is not held").await.unwrap();
        until(|| there.unique().find("ada").is_some()).await;
        ada.session.close();
        until(|| there.unique().find("ada").is_none()).await;
        assert_eq!(there.unique().deliver("ada", "hello".into()).await.unwrap(), Posted::Nobody);
        assert!(ada.heard().is_empty());
    }
}

case! {
    /// Two processes claim one name at once: one has it, the other is told and lives on.
    of_two_claims_one_is_told_that_it_lost(connect) {
        let scope = unused("scope");
        let (here, there) = (node(connect().await, &scope).await, node(connect().await, &scope).await);
        let (ada, other) = (Ear::new(), Ear::new());
        let lost = |reason: NameLost| format!("lost: {reason:?}");
        let one = here.unique().register_or_tell("ada", &ada.address, lost).unwrap();
        let two = there.unique().register_or_tell("ada", &other.address, lost).unwrap();
        let held = patiently(join(one.held(), two.held()), "no claim is decided").await;
        assert!(matches!(held, (Ok(()), Err(NameLost::Taken)) | (Err(NameLost::Taken), Ok(()))), "{held:?}");
        let (winner, loser) = if held.0.is_ok() { (&one, &two) } else { (&two, &one) };
        let (kept, told) = if held.0.is_ok() { (&ada, &other) } else { (&other, &ada) };
        assert_eq!(told.hears(1).await, ["lost: Taken"]);
        assert_eq!(patiently(loser.lost(), "not told").await, NameLost::Taken);
        assert!(winner.is_held() && !loser.is_held());
        assert_eq!(loser.epoch(), None);
        for registry in [&here, &there] {
            assert_eq!(registry.unique().deliver("ada", "hello".into()).await.unwrap(), Posted::Queued);
        }
        assert_eq!(kept.hears(2).await, ["hello", "hello"]);
        let registry = if held.0.is_ok() { &there } else { &here };
        let again = registry.unique().register("bob", &told.address).unwrap();
        patiently(again.held(), "the loser cannot have another name").await.unwrap();
    }
}

case! {
    /// A name that is released is free for other processes at once, and in a greater epoch.
    a_released_name_is_free_on_other_nodes(connect) {
        let scope = unused("scope");
        let (here, there) = (node(connect().await, &scope).await, node(connect().await, &scope).await);
        let (ada, other) = (Ear::new(), Ear::new());
        let one = here.unique().register("ada", &ada.address).unwrap();
        patiently(one.held(), "the name is not held").await.unwrap();
        let first = one.epoch().unwrap();
        drop(one);
        // The release is under way.
        let second = loop {
            let two = there.unique().register("ada", &other.address).unwrap();
            if patiently(two.held(), "no claim is decided").await.is_ok() {
                break two;
            }
        };
        assert!(second.epoch().unwrap() > first);
        assert_eq!(here.unique().deliver("ada", "hello".into()).await.unwrap(), Posted::Queued);
        assert_eq!(other.hears(1).await, ["hello"]);
        assert!(ada.heard().is_empty());
        // So is that of a connection that ends, and whoever holds on to the registration knows.
        other.session.close();
        assert_eq!(patiently(second.lost(), "not told").await, NameLost::Ended);
        assert!(!second.is_held() && second.epoch().is_none());
    }
}

case! {
    /// An owner that is left alone keeps its name and its epoch beyond the time of a lease.
    an_owner_knows_its_epoch(connect) {
        let scope = unused("scope");
        let here = node(connect().await, &scope).await;
        let ada = Ear::new();
        let name = here.unique().register("ada", &ada.address).unwrap();
        patiently(name.held(), "the name is not held").await.unwrap();
        let epoch = name.epoch().unwrap();
        assert!(timeout(TTL * 2, name.lost()).await.is_err(), "a name that is renewed is not lost");
        assert_eq!((name.is_held(), name.epoch()), (true, Some(epoch)));
    }
}

case! {
    /// A message to a group reaches the members in all processes, once each and in order, and the publisher knows how many.
    a_message_to_a_group_reaches_all_nodes_in_order(connect) {
        let scope = unused("scope");
        let nodes = [
            node(connect().await, &scope).await,
            node(connect().await, &scope).await,
            node(connect().await, &scope).await,
        ];
        let ears: Vec<_> = (0..6).map(|_| Ear::new()).collect();
        let joined: Vec<_> = ears
            .iter()
            .enumerate()
            .map(|(n, ear)| nodes[n % 3].group().join("lobby", &ear.address))
            .collect();
        for node in &nodes {
            until(|| node.group().members("lobby").len() == 6).await;
        }
        for n in 0..100 {
            let published = nodes[0].group().publish("lobby", n.to_string());
            assert_eq!((published.addressed, published.elsewhere, published.refused), (6, 4, 0));
        }
        let all: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        for ear in &ears {
            assert_eq!(ear.hears(100).await, all);
        }
        assert_eq!(nodes[1].group().publish("nobody is here", "x".into()).addressed, 0);
        drop(joined);
    }
}

case! {
    /// Members of all processes are seen with what they tell about themselves, and so are joins, leaves and changes.
    members_of_all_nodes_are_seen(connect) {
        let scope = unused("scope");
        let (here, there) = (node(connect().await, &scope).await, node(connect().await, &scope).await);
        let mut presence = there.group().watch("lobby");
        let mut next = async || patiently(presence.next(), "nobody comes or goes").await;
        let (ada, bob) = (Ear::new(), Ear::new());
        let one = here.group().join_as("lobby", &ada.address, "ada".into());
        let PresenceChange::Joined(member) = next().await else { panic!("expected ada to join") };
        assert_eq!(member.meta(), "ada");
        let two = there.group().join_as("lobby", &bob.address, "bob".into());
        assert!(matches!(next().await, PresenceChange::Joined(member) if member.meta() == "bob"));
        let again = here.group().join_as("lobby", &ada.address, "ada, away".into());
        let PresenceChange::Joined(changed) = next().await else { panic!("expected ada to change") };
        assert_eq!((changed.id(), changed.meta().as_str()), (member.id(), "ada, away"));
        for registry in [&here, &there] {
            until(|| {
                let mut metas: Vec<_> =
                    registry.group().members("lobby").iter().map(|member| member.meta().clone()).collect();
                metas.sort();
                metas == ["ada, away", "bob"]
            })
            .await;
        }
        drop((one, again));
        assert!(matches!(next().await, PresenceChange::Left(member) if member.meta() == "ada, away"));
        bob.session.close();
        assert!(matches!(next().await, PresenceChange::Left(member) if member.meta() == "bob"));
        until(|| here.group().is_empty()).await;
        drop(two);
    }
}

case! {
    /// A process that ends in good order frees its names and its members' places at once, not when a lease runs out.
    a_node_that_leaves_is_gone_at_once(connect) {
        let scope = unused("scope");
        let (here, there) = (node(connect().await, &scope).await, node(connect().await, &scope).await);
        let ada = Ear::new();
        let name = here.unique().register("ada", &ada.address).unwrap();
        let lobby = here.group().join_as("lobby", &ada.address, "ada".into());
        patiently(name.held(), "the name is not held").await.unwrap();
        until(|| there.group().members("lobby").len() == 1 && there.unique().find("ada").is_some()).await;
        let leaving = async {
            here.leave().await;
            until(|| there.group().members("lobby").is_empty() && there.nodes().is_empty()).await;
            let other = Ear::new();
            let name = there.unique().register("ada", &other.address).unwrap();
            name.held().await.unwrap();
        };
        timeout(TTL / 2, leaving).await.expect("the others have to wait for a lease");
        assert_eq!(name.lost().await, NameLost::Left);
        drop(lobby);
    }
}

case! {
    /// A process that is started later learns of everything that is there, and is reached.
    a_node_that_comes_late_learns_everything(connect) {
        let scope = unused("scope");
        let here = node(connect().await, &scope).await;
        let ears: Vec<_> = (0..200).map(|_| Ear::new()).collect();
        let mut kept = Vec::new();
        for (n, ear) in ears.iter().enumerate() {
            let name = here.unique().register(&n.to_string(), &ear.address).unwrap();
            patiently(name.held(), "the name is not held").await.unwrap();
            kept.push((name, here.group().join_as("lobby", &ear.address, n.to_string())));
        }
        let late = node(connect().await, &scope).await;
        until(|| late.unique().len() == 200 && late.group().members("lobby").len() == 200).await;
        let metas: BTreeMap<_, _> =
            late.group().members("lobby").iter().map(|member| (member.meta().clone(), ())).collect();
        assert_eq!(metas.len(), 200);
        assert_eq!(late.group().publish("lobby", "hello".into()).elsewhere, 200);
        assert_eq!(late.unique().deliver("7", "you".into()).await.unwrap(), Posted::Queued);
        for (n, ear) in ears.iter().enumerate() {
            ear.hears(if n == 7 { 2 } else { 1 }).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(ears.iter().map(|ear| ear.heard().len()).sum::<usize>(), 201);
    }
}
