//! How a connection of a behaviour ends: `terminate` runs once, with the reason, whatever happens.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod probe;
mod support;

use std::time::Duration;

use bonito_core::{
    CloseCode, CloseFrame, Endpoint, Frame, Outcome, Posted, SocketOptions, TransportErrorKind,
};
use bytes::Bytes;
use probe::{SECOND, heard, open, opened, probed, say};
use support::{Page, settle, upgrade};
use tokio::time::{Instant, sleep};

const CALLBACK: &str = "terminate Error panic=false callback=true lost=false protocol=false";
const PANIC: &str = "terminate Error panic=true callback=true lost=false protocol=false";
const LOST: &str = "terminate Error panic=false callback=false lost=true protocol=false";
const PROTOCOL: &str = "terminate Error panic=false callback=false lost=false protocol=true";

/// Says this, and the connection ends: what has been heard, and what was written down after it was said.
async fn after(text: &str) -> (Vec<String>, Vec<String>) {
    let (live, journal, page) = opened().await;
    say(&page, text);
    settle().await;
    let (heard, mut noted) = (heard(&page), journal.take());
    assert_eq!(noted.remove(0), format!("client {text}"));
    sleep(60 * SECOND).await;
    assert!(journal.take().is_empty(), "terminate ran again");
    assert_eq!((live.stats().sockets, live.stats().behaviours), (0, 0));
    (heard, noted)
}

#[tokio::test(start_paused = true)]
async fn normal_when_the_behaviour_closes() {
    let (heard, noted) = after("close").await;
    assert_eq!((heard.last().unwrap().as_str(), &*noted[0]), ("close 4321 done", "terminate Normal"));
    let (heard, noted) = after("close without a code").await;
    assert_eq!((heard[0].as_str(), &*noted[0]), ("close", "terminate Normal"));
}

