//! What becomes of each hello, and of each way in which a stream ends: the table of protocol.md §18.5, row by row.
//!
//! Above 500 lines, since the table is one and each row is found here.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::proto::resume::{Control, Hello, Instance, Key, StreamId};
use bonito_core::{
    CloseCode, CloseFrame, CloseReason, ContinuityLost, DefaultCleanupPolicy, Disconnect, Endpoint, Frame,
    Limits, Observable, Outcome, Refusal, Script, Session, Status, Takeover, TransportErrorKind, js,
};
use bytes::Bytes;
use support::stream::{Stream, copy, offer, page_key};
use support::{Page, endpoint, endpoint_with, settle, upgrade_request};

type Losses = Arc<Mutex<Vec<ContinuityLost>>>;

/// What the application is told.
fn losses(session: &Session) -> Losses {
    let losses = Losses::default();
    let log = losses.clone();
    session.on_continuity_lost(move |_, reason| log.lock().unwrap().push(reason));
    losses
}

fn step(n: usize) -> Script {
    Script::new(format!("step({n})"))
}

fn closed(code: u16, word: &'static str) -> CloseFrame {
    CloseFrame::new(CloseCode(code), word)
}

/// A page that resumes, its key, and a second load of the same HTML.
async fn twice(live: &Endpoint) -> (Session, Stream, Stream) {
    let session = live.session();
    let html = session.page("t", "").to_string();
    let mut first = Stream::new(live, &session, page_key(&html).unwrap());
    first.connect().await.unwrap();
    first.loaded();
    settle().await;
    let second = Stream::instance(live, &session, page_key(&html).unwrap(), 2);
    (session, first, second)
}

/// The page that is there is not disturbed: its socket takes a message and gives one.
async fn is_undisturbed(session: &Session, page: &mut Stream) {
    assert_eq!(session.status(), Status::Open);
    session.eval(step(77));
    settle().await;
    assert_eq!(page.news(), ["step(77)"]);
    page.say(&Control::Ping);
    settle().await;
    page.read();
    assert_eq!(page.controls.pop(), Some(Control::Pong));
}

#[tokio::test(start_paused = true)]
async fn a_lost_first_welcome_begins_a_new_stream() {
    let live = endpoint();
    let session = live.session();
    let html = session.page("t", "").to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    for _ in 0..3 {
        page.dial().await;
        page.say(&Control::Hello(page.hello()));
        settle().await;
        page.socket.take().unwrap().cut();
    }
    assert!(!page.connect().await.unwrap().resumed);
    page.loaded();
    settle().await;
    assert_eq!(session.status(), Status::Open);
}

#[tokio::test(start_paused = true)]
async fn a_lost_later_welcome_locks_nobody_out() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    session.eval(step(0));
    settle().await;
    for _ in 0..10 {
        page.cut(false).await;
        page.dial().await;
        page.say(&Control::Hello(page.hello()));
        settle().await;
    }
    page.cut(false).await;
    assert!(page.connect().await.unwrap().resumed);
    assert_eq!(page.read(), ["step(0)"]);
}

