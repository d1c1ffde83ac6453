//! Policies of the application's own: by resources, by login, by count. Time is the test's own.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bonito_core::{
    CleanupPolicy, CloseReason, DefaultCleanupPolicy, Endpoint, Kept, Observable, Script, Session,
    SessionInfo, Status,
};
use support::{Page, endpoint, settle};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

fn ended(session: &Session) -> Arc<Mutex<Option<CloseReason>>> {
    let ended = Arc::new(Mutex::new(None));
    let seen = ended.clone();
    session.on_close(move |_, reason| *seen.lock().unwrap() = Some(reason));
    ended
}

async fn open(live: &Endpoint) -> (Session, Page) {
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(live, &session).await;
    (session, page)
}

/// A session whose browser has sent so many messages and then gone.
async fn lost(live: &Endpoint, messages: usize) -> Session {
    let (session, page) = open(live).await;
    for _ in 0..messages {
        page.update("nobody", 0);
    }
    settle().await;
    page.cut();
    settle().await;
    // Not that it is soft-closed: of many that are gone at the same instant it may be the one that makes room, at once.
    assert!(session.info().disconnected.is_some());
    session
}

/// Closes whatever makes the server hold too much, connected or not.
#[derive(Debug)]
struct ByResources;

impl CleanupPolicy for ByResources {
    fn should_cleanup(&self, session: &SessionInfo, now: Instant) -> bool {
        session.queued_bytes > 10_000 || now - session.last_activity > 3600 * SECOND
    }
    fn allow_soft_close(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn by_resources_a_connected_browser_that_does_not_read_is_sent_away() {
    let live = Endpoint::builder("/live").cleanup_policy(ByResources).build();
    let ((greedy, stuck), (modest, _page)) = (open(&live).await, open(&live).await);
    let reason = ended(&greedy);
    stuck.read_only(Some(0));
    for _ in 0..20 {
        greedy.eval(Script::new("x".repeat(1000)));
        modest.eval(Script::new("x".repeat(1000)));
        settle().await;
    }
    assert!(greedy.info().queued_bytes > 10_000, "{:?}", greedy.info());
    assert_eq!(greedy.status(), Status::Open);
    sleep(2 * SECOND).await;
    assert_eq!((greedy.status(), modest.status()), (Status::Closed, Status::Open));
    assert_eq!(*reason.lock().unwrap(), Some(CloseReason::Cleanup));
}

/// Whoever has logged out has no business here.
#[derive(Debug)]
struct ByLogin {
    when: fn(&SessionInfo, Instant) -> Option<Instant>,
}

#[derive(Debug)]
struct Login(Arc<AtomicBool>);

impl CleanupPolicy for ByLogin {
    fn should_cleanup(&self, session: &SessionInfo, _: Instant) -> bool {
        let logged_in =
            session.metadata::<Login>("login").is_some_and(|login| login.0.load(Ordering::SeqCst));
        session.identity.is_some() && !logged_in
    }
    fn allow_soft_close(&self) -> bool {
        true
    }
    fn next_check(&self, session: &SessionInfo, now: Instant) -> Option<Instant> {
        (self.when)(session, now)
    }
}

/// An endpoint with that policy, and two who are logged in and connected.
async fn two_logged_in(
    when: fn(&SessionInfo, Instant) -> Option<Instant>,
) -> (Endpoint, [(Session, Page, Arc<AtomicBool>); 2]) {
    let live = Endpoint::builder("/live")
        .identity(|parts| Some(parts.headers.get("user").map_or("ada", |user| user.to_str().unwrap()).into()))
        .cleanup_policy(ByLogin { when })
        .build();
    let one = async || {
        let session = live.session();
        let login = Arc::new(AtomicBool::new(true));
        session.set_identity(Some("ada"));
        session.set_metadata("login", Login(login.clone()));
        let _html = session.page("t", "");
        let page = Page::open(&live, &session).await;
        (session, page, login)
    };
    let both = [one().await, one().await];
    (live, both)
}

#[tokio::test(start_paused = true)]
async fn by_login_a_connected_session_ends_within_a_second_of_the_logout() {
    let (_live, [(out, page, login), (stays, _page, _)]) = two_logged_in(|_, now| Some(now + SECOND)).await;
    sleep(20 * SECOND).await;
    assert_eq!((out.status(), stays.status()), (Status::Open, Status::Open));
    login.store(false, Ordering::SeqCst);
    sleep(1100 * SECOND / 1000).await;
    assert_eq!((out.status(), stays.status()), (Status::Closed, Status::Open));
    assert_eq!(page.closed().await, Some(4004), "its page is told that the session is over");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_waits_to_be_told_is_asked_when_it_is_told() {
    let (live, [(out, _page, login), (stays, _other, _)]) = two_logged_in(|_, _| None).await;
    login.store(false, Ordering::SeqCst);
    sleep(20 * SECOND).await;
    assert_eq!(out.status(), Status::Open, "nobody has told it");
    live.recheck_sessions();
    sleep(SECOND / 10).await;
    assert_eq!((out.status(), stays.status()), (Status::Closed, Status::Open));
}

#[tokio::test(start_paused = true)]
async fn new_metadata_brings_the_policy_to_look() {
    let revoked = |session: &SessionInfo, now| session.metadata::<Login>("login").is_none().then_some(now);
    let (_live, [(out, _page, _), (stays, _other, _)]) = two_logged_in(revoked).await;
    sleep(SECOND).await;
    out.remove_metadata("login");
    stays.set_metadata("colour", "red");
    sleep(SECOND).await;
    assert_eq!((out.status(), stays.status()), (Status::Closed, Status::Open));
}

#[test]
fn metadata_is_typed_and_bounded() {
    const KEYS: [&str; 33] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17",
        "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32",
    ];
    let session = endpoint().session();
    assert!(session.set_metadata("plan", "free"));
    let info = session.info();
    assert_eq!(info.metadata("plan"), Some(&"free"));
    assert_eq!(info.metadata::<String>("plan"), None, "another type");
    assert_eq!(info.metadata::<&str>("other"), None);
    session.set_metadata("plan", 7_u8);
    assert_eq!(info.metadata("plan"), Some(&"free"), "what a policy has in hand does not change");
    assert_eq!(session.info().metadata("plan"), Some(&7_u8));
    session.remove_metadata("plan");
    assert_eq!(session.info().metadata::<u8>("plan"), None);
    let taken = KEYS.iter().filter(|key| session.set_metadata(key, ())).count();
    assert_eq!(taken, 32);
    assert!(session.set_metadata("31", 1), "one that is there may change");
}

fn keeping(sessions: usize, bytes: usize) -> Endpoint {
    let mut policy = DefaultCleanupPolicy::default();
    policy.kept.sessions = sessions;
    policy.kept.bytes = bytes;
    Endpoint::builder("/live").cleanup_policy(policy).build()
}

#[tokio::test(start_paused = true)]
async fn by_count_those_go_first_that_are_cheapest_to_lose() {
    let live = keeping(3, 1 << 20);
    let (connected, _page) = open(&live).await;
    let busy = lost(&live, 50).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(lost(&live, 1).await);
        sleep(SECOND).await;
    }
    let statuses: Vec<Status> = idle.iter().map(Session::status).collect();
    use Status::{Closed, SoftClosed};
    assert_eq!(statuses, [Closed, Closed, SoftClosed, SoftClosed], "of equals, who has been gone longest");
    assert_eq!(busy.status(), SoftClosed, "who has sent more is kept, though it went first");
    assert_eq!(connected.status(), Status::Open);
    let reason = ended(&idle[0]);
    assert_eq!(*reason.lock().unwrap(), Some(CloseReason::Capacity));
    // Who comes back makes room.
    let _back = Page::open(&live, &busy).await;
    let another = lost(&live, 0).await;
    sleep(SECOND).await;
    assert_eq!((another.status(), idle[2].status()), (SoftClosed, SoftClosed));
}

#[tokio::test(start_paused = true)]
async fn by_default_a_thousand_lost_sessions_are_kept() {
    assert_eq!((Kept::default().sessions, Kept::default().bytes), (1000, 64 << 20));
    let live = endpoint();
    for _ in 0..1010 {
        lost(&live, 0).await;
    }
    sleep(SECOND).await;
    assert_eq!(live.stats().soft_closed, 1000);
    // A policy of one's own has the same bound, until it says otherwise.
    live.set_cleanup_policy(ByResources);
    lost(&live, 0).await;
    sleep(SECOND).await;
    assert_eq!(live.stats().soft_closed, 1000);
}

#[tokio::test(start_paused = true)]
async fn who_holds_more_than_its_share_makes_room_for_the_others() {
    let live = keeping(10, 10_000);
    let modest: Vec<Session> = {
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(lost(&live, 0).await);
        }
        all
    };
    let (early, late) = (lost(&live, 5).await, lost(&live, 9).await);
    for session in &modest {
        session.eval(Script::new("x".repeat(500)));
    }
    early.eval(Script::new("x".repeat(3000)));
    late.eval(Script::new("x".repeat(3000)));
    sleep(SECOND).await;
    assert_eq!(live.stats().soft_closed, 7);
    late.eval(Script::new("x".repeat(3000)));
    sleep(SECOND).await;
    assert_eq!((early.status(), late.status()), (Status::Closed, Status::SoftClosed));
    assert!(modest.iter().all(|session| session.status() == Status::SoftClosed));
    assert!(live.stats().queued_bytes <= 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_cleanup_time_set_while_running_holds_for_those_who_wait_already() {
    let live = endpoint();
    let session = lost(&live, 0).await;
    assert!(live.set_cleanup_time(600 * SECOND));
    sleep(599 * SECOND).await;
    assert_eq!(session.status(), Status::SoftClosed);
    assert!(live.set_cleanup_time(SECOND));
    sleep(SECOND / 5).await;
    assert_eq!(session.status(), Status::Closed);
    live.set_cleanup_policy(ByResources);
    assert!(!live.set_cleanup_time(SECOND), "another policy has no such time");
}

/// Closes all, and never asks to be asked.
#[derive(Debug)]
struct All;

impl CleanupPolicy for All {
    fn should_cleanup(&self, _: &SessionInfo, _: Instant) -> bool {
        true
    }
    fn allow_soft_close(&self) -> bool {
        true
    }
    fn next_check(&self, _: &SessionInfo, _: Instant) -> Option<Instant> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_set_while_running_is_asked_about_all_at_once() {
    let live = endpoint();
    let ((connected, _page), waiting) = (open(&live).await, live.session());
    sleep(SECOND).await;
    live.set_cleanup_policy(All);
    sleep(SECOND / 10).await;
    assert_eq!((connected.status(), waiting.status()), (Status::Closed, Status::Closed));
}

/// Blocks its thread until it is let go.
#[derive(Debug)]
struct Blocks {
    entered: tokio::sync::mpsc::UnboundedSender<()>,
    go: Mutex<mpsc::Receiver<()>>,
    in_next_check: bool,
}

impl Blocks {
    fn block(&self) {
        let _ = self.entered.send(());
        let _ = self.go.lock().unwrap().recv();
    }
}

impl CleanupPolicy for Blocks {
    fn should_cleanup(&self, _: &SessionInfo, _: Instant) -> bool {
        if !self.in_next_check {
            self.block();
        }
        false
    }
    fn allow_soft_close(&self) -> bool {
        true
    }
    fn next_check(&self, _: &SessionInfo, now: Instant) -> Option<Instant> {
        if self.in_next_check {
            self.block();
        }
        Some(now)
    }
}

/// On one thread: whatever blocks that one stops everything.
#[tokio::test]
async fn a_policy_that_blocks_holds_up_no_socket() {
    for in_next_check in [false, true] {
        let (entered, mut inside) = tokio::sync::mpsc::unbounded_channel();
        let (let_go, go) = mpsc::channel();
        let policy = Blocks { entered, go: Mutex::new(go), in_next_check };
        let live = Endpoint::builder("/live").cleanup_policy(policy).build();
        let asked_about = live.session();
        inside.recv().await.unwrap();

        let session = live.session();
        let value = Observable::new(0);
        session.on_load(bonito_core::js!("use($(value))"));
        let _html = session.page("t", "");
        for turn in 1..=3 {
            let page = Page::open(&live, &session).await;
            page.update(value.id(), turn);
            settle().await;
            assert_eq!(value.get(), turn);
            page.cut();
            settle().await;
            assert_eq!(session.status(), Status::SoftClosed);
        }
        session.close();
        asked_about.close();
        drop(let_go);
    }
}

#[derive(Debug)]
struct PanicsEverywhere;

impl CleanupPolicy for PanicsEverywhere {
    fn should_cleanup(&self, _: &SessionInfo, _: Instant) -> bool {
        panic!("on purpose")
    }
    fn allow_soft_close(&self) -> bool {
        panic!("on purpose")
    }
    fn next_check(&self, _: &SessionInfo, _: Instant) -> Option<Instant> {
        panic!("on purpose")
    }
    fn kept(&self) -> Kept {
        panic!("on purpose")
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_policy_that_always_panics_the_next_one_finds_all_in_order() {
    let live = Endpoint::builder("/live").cleanup_policy(PanicsEverywhere).build();
    let (connected, page) = open(&live).await;
    let gone = lost(&live, 0).await;
    sleep(100 * SECOND).await;
    assert_eq!((connected.status(), gone.status()), (Status::SoftClosed, Status::SoftClosed));
    drop(page);
    let _back = Page::open(&live, &connected).await;
    live.set_cleanup_policy(DefaultCleanupPolicy::default());
    sleep(SECOND).await;
    assert_eq!((connected.status(), gone.status()), (Status::Open, Status::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_socket_in_a_route_of_the_apps_own_is_under_the_policy_too() {
    let live = endpoint();
    let handler = bonito_core::WebSocketHandler::new();
    let session = live.session_with(Arc::new(bonito_core::WebSocketConnection::new(handler.clone())));
    let _html = session.page("t", "");
    let page = Page::over(&session, &handler).await;
    page.loaded();
    settle().await;
    assert_eq!(session.status(), Status::Open);
    page.cut();
    sleep(59 * SECOND).await;
    assert_eq!(session.status(), Status::SoftClosed);
    sleep(2 * SECOND).await;
    assert_eq!(session.status(), Status::Closed);
}

/// Nobody stays longer than a minute, whatever happens meanwhile.
#[derive(Debug)]
struct ByAge;

impl CleanupPolicy for ByAge {
    fn should_cleanup(&self, session: &SessionInfo, now: Instant) -> bool {
        now - session.created >= 60 * SECOND
    }
    fn allow_soft_close(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_always_changes_is_asked_about_all_the_same() {
    let live = Endpoint::builder("/live").cleanup_policy(ByAge).build();
    let ((busy, _page), mut restless) = (open(&live).await, open(&live).await);
    for turn in 0..160 {
        busy.set_metadata("progress", turn);
        if turn % 2 == 0 {
            restless.1.cut();
        } else if restless.0.status() == Status::SoftClosed {
            restless.1 = Page::open(&live, &restless.0).await;
        }
        sleep(SECOND / 2).await;
    }
    assert_eq!((busy.status(), restless.0.status()), (Status::Closed, Status::Closed));
}
