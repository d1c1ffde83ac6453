//! What reaches the page, in which order, and what becomes of it when the line breaks.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::time::Duration;

use bonito_core::proto::message::ClientMessage;
use bonito_core::{CloseReason, Disconnect, Frame, Observable, SendOutcome, Status, TransportErrorKind, js};
use bytes::Bytes;
use support::{Page, endpoint, endpoint_with, settle};

fn script(n: usize) -> bonito_core::Script {
    bonito_core::Script::new(format!("step({n})"))
}

#[tokio::test]
async fn what_was_queued_goes_out_first_and_nothing_before_the_page_has_loaded() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    assert_eq!(session.eval(script(1)), SendOutcome::Queued);
    let page = Page::connect(&live, &session).await;
    settle().await;
    assert_eq!(session.eval(script(2)), SendOutcome::Queued);
    settle().await;
    assert_eq!(page.received(), [] as [&str; 0], "the page has not said that it has loaded");
    page.loaded();
    settle().await;
    assert_eq!(session.status(), Status::Open);
    assert_eq!(session.eval(script(3)), SendOutcome::Sent);
    settle().await;
    assert_eq!(page.received(), ["step(1)", "step(2)", "step(3)"]);
}

#[tokio::test]
async fn while_the_line_is_cut_messages_wait_and_come_once_in_order() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    for round in 0..20 {
        let page = Page::open(&live, &session).await;
        assert_eq!(session.eval(script(3 * round)), SendOutcome::Sent);
        settle().await;
        let received = page.received();
        page.cut();
        settle().await;
        assert_eq!(session.status(), Status::SoftClosed);
        assert_eq!(session.eval(script(3 * round + 1)), SendOutcome::Queued);
        assert_eq!(session.eval(script(3 * round + 2)), SendOutcome::Queued);
        let expected: Vec<_> = match round {
            0 => vec![0],
            _ => vec![3 * round - 2, 3 * round - 1, 3 * round],
        };
        assert_eq!(received, expected.iter().map(|n| format!("step({n})")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_a_stuck_socket_did_not_take_goes_to_the_next_one() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.read_only(Some(2));
    for n in 0..200 {
        session.eval(script(n));
        settle().await;
    }
    assert_eq!(page.received(), ["step(0)", "step(1)"]);
    page.cut();
    settle().await;
    let page = Page::open(&live, &session).await;
    let expected: Vec<_> = (2..200).map(|n| format!("step({n})")).collect();
    assert_eq!(page.received(), expected);
}

#[tokio::test]
async fn a_takeover_in_mid_stream_loses_and_doubles_nothing_that_was_not_taken() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let old = Page::open(&live, &session).await;
    old.read_only(Some(3));
    for n in 0..100 {
        session.eval(script(n));
    }
    settle().await;
    let new = Page::open(&live, &session).await;
    settle().await;
    let mut all = old.received();
    all.extend(new.received());
    assert_eq!(all, (0..100).map(|n| format!("step({n})")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_new_socket_takes_over_and_the_old_one_is_told_and_touches_nothing() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let old = Page::open(&live, &session).await;
    let new = Page::open(&live, &session).await;
    assert_eq!(old.closed().await, Some(4001));
    assert!(old.serving.await.unwrap().is_superseded());
    settle().await;
    assert_eq!(
        session.status(),
        Status::Open,
        "the end of the old socket does not touch the new one's session"
    );
    session.soft_close();
    assert_eq!(session.status(), Status::Open, "nor does a soft close in the old one's handler");
    session.eval(script(1));
    settle().await;
    assert_eq!(new.received(), ["step(1)"]);
    assert_eq!(live.stats().sockets, 1);
}

#[tokio::test]
async fn messages_of_a_stale_socket_do_not_count() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    session.eval(js!("$(value)"));
    let _html = session.page("t", "");
    let old = Page::open(&live, &session).await;
    let new = Page::open(&live, &session).await;
    old.update(value.id(), 1);
    settle().await;
    assert_eq!(value.get(), 0);
    new.update(value.id(), 2);
    settle().await;
    assert_eq!(value.get(), 2);
}

#[tokio::test]
async fn values_that_nobody_sees_collapse_but_never_across_a_script() {
    let live = endpoint();
    let session = live.session();
    let (a, b) = (Observable::new(0), Observable::new(0));
    session.eval(js!("$(a), $(b)"));
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.cut();
    settle().await;
    for n in 1..=100 {
        a.set(n);
        b.set(-n);
    }
    session.eval(script(1));
    a.set(7);
    a.set(8);
    assert_eq!(session.info().queued_messages, 4);
    let page = Page::open(&live, &session).await;
    let (a, b) = (a.id(), b.id());
    assert_eq!(
        page.received(),
        [format!("{a}=100"), format!("{b}=-100"), "step(1)".into(), format!("{a}=8")]
    );
}

#[tokio::test]
async fn an_open_line_delivers_every_value() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    session.eval(js!("$(value)"));
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    for n in 1..=1000 {
        value.set(n);
    }
    settle().await;
    assert_eq!(page.received(), (1..=1000).map(|n| format!("{}={n}", value.id())).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_that_stops_reading_holds_little_and_disturbs_nobody() {
    let live = endpoint();
    let value = Observable::new(vec![0u8; 1000]);
    let open = async |live| {
        let session = bonito_core::Endpoint::session(live);
        session.eval(js!("$(value)"));
        let _html = session.page("t", "");
        (Page::open(live, &session).await, session)
    };
    let (stuck, stuck_session) = open(&live).await;
    let (healthy, _session) = open(&live).await;
    stuck.read_only(Some(0));
    for n in 0..3_000 {
        value.set(vec![n as u8; 1000]);
        if n % 10 == 0 {
            settle().await;
            let queued = stuck_session.info().queued_bytes;
            assert!(queued < 2 * 64 * 1024 + 2000, "{queued} bytes wait for a reader that does not read");
        }
    }
    settle().await;
    assert_eq!(healthy.received().len(), 3_000);
}

#[tokio::test]
async fn what_does_not_fit_ends_the_session_and_the_page_is_told() {
    let live = endpoint_with(|limits| limits.queued_messages = 10);
    let session = live.session();
    let _html = session.page("t", "");
    let reason = Observable::new(None);
    let seen = reason.clone();
    session.on_close(move |_, why| seen.set(Some(format!("{why:?}"))));
    let page = Page::open(&live, &session).await;
    page.read_only(Some(0));
    settle().await;
    let mut refused = 0;
    for n in 0..200 {
        refused += usize::from(session.eval(script(n)) == SendOutcome::Refused);
        settle().await;
    }
    assert!(refused > 0);
    assert_eq!(session.status(), Status::Closed);
    assert_eq!(reason.get().as_deref(), Some("Overflow"));
    page.read_only(None);
    assert_eq!(page.closed().await, Some(4004));
    assert!(matches!(page.serving.await.unwrap(), Disconnect::SessionClosed(CloseReason::Overflow)));
    assert!(live.find(session.id()).is_none());
}

#[tokio::test]
async fn a_page_may_bring_more_than_may_wait_later() {
    let live = endpoint_with(|limits| limits.queued_messages = 10);
    let session = live.session();
    for n in 0..100 {
        session.eval(script(n));
    }
    let html = session.page("t", "");
    assert!(html.contains("init_session"));
    assert_eq!(session.status(), Status::Displayed);
}

#[tokio::test]
async fn a_ping_gets_exactly_one_pong() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.send(&ClientMessage::PingPong);
    page.send_frame(Frame::Ping(Bytes::from("x")));
    settle().await;
    let frames = page.frames();
    assert_eq!(frames.iter().filter(|frame| **frame == Frame::Pong(Bytes::from("x"))).count(), 1);
    assert_eq!(frames.iter().filter(|frame| matches!(frame, Frame::Binary(_))).count(), 1);
    assert_eq!(frames.len(), 2);
}

#[tokio::test]
async fn bad_input_ends_its_socket_with_the_right_code_and_not_the_session() {
    let live = endpoint_with(|limits| limits.elements = 100);
    let session = live.session();
    let _html = session.page("t", "");
    let many = bonito_core::proto::value::RawValue::encode(&vec![0; 1000]).unwrap();
    let many = ClientMessage::UpdateObservable { id: "o1".into(), payload: many };
    let many = bonito_core::proto::codec::encode_client(&many).unwrap();
    for (frame, code) in [
        (Ok(Frame::Text("hello".into())), 1003),
        (Ok(Frame::Binary(Bytes::from_static(b"\xc1"))), 1007),
        (Ok(Frame::Binary(Bytes::new())), 1007),
        (Ok(Frame::Binary(Bytes::from_static(b"\x81\xa8msg_type\xa211\x00"))), 1007),
        (Ok(Frame::Binary(many)), 1009),
        (
            Ok(Frame::Binary(Bytes::from_static(b"\x83\xa8msg_type\xa10\xa2id\xa1x\xa7payload\xd4\x66\x90"))),
            1008,
        ),
        (Err(TransportErrorKind::TooLarge.into()), 1009),
        (Err(TransportErrorKind::Protocol.into()), 1002),
        (Err(TransportErrorKind::InvalidUtf8.into()), 1007),
    ] {
        let page = Page::open(&live, &session).await;
        session.eval(script(1));
        settle().await;
        page.received();
        let shown = format!("{frame:?}");
        page.send_raw(frame);
        assert_eq!(page.closed().await, Some(code), "{shown}");
        settle().await;
        assert_eq!(session.status(), Status::SoftClosed, "{shown}");
        page.serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_peer_is_pinged_and_a_dead_one_given_up() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!(page.frames(), [Frame::Ping(Bytes::new())]);
    page.send_frame(Frame::Pong(Bytes::new()));
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(session.status(), Status::Open);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(session.status(), Status::SoftClosed);
    assert_eq!(page.closed().await, Some(4008));
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_never_says_hello_is_closed() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::connect(&live, &session).await;
    page.send_frame(Frame::Ping(Bytes::new()));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(page.closed().await, Some(4008));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_the_close_frame_is_dropped() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.read_only(Some(0));
    session.close();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(page.serving.is_finished());
    assert_eq!(live.stats().sockets, 0);
}

#[tokio::test]
async fn dropping_the_loop_soft_closes_the_session_and_keeps_what_waits() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.read_only(Some(0));
    session.eval(script(1));
    settle().await;
    page.serving.abort();
    settle().await;
    assert_eq!(session.status(), Status::SoftClosed);
    assert_eq!(live.stats().sockets, 0);
    let page = Page::open(&live, &session).await;
    assert_eq!(page.received(), ["step(1)"]);
}

#[tokio::test]
async fn a_closed_session_tells_its_page_and_forgets_everything() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(1);
    session.eval(js!("$(value)"));
    session.text(&value);
    session.on_click(|| {});
    session.spawn(std::future::pending());
    let html = session.page("t", "");
    assert!(html.contains("atob"));
    let page = Page::open(&live, &session).await;
    assert_eq!((value.session_count(), value.listener_count()), (1, 1));
    session.close();
    session.close();
    assert_eq!(page.closed().await, Some(4004));
    page.serving.await.unwrap();
    assert_eq!((value.session_count(), value.listener_count()), (0, 0));
    assert_eq!(live.stats(), Default::default());
    assert_eq!(session.eval(script(1)), SendOutcome::Refused);
}

#[tokio::test]
async fn flapping_a_thousand_times_never_sticks() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    for _ in 0..1000 {
        let page = Page::connect(&live, &session).await;
        page.loaded();
        page.cut();
    }
    settle().await;
    let page = Page::open(&live, &session).await;
    assert_eq!(session.status(), Status::Open);
    session.eval(script(1));
    settle().await;
    assert_eq!(page.received(), ["step(1)"]);
    assert_eq!(live.stats().sockets, 1);
}

