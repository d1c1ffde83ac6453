//! The five callbacks of a behaviour: when each is called, and with what.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod probe;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use bonito_core::{
    Conn, Context, Endpoint, Frame, Limits, Outcome, Peer, Posted, SocketOptions, WebSocketBehaviour,
};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use probe::{Journal, Probe, heard, open, opened, probed, say};
use support::{Page, settle, upgrade};

#[tokio::test(start_paused = true)]
async fn connect_is_called_during_the_handshake_and_init_right_after() {
    let (live, journal) = probed(SocketOptions::new());
    let (parts, ()) = upgrade("/live/probe").body(()).unwrap().into_parts();
    let Outcome::Upgrade(accepted) = live.handle(&parts).await else { panic!("refused") };
    assert_eq!(journal.take(), ["connect"], "the connection is not there yet");
    assert!(accepted.session().is_none());
    tokio::spawn(accepted.run(support::idle_socket()));
    settle().await;
    assert_eq!(journal.take(), ["init"]);
}

#[tokio::test(start_paused = true)]
async fn connect_refuses_with_a_usual_http_response() {
    let (live, journal) = probed(SocketOptions::new());
    let refusal = Page::at(&live, upgrade("/live/probe?refused")).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refusal.headers()[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(refusal.body(), "log in first");
    settle().await;
    assert_eq!(journal.take(), ["connect"], "neither init nor terminate");
    assert_eq!(live.stats().sockets, 0);
    assert_eq!(live.mounted("/probe").unwrap().stats().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn connect_by_default_lets_everybody_in() {
    struct Plain;
    impl WebSocketBehaviour for Plain {
        type Message = ();
        async fn init(_: &Conn, _: &mut Context<Self>) -> Self {
            Self
        }
        async fn handle_client_message(&mut self, frame: Frame, cx: &mut Context<Self>) {
            cx.push(frame);
        }
        async fn handle_server_message(&mut self, (): (), _: &mut Context<Self>) {}
    }
    let live = Endpoint::builder("/live").socket::<Plain>("/plain").build();
    let page = Page::at(&live, upgrade("/live/plain")).await.unwrap();
    say(&page, "hello");
    settle().await;
    assert_eq!(heard(&page), ["hello"]);
    page.send_frame(Frame::Close(None));
    settle().await;
    assert_eq!(live.stats().behaviours, 0, "and terminate by default does nothing");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_connect_is_a_500_and_leaves_nothing() {
    let (live, journal) = probed(SocketOptions::new());
    let refusal = Page::at(&live, upgrade("/live/probe?connect-panics")).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(journal.take(), ["connect"]);
    assert_eq!((live.stats().sockets, live.stats().behaviours), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn init_sends_the_first_messages() {
    let (live, _journal) = probed(SocketOptions::new());
    let page = Page::at(&live, upgrade("/live/probe?greeting")).await.unwrap();
    settle().await;
    assert_eq!(heard(&page), ["welcome", "binary 1"]);
}

#[tokio::test(start_paused = true)]
async fn the_state_that_init_makes_is_the_one_that_callbacks_change() {
    let (_live, _journal, page) = opened().await;
    (0..3).for_each(|_| say(&page, "count"));
    settle().await;
    assert_eq!(heard(&page), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_message_is_answered_with_the_frames_that_are_pushed() {
    let (_live, journal, page) = opened().await;
    say(&page, "three");
    page.send_frame(Frame::Binary(Bytes::from_static(b"\x00\x01")));
    settle().await;
    assert_eq!(heard(&page), ["1", "2", "3", "binary 2"]);
    assert_eq!(journal.take(), ["client three", "binary"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_message_is_answered_with_the_frames_that_are_pushed() {
    let (_live, journal, page) = opened().await;
    assert_eq!(journal.address().send(7), Posted::Queued);
    settle().await;
    assert_eq!(journal.take(), ["server 7"]);
    assert_eq!(heard(&page), ["message 7"]);
}

#[tokio::test(start_paused = true)]
async fn frames_after_a_close_are_not_sent() {
    let (_live, journal, page) = opened().await;
    say(&page, "close");
    say(&page, "too late");
    settle().await;
    assert_eq!(heard(&page), ["before", "close 4321 done"]);
    assert_eq!(journal.take(), ["client close", "terminate Normal"], "nor is anything handled");
}

#[tokio::test(start_paused = true)]
async fn a_message_to_an_address_whose_init_still_runs_waits_for_it() {
    let (live, journal) = probed(SocketOptions::new());
    let page = Page::at(&live, upgrade("/live/probe?init-waits")).await.unwrap();
    settle().await;
    assert_eq!(journal.address().send(1), Posted::Queued);
    settle().await;
    assert_eq!(journal.take(), ["connect", "init"]);
    journal.go_on.notify_one();
    settle().await;
    assert_eq!(heard(&page), ["message 1"]);
}

#[tokio::test(start_paused = true)]
async fn one_callback_runs_at_a_time_and_the_socket_is_not_read_meanwhile() {
    let (_live, journal, page) = opened().await;
    say(&page, "wait");
    say(&page, "next");
    settle().await;
    assert_eq!(journal.address().send(1), Posted::Queued);
    settle().await;
    assert_eq!(journal.take(), ["client wait"]);
    assert_eq!(page.unread(), 1, "what the client sends stays with it");
    journal.go_on.notify_one();
    settle().await;
    let mut after = journal.take();
    assert_eq!(after.remove(0), "went on");
    after.sort();
    assert_eq!(after, ["client next", "server 1"]);
}

#[tokio::test(start_paused = true)]
async fn client_and_server_messages_take_turns() {
    let (_live, journal, page) = opened().await;
    say(&page, "wait");
    settle().await;
    for n in 0..3 {
        say(&page, &n.to_string());
        assert_eq!(journal.address().send(n), Posted::Queued);
    }
    journal.go_on.notify_one();
    settle().await;
    assert_eq!(journal.take()[2..], ["server 0", "client 0", "server 1", "client 1", "server 2", "client 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_is_an_answer() {
    let (live, journal) = probed(SocketOptions::new().mailbox(3));
    let page = open(&live).await;
    say(&page, "wait");
    settle().await;
    let address = journal.address();
    let answers: Vec<_> = (0..5).map(|n| address.send(n)).collect();
    let refused = answers.iter().filter(|answer| answer.is_refused()).count();
    assert_eq!((answers.len() - refused, refused), (3, 2), "{answers:?}");
    journal.go_on.notify_one();
    settle().await;
    assert_eq!(heard(&page), ["went on", "message 0", "message 1", "message 2"]);
    assert_eq!(address.send(9), Posted::Queued, "there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_its_behaviour_up() {
    let (_live, journal, page) = opened().await;
    page.read_only(Some(0));
    let address = journal.address();
    let mut taken = 0;
    while address.send(1) == Posted::Queued {
        taken += 1;
        settle().await;
        assert!(taken < 1000, "nobody ever refuses");
    }
    let answered = journal.take().len();
    assert!(answered <= 2, "{answered} answers wait for a client that reads none");
    page.read_only(None);
    settle().await;
    settle().await;
    assert_eq!(journal.take().len() + answered, taken, "none that was taken is lost");
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_and_are_not_for_the_behaviour() {
    let (_live, journal, page) = opened().await;
    page.send_frame(Frame::Ping(Bytes::from_static(b"a")));
    page.send_frame(Frame::Pong(Bytes::from_static(b"b")));
    settle().await;
    assert_eq!(heard(&page), ["pong b\"a\""]);
    assert!(journal.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_request_reaches_the_callbacks() {
    struct Asked;
    impl WebSocketBehaviour for Asked {
        type Message = ();
        async fn connect(conn: &Conn) -> Result<(), Response<Bytes>> {
            assert_eq!(conn.method(), "GET");
            assert_eq!(conn.path(), "/live/rooms/a%20b/seats/7");
            assert_eq!((conn.param("room"), conn.param("seat")), (Some("a b"), Some("7")));
            assert_eq!(conn.params().collect::<Vec<_>>(), [("room", "a b"), ("seat", "7")]);
            assert_eq!(conn.query(), Some("token=x%20y&n=1"));
            assert_eq!(conn.query_value("token").as_deref(), Some("x y"));
            assert_eq!(conn.headers()["x-it"], "so");
            assert_eq!((conn.cookie("sid"), conn.cookie("other")), (Some("s=1"), Some("o")));
            assert_eq!(conn.cookie("none"), None);
            assert_eq!(conn.peer(), Some(SocketAddr::from(([10, 0, 0, 1], 5))));
            assert_eq!(conn.extensions().get::<u8>(), Some(&9));
            assert_eq!((conn.state::<String>().as_str(), conn.try_state::<u8>()), ("db", None));
            Ok(())
        }
        async fn init(conn: &Conn, cx: &mut Context<Self>) -> Self {
            cx.push_text(conn.param("room").unwrap());
            Self
        }
        async fn handle_client_message(&mut self, _: Frame, cx: &mut Context<Self>) {
            let seat = cx.conn().param("seat").unwrap().to_owned();
            cx.push_text(seat);
        }
        async fn handle_server_message(&mut self, (): (), _: &mut Context<Self>) {}
    }
    let live = Endpoint::builder("/live")
        .socket_with::<Asked>("/rooms/{room}/seats/{seat}", SocketOptions::new().state("db".to_owned()))
        .build();
    let request = upgrade("/live/rooms/a%20b/seats/7?token=x%20y&n=1")
        .header("x-it", "so")
        .header("cookie", "a=b; sid=s=1")
        .header("cookie", "other=o")
        .extension(Peer(SocketAddr::from(([10, 0, 0, 1], 5))))
        .extension(9u8);
    let page = Page::at(&live, request).await.unwrap();
    say(&page, "seat");
    settle().await;
    assert_eq!(heard(&page), ["a b", "7"]);
}

#[tokio::test(start_paused = true)]
async fn the_identity_hook_says_who_connects() {
    struct Who;
    impl WebSocketBehaviour for Who {
        type Message = ();
        async fn init(conn: &Conn, cx: &mut Context<Self>) -> Self {
            cx.push_text(conn.identity().unwrap_or("nobody"));
            Self
        }
        async fn handle_client_message(&mut self, _: Frame, _: &mut Context<Self>) {}
        async fn handle_server_message(&mut self, (): (), _: &mut Context<Self>) {}
    }
    let live = Endpoint::builder("/live")
        .identity(|request| {
            let user = request.headers.get("x-user")?.to_str().unwrap();
            assert_ne!(user, "panic");
            Some(user.to_owned())
        })
        .socket::<Who>("/who/{x}")
        .build();
    // A parameter that looks like somebody's session is not one.
    let session = live.session();
    session.set_identity(Some("bob"));
    let path = format!("/live/who/{}", session.id());
    for (request, says) in [(upgrade(&path), "nobody"), (upgrade(&path).header("x-user", "ada"), "ada")] {
        let page = Page::at(&live, request).await.unwrap();
        settle().await;
        assert_eq!(heard(&page), [says]);
    }
    let refusal = Page::at(&live, upgrade(&path).header("x-user", "panic")).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn what_a_session_is_checked_for_a_behaviour_is_too() {
    let (live, journal) = probed(SocketOptions::new());
    let status = async |request: http::request::Builder| {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        match live.handle(&parts).await {
            Outcome::Respond(refusal) => refusal,
            Outcome::Upgrade(_) => panic!("let in"),
        }
    };
    let plain = status(http::Request::get("/live/probe")).await;
    assert_eq!(
        (plain.status(), &plain.headers()[header::UPGRADE]),
        (StatusCode::UPGRADE_REQUIRED, &"websocket".parse().unwrap())
    );
    let post = status(http::Request::post("/live/probe")).await;
    assert_eq!(
        (post.status(), &post.headers()[header::ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET".parse().unwrap())
    );
    let foreign = upgrade("/live/probe").header("origin", "http://evil.example");
    assert_eq!(status(foreign).await.status(), StatusCode::FORBIDDEN);
    for path in ["/live/other", "/live/probe/x", "/live/x/probe"] {
        assert_eq!(status(upgrade(path)).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert!(journal.take().is_empty(), "the behaviour is not asked");
    assert!(Page::at(&live, upgrade("/live/probe").header("origin", "http://app.example")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_literal_is_asked_before_a_parameter_and_sessions_are_still_found() {
    struct Named<const N: u8>;
    impl<const N: u8> WebSocketBehaviour for Named<N> {
        type Message = ();
        async fn init(_: &Conn, cx: &mut Context<Self>) -> Self {
            cx.push_text(N.to_string());
            Self
        }
        async fn handle_client_message(&mut self, _: Frame, _: &mut Context<Self>) {}
        async fn handle_server_message(&mut self, (): (), _: &mut Context<Self>) {}
    }
    let live = Endpoint::builder("/live")
        .socket::<Named<1>>("/rooms/{room}")
        .socket::<Named<2>>("/rooms/lobby")
        .socket::<Named<3>>("/rooms")
        .build();
    let session = live.session();
    let by_id = format!("/rooms/{}", session.id());
    for (path, says) in [("/rooms/x", "1"), ("/rooms/lobby", "2"), ("/rooms", "3"), (&*by_id, "1")] {
        let page = Page::at(&live, upgrade(&format!("/live{path}"))).await.unwrap();
        settle().await;
        assert_eq!(heard(&page), [says], "{path}");
    }
    let _html = session.page("t", "");
    Page::open(&live, &session).await;
    assert_eq!(live.stats().open, 1);
}

#[test]
#[should_panic(expected = "\"/rooms/{b}\" clashes with \"/rooms/{a}\", which is mounted already")]
fn two_behaviours_at_one_path_panic_when_built() {
    drop(Endpoint::builder("/live").socket::<Probe>("/rooms/{a}").socket::<Probe>("/rooms/{b}"));
}

#[test]
#[should_panic(expected = "to look like \"/chat\" or \"/rooms/{room}\", got \"chat\"")]
fn a_bad_pattern_panics_when_built() {
    drop(Endpoint::builder("/live").socket::<Probe>("chat"));
}

#[tokio::test(start_paused = true)]
async fn more_connections_than_the_behaviour_may_have_are_503_and_the_bound_is_set_at_run_time() {
    let (live, journal) = probed(SocketOptions::new().max_connections(1));
    let first = open(&live).await;
    let refusal = Page::at(&live, upgrade("/live/probe")).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(journal.take(), ["connect", "init"], "the second is not even asked");
    let mounted = live.mounted("/probe").unwrap();
    mounted.set_max_connections(Some(2));
    let _second = open(&live).await;
    assert!(Page::at(&live, upgrade("/live/probe")).await.is_err());
    mounted.set_max_connections(None);
    let _third = open(&live).await;
    first.send_frame(Frame::Close(None));
    settle().await;
    let stats = mounted.stats();
    assert_eq!((stats.connections, stats.accepted, stats.refused), (2, 3, 2));
    assert_eq!(live.stats().behaviours, 2);
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_in_connect_count() {
    let (live, journal) = probed(SocketOptions::new().max_connections(2));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let live = live.clone();
            tokio::spawn(async move { Page::at(&live, upgrade("/live/probe?connect-waits")).await.is_ok() })
        })
        .collect();
    settle().await;
    assert_eq!(journal.take().len(), 2, "the third is not asked");
    journal.go_on.notify_waiters();
    let mut let_in = 0;
    for waiting in waiting {
        let_in += usize::from(waiting.await.unwrap());
    }
    assert_eq!(let_in, 2);
}

#[tokio::test(start_paused = true)]
async fn behaviours_count_as_sockets_of_the_endpoint() {
    let journal = Arc::new(Journal::default());
    let mut limits = Limits::default();
    limits.sockets = 1;
    let live = Endpoint::builder("/live")
        .limits(limits)
        .socket_with::<Probe>("/probe", SocketOptions::new().state(journal))
        .build();
    let page = open(&live).await;
    assert_eq!(live.stats().sockets, 1);
    assert!(Page::at(&live, upgrade("/live/probe")).await.is_err());
    page.cut();
    settle().await;
    assert!(Page::at(&live, upgrade("/live/probe")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn frames_are_counted() {
    let (live, _journal, page) = opened().await;
    say(&page, "three");
    page.send_frame(Frame::Ping(Bytes::new()));
    say(&page, "echo");
    settle().await;
    let stats = live.mounted("/probe").unwrap().stats();
    assert_eq!((stats.frames_in, stats.frames_out), (2, 5), "three and an echo, and the pong");
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_goes_out_in_one_flush() {
    let (_live, journal, page) = opened().await;
    let before = page.flushes();
    for n in 0..10 {
        assert_eq!(journal.address().send(n), Posted::Queued);
    }
    settle().await;
    assert_eq!(heard(&page).len(), 10);
    assert_eq!(page.flushes() - before, 1);
}