#[tokio::test(start_paused = true)]
async fn normal_when_init_closes() {
    let (live, journal) = probed(SocketOptions::new());
    let page = Page::at(&live, upgrade("/live/probe?init-closes")).await.unwrap();
    settle().await;
    assert_eq!(heard(&page), ["close 1000 at once"]);
    assert_eq!(journal.take(), ["connect", "init", "terminate Normal"]);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_must_not_be_sent_is_not() {
    assert_eq!(after("close with a bad code").await.0, ["close 1011 "]);
}

#[tokio::test(start_paused = true)]
async fn remote_when_the_client_closes_without_a_code() {
    let (_live, journal, page) = opened().await;
    page.send_frame(Frame::Close(None));
    settle().await;
    assert_eq!(journal.take(), ["terminate Remote"]);
    assert_eq!(heard(&page), ["close"], "it is answered");
}

#[tokio::test(start_paused = true)]
async fn remote_with_the_code_and_payload_of_the_client() {
    let (_live, journal, page) = opened().await;
    page.send_frame(Frame::Close(Some(CloseFrame::new(CloseCode(4000), "bye"))));
    settle().await;
    assert_eq!(journal.take(), ["terminate RemoteWith(CloseCode(4000), \"bye\")"]);
    assert_eq!(heard(&page), ["close 4000 bye"]);
}

#[tokio::test(start_paused = true)]
async fn error_when_the_line_is_cut() {
    let (_live, journal, page) = opened().await;
    page.cut();
    settle().await;
    assert_eq!(journal.take(), [LOST]);
    let (_live, journal, page) = opened().await;
    page.send_raw(Err(TransportErrorKind::Io.into()));
    settle().await;
    assert_eq!(journal.take(), [LOST]);
}

#[tokio::test(start_paused = true)]
async fn error_when_the_client_breaks_the_protocol_or_a_limit() {
    for (kind, code) in [
        (TransportErrorKind::Protocol, 1002),
        (TransportErrorKind::InvalidUtf8, 1007),
        (TransportErrorKind::TooLarge, 1009),
    ] {
        let (_live, journal, page) = opened().await;
        page.send_raw(Err(kind.into()));
        assert_eq!(page.closed().await, Some(code));
        settle().await;
        assert_eq!(journal.take(), [PROTOCOL]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_with_a_code_that_must_not_be_sent_is_an_error() {
    let (_live, journal, page) = opened().await;
    page.send_frame(Frame::Close(Some(CloseFrame::new(CloseCode(1006), ""))));
    assert_eq!(page.closed().await, Some(1002));
    settle().await;
    assert_eq!(journal.take(), [PROTOCOL]);
}

#[tokio::test(start_paused = true)]
async fn error_and_1011_when_a_callback_panics() {
    for text in ["panic", "panic after a while", "close and panic"] {
        let (heard, noted) = after(text).await;
        assert_eq!((&*heard, &*noted), (&["close 1011 ".to_owned()][..], &[PANIC.to_owned()][..]), "{text}");
    }
    let (_live, journal, page) = opened().await;
    assert_eq!(journal.address().send(666), Posted::Queued);
    settle().await;
    assert_eq!(heard(&page), ["close 1011 "]);
    assert_eq!(journal.take(), ["server 666", PANIC]);
}

#[tokio::test(start_paused = true)]
async fn error_and_1011_when_a_callback_fails() {
    let (heard, noted) = after("fail").await;
    assert_eq!(heard, ["before", "close 1011 "]);
    assert_eq!(noted, [CALLBACK]);
}

#[tokio::test(start_paused = true)]
async fn error_when_a_callback_pushes_without_measure() {
    for text in ["flood", "a long ping"] {
        let (heard, noted) = after(text).await;
        assert_eq!(heard.last().unwrap(), "close 1011 ", "{text}");
        assert_eq!(noted, [CALLBACK], "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_init_that_panics_has_no_state_to_terminate() {
    let (live, journal) = probed(SocketOptions::new());
    let page = Page::at(&live, upgrade("/live/probe?init-panics")).await.unwrap();
    settle().await;
    assert_eq!(heard(&page), ["close 1011 "]);
    assert_eq!(journal.take(), ["connect", "init"]);
    assert!(journal.address().is_ended());
}

#[tokio::test(start_paused = true)]
async fn timeout_after_60_seconds_of_silence() {
    let (_live, journal, page) = opened().await;
    let start = Instant::now();
    assert_eq!(page.closed().await, Some(4008));
    assert_eq!(start.elapsed().as_secs(), 60);
    settle().await;
    assert_eq!(journal.take(), ["terminate Timeout"]);
}

#[tokio::test(start_paused = true)]
async fn every_frame_of_the_client_is_activity_and_those_of_the_server_are_not() {
    for (frame, counts) in [
        (Some(Frame::Text("x".into())), true),
        (Some(Frame::Binary(Bytes::new())), true),
        (Some(Frame::Ping(Bytes::new())), true),
        (Some(Frame::Pong(Bytes::new())), true),
        (None, false),
    ] {
        let (_live, journal, page) = opened().await;
        let start = Instant::now();
        sleep(40 * SECOND).await;
        match frame.clone() {
            Some(frame) => page.send_frame(frame),
            None => assert_eq!(journal.address().send(1), Posted::Queued),
        }
        assert_eq!(page.closed().await, Some(4008));
        assert_eq!(start.elapsed().as_secs(), if counts { 100 } else { 60 }, "{frame:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_is_settable_and_keep_alive_asks_silent_clients() {
    let options = SocketOptions::new().idle_timeout(10 * SECOND).keep_alive(4 * SECOND);
    let (live, journal) = probed(options);
    let page = open(&live).await;
    for _ in 0..10 {
        sleep(4 * SECOND).await;
        settle().await;
        assert_eq!(heard(&page), ["ping"]);
        page.send_frame(Frame::Pong(Bytes::new()));
        settle().await;
    }
    let start = Instant::now();
    assert_eq!(page.closed().await, Some(4008), "it answers no more");
    assert_eq!(start.elapsed().as_secs(), 10);
    settle().await;
    assert_eq!(journal.take(), ["connect", "init", "terminate Timeout"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_callback_is_not_idle() {
    let (_live, journal, page) = opened().await;
    say(&page, "wait");
    sleep(70 * SECOND).await;
    say(&page, "still here");
    journal.go_on.notify_one();
    settle().await;
    assert_eq!(heard(&page), ["went on", "still here"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_times_out() {
    let (_live, journal, page) = opened().await;
    page.read_only(Some(0));
    sleep(30 * SECOND).await;
    say(&page, "echo");
    let start = Instant::now();
    settle().await;
    // It talks on, but nobody listens to it any more.
    for _ in 0..12 {
        say(&page, "more");
        sleep(5 * SECOND).await;
    }
    settle().await;
    assert_eq!(journal.take(), ["client echo", "terminate Timeout"]);
    assert!(start.elapsed() <= 61 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stop_when_the_socket_is_dropped() {
    let (live, journal, page) = opened().await;
    page.serving.abort();
    settle().await;
    assert_eq!(journal.take(), ["terminate Stop"]);
    assert!(journal.address().is_ended());
    assert_eq!((live.stats().sockets, live.stats().behaviours), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn stop_when_the_socket_is_dropped_while_a_callback_runs() {
    let (_live, journal, page) = opened().await;
    say(&page, "wait");
    settle().await;
    page.serving.abort();
    settle().await;
    assert_eq!(journal.take(), ["client wait", "terminate Stop"]);
    journal.go_on.notify_waiters();
    settle().await;
    assert!(journal.take().is_empty(), "the callback is dropped");
}

#[tokio::test(start_paused = true)]
async fn no_terminate_when_the_socket_is_dropped_while_init_runs_or_never_run() {
    let (live, journal) = probed(SocketOptions::new());
    let page = Page::at(&live, upgrade("/live/probe?init-waits")).await.unwrap();
    settle().await;
    page.serving.abort();
    settle().await;
    assert_eq!(journal.take(), ["connect", "init"]);
    assert!(journal.address().is_ended());
    let (parts, ()) = upgrade("/live/probe").body(()).unwrap().into_parts();
    let Outcome::Upgrade(accepted) = live.handle(&parts).await else { panic!("refused") };
    drop(accepted);
    assert_eq!(journal.take(), ["connect"]);
    assert_eq!((live.stats().sockets, live.stats().behaviours), (0, 0));
}

/// A probe that has got four messages takes its time to terminate.
#[tokio::test(start_paused = true)]
async fn terminate_runs_to_its_end_when_the_socket_is_dropped_during_it() {
    let (_live, journal, page) = opened().await;
    (0..3).for_each(|_| say(&page, "count"));
    say(&page, "close");
    settle().await;
    assert_eq!(journal.take().last().unwrap(), "terminate Normal");
    page.serving.abort();
    settle().await;
    assert!(journal.take().is_empty());
    journal.go_on.notify_waiters();
    settle().await;
    assert_eq!(journal.take(), ["terminated"]);
}

#[tokio::test(start_paused = true)]
async fn the_close_frame_does_not_wait_for_terminate() {
    let (_live, journal, page) = opened().await;
    (0..3).for_each(|_| say(&page, "count"));
    say(&page, "close");
    settle().await;
    assert_eq!(heard(&page).last().unwrap(), "close 4321 done");
    journal.go_on.notify_waiters();
    settle().await;
    assert_eq!(journal.take().last().unwrap(), "terminated");
}

#[tokio::test(start_paused = true)]
async fn a_drop_outside_any_runtime_runs_terminate_on_the_one_last_seen() {
    let (live, journal) = probed(SocketOptions::new());
    let (parts, ()) = upgrade("/live/probe").body(()).unwrap().into_parts();
    let Outcome::Upgrade(accepted) = live.handle(&parts).await else { panic!("refused") };
    let mut running = Box::pin(accepted.run(support::idle_socket()));
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(running.as_mut().poll(cx).is_pending()));
    assert!(first.await);
    std::thread::spawn(move || drop(running)).join().unwrap();
    settle().await;
    assert_eq!(journal.take(), ["connect", "init", "terminate Stop"]);
}

#[tokio::test(start_paused = true)]
async fn stop_when_the_endpoint_drains_spread_over_time() {
    let (live, journal) = probed(SocketOptions::new());
    let mut pages = Vec::new();
    for _ in 0..100 {
        pages.push(open(&live).await);
    }
    let start = Instant::now();
    let leaving: Vec<_> = pages
        .into_iter()
        .map(|page| {
            tokio::spawn(async move {
                let code = page.closed().await;
                (code, start.elapsed())
            })
        })
        .collect();
    let drained = live.drain(30 * SECOND).await;
    assert_eq!((drained.closed, drained.left), (100, 0));
    assert!(start.elapsed() < 24 * SECOND, "{:?}", start.elapsed());
    let mut thirds = [0; 3];
    for leaving in leaving {
        let (code, at) = leaving.await.unwrap();
        assert_eq!(code, Some(1001));
        thirds[(at.as_millis() / 7501).min(2) as usize] += 1;
    }
    assert!(thirds.iter().all(|third| (30..=37).contains(third)), "they are spread: {thirds:?}");
    let stopped = journal.take().iter().filter(|line| *line == "terminate Stop").count();
    assert_eq!(stopped, 100);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_while_the_endpoint_drains_and_connect_is_not_asked() {
    let (live, journal) = probed(SocketOptions::new());
    live.drain(30 * SECOND).await;
    let refusal = Page::at(&live, upgrade("/live/probe")).await.err().unwrap();
    assert_eq!(refusal.status(), 503);
    let pause: u64 = refusal.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((30..=61).contains(&pause), "{pause}");
    assert!(journal.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_does_not_end_is_dropped_at_the_deadline_of_a_drain() {
    let (live, journal, page) = opened().await;
    say(&page, "wait");
    settle().await;
    let start = Instant::now();
    let draining = tokio::spawn({
        let live = live.clone();
        async move { live.drain(10 * SECOND).await }
    });
    assert_eq!(page.closed().await, Some(1001));
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(draining.await.unwrap().left, 0);
    assert_eq!(journal.take(), ["client wait", "terminate Stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_the_close_is_not_waited_for() {
    let (live, journal, page) = opened().await;
    say(&page, "close");
    settle().await;
    assert_eq!(live.stats().behaviours, 1, "it has its time to answer");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(live.stats().behaviours, 0);
    assert_eq!(journal.take(), ["client close", "terminate Normal"]);
    drop(page);
}

#[tokio::test(start_paused = true)]
async fn sessions_and_behaviours_drain_together() {
    let (live, _journal, page) = opened().await;
    let session = live.session();
    let _html = session.page("t", "");
    let other = Page::open(&live, &session).await;
    let closed = tokio::spawn(async move { (page.closed().await, other.closed().await) });
    assert_eq!(live.drain(10 * SECOND).await.left, 0);
    assert_eq!(closed.await.unwrap(), (Some(1001), Some(1012)));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_connections_leave_nothing_behind() {
    let (live, journal): (Endpoint, _) = probed(SocketOptions::new());
    for n in 0..10_000 {
        let page = Page::at(&live, upgrade("/live/probe")).await.unwrap();
        tokio::task::yield_now().await;
        match n % 4 {
            0 => page.cut(),
            1 => page.send_frame(Frame::Close(None)),
            2 => say(&page, "panic"),
            _ => page.serving.abort(),
        }
        let _ = page.closed().await;
        let _ = page.serving.await;
        if n % 100 == 0 {
            settle().await;
        }
    }
    settle().await;
    let lines = journal.take();
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((count("init"), count("terminate")), (10_000, 10_000));
    assert_eq!((live.stats().sockets, live.stats().behaviours), (0, 0));
    assert!(journal.addresses.lock().unwrap().iter().all(bonito_core::Address::is_ended));
}