#[tokio::test(start_paused = true)]
async fn a_duplicated_tab_loads_afresh() {
    let live = endpoint();
    let (session, mut first, mut second) = twice(&live).await;
    let lost = losses(&session);
    assert_eq!(second.connect().await.unwrap_err(), closed(4005, "duplicate"));
    is_undisturbed(&session, &mut first).await;
    assert_eq!(*lost.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_duplicated_tab_is_told_that_the_page_is_open_elsewhere() {
    let live = Endpoint::builder("/live").takeover(Takeover::Reject).build();
    let (session, mut first, mut second) = twice(&live).await;
    assert_eq!(second.connect().await.unwrap_err(), closed(4003, "duplicate"));
    is_undisturbed(&session, &mut first).await;
}

#[tokio::test(start_paused = true)]
async fn the_newest_tab_takes_over_and_the_application_is_told() {
    let live = Endpoint::builder("/live").takeover(Takeover::Newest).build();
    let (session, mut first, mut second) = twice(&live).await;
    let lost = losses(&session);
    session.eval(step(0));
    settle().await;
    first.read();
    assert!(!second.connect().await.unwrap().resumed);
    assert_eq!(first.socket().closed().await, Some(4001));
    second.loaded();
    settle().await;
    assert_eq!(*lost.lock().unwrap(), [ContinuityLost::TakenOver]);
    is_undisturbed(&session, &mut second).await;
    assert_eq!(first.connect().await.unwrap_err(), closed(4003, "key"), "the first has no key any more");
    is_undisturbed(&session, &mut second).await;
}

#[tokio::test(start_paused = true)]
async fn a_stolen_id_alone_gets_nothing() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    session.eval(step(0));
    for (instance, stream) in
        [(1, None), (1, page.id), (2, None), (2, page.id), (3, Some(StreamId::new([9; 16])))]
    {
        let mut thief = Stream::instance(&live, &session, Key::new([5; 32]), instance);
        thief.id = stream;
        assert_eq!(thief.connect().await.unwrap_err(), closed(4003, "key"));
        assert!(thief.socket().frames().is_empty(), "not a byte of the session");
    }
    let plain = Page::open(&live, &session).await;
    assert_eq!(plain.close_frame().await, Some(closed(4003, "plain")));
    assert!(matches!(plain.serving.await.unwrap(), Disconnect::Rejected(Refusal::Plain)));
    let silent = Stream::instance(&live, &session, Key::new([5; 32]), 4);
    drop(silent);
    assert_eq!(page.news(), ["step(0)"]);
    is_undisturbed(&session, &mut page).await;
    page.cut(true).await;
    let plain = Page::open(&live, &session).await;
    assert_eq!(plain.close_frame().await, Some(closed(4003, "plain")), "nor while the page is away");
    page.connect().await.unwrap();
    is_undisturbed(&session, &mut page).await;
}

#[tokio::test(start_paused = true)]
async fn a_stolen_key_of_a_stream_needs_its_instance() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let mut thief = Stream::instance(&live, &session, copy(&page.key), 2);
    thief.id = page.id;
    assert_eq!(thief.connect().await.unwrap_err(), closed(4003, "key"));
    is_undisturbed(&session, &mut page).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_used_is_worth_nothing() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let used = copy(&page.key);
    page.cut(true).await;
    page.connect().await.unwrap();
    page.say(&Control::Ping);
    settle().await;
    let mut replay = Stream::instance(&live, &session, used, 1);
    replay.id = page.id;
    assert_eq!(replay.connect().await.unwrap_err(), closed(4003, "key"));
    page.read();
    page.controls.clear();
    is_undisturbed(&session, &mut page).await;
}

