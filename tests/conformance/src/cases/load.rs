//! What many peers, or bad ones, cost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bonito_core::{Endpoint, Observable, Script, Session, Status, js};
use futures_util::SinkExt;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;

use super::with;
use crate::client::{Socket, answered, next, open, open_over, page, until, update};

const MESSAGE: usize = 64 << 10;
/// Far more than the limits of the case, and less than a server that holds everything would take.
const MOST: usize = 32 << 20;

case! {
    /// A framework that buffers what a peer does not read lets one peer take all memory; one that waits for it delays all.
    a_reader_that_stops_costs_what_limits_say_and_delays_nobody(
        live = with(|limits| {
            limits.queued_bytes = 1 << 20;
            limits.write_buffer_bytes = MESSAGE;
            limits.close_timeout = Duration::from_millis(100);
        }),
        address
    ) {
        let (stalled, other) = (page(&live), page(&live));
        let tcp = TcpSocket::new_v4().unwrap();
        tcp.set_recv_buffer_size(4096).unwrap();
        let socket: Socket = open_over(tcp.connect(address).await.unwrap(), address, &stalled).await;
        let mut reader = open(address, &other).await;
        let mut taken = 0;
        while stalled.status() != Status::Closed && taken < MOST {
            stalled.eval(Script::new("x".repeat(MESSAGE)));
            taken += MESSAGE;
            // A server that would take it has its turns to do so.
            for _ in 0..50 {
                answered(&mut reader).await;
                if stalled.info().queued_bytes == 0 {
                    break;
                }
            }
        }
        assert!(taken < MOST, "{taken} bytes went to a peer that reads none");
        until(|| live.stats().sockets == 1 && live.stats().queued_bytes == 0).await;
        answered(&mut reader).await;
        drop(socket);
    }
}

case! {
    /// What one page leaves behind, all pages leave behind: sessions, sockets, tasks and file descriptors.
    a_thousand_sessions_leave_nothing_behind(live, address) {
        let open_files = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
        let warm = page(&live);
        drop(open(address, &warm).await);
        until(|| live.stats().sockets == 0).await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let (files_before, tasks_before) = (open_files(), tasks());
        for _ in 0..1000 {
            let session = page(&live);
            session.spawn(std::future::pending());
            drop(open(address, &session).await);
            session.close();
        }
        until(|| live.stats().sockets == 0 && open_files() <= files_before + 2).await;
        until(|| live.stats().tasks == 0 && tasks() <= tasks_before + 2).await;
        assert_eq!(live.stats().sessions, 1);
    }
}

case! {
    /// A server that restarts lets its pages go in order: what waits for one stands before its goodbye, 1012 says when to come
    /// back, and what the page says until it has answered is heard.
    a_drain_under_load_loses_nothing(live, address) {
        let mut pages = Vec::new();
        for _ in 0..10 {
            let session = page(&live);
            let said = Observable::new(0u32);
            let heard = Arc::new(AtomicU32::new(0));
            let count = heard.clone();
            session.keep(said.on(move |_| _ = count.fetch_add(1, Ordering::SeqCst)));
            session.eval(js!("$(said)"));
            let socket = open(address, &session).await;
            pages.push(tokio::spawn(busy(socket, session, said, heard)));
        }
        let drained = live.drain(Duration::from_secs(2)).await;
        assert_eq!((drained.closed, drained.left), (10, 0));
        for page in pages {
            page.await.unwrap();
        }
    }
}

/// A page and a session that both talk without a pause, until the server says goodbye.
async fn busy(mut socket: Socket, session: Session, said: Observable<u32>, heard: Arc<AtomicU32>) {
    let steps = tokio::spawn({
        let session = session.clone();
        async move {
            let mut step = 0;
            while session.status() == Status::Open {
                session.eval(Script::new(format!("step({step});")));
                step += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let (mut sent, mut next_step) = (0, 0);
    let goodbye = loop {
        sent += 1;
        socket.send(update(&said.id().to_string(), sent)).await.unwrap();
        match next(&mut socket).await {
            Some(Ok(Message::Close(goodbye))) => break goodbye.unwrap(),
            Some(Ok(message)) => {
                let message = String::from_utf8_lossy(&message.into_data()).into_owned();
                if message.contains("step(") {
                    assert!(message.contains(&format!("step({next_step});")), "{next_step} is missing");
                    next_step += 1;
                }
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(u16::from(goodbye.code), 1012);
    assert!(goodbye.reason.starts_with("retry-after="), "{goodbye:?}");
    let _ = socket.flush().await;
    until(|| heard.load(Ordering::SeqCst) == sent && session.status() == Status::SoftClosed).await;
    steps.await.unwrap();
}
