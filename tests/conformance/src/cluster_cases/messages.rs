//! Messages by subject.

use std::sync::Arc;
use std::time::Duration;

use bonito_core::{ClusterBackend, Incoming, Received};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::unused;
use crate::client::patiently;

async fn next(incoming: &mut Incoming) -> Bytes {
    match patiently(incoming.next(), "no message came").await {
        Some(Received::Message(bytes)) => bytes,
        other => panic!("expected a message, got {other:?}"),
    }
}

/// That nothing more comes for a while.
async fn nothing(incoming: &mut Incoming) {
    let more = timeout(Duration::from_millis(200), incoming.next()).await;
    assert!(more.is_err(), "nothing more should come, got {more:?}");
}

fn number(n: u32) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

case! {
    /// Whoever is subscribed gets each message once, the publisher too: what comes twice would be acted on twice.
    a_message_comes_to_every_subscriber_once(connect) {
        let (one, other) = (connect().await, connect().await);
        let subject = unused("subject");
        let mut heard = [
            one.subscribe(&subject).await.unwrap(),
            other.subscribe(&subject).await.unwrap(),
            other.subscribe(&subject).await.unwrap(),
        ];
        one.publish(&subject, Bytes::from_static(b"hello")).await.unwrap();
        for incoming in &mut heard {
            assert_eq!(next(incoming).await, "hello");
            nothing(incoming).await;
        }
    }
}

case! {
    /// Messages of one publisher to one subject come in the order in which they were taken: the order per sender rests on it.
    messages_keep_their_order(connect) {
        let (one, other) = (connect().await, connect().await);
        let subject = unused("subject");
        let mut incoming = other.subscribe(&subject).await.unwrap();
        for n in 0..1000 {
            one.publish(&subject, number(n)).await.unwrap();
        }
        for n in 0..1000 {
            assert_eq!(next(&mut incoming).await, number(n));
        }
    }
}

case! {
    /// A node hears what is for it, and nothing that is for another.
    a_subscription_hears_its_subject_only(connect) {
        let (one, other) = (connect().await, connect().await);
        let subject = unused("subject");
        let mut incoming = other.subscribe(&subject).await.unwrap();
        for subject in [format!("{subject}-1"), format!("{subject}.1"), subject[1..].to_owned()] {
            one.publish(&subject, Bytes::from_static(b"not yours")).await.unwrap();
        }
        one.publish(&subject, Bytes::from_static(b"yours")).await.unwrap();
        assert_eq!(next(&mut incoming).await, "yours");
        nothing(&mut incoming).await;
    }
}

case! {
    /// Dropping one stream ends that subscription, and no other of the same subject.
    a_dropped_subscription_ends_alone(connect) {
        let (one, other) = (connect().await, connect().await);
        let subject = unused("subject");
        let dropped = other.subscribe(&subject).await.unwrap();
        let mut kept = other.subscribe(&subject).await.unwrap();
        drop(dropped);
        one.publish(&subject, Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!(next(&mut kept).await, "hello");
        let mut again = other.subscribe(&subject).await.unwrap();
        one.publish(&subject, Bytes::from_static(b"again")).await.unwrap();
        assert_eq!((next(&mut kept).await, next(&mut again).await), ("again".into(), "again".into()));
    }
}

case! {
    /// A frame of the default length goes through: rosters come in such parts.
    large_messages_between_nodes_arrive_whole(connect) {
        let (one, other) = (connect().await, connect().await);
        let subject = unused("subject");
        let mut incoming = other.subscribe(&subject).await.unwrap();
        let large: Bytes = (0..512 << 10).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
        one.publish(&subject, large.clone()).await.unwrap();
        one.publish(&subject, Bytes::new()).await.unwrap();
        assert!(next(&mut incoming).await == large, "a large message has changed on its way");
        assert_eq!(next(&mut incoming).await, Bytes::new());
    }
}

case! {
    /// A subscriber that does not read delays no other; if it misses something, it is told of a gap and never just left out.
    a_slow_subscriber_holds_up_nobody(connect) {
        let (one, other) = (connect().await, connect().await);
        let subject = unused("subject");
        let mut slow = other.subscribe(&subject).await.unwrap();
        let mut quick = other.subscribe(&subject).await.unwrap();
        const COUNT: u32 = 20_000;
        for n in 0..COUNT {
            one.publish(&subject, number(n)).await.unwrap();
            if n % 100 == 99 {
                for n in n - 99..=n {
                    assert_eq!(next(&mut quick).await, number(n));
                }
            }
        }
        let (mut expected, mut gap) = (0, false);
        while expected < COUNT {
            match timeout(Duration::from_secs(5), slow.next()).await {
                Ok(Some(Received::Message(bytes))) => {
                    let n = u32::from_be_bytes(bytes[..].try_into().unwrap());
                    assert!(n == expected || gap && n > expected, "{n} came in place of {expected} without a gap");
                    (expected, gap) = (n + 1, false);
                }
                Ok(Some(Received::Gap)) => gap = true,
                Ok(None) => panic!("the subscription has ended"),
                Err(_) => {
                    assert!(gap, "what is missing at the end is a gap too");
                    break;
                }
            }
        }
    }
}