#[tokio::test(start_paused = true)]
async fn another_stream_ends_the_session_and_both_sides_are_told() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let lost = losses(&session);
    page.cut(true).await;
    page.id = Some(StreamId::new([9; 16]));
    assert_eq!(page.connect().await.unwrap_err(), closed(4005, "stream"));
    assert_eq!(*lost.lock().unwrap(), [ContinuityLost::Mismatch]);
    assert_eq!(session.status(), Status::Closed);
    assert!(live.find(session.id()).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_impossible_count_ends_the_session_and_both_sides_are_told() {
    for received in [4, u64::MAX, 0] {
        let live = endpoint();
        let session = live.session();
        let mut page = Stream::open(&live, &session).await;
        let lost = losses(&session);
        (0..3).for_each(|n| _ = session.eval(step(n)));
        settle().await;
        page.read_some(2);
        page.ack();
        page.cut(false).await;
        page.received = received;
        assert_eq!(page.connect().await.unwrap_err(), closed(4005, "count"), "{received}");
        assert_eq!(*lost.lock().unwrap(), [ContinuityLost::Mismatch]);
        assert_eq!(session.status(), Status::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ack_of_what_was_never_sent_or_of_less_than_before_ends_the_session() {
    for acks in [vec![2], vec![u64::MAX], vec![1, 0]] {
        let live = endpoint();
        let session = live.session();
        let page = Stream::open(&live, &session).await;
        let lost = losses(&session);
        let reasons = Arc::<Mutex<Vec<CloseReason>>>::default();
        let log = reasons.clone();
        session.on_close(move |_, reason| log.lock().unwrap().push(reason));
        session.eval(step(0));
        settle().await;
        acks.into_iter().for_each(|ack| page.say(&Control::Ack(ack)));
        assert_eq!(page.socket().close_frame().await, Some(closed(4005, "count")));
        assert_eq!(*lost.lock().unwrap(), [ContinuityLost::Mismatch]);
        assert_eq!(*reasons.lock().unwrap(), [CloseReason::Mismatch]);
    }
}

fn hex(bytes: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&bytes[at..at + 2], 16).unwrap();
    (0..bytes.len()).step_by(2).map(digit).collect()
}

fn malformed() -> Vec<Bytes> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/resume/control.json");
    let vectors: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    vectors["malformed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vector| hex(vector["hex"].as_str().unwrap()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_first_frame_that_is_no_hello_is_1002_and_disturbs_nobody() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let mut first: Vec<_> = malformed();
    first.extend([Control::Ping.encode(), Control::Ack(0).encode(), hex("c19103"), Bytes::new(), hex("80")]);
    first.push(Bytes::from(vec![0xc1; 1 << 20]));
    for frame in first {
        let mut stranger = Stream::instance(&live, &session, copy(&page.key), 1);
        stranger.dial().await;
        stranger.socket().send_frame(Frame::Binary(frame.clone()));
        assert_eq!(stranger.socket().closed().await, Some(1002), "{frame:?}");
    }
    is_undisturbed(&session, &mut page).await;
}

#[tokio::test(start_paused = true)]
async fn a_malformed_control_frame_is_1002_and_the_page_resumes() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let mut frames = malformed();
    frames.push(Control::Hello(page.hello()).encode());
    frames.push(Control::Pong.encode());
    for frame in frames {
        page.socket().send_frame(Frame::Binary(frame));
        settle().await;
        assert_eq!(page.socket().closed().await, Some(1002));
        page.cut(false).await;
        assert!(page.connect().await.unwrap().resumed);
    }
    is_undisturbed(&session, &mut page).await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_of_a_later_version_is_ignored() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    page.socket().send_frame(Frame::Binary(hex("c193062ac403010203")));
    settle().await;
    is_undisturbed(&session, &mut page).await;
}

#[tokio::test(start_paused = true)]
async fn no_hello_for_ten_seconds_is_4008_and_disturbs_nobody() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let mut silent = Stream::instance(&live, &session, copy(&page.key), 1);
    let start = tokio::time::Instant::now();
    silent.dial().await;
    assert_eq!(silent.socket().closed().await, Some(4008));
    assert_eq!(start.elapsed().as_secs(), 10);
    is_undisturbed(&session, &mut page).await;
}

#[tokio::test(start_paused = true)]
async fn a_plain_socket_is_let_in_until_somebody_resumes() {
    let live = endpoint();
    let session = live.session();
    let html = session.page("t", "").to_string();
    let plain = Page::open(&live, &session).await;
    assert_eq!(session.status(), Status::Open);
    session.eval(step(0));
    settle().await;
    assert_eq!(plain.received(), ["step(0)"]);
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.connect().await.unwrap();
    assert_eq!(plain.closed().await, Some(4001));
    let plain = Page::connect(&live, &session).await;
    assert_eq!(plain.close_frame().await, Some(closed(4003, "plain")));
}

#[tokio::test(start_paused = true)]
async fn without_plain_clients_the_id_alone_is_never_enough() {
    let live = Endpoint::builder("/live").plain_clients(false).build();
    let session = live.session();
    let html = session.page("t", "").to_string();
    let plain = Page::open(&live, &session).await;
    assert_eq!(plain.close_frame().await, Some(closed(4003, "plain")));
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.connect().await.unwrap();
    page.loaded();
    settle().await;
    is_undisturbed(&session, &mut page).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_long_is_1009_and_nothing_else_is_lost() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    page.socket().send_raw(Err(TransportErrorKind::TooLarge.into()));
    assert_eq!(page.socket().closed().await, Some(1009));
    page.cut(false).await;
    session.eval(step(0));
    assert!(page.connect().await.unwrap().resumed);
    assert_eq!(page.read(), ["step(0)"]);
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_ends_the_session_and_both_sides_are_told() {
    let live = endpoint_with(|limits| limits.queued_messages = 10);
    let session = live.session();
    let page = Stream::open(&live, &session).await;
    let lost = losses(&session);
    page.socket().read_only(Some(0));
    settle().await;
    for n in 0..2000 {
        session.eval(step(n));
    }
    assert_eq!(session.status(), Status::Closed);
    assert_eq!(*lost.lock().unwrap(), [ContinuityLost::Overflow]);
    page.socket().read_only(None);
    let mut frame = None;
    settle().await;
    for next in page.socket().frames() {
        if let Frame::Close(close) = next {
            frame = close;
        }
    }
    assert_eq!(frame, Some(closed(4005, "overflow")));
}

#[tokio::test(start_paused = true)]
async fn overflow_while_the_page_is_away_is_404_when_it_comes_back() {
    let live = endpoint_with(|limits| limits.queued_messages = 10);
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let lost = losses(&session);
    page.cut(true).await;
    for n in 0..12 {
        session.eval(step(n));
    }
    assert_eq!(*lost.lock().unwrap(), [ContinuityLost::Overflow]);
    assert_eq!(status(&live, &session).await, 404);
}

async fn status(live: &Endpoint, session: &Session) -> u16 {
    match live.handle(&offer(session)).await {
        Outcome::Respond(response) => response.status().as_u16(),
        Outcome::Upgrade(_) => 101,
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_application_closes_is_4004_and_no_loss() {
    let live = endpoint();
    let session = live.session();
    let page = Stream::open(&live, &session).await;
    let lost = losses(&session);
    session.eval(step(0));
    session.close();
    assert_eq!(page.socket().closed().await, Some(4004));
    assert_eq!(*lost.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_404_and_the_application_is_told_if_something_waited() {
    for waits in [true, false] {
        let live = endpoint();
        let session = live.session();
        let mut page = Stream::open(&live, &session).await;
        let lost = losses(&session);
        page.cut(true).await;
        if waits {
            session.eval(step(0));
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        settle().await;
        assert_eq!(session.status(), Status::Closed);
        let expected: &[_] = if waits { &[ContinuityLost::Expired] } else { &[] };
        assert_eq!(*lost.lock().unwrap(), expected);
        assert_eq!(status(&live, &session).await, 404);
    }
}

#[tokio::test(start_paused = true)]
async fn an_evicted_session_is_404_and_the_application_is_told_if_something_waited() {
    let live = Endpoint::builder("/live")
        .cleanup_policy({
            let mut policy = DefaultCleanupPolicy::default();
            policy.kept.sessions = 0;
            policy
        })
        .build();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let lost = losses(&session);
    session.eval(step(0));
    settle().await;
    page.cut(false).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    settle().await;
    assert_eq!(session.status(), Status::Closed);
    assert_eq!(*lost.lock().unwrap(), [ContinuityLost::Evicted]);
    assert_eq!(status(&live, &session).await, 404);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_all_that_waits_go_first_and_says_when_to_come_back() {
    let live = endpoint_with(|limits| limits.replay_messages = 10);
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    (0..25).for_each(|n| _ = session.eval(step(n)));
    settle().await;
    let draining = tokio::spawn({
        let live = live.clone();
        async move { live.drain(Duration::from_secs(30)).await }
    });
    tokio::time::sleep(Duration::from_secs(24)).await;
    let mut goodbye = None;
    for _ in 0..3 {
        settle().await;
        for frame in page.socket().frames() {
            match frame {
                Frame::Close(frame) => goodbye = frame,
                frame => page.take(frame),
            }
        }
        page.ack();
    }
    assert_eq!(page.log.len(), 25, "what waited for acknowledgements too");
    settle().await;
    for frame in page.socket().frames() {
        if let Frame::Close(frame) = frame {
            goodbye = frame;
        }
    }
    let goodbye = goodbye.unwrap();
    assert_eq!(goodbye.code, CloseCode::RESTART);
    assert!(goodbye.reason.starts_with("retry-after="), "{goodbye:?}");
    page.socket().cut();
    draining.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_has_not_said_hello_leaves_in_a_drain_too() {
    let live = endpoint();
    let session = live.session();
    let html = session.page("t", "").to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.dial().await;
    settle().await;
    let draining = tokio::spawn({
        let live = live.clone();
        async move { live.drain(Duration::from_secs(30)).await }
    });
    assert_eq!(page.socket().closed().await, Some(1012));
    draining.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_socket_may_end_in_any_way_and_the_page_resumes() {
    let live = endpoint();
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let ends: [fn(&Page); 6] = [
        Page::cut,
        |page| page.send_frame(Frame::Close(None)),
        |page| page.send_frame(Frame::Close(Some(CloseFrame::new(CloseCode::NORMAL, "")))),
        |page| page.send_frame(Frame::Text("text".into())),
        |page| page.send_raw(Err(TransportErrorKind::Io.into())),
        |page| page.send_raw(Err(TransportErrorKind::Protocol.into())),
    ];
    for (n, end) in ends.into_iter().enumerate() {
        session.eval(step(n));
        settle().await;
        end(page.socket());
        settle().await;
        assert_eq!(session.status(), Status::SoftClosed);
        page.cut(false).await;
        assert!(page.connect().await.unwrap().resumed);
    }
    assert_eq!(page.read(), (0..6).map(|n| format!("step({n})")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_whom_the_session_belongs_to_is_403_at_each_resume() {
    let identify = |parts: &http::request::Parts| {
        parts.headers.get("x-user").map(|user| user.to_str().unwrap().to_owned())
    };
    let live = Endpoint::builder("/live").identity(identify).build();
    let session = live.session();
    session.set_identity(Some("ada"));
    let html = session.page("t", "").to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    let knock = async |user: Option<&str>| {
        let mut parts = offer(&session);
        user.map(|user| parts.headers.insert("x-user", user.parse().unwrap()));
        live.handle(&parts).await
    };
    for n in 0..3 {
        for user in [Some("bob"), None] {
            let Outcome::Respond(refusal) = knock(user).await else { panic!("{user:?} was let in") };
            assert_eq!(refusal.status(), 403, "{user:?}");
        }
        assert_eq!(session.status(), if n == 0 { Status::Displayed } else { Status::SoftClosed });
        let Outcome::Upgrade(accepted) = knock(Some("ada")).await else { panic!("the owner was refused") };
        page.dial_accepted(accepted);
        assert_eq!(page.greet().await.unwrap().resumed, n > 0);
        if n == 0 {
            page.loaded();
            settle().await;
        }
        assert_eq!(session.status(), Status::Open);
        let expected: &[&str] = [&[][..], &["step(0)"], &["step(1)"]][n];
        assert_eq!(page.news(), expected, "nothing is lost");
        session.eval(step(n));
        settle().await;
        page.cut(false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_offer_is_answered_only_where_it_can_be_kept() {
    let live = endpoint();
    let session = live.session();
    let protocol = async |session: &Session, offered: &[&str]| {
        let mut request = upgrade_request(session);
        for offered in offered {
            request = request.header("sec-websocket-protocol", *offered);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let Outcome::Upgrade(accepted) = live.handle(&parts).await else { panic!("refused") };
        accepted.protocol()
    };
    assert_eq!(protocol(&session, &["bonito.resume.1"]).await, None, "its page is not made");
    let _html = session.page("t", "");
    let yes = Some("bonito.resume.1");
    for (offered, answer) in [
        (&["bonito.resume.1"][..], yes),
        (&["chat, bonito.resume.1"], yes),
        (&["chat", " bonito.resume.1 ,x"], yes),
        (&["bonito.resume.2"], None),
        (&["bonito.resume.1x", "BONITO.RESUME.1"], None),
        (&[], None),
    ] {
        assert_eq!(protocol(&session, offered).await, answer, "{offered:?}");
    }
    let exported = live.session();
    assert!(page_key(&exported.static_page("t", "")).is_none());
}

#[tokio::test(start_paused = true)]
async fn hostile_first_words_hold_nothing() {
    let live = endpoint_with(|limits: &mut Limits| limits.hello_timeout = Duration::from_secs(1));
    let session = live.session();
    let input = Observable::new(0);
    session.eval(js!("$(input)"));
    let mut page = Stream::open(&live, &session).await;
    let mut strangers = Vec::new();
    for n in 0..100 {
        let mut stranger = Stream::instance(&live, &session, Key::new([n; 32]), n);
        stranger.dial().await;
        strangers.push(stranger);
    }
    settle().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    settle().await;
    for stranger in &strangers {
        assert_eq!(stranger.socket().closed().await, Some(4008));
    }
    drop(strangers);
    settle().await;
    assert_eq!(live.stats().sockets, 1);
    is_undisturbed(&session, &mut page).await;
    let hello =
        Hello { instance: Instance::new([1; 16]), key: copy(&page.key), stream: page.id, received: 0 };
    page.say(&Control::Hello(hello));
    assert_eq!(page.socket().closed().await, Some(1002), "a second hello");
}

/// Came back as 1009 once, which says that the frame would come again: the page gave up, and nobody else heard of it.
#[tokio::test(start_paused = true)]
async fn a_message_over_a_limit_other_than_its_length_counts_and_the_page_goes_on_behind_it() {
    let live = endpoint_with(|limits| limits.elements = 10);
    let session = live.session();
    let mut page = Stream::open(&live, &session).await;
    let lost = losses(&session);
    page.update("o", [0; 11]);
    settle().await;
    assert_eq!(page.socket().closed().await, Some(1007));
    page.cut(false).await;
    let welcome = page.connect().await.unwrap();
    assert_eq!((welcome.resumed, welcome.received), (true, 2), "it does not come again");
    is_undisturbed(&session, &mut page).await;
    assert!(lost.lock().unwrap().is_empty());
}

/// Said `ack 0` once, before the close frame: the page took that for a count that cannot be, and was loaded afresh.
#[tokio::test(start_paused = true)]
async fn a_session_that_a_callback_closes_acknowledges_nothing_more() {
    let live = endpoint();
    let session = live.session();
    let input = Observable::new(0);
    let binding = session.on_input(&input);
    let ends = session.clone();
    let _listening = input.on(move |value| {
        if *value == 40 {
            ends.close();
        }
    });
    let mut page = Stream::open(&live, &session).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    page.read();
    assert_eq!(page.controls, [Control::Ack(1)]);
    for value in 1..=40 {
        page.update(input.id(), value);
    }
    settle().await;
    let frames = page.socket().frames();
    let says = |frame: &Frame, control: &Control| matches!(frame, Frame::Binary(bytes) if *bytes == control.encode());
    assert!(!frames.iter().any(|frame| says(frame, &Control::Ack(0))), "{frames:?}");
    assert_eq!(frames.last(), Some(&Frame::Close(Some(closed(4004, "the session is over")))));
    drop(binding);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_gives_up_ends_the_session_and_the_application_is_told() {
    for (word, loss) in [
        ("overflow", ContinuityLost::Overflow),
        ("count", ContinuityLost::Mismatch),
        ("stream", ContinuityLost::Mismatch),
    ] {
        let live = endpoint();
        let session = live.session();
        let page = Stream::open(&live, &session).await;
        let lost = losses(&session);
        page.socket().send_frame(Frame::Close(Some(closed(4005, word))));
        settle().await;
        assert_eq!(*lost.lock().unwrap(), [loss], "{word}");
        assert_eq!(session.status(), Status::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_length_that_javascript_has_no_number_for_keeps_no_page_out() {
    let live = endpoint_with(|limits| limits.message_bytes = usize::MAX);
    let session = live.session();
    let html = session.page("t", "").to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    assert!(page.connect().await.unwrap().message_bytes < 1 << 53);
}
