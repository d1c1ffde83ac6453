//! A graceful shutdown: sockets leave in their time, told when to come back, and nothing is lost on the way.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::time::Duration;

use bonito_core::{Frame, Observable, Outcome, Script, Session, Status, js};
use http::{StatusCode, header};
use support::{Page, endpoint, settle, upgrade_request};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn open_all(live: &bonito_core::Endpoint, count: usize) -> Vec<(Page, Session)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let session = live.session();
        let _html = session.page("t", "");
        all.push((Page::open(live, &session).await, session));
    }
    all
}

/// Answers the close frame as a browser does, and gives its code and pause.
async fn say_goodbye(page: &Page) -> (u16, u64) {
    loop {
        for frame in page.frames() {
            if let Frame::Close(Some(close)) = frame {
                let pause = close.reason.strip_prefix("retry-after=").unwrap().parse().unwrap();
                page.send_frame(Frame::Close(None));
                return (close.code.0, pause);
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sockets_leave_one_by_one_and_are_told_when_to_come_back() {
    let live = endpoint();
    let start = Instant::now();
    let pages = open_all(&live, 100).await;
    let leaving: Vec<_> = pages
        .into_iter()
        .map(|(page, session)| {
            tokio::spawn(async move {
                let (code, pause) = say_goodbye(&page).await;
                (code, pause, start.elapsed(), session)
            })
        })
        .collect();
    let drained = live.drain(30 * SECOND).await;
    assert_eq!((drained.closed, drained.left), (100, 0));
    assert!(start.elapsed() < 24 * SECOND, "it ends when the last is gone: {:?}", start.elapsed());
    let mut thirds = [0; 3];
    for leaving in leaving {
        let (code, pause, at, session) = leaving.await.unwrap();
        assert_eq!(code, 1012);
        let back = at + Duration::from_millis(pause);
        assert!(back >= 29 * SECOND && back <= 61 * SECOND, "comes back at {back:?}");
        thirds[(at.as_millis() / 7501).min(2) as usize] += 1;
        assert_eq!(session.status(), Status::SoftClosed);
    }
    assert!(thirds.iter().all(|third| *third > 10), "they are spread: {thirds:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_any_more() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    live.drain(30 * SECOND).await;
    let (parts, ()) = upgrade_request(&session).body(()).unwrap().into_parts();
    let Outcome::Respond(refusal) = live.handle(&parts).await else { panic!("let in") };
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    let pause: u64 = refusal.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((30..=61).contains(&pause));
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_out_first_and_what_comes_is_still_received() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    session.eval(js!("$(value)"));
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.read_only(Some(0));
    (0..100).for_each(|n| _ = session.eval(Script::new(format!("step({n})"))));
    let draining = tokio::spawn({
        let live = live.clone();
        async move { live.drain(10 * SECOND).await }
    });
    sleep(9 * SECOND).await;
    page.read_only(None);
    settle().await;
    let frames = page.frames();
    assert_eq!(frames.len(), 101);
    assert!(matches!(&frames[100], Frame::Close(Some(_))), "the goodbye stands behind all that waited");
    // The page has not seen the close frame yet and goes on.
    page.update(value.id(), 7);
    settle().await;
    assert_eq!(value.get(), 7);
    page.send_frame(Frame::Close(None));
    assert_eq!(draining.await.unwrap().left, 0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_is_dropped_at_the_deadline() {
    let live = endpoint();
    let pages = open_all(&live, 3).await;
    pages[0].0.read_only(Some(0));
    // The second never answers the close frame, the third keeps talking.
    let start = Instant::now();
    let drained = live.drain(4 * SECOND).await;
    assert_eq!((drained.closed, drained.left), (3, 0));
    assert!(start.elapsed() <= 10 * SECOND, "{:?}", start.elapsed());
    assert_eq!(live.stats().sockets, 0);
    for (_, session) in &pages {
        assert_eq!(session.status(), Status::SoftClosed);
    }
}

#[tokio::test(start_paused = true)]
async fn under_load_every_page_gets_a_run_without_gaps() {
    let live = endpoint();
    let pages = open_all(&live, 20).await;
    let value = Observable::new(0u32);
    for (_, session) in &pages {
        session.on_js(&value, js!("() => {}"));
    }
    let setting = tokio::spawn({
        let value = value.clone();
        async move {
            for n in 1..=4000 {
                value.set(n);
                sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let reading: Vec<_> = pages
        .into_iter()
        .map(|(page, _session)| {
            let prefix = format!("{}=", value.id());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    for frame in page.frames() {
                        match frame {
                            Frame::Binary(bytes) => seen.extend(
                                support::said(&bytes)
                                    .iter()
                                    .filter_map(|said| said.strip_prefix(&prefix)?.parse::<u32>().ok()),
                            ),
                            Frame::Close(_) => {
                                page.send_frame(Frame::Close(None));
                                return seen;
                            }
                            _ => {}
                        }
                    }
                    sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    assert_eq!(live.drain(6 * SECOND).await.left, 0);
    for reading in reading {
        let seen = reading.await.unwrap();
        assert_eq!(seen, (1..=seen.len() as u32).collect::<Vec<_>>());
    }
    setting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_all_clocks_is_a_long_time_and_no_panic() {
    let live = endpoint();
    let pages = open_all(&live, 3).await;
    let drain = tokio::spawn({
        let live = live.clone();
        async move { live.drain(Duration::MAX).await }
    });
    settle().await;
    assert!(!drain.is_finished());
    for (page, _) in &pages {
        page.cut();
    }
    assert_eq!(drain.await.unwrap().left, 0);
}
