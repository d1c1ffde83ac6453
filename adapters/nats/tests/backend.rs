//! What is NATS's own in the backend; what every backend must do is in `conformance.rs`.

mod support;

use std::time::Duration;

use bonito_core::{Acquired, ClusterBackend, Incoming, Received, Renewed};
use bonito_nats::{NatsBackend, NatsOptions};
use bytes::Bytes;
use futures_util::StreamExt;
use support::{Broker, LEASE, LONG, options, until};
use tokio::time::timeout;

async fn claim(backend: &NatsBackend, key: &str) -> Option<u64> {
    match backend.acquire(key, Bytes::from_static(b"value"), LEASE).await {
        Ok(Acquired::Granted { epoch }) => Some(epoch),
        Ok(Acquired::Held(_)) => None,
        Err(error) => panic!("{error:?}"),
    }
}

async fn next(incoming: &mut Incoming) -> Option<Received> {
    timeout(LONG, incoming.next()).await.expect("something comes")
}

fn message(text: &str) -> Received {
    Received::Message(Bytes::copy_from_slice(text.as_bytes()))
}

/// Neither a crash nor that all leases ran out meanwhile takes the stream's position back.
#[tokio::test]
async fn epochs_grow_over_a_crash_of_the_broker_after_all_leases_have_run_out() {
    let mut broker = Broker::start();
    let mut last = 0;
    for round in 0..3 {
        let backend = broker.connect().await;
        for key in ["a", "b"] {
            let epoch = claim(&backend, key).await.expect("the key is free");
            assert!(epoch > last, "round {round}: {epoch} after {last}");
            last = epoch;
        }
        broker.kill();
        // The leases run out while nobody is there.
        tokio::time::sleep(LEASE + LEASE / 2).await;
        broker.start_again();
    }
}

#[tokio::test]
async fn leases_outlive_a_crash_of_the_broker() {
    let mut broker = Broker::start();
    let options = || options().lease(Duration::from_secs(60));
    let backend = broker.connect_with(options()).await;
    let epoch = claim(&backend, "ada").await.unwrap();
    broker.kill();
    let error = until("the client notices", async || backend.read("ada").await.err()).await;
    assert!(error.is_unreachable(), "{error:?}");
    broker.start_again();
    let held = until("the client comes back", async || backend.read("ada").await.ok()).await;
    assert_eq!(held.expect("still held").epoch, epoch);
    assert_eq!(backend.renew("ada", epoch, LEASE).await.unwrap(), Renewed::Renewed);
    let other = broker.connect_with(options()).await;
    assert_eq!(claim(&other, "ada").await, None);
}

#[tokio::test]
async fn a_subscription_outlives_the_broker_and_says_that_it_missed_something() {
    let mut broker = Broker::start();
    let backend = broker.connect().await;
    let mut incoming = backend.subscribe("news").await.unwrap();
    backend.publish("news", Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(next(&mut incoming).await, Some(message("one")));
    broker.start_again();
    assert_eq!(next(&mut incoming).await, Some(Received::Gap));
    // The gap comes when the subscription is in force again: what others publish from now on comes.
    let other = broker.connect().await;
    other.publish("news", Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(next(&mut incoming).await, Some(message("two")));
    drop(backend);
    assert_eq!(next(&mut incoming).await, None, "it ends with its backend");
}

#[tokio::test]
async fn a_slow_subscriber_gets_a_gap_and_holds_up_nobody() {
    let broker = Broker::start();
    let backend = broker.connect_with(options().queued_messages(10)).await;
    let mut slow = backend.subscribe("news").await.unwrap();
    let mut quick = backend.subscribe("news").await.unwrap();
    for round in 0..100 {
        let text = round.to_string();
        backend.publish("news", Bytes::from(text.clone())).await.unwrap();
        assert_eq!(next(&mut quick).await, Some(message(&text)));
    }
    for round in 0..10 {
        assert_eq!(next(&mut slow).await, Some(message(&round.to_string())));
    }
    assert_eq!(next(&mut slow).await, Some(Received::Gap));
}

#[tokio::test]
async fn what_the_broker_cannot_keep_is_refused() {
    let broker = Broker::start();
    let backend = broker.connect().await;
    let error = backend.acquire("ada", Bytes::new(), 2 * LEASE).await.unwrap_err();
    assert!(error.is_refused(), "{error:?}");
    let large = Bytes::from(vec![0; 2 << 20]);
    let error = backend.publish("news", large.clone()).await.unwrap_err();
    assert!(error.is_refused(), "{error:?}");
    let error = backend.acquire("ada", large, LEASE).await.unwrap_err();
    assert!(error.is_refused(), "{error:?}");
    assert_eq!(backend.read("ada").await.unwrap(), None);
    // The bucket is there, and forgets too early for this one.
    let error = NatsBackend::connect(&broker.url(), NatsOptions::new().lease(2 * LEASE)).await.unwrap_err();
    assert!(error.is_refused() && error.to_string().contains("max_age is 1s"), "{error}");
}

/// A renewal that was under way when its answer was lost has moved the lease on in the stream.
#[tokio::test]
async fn a_claim_is_renewed_and_released_by_whoever_knows_its_epoch() {
    let broker = Broker::start();
    let (one, other) = (broker.connect().await, broker.connect().await);
    let epoch = claim(&one, "ada").await.unwrap();
    assert_eq!(other.renew("ada", epoch, LEASE).await.unwrap(), Renewed::Renewed);
    assert_eq!(
        one.renew("ada", epoch, LEASE).await.unwrap(),
        Renewed::Renewed,
        "its own memory is out of date"
    );
    other.release("ada", epoch).await.unwrap();
    assert_eq!(one.renew("ada", epoch, LEASE).await.unwrap(), Renewed::Lost);
    let next = claim(&one, "ada").await.expect("released");
    assert!(next > epoch);
    other.release("ada", epoch).await.unwrap();
    assert_eq!(one.read("ada").await.unwrap().unwrap().epoch, next, "another epoch is left alone");
}

/// A name that cannot be reached from the outside world, and a login that nobody may see.
#[tokio::test]
async fn no_secret_is_told() {
    let broker = Broker::start();
    let url = broker.url().replace("nats://", "nats://user:hush@");
    let backend = NatsBackend::connect(&url, NatsOptions::new()).await.unwrap();
    assert!(!format!("{backend:?}").contains("hush"));
    let options = NatsOptions::new()
        .client(async_nats::ConnectOptions::new().user_and_password("user".into(), "hush".into()));
    assert!(!format!("{options:?}").contains("hush"));
    drop(broker);
    let error = NatsBackend::connect(&url, NatsOptions::new()).await.unwrap_err();
    assert!(error.is_unreachable() && !format!("{error:?}").contains("hush"), "{error:?}");
    let error = NatsBackend::connect("nats://user:hush@[", NatsOptions::new()).await.unwrap_err();
    assert!(error.is_refused() && !format!("{error:?}").contains("hush"), "{error:?}");
}
