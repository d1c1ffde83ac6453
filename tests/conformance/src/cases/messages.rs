//! What goes over a socket that works.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bonito_core::{Endpoint, Script, Status, js};
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{PING, answered, attach, comes, loaded, next, open, page, ping, until};

case! {
    /// What an adapter is for.
    messages_go_both_ways(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        session.eval(js!("hello"));
        assert!(comes(&mut socket, "hello").await);
        socket.send(ping()).await.unwrap();
        assert_eq!(next(&mut socket).await.unwrap().unwrap().into_data().as_ref(), PING);
    }
}

case! {
    /// A page that sees an update before what it updates is broken for good.
    queued_messages_precede_later_ones(live, address) {
        let session = page(&live);
        for round in 0..3 {
            let say = |from: u32, to: u32| {
                for n in from..to {
                    session.eval(Script::new(format!("round {round} number {n:03}")));
                }
            };
            say(0, 50);
            let mut socket = attach(address, &session).await;
            say(50, 100);
            socket.send(loaded(&session)).await.unwrap();
            say(100, 150);
            until(|| session.status() == Status::Open).await;
            say(150, 200);
            for n in 0..200 {
                assert!(comes(&mut socket, &format!("round {round} number {n:03}")).await, "number {n}");
            }
            drop(socket);
            until(|| session.status() == Status::SoftClosed).await;
        }
    }
}

case! {
    /// However a message compares with the buffers on the way, it arrives whole and in its place.
    large_messages_arrive_whole(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        let sizes = [1, 1 << 20, 10, 5_000_000, 200, 900 << 10, 900 << 10, 7];
        for size in sizes {
            session.eval(Script::new("x".repeat(size)));
        }
        for size in sizes {
            let message = next(&mut socket).await.unwrap().unwrap();
            assert!(message.is_binary() && message.len().abs_diff(size) < 200, "{}", message.len());
        }
    }
}

case! {
    /// The framework, the WebSocket library or bonito answers a ping: one of them, and not two.
    a_ping_gets_exactly_one_pong(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        for payload in ["one", ""] {
            socket.send(Message::Ping(payload.into())).await.unwrap();
            assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::Pong(payload.into()));
        }
        session.eval(js!("after"));
        assert!(comes(&mut socket, "after").await, "no second pong comes before what is sent next");
        answered(&mut socket).await;
    }
}

case! {
    /// Without `TCP_NODELAY` the second of two small segments waits for the acknowledgement of the first, which the peer
    /// delays by 40 ms.
    small_replies_do_not_wait_for_acknowledgements(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        let mut times = Vec::new();
        for _ in 0..20 {
            let begin = Instant::now();
            // Who answers what it receives is taken to be in a conversation, and delays its acknowledgements.
            answered(&mut socket).await;
            for part in ["second", "third"] {
                session.eval(js!("$(part)"));
                assert!(comes(&mut socket, part).await);
            }
            times.push(begin.elapsed());
        }
        times.sort();
        assert!(times[10] < Duration::from_millis(25), "is TCP_NODELAY set? {times:?}");
    }
}
