//! Leases on three brokers, one of which dies.

#![allow(clippy::unwrap_used, reason = "tests expect")]

mod support;

use std::time::Duration;

use bonito_core::{Acquired, ClusterBackend, Renewed};
use bonito_nats::async_nats::{self, jetstream};
use bonito_nats::{NatsBackend, NatsOptions};
use bytes::Bytes;
use support::node::Node;
use support::{Broker, until};

/// The brokers miss a leader after 4 to 9 s, and owners act for three quarters of this.
const LEASE: Duration = Duration::from_secs(30);

fn options() -> NatsOptions {
    NatsOptions::new().lease(LEASE).timeout(Duration::from_secs(1)).replicas(3)
}

async fn leader(url: &str) -> String {
    let client = async_nats::connect(url).await.unwrap();
    until("the bucket has a leader", async || {
        let stream = jetstream::new(client.clone()).get_stream("KV_bonito-leases").await.ok()?;
        stream.cached_info().cluster.clone()?.leader
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_and_claims_go_on_when_the_leader_of_three_brokers_dies() {
    let mut brokers = Broker::three();
    let urls = [0, 1, 2].map(|at: usize| brokers[at].url());
    // Once they have found each other.
    until("there is a bucket", async || NatsBackend::connect(&urls[0], options()).await.ok()).await;
    let leader = leader(&urls[0]).await;
    let at = ["a", "b", "c"].iter().position(|name| *name == leader).unwrap();
    // One process is at the very broker that dies.
    let (near, far) = (&urls[at], &urls[(at + 1) % 3]);
    let owner = Node::start_with(near, "owner", options(), LEASE).await;
    let other = Node::start_with(far, "other", options(), LEASE).await;
    other.sees(&["other", "owner"]).await;
    let ada = owner.gets("ada").await;
    let former = ada.epoch();
    other.reaches("ada", "before").await;
    let backend = NatsBackend::connect(near, options()).await.unwrap();
    let Ok(Acquired::Granted { epoch }) = backend.acquire("key", Bytes::from_static(b"mine"), LEASE).await
    else {
        panic!("the key is free")
    };

    brokers[at].kill();
    // Far within the lease time: whatever there is still, another broker had it, too.
    let renewed = until("it is renewed", async || backend.renew("key", epoch, LEASE).await.ok()).await;
    assert_eq!(renewed, Renewed::Renewed);
    let taken = until("a claim is answered", async || {
        let backend = NatsBackend::connect(far, options()).await.ok()?;
        backend.acquire("key", Bytes::new(), LEASE).await.ok()
    })
    .await;
    assert!(
        matches!(&taken, Acquired::Held(held) if held.epoch == epoch && held.value == "mine"),
        "{taken:?}"
    );
    let bob = other.gets("bob").await;
    assert!(bob.epoch() > Some(epoch), "epochs go on where they were");
    assert!(other.claim("ada").await.is_none() && ada.epoch() == former, "as do names");
    other.reaches("ada", "after").await;
    assert_eq!(owner.heard(), ["before", "after"]);
}
