//! Large data on a lane of its own, over a second socket or over the only one.
//!
//! A little above 500 lines: one story, told case by case.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod common;
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::proto::compress;
use bonito_core::{
    CloseReason, DualWebSocketConnection, Endpoint, Frame, FrontendConnection, Lane, Limits, Observable,
    Outcome, Script, SendError, SendOutcome, Session, Status, js, setup_dual_websocket_connection_js,
};
use bytes::Bytes;
use common::Random;
use support::{Page, endpoint, endpoint_with, said, settle, upgrade_request};

fn dual(live: &Endpoint) -> Session {
    live.register_connection(|_| Some(Arc::new(DualWebSocketConnection::new())));
    live.session()
}

fn step(n: usize) -> Script {
    Script::new(format!("step({n})"))
}

fn large(n: usize) -> Script {
    Script::new(format!("large({n})"))
}

async fn main_leg(live: &Endpoint, session: &Session) -> Page {
    let page = Page::connect_with(live, session, "low_latency").await;
    page.loaded();
    settle().await;
    page
}

async fn large_leg(live: &Endpoint, session: &Session) -> Page {
    Page::connect_with(live, session, "large_data").await
}

#[tokio::test(start_paused = true)]
async fn a_page_sets_up_both_and_the_route_knows_no_other_query() {
    let live = endpoint();
    let session = dual(&live);
    let _html = session.page("t", "");
    let script = session.connection().setup_connection(&session).unwrap().to_string();
    assert!(script.contains("low_latency") && script.contains("large_data"));
    let (parts, ()) = upgrade_request(&session).body(()).unwrap().into_parts();
    let Outcome::Respond(response) = live.handle(&parts).await else { panic!("let in") };
    assert_eq!(response.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn large_messages_wait_for_the_page_and_for_their_leg() {
    let live = endpoint();
    let session = dual(&live);
    session.send_large(large(0));
    let html = session.page("t", "");
    assert_eq!(session.send_large(large(1)), SendOutcome::Queued);
    let leg = large_leg(&live, &session).await;
    assert_eq!(session.status(), Status::Displayed, "the leg alone is no page");
    assert_eq!(leg.received(), [] as [&str; 0], "the page has not loaded");
    let main = main_leg(&live, &session).await;
    assert_eq!(session.status(), Status::Open);
    assert_eq!(leg.received(), ["large(1)"]);
    assert_eq!(main.received(), [] as [&str; 0]);
    assert!(html.contains("init_session"));

    let live = endpoint();
    let session = dual(&live);
    let _html = session.page("t", "");
    let main = main_leg(&live, &session).await;
    assert_eq!(session.status(), Status::Open, "without the leg too");
    (0..3).for_each(|n| _ = session.send_large(large(n)));
    session.eval(step(1));
    settle().await;
    assert_eq!(main.received(), ["step(1)"]);
    let leg = large_leg(&live, &session).await;
    assert_eq!(leg.received(), ["large(0)", "large(1)", "large(2)"]);
    assert_eq!(session.info().queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_large_message_under_way_delays_no_other() {
    let live = endpoint();
    let session = dual(&live);
    let _html = session.page("t", "");
    let (main, leg) = (main_leg(&live, &session).await, large_leg(&live, &session).await);
    leg.read_only(Some(0));
    session.send_large(Script::new("x".repeat(5 << 20)));
    (0..10).for_each(|n| _ = session.send_large(large(n)));
    settle().await;
    (0..100).for_each(|n| _ = session.eval(step(n)));
    settle().await;
    assert_eq!(main.received(), (0..100).map(|n| format!("step({n})")).collect::<Vec<_>>());
    leg.read_only(None);
    settle().await;
    let received = leg.received();
    assert_eq!(received[0].len(), 5 << 20);
    assert_eq!(received[1..], (0..10).map(|n| format!("large({n})")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_is_lost_takes_the_page_with_it_and_both_come_back_with_all() {
    let live = endpoint();
    let session = dual(&live);
    let _html = session.page("t", "");
    for round in 0..5 {
        let (main, leg) = (main_leg(&live, &session).await, large_leg(&live, &session).await);
        assert_eq!(session.status(), Status::Open);
        if round > 0 {
            assert_eq!(leg.received(), ["large(1)", "large(2)", "large(3)"]);
            assert_eq!(main.received(), ["step(1)"]);
        }
        leg.read_only(Some(0));
        session.send_large(large(1));
        session.send_large(large(2));
        settle().await;
        leg.cut();
        assert_eq!(main.closed().await, Some(1000), "not to come back would be wrong");
        settle().await;
        assert_eq!(session.status(), Status::SoftClosed);
        session.send_large(large(3));
        session.eval(step(1));
        settle().await;
        assert_eq!(live.stats().sockets, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_lost_takes_its_leg_with_it() {
    let live = endpoint();
    let session = dual(&live);
    let _html = session.page("t", "");
    for round in 0..5 {
        // Either comes first.
        let (main, leg) = if round % 2 == 0 {
            let leg = large_leg(&live, &session).await;
            (main_leg(&live, &session).await, leg)
        } else {
            (main_leg(&live, &session).await, large_leg(&live, &session).await)
        };
        if round > 0 {
            assert_eq!(leg.received(), ["large(1)"]);
        }
        main.cut();
        assert_eq!(leg.closed().await, Some(1000));
        settle().await;
        assert_eq!((session.status(), live.stats().sockets), (Status::SoftClosed, 0));
        session.send_large(large(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_leg_takes_over_and_the_page_stays() {
    let live = endpoint();
    let session = dual(&live);
    let _html = session.page("t", "");
    let main = main_leg(&live, &session).await;
    let mut leg = large_leg(&live, &session).await;
    for n in 0..5 {
        leg.read_only(Some(0));
        session.send_large(large(n));
        settle().await;
        let newer = large_leg(&live, &session).await;
        assert_eq!(leg.closed_behind().await, Some(4001));
        assert_eq!(newer.received(), [format!("large({n})")], "once, on the newer one");
        leg = newer;
    }
    assert_eq!(session.status(), Status::Open);
    assert_eq!(main.received(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_takes_over_does_not_keep_the_leg_of_the_other_but_its_own() {
    let live = endpoint_with(|limits| limits.takeover_pause = Duration::ZERO);
    let session = dual(&live);
    let _html = session.page("t", "");
    let (main, leg) = (main_leg(&live, &session).await, large_leg(&live, &session).await);
    let newer = main_leg(&live, &session).await;
    assert_eq!(main.closed().await, Some(4001));
    assert_eq!(leg.closed().await, Some(1000), "whose it is cannot be told, so it may come back");
    settle().await;
    assert_eq!(session.status(), Status::Open, "the end of a stale leg is nothing to the newer page");
    let newer_leg = large_leg(&live, &session).await;

    // The leg first: it stays when its page comes.
    let last_leg = large_leg(&live, &session).await;
    assert_eq!(newer_leg.closed().await, Some(4001));
    let last = main_leg(&live, &session).await;
    assert_eq!(newer.closed().await, Some(4001));
    session.send_large(large(1));
    session.eval(step(1));
    settle().await;
    assert_eq!((last_leg.received(), last.received()), (vec!["large(1)".into()], vec!["step(1)".into()]));
}

#[tokio::test(start_paused = true)]
async fn the_leg_is_for_the_server_alone_but_may_be_silent() {
    let live = endpoint();
    let session = dual(&live);
    let _html = session.page("t", "");
    let (main, leg) = (main_leg(&live, &session).await, large_leg(&live, &session).await);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        leg.send_frame(Frame::Pong(Bytes::new()));
        main.send_frame(Frame::Pong(Bytes::new()));
        settle().await;
    }
    assert_eq!(session.status(), Status::Open);
    leg.loaded();
    assert_eq!(leg.closed().await, Some(1003));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_apart() {
    let live = endpoint_with(|limits| {
        limits.queued_bytes = 1000;
        limits.queued_large_bytes = 10_000;
    });
    let session = dual(&live);
    let _html = session.page("t", "");
    let _main = main_leg(&live, &session).await;
    let data = "x".repeat(20_000);
    session.send_large(Script::new(data));
    assert_eq!(session.status(), Status::Open, "one alone is never too much");
    session.eval(step(1));
    assert_eq!(session.status(), Status::Open, "and none of the other lane");
    session.send_large(large(1));
    assert_eq!(session.status(), Status::Closed);
    let reason = Arc::new(Mutex::new(None));
    let seen = reason.clone();
    session.on_close(move |_, reason| *seen.lock().unwrap() = Some(reason));
    assert_eq!(*reason.lock().unwrap(), Some(CloseReason::Overflow));
    assert_eq!(session.info().queued_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn values_of_a_large_observable_take_the_leg_and_collapse_while_they_wait() {
    let live = endpoint();
    let session = dual(&live);
    let image = Observable::new(vec![0_u8]).large();
    let late = Observable::new(vec![0_u8]).large();
    let id = image.id();
    session.eval(js!("window.image = $(image)"));
    let _html = session.page("t", "");
    let main = main_leg(&live, &session).await;
    session.eval(js!("window.late = $(late)"));
    settle().await;
    assert_eq!(main.received().len(), 2, "it is registered, then used");
    for n in 1..=100_u8 {
        image.set(vec![n; 10_000]);
        late.set(vec![n]);
        session.eval(step(usize::from(n)));
    }
    settle().await;
    assert_eq!(main.received().len(), 200, "what the page learnt of late keeps to the order of all");
    assert!(session.info().queued_messages <= 8, "what nobody can see is not kept");
    let leg = large_leg(&live, &session).await;
    let received = leg.received();
    assert!(received.iter().all(|said| said.starts_with(&format!("{id}="))), "{received:?}");
    let last = received.last().unwrap();
    assert!(last.contains("100") && received.len() <= 8);
}

#[tokio::test(start_paused = true)]
async fn over_one_socket_the_large_ones_come_last() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.read_only(Some(0));
    (0..70).for_each(|n| _ = session.send_large(large(n)));
    (0..70).for_each(|n| _ = session.eval(step(n)));
    settle().await;
    page.cut();
    settle().await;
    session.send_large(large(70));
    let page = Page::open(&live, &session).await;
    let received = page.received();
    let part =
        |word: &str| received.iter().filter(|said| said.starts_with(word)).cloned().collect::<Vec<_>>();
    assert_eq!(part("large"), (0..=70).map(|n| format!("large({n})")).collect::<Vec<_>>());
    assert_eq!(part("step"), (0..70).map(|n| format!("step({n})")).collect::<Vec<_>>());
    assert_eq!(received.last().unwrap(), "large(70)");
}

/// Takes only messages of one lane.
#[derive(Debug, Default)]
struct Half(Mutex<Vec<(Lane, String)>>, Mutex<bool>);

impl FrontendConnection for Half {
    fn write(&self, bytes: Bytes, lane: Lane) -> Result<(), SendError> {
        if lane == Lane::LargeData && !*self.1.lock().unwrap() {
            return Err(SendError::full(bytes));
        }
        self.0.lock().unwrap().push((lane, said(&bytes).concat()));
        Ok(())
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}

    fn setup_connection(&self, _: &Session) -> Option<Script> {
        None
    }
}

#[test]
fn a_connection_of_ones_own_is_told_the_lane_and_may_have_one_of_them_full() {
    let half = Arc::new(Half::default());
    let session = endpoint().session_with(half.clone());
    let _html = session.page("t", "");
    session
        .process_message(
            bonito_core::proto::codec::encode_client(
                &bonito_core::proto::message::ClientMessage::DoneLoading {
                    session: session.id().to_string(),
                    message: String::new(),
                    exception: None,
                    stacktrace: String::new(),
                },
            )
            .unwrap(),
        )
        .unwrap();
    session.send_large(large(1));
    session.eval(step(1));
    session.send_large(large(2));
    session.eval(step(2));
    *half.1.lock().unwrap() = true;
    session.flush();
    let small = |text: &str| (Lane::LowLatency, text.to_owned());
    let big = |text: &str| (Lane::LargeData, text.to_owned());
    assert_eq!(
        *half.0.lock().unwrap(),
        [small("step(1)"), small("step(2)"), big("large(1)"), big("large(2)")]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_socket_gives_back_is_not_compressed_twice() {
    let live = Endpoint::builder("/live").compression(true).build();
    let session = live.session();
    let _html = session.page("t", "");
    let loaded = |page: &Page| {
        let bytes = bonito_core::proto::codec::encode_client(
            &bonito_core::proto::message::ClientMessage::DoneLoading {
                session: session.id().to_string(),
                message: String::new(),
                exception: None,
                stacktrace: String::new(),
            },
        )
        .unwrap();
        page.send_frame(Frame::Binary(compress::compress(&bytes, compress::Container::Zlib)));
    };
    let page = Page::connect(&live, &session).await;
    loaded(&page);
    settle().await;
    assert_eq!(session.status(), Status::Open);
    page.read_only(Some(1));
    (0..5).for_each(|n| _ = session.eval(step(n)));
    settle().await;
    page.cut();
    settle().await;
    let page = Page::connect(&live, &session).await;
    loaded(&page);
    settle().await;
    let texts: Vec<String> = page
        .frames()
        .into_iter()
        .flat_map(|frame| match frame {
            Frame::Binary(bytes) => said(&compress::decompress(bytes, &Limits::default()).unwrap()),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(texts, (1..5).map(|n| format!("step({n})")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_the_leg_go_first_and_loses_nothing() {
    let live = endpoint();
    let session = dual(&live);
    let _html = session.page("t", "");
    let (main, leg) = (main_leg(&live, &session).await, large_leg(&live, &session).await);
    leg.read_only(Some(0));
    (0..3).for_each(|n| _ = session.send_large(large(n)));
    session.eval(step(1));
    settle().await;
    let drain = tokio::spawn({
        let live = live.clone();
        async move { live.drain(Duration::from_secs(30)).await }
    });
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(main.received(), ["step(1)"]);
    session.eval(step(2));
    leg.read_only(None);
    settle().await;
    let frames = leg.frames();
    let binary = frames.iter().filter(|frame| matches!(frame, Frame::Binary(_))).count();
    assert_eq!(binary, 3);
    assert!(matches!(frames.last(), Some(Frame::Close(Some(frame))) if frame.code.0 == 1012));
    assert_eq!(main.received(), ["step(2)"]);
    assert_eq!(session.status(), Status::Open, "the page goes after its leg");
    leg.cut();
    assert_eq!(main.closed().await, Some(1012));
    assert_eq!(drain.await.unwrap().left, 0);
}

/// A connection of one's own around the two sockets, at a route of one's own.
#[derive(Debug, Default)]
struct Mine(DualWebSocketConnection);

impl FrontendConnection for Mine {
    fn write(&self, bytes: Bytes, lane: Lane) -> Result<(), SendError> {
        self.0.write(bytes, lane)
    }

    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    fn close(&self) {
        self.0.close();
    }

    fn setup_connection(&self, session: &Session) -> Option<Script> {
        Some(setup_dual_websocket_connection_js("/sockets", session))
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_of_ones_own_runs_the_loop_for_either() {
    let mine = Arc::new(Mine::default());
    let live = endpoint();
    let session = live.session_with(mine.clone());
    let _html = session.page("t", "");
    for round in 0..3 {
        let [low, high] = ["low_latency", "large_data"].map(|query| mine.0.socket_handler(query).unwrap());
        let main = Page::over(&session, &low).await;
        main.loaded();
        let leg = Page::over(&session, &high).await;
        session.eval(step(round));
        session.send_large(large(round));
        settle().await;
        assert_eq!(main.received(), [format!("step({round})")]);
        assert_eq!(leg.received(), [format!("large({round})")]);
        leg.cut();
        assert_eq!(main.closed().await, Some(1000));
        settle().await;
        assert_eq!(session.status(), Status::SoftClosed);
    }
    let (parts, ()) = upgrade_request(&session).body(()).unwrap().into_parts();
    let Outcome::Respond(response) = live.handle(&parts).await else { panic!("let in") };
    assert_eq!(response.status(), 404, "the endpoint's own route knows nothing of it");
}

/// Sockets come, stall, and are lost in any order. The page reads what had reached a socket even after it is lost, so that
/// everything is to be seen exactly once.
#[tokio::test(start_paused = true)]
async fn whatever_happens_to_the_sockets_each_lane_arrives_once_and_in_order() {
    let mut random = Random::from_env();
    for run in 0..150 {
        let live = endpoint_with(|limits| limits.takeover_pause = Duration::ZERO);
        let session = dual(&live);
        let _html = session.page("t", "");
        let mut pages: Vec<Page> = Vec::new();
        let (mut sent, mut seen) = ([0, 0], [Vec::new(), Vec::new()]);
        for _ in 0..60 {
            match random.below(10) {
                0 => pages.push(main_leg(&live, &session).await),
                1 => pages.push(large_leg(&live, &session).await),
                2 if !pages.is_empty() => pages[random.below(pages.len())].cut(),
                3 if !pages.is_empty() => {
                    let stalled = random.below(3);
                    pages[random.below(pages.len())].read_only(Some(stalled));
                }
                4 if !pages.is_empty() => pages[random.below(pages.len())].read_only(None),
                5 | 6 => settle().await,
                n => {
                    for _ in 0..random.below(8) {
                        let lane = n % 2;
                        let script = if lane == 0 { step(sent[0]) } else { large(sent[1]) };
                        _ = if lane == 0 { session.eval(script) } else { session.send_large(script) };
                        sent[lane] += 1;
                    }
                }
            }
            collect(&pages, &mut seen);
        }
        pages.iter().for_each(Page::cut);
        settle().await;
        collect(&pages, &mut seen);
        assert_eq!(live.stats().sockets, 0, "run {run}");
        let last = [main_leg(&live, &session).await, large_leg(&live, &session).await];
        collect(&last, &mut seen);
        assert_eq!(session.status(), Status::Open, "run {run}");
        let all = |word: &str, count| (0..count).map(|n| format!("{word}({n})")).collect::<Vec<_>>();
        assert_eq!(seen, [all("step", sent[0]), all("large", sent[1])], "run {run}");
    }
}

fn collect(pages: &[Page], seen: &mut [Vec<String>; 2]) {
    for said in pages.iter().flat_map(Page::received) {
        seen[usize::from(said.starts_with("large"))].push(said);
    }
}
