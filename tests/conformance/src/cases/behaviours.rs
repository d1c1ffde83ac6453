//! WebSocket behaviours: that their callbacks see the request, and that connections end as they should.

use std::net::SocketAddr;
use std::time::Duration;

use bonito_core::{Endpoint, SocketOptions};
use futures_util::SinkExt;
use futures_util::future::join;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::client::{Socket, ask, close_code, connect, next, until};
use crate::probe::{Note, Shared, probed};
use crate::wire::Wire;

fn plain() -> (Endpoint, Shared) {
    probed(SocketOptions::new(), |_| {})
}

async fn echo(address: SocketAddr) -> Socket {
    connect(address, "/live/echo", &[]).await.unwrap()
}

async fn says(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

async fn hears(socket: &mut Socket, text: &str) {
    assert_eq!(next(socket).await.unwrap().unwrap(), Message::text(text));
}

case! {
    /// Who may connect is decided by cookies, headers, the path and the query.
    a_behaviour_sees_the_request((live, shared) = plain(), address) {
        for prefix in ["/live", "/app/live"] {
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("ws://{address}{prefix}/rooms/a%20%C3%A4?a=x%20y");
            let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(request).unwrap();
            request.headers_mut().append("cookie", "other=1; sid=secret".parse().unwrap());
            request.headers_mut().append("x-it", "so".parse().unwrap());
            tokio_tungstenite::client_async(request, tcp).await.unwrap();
            let seen = shared.sees().pop().unwrap();
            let (path, rest) = seen.split_once(" room=").unwrap();
            assert!(path.starts_with("GET ") && path.ends_with("/live/rooms/a%20%C3%A4"), "{seen}");
            assert_eq!(rest, r#""a ä" a="x y" sid="secret" x-it=Some("so")"#);
        }
        drop(live);
    }
}

case! {
    /// A refusal is a usual HTTP response: its status, headers and body.
    a_behaviour_refuses_with_a_response((live, shared) = plain(), address) {
        let (status, headers) = connect(address, "/live/echo?refuse=401", &[]).await.unwrap_err();
        assert_eq!((status.as_u16(), headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
        assert!(shared.ends().is_empty());
        assert_eq!(live.stats().sockets, 0);
    }
}

case! {
    /// The endpoint's own checks come before the behaviour is asked.
    a_behaviour_is_not_asked_about_what_is_refused(
        (live, shared) = probed(SocketOptions::new().max_connections(1), |_| {}),
        address
    ) {
        let (status, _) = connect(address, "/live/echo", &["http://evil.example"]).await.unwrap_err();
        assert_eq!(status, 403);
        assert!(ask(address, "GET", "/live/echo").await.starts_with("HTTP/1.1 426"));
        assert!(ask(address, "POST", "/live/echo").await.starts_with("HTTP/1.1 405"));
        assert!(ask(address, "GET", "/live/echo/more").await.starts_with("HTTP/1.1 404"));
        assert!(shared.sees().is_empty());
        let mut first = echo(address).await;
        let (status, headers) = connect(address, "/live/echo", &[]).await.unwrap_err();
        assert_eq!(status, 503);
        assert!(headers.contains_key("retry-after"));
        live.mounted("/echo").unwrap().set_max_connections(Some(2));
        echo(address).await;
        says(&mut first, "still here").await;
        hears(&mut first, "still here").await;
    }
}

case! {
    /// What `init` pushes comes first, then each message is answered in order; text stays text and bytes stay bytes.
    a_behaviour_answers_in_order((live, _shared) = plain(), address) {
        let mut socket = connect(address, "/live/echo?greet=1", &[]).await.unwrap();
        for n in 0..100u8 {
            says(&mut socket, &n.to_string()).await;
            socket.send(Message::binary(vec![n; 3])).await.unwrap();
        }
        hears(&mut socket, "welcome").await;
        assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::binary(&b"\xff\x00"[..]));
        for n in 0..100u8 {
            hears(&mut socket, &n.to_string()).await;
            assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::binary(vec![n; 3]));
        }
        let stats = live.mounted("/echo").unwrap().stats();
        assert_eq!((stats.connections, stats.frames_in, stats.frames_out), (1, 200, 202));
    }
}

case! {
    /// Frames after the close frame are not sent, and the reason is that the behaviour closed.
    a_behaviour_closes((live, shared) = plain(), address) {
        let mut socket = echo(address).await;
        says(&mut socket, "!close").await;
        hears(&mut socket, "before").await;
        let frame = CloseFrame { code: 4321.into(), reason: "done".into() };
        assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::Close(Some(frame)));
        let _ = socket.flush().await;
        assert!(next(&mut socket).await.is_none(), "and is hung up on");
        until(|| shared.ends() == ["Normal"] && live.stats().behaviours == 0).await;
    }
}

case! {
    /// The client's code and text are the reason, and its close frame is answered.
    a_behaviour_is_told_how_its_client_closed((live, shared) = plain(), address) {
        let mut socket = echo(address).await;
        let frame = CloseFrame { code: 4000.into(), reason: "bye".into() };
        socket.close(Some(frame)).await.unwrap();
        assert_eq!(close_code(&mut socket).await, Some(4000));
        until(|| shared.ends() == ["RemoteWith(CloseCode(4000), \"bye\")"]).await;
        let mut socket = echo(address).await;
        socket.close(None).await.unwrap();
        assert_eq!(close_code(&mut socket).await, None);
        until(|| shared.ends().last().unwrap() == "Remote" && live.stats().behaviours == 0).await;
    }
}

case! {
    /// A client that is gone without a word is an error, however it went.
    a_behaviour_is_told_that_its_client_vanished((live, shared) = plain(), address) {
        let mut socket = echo(address).await;
        says(&mut socket, "x").await;
        hears(&mut socket, "x").await;
        drop(socket);
        until(|| shared.ends() == ["Lost"]).await;
        let socket = echo(address).await;
        socket.get_ref().set_zero_linger().unwrap();
        drop(socket);
        until(|| shared.ends() == ["Lost", "Lost"] && live.stats().sockets == 0).await;
    }
}

case! {
    /// A callback that panics ends its own connection and no other.
    a_behaviour_that_panics_ends_its_connection_with_1011((live, shared) = plain(), address) {
        let mut other = echo(address).await;
        let mut socket = echo(address).await;
        says(&mut socket, "!panic").await;
        assert_eq!(close_code(&mut socket).await, Some(1011));
        until(|| shared.ends() == ["Panic"] && live.stats().behaviours == 1).await;
        says(&mut other, "alive").await;
        hears(&mut other, "alive").await;
    }
}

case! {
    /// A silent client costs something: it ends after its time, and one that speaks does not.
    a_behaviour_ends_a_silent_client(
        (live, shared) = probed(SocketOptions::new().idle_timeout(Duration::from_millis(400)), |limits| {
            limits.close_timeout = Duration::from_millis(100);
        }),
        address
    ) {
        let mut silent = connect(address, "/live/rooms/lobby?name=silent", &[]).await.unwrap();
        let mut busy = echo(address).await;
        let talking = async {
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_millis(80)).await;
                says(&mut busy, "x").await;
                hears(&mut busy, "x").await;
            }
        };
        let (code, ()) = join(close_code(&mut silent), talking).await;
        assert_eq!(code, Some(4008));
        until(|| shared.ends() == ["Timeout"] && live.stats().behaviours == 1).await;
        assert!(shared.registry.unique().is_empty() && shared.registry.group().is_empty());
    }
}