#[tokio::test(start_paused = true)]
async fn two_pages_that_take_a_session_from_each_other_slow_down_and_lose_nothing() {
    // The client that exists comes back at once, whatever the close code: without a truce this would never rest.
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let start = tokio::time::Instant::now();
    let mut page = Page::open(&live, &session).await;
    for n in 0..9 {
        let next = Page::connect(&live, &session).await;
        next.loaded();
        assert_eq!(page.closed().await, Some(4001));
        settle().await;
        session.eval(script(n));
        settle().await;
        assert_eq!(next.received(), [format!("step({n})")]);
        page = next;
    }
    assert!(start.elapsed() > Duration::from_secs(7), "{:?}", start.elapsed());
    // Whoever comes when the other is gone has the session at once.
    let waiting = Page::connect(&live, &session).await;
    waiting.loaded();
    settle().await;
    let before = tokio::time::Instant::now();
    page.cut();
    settle().await;
    assert_eq!((session.status(), before.elapsed()), (Status::Open, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn of_sockets_that_wait_the_newest_has_the_session_and_the_others_are_told() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let mut pages = Vec::new();
    for _ in 0..8 {
        let page = Page::connect(&live, &session).await;
        page.loaded();
        settle().await;
        pages.push(page);
    }
    let last = pages.pop().unwrap();
    for page in &pages {
        assert_eq!(page.closed().await, Some(4001));
    }
    settle().await;
    session.eval(script(1));
    settle().await;
    assert_eq!(last.received(), ["step(1)"]);
}
