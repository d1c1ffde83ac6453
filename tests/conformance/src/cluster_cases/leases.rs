//! Leases: one holder at a time, and epochs that grow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bonito_core::{Acquired, ClusterBackend, Held, Renewed};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::{TTL, unused};
use crate::client::patiently;

async fn acquire(node: &Arc<dyn ClusterBackend>, key: &str, value: &'static str) -> Acquired {
    node.acquire(key, Bytes::from_static(value.as_bytes()), TTL).await.unwrap()
}

async fn granted(node: &Arc<dyn ClusterBackend>, key: &str, value: &'static str) -> u64 {
    match acquire(node, key, value).await {
        Acquired::Granted { epoch } => {
            assert_ne!(epoch, 0, "no epoch is 0");
            epoch
        }
        Acquired::Held(held) => panic!("expected the key to be free, got {held:?}"),
    }
}

/// Claims until it is granted.
async fn granted_at_last(node: &Arc<dyn ClusterBackend>, key: &str, value: &'static str) -> u64 {
    let claim = async {
        loop {
            if let Acquired::Granted { epoch } = acquire(node, key, value).await {
                return epoch;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    patiently(claim, "the lease did not run out").await
}

fn held(epoch: u64, value: &'static str) -> Held {
    Held { epoch, value: Bytes::from_static(value.as_bytes()) }
}

case! {
    /// Two who claim one key: the second is told who has it, with the value and the epoch of the first.
    a_key_is_granted_once(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        let epoch = granted(&one, &key, "one").await;
        assert_eq!(acquire(&other, &key, "other").await, Acquired::Held(held(epoch, "one")));
        granted(&other, &unused("key"), "other").await;
    }
}

case! {
    /// A claim is no renewal: the same process gets a key only once, so that two of its connections cannot both have it.
    an_own_lease_is_not_granted_again(connect) {
        let one = connect().await;
        let key = unused("key");
        let epoch = granted(&one, &key, "one").await;
        assert_eq!(acquire(&one, &key, "one").await, Acquired::Held(held(epoch, "one")));
    }
}

case! {
    /// Claims at the same time, by several processes: each key has exactly one winner, and all others are told of that one.
    many_claims_have_one_winner(connect) {
        let nodes = [connect().await, connect().await, connect().await];
        let keys: Vec<_> = (0..8).map(|_| unused("key")).collect();
        let claims = (0..4).flat_map(|_| nodes.iter()).flat_map(|node| {
            keys.iter().map(move |key| async move { (key, acquire(node, key, "it").await) })
        });
        let claims = join_all(claims).await;
        for key in &keys {
            let of_key = || claims.iter().filter(|(claimed, _)| *claimed == key).map(|(_, acquired)| acquired);
            let winners: Vec<_> =
                of_key().filter_map(|acquired| match acquired {
                    Acquired::Granted { epoch } => Some(*epoch),
                    Acquired::Held(_) => None,
                }).collect();
            assert_eq!(winners.len(), 1, "one claim of a key wins");
            let told = of_key().all(|acquired| match acquired {
                Acquired::Granted { .. } => true,
                Acquired::Held(held) => held.epoch == winners[0],
            });
            assert!(told, "losers are told the winner's epoch");
        }
    }
}

case! {
    /// A released key is free at once, and its next epoch is greater: the token fences whoever had it before.
    epochs_grow_over_a_release(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        let mut epochs = BTreeSet::new();
        for _ in 0..5 {
            for node in [&one, &other] {
                let epoch = granted(node, &key, "it").await;
                assert!(epochs.last().is_none_or(|last| *last < epoch), "{epoch} after {epochs:?}");
                epochs.insert(epoch);
                node.release(&key, epoch).await.unwrap();
            }
        }
    }
}

case! {
    /// A lease that nobody renews runs out, and the next epoch is greater.
    epochs_grow_over_an_expiry(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        let first = granted(&one, &key, "one").await;
        let second = granted_at_last(&other, &key, "other").await;
        assert!(second > first, "{second} after {first}");
    }
}

case! {
    /// Nobody else gets a key before its time is over, however often it is tried: the holder acts for three quarters of it.
    a_lease_is_kept_for_its_time(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        let start = Instant::now();
        let first = granted(&one, &key, "one").await;
        let second = granted_at_last(&other, &key, "other").await;
        // The backend has a clock of its own.
        assert!(start.elapsed() >= TTL.mul_f64(0.95), "granted again after {:?}", start.elapsed());
        assert!(second > first);
    }
}

case! {
    /// A renewed lease outlives its first time, keeps its epoch and value, and runs out when nobody renews it any more.
    a_renewed_lease_lives_on_in_its_epoch(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        let epoch = granted(&one, &key, "one").await;
        for _ in 0..6 {
            sleep(TTL / 3).await;
            assert_eq!(one.renew(&key, epoch, TTL).await.unwrap(), Renewed::Renewed);
            assert_eq!(acquire(&other, &key, "other").await, Acquired::Held(held(epoch, "one")));
        }
        let renewed = Instant::now();
        assert_eq!(one.renew(&key, epoch, TTL).await.unwrap(), Renewed::Renewed);
        let next = granted_at_last(&other, &key, "other").await;
        assert!(next > epoch);
        assert!(renewed.elapsed() >= TTL.mul_f64(0.95), "granted again after {:?}", renewed.elapsed());
    }
}

case! {
    /// A process that slept too long is told so: its lease is over, whether or not somebody else has the key.
    a_lease_that_ran_out_cannot_be_renewed(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        let first = granted(&one, &key, "one").await;
        let second = granted_at_last(&other, &key, "other").await;
        assert_eq!(one.renew(&key, first, TTL).await.unwrap(), Renewed::Lost);
        assert_eq!(other.renew(&key, second, TTL).await.unwrap(), Renewed::Renewed, "the holder is untouched");
        other.release(&key, second).await.unwrap();
        assert_eq!(one.renew(&key, first, TTL).await.unwrap(), Renewed::Lost, "also when the key is free");
    }
}

case! {
    /// What was released is over, also for the one who had it.
    a_released_lease_cannot_be_renewed(connect) {
        let one = connect().await;
        let key = unused("key");
        let first = granted(&one, &key, "one").await;
        one.release(&key, first).await.unwrap();
        assert_eq!(one.renew(&key, first, TTL).await.unwrap(), Renewed::Lost);
        let second = granted(&one, &key, "one").await;
        assert_eq!(one.renew(&key, first, TTL).await.unwrap(), Renewed::Lost);
        assert_eq!(one.renew(&key, second, TTL).await.unwrap(), Renewed::Renewed);
    }
}

case! {
    /// A release that comes late, for an epoch that is over, takes nothing from the next holder.
    an_old_epoch_releases_nothing(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        let first = granted(&one, &key, "one").await;
        one.release(&key, first).await.unwrap();
        one.release(&key, first).await.unwrap();
        let second = granted(&other, &key, "other").await;
        one.release(&key, first).await.unwrap();
        assert_eq!(one.read(&key).await.unwrap(), Some(held(second, "other")));
        assert_eq!(other.renew(&key, second, TTL).await.unwrap(), Renewed::Renewed);
    }
}

case! {
    /// Who has a key can be asked, and the answer is not an old one: a free key is free, a released one too.
    who_holds_a_key_can_be_read(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        assert_eq!(other.read(&key).await.unwrap(), None);
        let epoch = granted(&one, &key, "one").await;
        assert_eq!(other.read(&key).await.unwrap(), Some(held(epoch, "one")));
        assert_eq!(one.renew(&key, epoch, TTL).await.unwrap(), Renewed::Renewed);
        assert_eq!(other.read(&key).await.unwrap(), Some(held(epoch, "one")), "after a renewal too");
        one.release(&key, epoch).await.unwrap();
        assert_eq!(other.read(&key).await.unwrap(), None);
    }
}

case! {
    /// A caller that waits no longer drops the call. Then the key is claimed or not, others go on, and it runs out.
    calls_that_are_dropped_harm_nobody(connect) {
        let (one, other) = (connect().await, connect().await);
        let key = unused("key");
        drop(one.acquire(&key, Bytes::from_static(b"one"), TTL));
        let mut begun = one.acquire(&key, Bytes::from_static(b"one"), TTL);
        let _ = (&mut begun).now_or_never();
        drop(begun);
        let epoch = granted_at_last(&other, &key, "other").await;
        let mut begun = other.renew(&key, epoch, TTL);
        let _ = (&mut begun).now_or_never();
        drop(begun);
        assert_eq!(other.renew(&key, epoch, TTL).await.unwrap(), Renewed::Renewed);
        other.release(&key, epoch).await.unwrap();
        granted(&one, &key, "one").await;
    }
}
