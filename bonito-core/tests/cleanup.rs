//! When sessions end, by whose rule, and what is left of them. Time is the test's own.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bonito_core::{
    CleanupPolicy, CloseReason, DefaultCleanupPolicy, Endpoint, Observable, Session, SessionInfo, Stats,
    Status,
};
use support::{Page, endpoint, endpoint_with, settle};
use tokio::time::{advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn closings(session: &Session) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    session.on_close(move |_, reason| {
        assert_eq!(reason, CloseReason::Cleanup);
        seen.fetch_add(1, Ordering::SeqCst);
    });
    count
}

#[tokio::test(start_paused = true)]
async fn a_page_that_never_connects_has_thirty_seconds_from_when_it_was_handed_out() {
    let live = endpoint();
    let session = live.session();
    let closed = closings(&session);
    // Rendering is slow: the clock of the page has not started.
    sleep(300 * SECOND).await;
    let _html = session.page("t", "");
    sleep(29 * SECOND).await;
    assert_eq!(session.status(), Status::Displayed);
    sleep(2 * SECOND).await;
    assert_eq!(session.status(), Status::Closed);
    assert_eq!(closed.load(Ordering::SeqCst), 1);
    assert_eq!(live.stats(), Stats::default());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_never_made_does_not_stay_for_ever() {
    let live = endpoint();
    let session = live.session();
    sleep(601 * SECOND).await;
    assert_eq!(session.status(), Status::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_lost_browser_has_a_minute_and_its_return_starts_the_count_anew() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    session.text(&value);
    session.spawn(std::future::pending());
    let _html = session.page("t", "");
    for _ in 0..5 {
        let page = Page::open(&live, &session).await;
        page.cut();
        sleep(59 * SECOND).await;
        assert_eq!(session.status(), Status::SoftClosed);
    }
    let dropped = Page::open(&live, &session).await;
    dropped.cut();
    sleep(61 * SECOND).await;
    assert_eq!(session.status(), Status::Closed);
    assert_eq!(live.stats(), Stats::default());
    assert_eq!((value.listener_count(), value.session_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_open_session_is_never_cleaned_up() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    for _ in 0..1000 {
        sleep(10 * SECOND).await;
        page.send_frame(bonito_core::Frame::Pong(bytes::Bytes::new()));
        page.frames();
    }
    assert_eq!(session.status(), Status::Open);
}

#[derive(Debug)]
struct NoSecondChance;

impl CleanupPolicy for NoSecondChance {
    fn should_cleanup(&self, _: &SessionInfo, _: Instant) -> bool {
        false
    }
    fn allow_soft_close(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn without_soft_close_the_end_of_the_socket_is_the_end_of_the_session() {
    let live = Endpoint::builder("/live").cleanup_policy(NoSecondChance).build();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.cut();
    settle().await;
    assert_eq!(session.info().status, Status::Closed);
    assert_eq!(live.stats(), Stats::default());
}

#[tokio::test]
async fn without_soft_close_a_takeover_is_still_no_end() {
    let live = Endpoint::builder("/live").cleanup_policy(NoSecondChance).build();
    let session = live.session();
    let _html = session.page("t", "");
    let _old = Page::open(&live, &session).await;
    let _new = Page::open(&live, &session).await;
    settle().await;
    assert_eq!(session.status(), Status::Open);
}

/// Closes whatever holds more than some bytes.
#[derive(Debug)]
struct ByResources(usize);

impl CleanupPolicy for ByResources {
    fn should_cleanup(&self, session: &SessionInfo, _: Instant) -> bool {
        session.queued_bytes > self.0
    }
    fn allow_soft_close(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_the_apps_own_is_asked_every_second() {
    let live = Endpoint::builder("/live").cleanup_policy(ByResources(1000)).build();
    let session = live.session();
    let _html = session.page("t", "");
    sleep(100_000 * SECOND).await;
    assert_eq!(session.status(), Status::Displayed);
    session.eval(bonito_core::Script::new("x".repeat(2000)));
    sleep(2 * SECOND).await;
    assert_eq!(session.status(), Status::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_policy_set_while_running_rules_the_sessions_that_are_there() {
    let live = endpoint();
    let sessions: Vec<_> = (0..100).map(|_| live.session()).collect();
    sleep(SECOND).await;
    let mut policy = DefaultCleanupPolicy::default();
    policy.render_time = 5 * SECOND;
    live.set_cleanup_policy(policy);
    sleep(5 * SECOND).await;
    assert!(sessions.iter().all(|session| session.status() == Status::Closed));
}

#[derive(Debug, Default)]
struct Panics(AtomicBool);

impl CleanupPolicy for Panics {
    fn should_cleanup(&self, _: &SessionInfo, _: Instant) -> bool {
        assert!(self.0.swap(true, Ordering::SeqCst), "the first time");
        true
    }
    fn allow_soft_close(&self) -> bool {
        panic!("always")
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_harms_nobody() {
    let live = Endpoint::builder("/live").cleanup_policy(Panics::default()).build();
    let (a, b) = (live.session(), live.session());
    let _html = a.page("t", "");
    let page = Page::open(&live, &a).await;
    page.cut();
    settle().await;
    assert_eq!(a.status(), Status::SoftClosed);
    sleep(5 * SECOND).await;
    assert_eq!((a.status(), b.status()), (Status::Closed, Status::Closed));
}

/// Counts how often it is asked.
#[derive(Debug, Default)]
struct Counts(Arc<AtomicUsize>, DefaultCleanupPolicy);

impl CleanupPolicy for Counts {
    fn should_cleanup(&self, session: &SessionInfo, now: Instant) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.should_cleanup(session, now)
    }
    fn allow_soft_close(&self) -> bool {
        true
    }
    fn next_check(&self, session: &SessionInfo, now: Instant) -> Option<Instant> {
        self.1.next_check(session, now)
    }
}

#[tokio::test(start_paused = true)]
async fn the_cost_of_cleanup_follows_deadlines_and_not_sessions() {
    let asked = Arc::new(AtomicUsize::new(0));
    let live = Endpoint::builder("/live")
        .cleanup_policy(Counts(asked.clone(), DefaultCleanupPolicy::default()))
        .build();
    let mut pages = Vec::new();
    for _ in 0..200 {
        let session = live.session();
        let _html = session.page("t", "");
        pages.push((Page::open(&live, &session).await, session));
    }
    for _ in 0..60 {
        sleep(10 * SECOND).await;
        for (page, _) in &pages {
            page.send_frame(bonito_core::Frame::Pong(bytes::Bytes::new()));
        }
    }
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked <= 400, "200 open sessions were asked about {asked} times in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_sessions_leave_nothing_behind() {
    let live = endpoint();
    let shared = Observable::new(0);
    for _ in 0..10_000 {
        let session = live.session();
        session.text(&shared);
        session.on_click(|| {});
        let _html = session.page("t", "");
    }
    assert_eq!(live.stats().sessions, 10_000);
    sleep(31 * SECOND).await;
    assert_eq!(live.stats(), Stats::default());
    assert_eq!((shared.session_count(), shared.listener_count()), (0, 0));
}

#[tokio::test]
async fn above_the_limit_of_sessions_a_page_shows_but_does_not_live() {
    let live = endpoint_with(|limits| limits.sessions = 2);
    let _kept = (live.session(), live.session());
    let session = live.session();
    assert_eq!(session.status(), Status::Closed);
    let text = session.text(&Observable::new(5)).to_string();
    assert!(session.page("Full", text).contains(">5<"));
    assert_eq!(live.stats().sessions, 2);
}

#[test]
fn sessions_made_outside_a_runtime_are_swept_once_there_is_one() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    for _ in 0..2 {
        // The task of the first runtime ends with it; the second gets its own.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            live.session();
            advance(31 * SECOND).await;
            sleep(SECOND).await;
        });
    }
    assert_eq!(session.status(), Status::Closed);
}

#[tokio::test]
async fn tasks_end_with_their_session_and_count_while_they_run() {
    let live = endpoint();
    let session = live.session();
    let dropped = Arc::new(AtomicBool::new(false));
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let flag = Flag(dropped.clone());
    session.spawn(async move {
        let _flag = flag;
        std::future::pending::<()>().await;
    });
    session.spawn(async {});
    session.spawn(async { panic!("on purpose") });
    settle().await;
    assert_eq!(session.task_count(), 1);
    session.close();
    settle().await;
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(session.task_count(), 0);
    session.spawn(async { panic!("a closed session runs nothing") });
}

/// A policy during whose thinking the browser comes back.
struct Slow(std::sync::Mutex<Option<Session>>);

impl std::fmt::Debug for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slow")
    }
}

impl CleanupPolicy for Slow {
    fn should_cleanup(&self, info: &SessionInfo, _: Instant) -> bool {
        if let Some(session) = self.0.lock().unwrap().take() {
            let message = bonito_core::proto::message::ClientMessage::DoneLoading {
                session: session.id().to_string(),
                message: String::new(),
                exception: None,
                stacktrace: String::new(),
            };
            let message = bonito_core::proto::codec::encode_client(&message).unwrap();
            session.process_message(message).unwrap();
        }
        info.disconnected.is_some()
    }
    fn allow_soft_close(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_comes_back_while_the_policy_thinks_is_not_sent_away() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    live.set_cleanup_policy(Slow(std::sync::Mutex::new(Some(session.clone()))));
    sleep(2 * SECOND).await;
    assert_eq!(session.status(), Status::Open);
    session.soft_close();
    sleep(2 * SECOND).await;
    assert_eq!(session.status(), Status::Closed);
}