case! {
    /// A deployment tells every client to go, and each connection that the server stops.
    a_drain_ends_behaviours_with_1001((live, shared) = plain(), address) {
        let mut sockets = Vec::new();
        for n in 0..10 {
            sockets.push(connect(address, &format!("/live/rooms/lobby?name=n{n}"), &[]).await.unwrap());
        }
        until(|| shared.registry.unique().len() == 10).await;
        let reading = async {
            for socket in &mut sockets {
                assert_eq!(close_code(socket).await, Some(1001));
            }
        };
        let (drained, ()) = join(live.drain(Duration::from_secs(2)), reading).await;
        assert_eq!(drained.left, 0);
        assert_eq!(shared.ends(), vec!["Stop"; 10]);
        assert!(shared.registry.unique().is_empty() && shared.registry.group().is_empty());
        assert_eq!(connect(address, "/live/echo", &[]).await.unwrap_err().0, 503);
    }
}

case! {
    /// Names and groups reach connections from anywhere, and are free again when these end.
    names_and_groups_reach_connections((live, shared) = plain(), address) {
        let mut sockets = Vec::new();
        for n in 0..10 {
            sockets.push(connect(address, &format!("/live/rooms/lobby?name=n{n}"), &[]).await.unwrap());
        }
        let (names, groups) = (shared.registry.unique(), shared.registry.group());
        until(|| names.len() == 10 && groups.members("lobby").len() == 10).await;
        assert_eq!(groups.publish("lobby", Note("all".into())).addressed, 10);
        assert!(names.send("n3", Note("you".into())).is_queued());
        for (n, socket) in sockets.iter_mut().enumerate() {
            hears(socket, "all").await;
            if n == 3 {
                hears(socket, "you").await;
            }
        }
        drop(sockets);
        until(|| names.is_empty() && groups.is_empty() && live.stats().behaviours == 0).await;
    }
}

case! {
    /// A client that sends and does not read is held up, and costs the server no more than a few messages.
    a_client_that_does_not_read_is_held_up((live, _shared) = plain(), address) {
        let mut wire = Wire::open(address, "/live/echo").await;
        let message = crate::wire::frame(crate::wire::FIN | crate::wire::BINARY, vec![7; 64 << 10]);
        let flood = async {
            for _ in 0..4096 {
                wire.send(&message).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(2), flood).await.is_err(), "256 MiB went in");
        let before = live.mounted("/echo").unwrap().stats();
        let waiting = before.frames_in - before.frames_out;
        assert!(waiting <= 2, "{waiting} answers wait");
        drop(wire);
        until(|| live.stats().behaviours == 0).await;
    }
}

case! {
    /// Whatever a connection held is given back.
    a_thousand_behaviours_leave_nothing_behind((live, shared) = plain(), address) {
        for n in 0..1000 {
            let mut socket = connect(address, &format!("/live/rooms/r{}?name=n", n % 7), &[]).await.unwrap();
            match n % 4 {
                0 => _ = socket.close(None).await,
                1 => says(&mut socket, "!panic").await,
                2 => says(&mut socket, "!close").await,
                _ => {}
            }
            if n % 4 != 3 {
                let _ = close_code(&mut socket).await;
            }
            drop(socket);
            until(|| shared.ends().len() > n).await;
        }
        let registry = &shared.registry;
        until(|| registry.unique().is_empty() && registry.group().is_empty()).await;
        until(|| live.stats().sockets == 0 && live.stats().behaviours == 0).await;
        assert_eq!(shared.ends().len(), 1000);
    }
}
