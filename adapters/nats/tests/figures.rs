//! What a message through the broker costs: `cargo nextest run -p bonito-nats --release --run-ignored only figures --no-capture`.

mod support;

use std::time::{Duration, Instant};

use bonito_core::{ClusterBackend, Received};
use bytes::Bytes;
use futures_util::StreamExt;
use support::Broker;
use tokio::time::timeout;

const MESSAGES: u32 = 50_000;
const ROUNDS: u32 = 2_000;

/// One way and back between two processes' connections, as for a frame that is relayed and its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
#[allow(clippy::print_stdout, reason = "the figures")]
async fn figures() {
    let broker = Broker::start();
    let (one, other) = (broker.connect().await, broker.connect().await);
    let mut pings = other.subscribe("ping").await.unwrap();
    let mut pongs = one.subscribe("pong").await.unwrap();
    let answering = tokio::spawn(async move {
        while let Some(Received::Message(message)) = pings.next().await {
            other.publish("pong", message).await.unwrap();
        }
    });
    let payload = Bytes::from(vec![7; 200]);
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        one.publish("ping", payload.clone()).await.unwrap();
        timeout(Duration::from_secs(10), pongs.next()).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    println!("there and back: median {:?}, 99 % {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
    answering.abort();

    let mut incoming = one.subscribe("many").await.unwrap();
    let sender = broker.connect().await;
    let began = Instant::now();
    let sending = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            sender.publish("many", payload.clone()).await.unwrap();
        }
        // Dropped, it would take what is under way with it.
        sender
    });
    let mut received = 0;
    while received < MESSAGES {
        match timeout(Duration::from_secs(20), incoming.next()).await.unwrap() {
            Some(Received::Message(_)) => received += 1,
            gap => panic!("{gap:?} after {received}"),
        }
    }
    println!("{:.0} messages of 200 bytes in a second", f64::from(MESSAGES) / began.elapsed().as_secs_f64());
    drop(sending.await);
}
