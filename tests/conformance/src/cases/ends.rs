//! How a socket ends, and what becomes of its session.

use std::net::SocketAddr;
use std::time::Duration;

use bonito_core::{Endpoint, Status, js};
use futures_util::SinkExt;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::Message;

use super::with;
use crate::client::{answered, attach, close_code, comes, connect, loaded, next, open, page, until};

/// Limits with a peer that is soon given up.
fn impatient() -> Endpoint {
    with(|limits| {
        limits.ping_interval = Duration::from_millis(100);
        limits.dead_after = Duration::from_millis(1500);
        limits.close_timeout = Duration::from_millis(100);
    })
}

case! {
    /// 4001 keeps the page that was replaced from coming back; and its late end must not touch what the newer one owns.
    a_newer_socket_takes_over_and_the_older_is_told(
        live = with(|limits| limits.takeover_pause = Duration::ZERO),
        address
    ) {
        let session = page(&live);
        let mut old = open(address, &session).await;
        for _ in 0..8 {
            let mut new = attach(address, &session).await;
            assert_eq!(close_code(&mut old).await, Some(4001));
            assert!(next(&mut old).await.is_none(), "the older one is hung up on");
            new.send(loaded(&session)).await.unwrap();
            until(|| session.status() == Status::Open && live.stats().sockets == 1).await;
            session.eval(js!("mine"));
            assert!(comes(&mut new, "mine").await);
            answered(&mut new).await;
            assert_eq!(session.status(), Status::Open);
            old = new;
        }
        drop(old);
        until(|| session.status() == Status::SoftClosed && live.stats().sockets == 0).await;
    }
}

case! {
    /// 4004 tells the page that its session is over, after all that was sent before; without it the page would come back.
    a_server_that_closes_says_why(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        session.close();
        assert_eq!(close_code(&mut socket).await, Some(4004));
        until(|| live.stats().sockets == 0).await;
        assert!(connect(address, &format!("/live/{}", session.id()), &[]).await.is_err());
    }
}

case! {
    /// The closing handshake has two halves, and a page that leaves in order may come back.
    a_client_that_closes_is_answered_and_its_session_waits(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        socket.close(None).await.unwrap();
        let answer = next(&mut socket).await;
        assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
        assert!(next(&mut socket).await.is_none(), "the server hangs up");
        until(|| session.status() == Status::SoftClosed && live.stats().sockets == 0).await;
    }
}

case! {
    /// A browser that crashes or loses its network says nothing, and what is sent meanwhile is kept for it.
    a_client_that_vanishes_leaves_a_session_that_waits(live, address) {
        let session = page(&live);
        for _ in 0..3 {
            drop(open(address, &session).await);
            until(|| session.status() == Status::SoftClosed && live.stats().sockets == 0).await;
        }
        session.eval(js!("waited"));
        let mut socket = open(address, &session).await;
        assert!(comes(&mut socket, "waited").await);
    }
}

case! {
    /// A reset is an error where an end of stream is none, and must lead to the same.
    a_connection_that_is_reset_leaves_a_session_that_waits(live, address) {
        let session = page(&live);
        for _ in 0..3 {
            let socket = open(address, &session).await;
            session.eval(js!("unread"));
            // The kernel resets a connection that is dropped with something unread.
            let mut byte = [0];
            assert_eq!(socket.get_ref().peek(&mut byte).await.unwrap(), 1);
            drop(socket);
            until(|| session.status() == Status::SoftClosed && live.stats().sockets == 0).await;
        }
        session.eval(js!("waited"));
        let mut socket = open(address, &session).await;
        assert!(comes(&mut socket, "waited").await);
    }
}

case! {
    /// A peer whose network is gone never hangs up: only silence tells, and 4008 says so to one that was merely slow.
    a_half_open_peer_is_noticed(live = impatient(), address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        until(|| session.status() == Status::SoftClosed && live.stats().sockets == 0).await;
        // A WebSocket client would answer the pings first, and be reset for it.
        let mut said = Vec::new();
        socket.get_mut().read_to_end(&mut said).await.unwrap();
        assert!(said.windows(2).any(|code| code == 4008_u16.to_be_bytes()), "{said:?}");
    }
}

case! {
    /// A reader that answers pings and has nothing to say is alive.
    a_quiet_peer_that_answers_stays(live = impatient(), address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        for _ in 0..20 {
            let ping = next(&mut socket).await;
            assert!(matches!(ping, Some(Ok(Message::Ping(_)))), "{ping:?}");
            socket.flush().await.unwrap();
        }
        assert_eq!(session.status(), Status::Open);
    }
}
