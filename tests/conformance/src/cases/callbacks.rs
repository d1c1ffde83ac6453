//! WebSocket behaviours: each callback's promise, as the document has it.

use std::net::SocketAddr;

use bonito_core::{Endpoint, SocketOptions};

use crate::client::until;
use crate::probe::{Note, Shared, probed};
use crate::wire::{BINARY, CLOSE, FIN, Raw, TEXT, Wire, close, frame};

fn plain() -> (Endpoint, Shared) {
    probed(SocketOptions::new(), |limits| limits.message_bytes = 1000)
}

case! {
    /// Nothing has to be written to let everybody in, or to clean up.
    a_behaviour_without_connect_lets_everybody_in((live, _shared) = plain(), address) {
        let mut wire = Wire::open(address, "/live/plain").await;
        wire.hears("plain").await;
        wire.send(frame(FIN | TEXT, "hello")).await;
        wire.hears("hello").await;
        wire.send(close(1000, "")).await;
        wire.closes(Some(1000), "an end in order").await;
        until(|| live.stats().behaviours == 0 && live.stats().sockets == 0).await;
    }
}

case! {
    /// Whatever response a behaviour refuses with comes as it is: a redirect to the login with cookies, or an error.
    a_behaviour_refuses_with_any_response((live, shared) = plain(), address) {
        for status in [200, 302, 400, 401, 403, 404, 409, 429, 500, 503] {
            let (head, body) = Wire::refused(address, &format!("/live/echo?refuse={status}")).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            let has = |line: &str| head.lines().any(|has| has.eq_ignore_ascii_case(line));
            assert!(has("www-authenticate: Bearer") && has("location: /login?from=here"), "{head}");
            assert!(has("set-cookie: a=1; HttpOnly") && has("set-cookie: b=2"), "{head}");
            assert!(!head.to_ascii_lowercase().contains("sec-websocket-accept"), "{head}");
            assert_eq!(body, "log in first");
        }
        assert_eq!((live.stats().behaviours, live.stats().sockets, shared.ends().len()), (0, 0, 0));
    }
}

case! {
    /// What `init` pushes comes to a client that says nothing, and may be the end.
    init_pushes_the_first_frames((live, shared) = plain(), address) {
        let mut wire = Wire::open(address, "/live/echo?greet=1").await;
        wire.hears("welcome").await;
        assert_eq!(wire.next().await, Some(Raw(FIN | BINARY, vec![0xff, 0])));
        let mut wire = Wire::open(address, "/live/echo?greet=close").await;
        wire.hears("before").await;
        wire.closes(Some(4321), "init closes").await;
        until(|| shared.ends().contains(&"Normal".to_owned())).await;
        drop(live);
    }
}

case! {
    /// A message of the server's side becomes frames for a client that says nothing, and frames after a close are not sent.
    a_server_message_becomes_frames((live, shared) = plain(), address) {
        let mut wire = Wire::open(address, "/live/rooms/lobby?name=ada").await;
        let names = shared.registry.unique();
        until(|| names.find("ada").is_some()).await;
        for n in 0..50 {
            assert!(names.send("ada", Note(n.to_string().into())).is_queued());
        }
        for n in 0..50 {
            wire.hears(&n.to_string()).await;
        }
        assert!(names.send("ada", Note("!close".into())).is_queued());
        wire.hears("before").await;
        wire.closes(Some(4321), "a message closes").await;
        until(|| shared.ends() == ["Normal"] && live.stats().behaviours == 0).await;
    }
}

/// What ends a connection, and its reason: what its client sends, or how it goes.
const ENDS: &[(&str, &str)] = &[
    ("it closes", "Normal"),
    ("a message of the server's side closes it", "Normal"),
    ("a callback panics", "Panic"),
    ("a callback for the server's side panics", "Panic"),
    ("a callback fails", "Failed"),
    ("its client closes", "Remote"),
    ("its client closes with a code", "RemoteWith(CloseCode(4000), \"bye\")"),
    ("its client breaks the protocol", "Protocol"),
    ("its client sends no text as one", "Protocol"),
    ("its client sends too much", "Protocol"),
    ("its client hangs up", "Lost"),
    ("its client is gone", "Lost"),
];

case! {
    /// However a connection ends, it is told why, and its name and its place in a group are free before it is.
    a_name_is_free_however_its_connection_ended((live, shared) = plain(), address) {
        let (names, groups) = (shared.registry.unique(), shared.registry.group());
        for (n, (how, reason)) in ENDS.iter().enumerate() {
            let mut wire = Wire::open(address, "/live/rooms/lobby?name=ada").await;
            until(|| names.find("ada").is_some() && groups.members("lobby").len() == 1).await;
            // Its name was free: it is reached by it.
            assert!(names.send("ada", Note("hello".into())).is_queued(), "{how}");
            wire.hears("hello").await;
            match *how {
                "a message of the server's side closes it" => assert!(names.send("ada", Note("!close".into())).is_queued()),
                "a callback for the server's side panics" => assert!(names.send("ada", Note("!panic".into())).is_queued()),
                "it closes" => wire.send(frame(FIN | TEXT, "!close")).await,
                "a callback panics" => wire.send(frame(FIN | TEXT, "!panic")).await,
                "a callback fails" => wire.send(frame(FIN | TEXT, "!fail")).await,
                "its client closes" => wire.send(frame(FIN | CLOSE, "")).await,
                "its client closes with a code" => wire.send(close(4000, "bye")).await,
                "its client breaks the protocol" => wire.send(frame(FIN | 0x70 | TEXT, "")).await,
                "its client sends no text as one" => wire.send(frame(FIN | TEXT, b"\xff")).await,
                "its client sends too much" => wire.send(frame(FIN | BINARY, vec![0; 1001])).await,
                "its client hangs up" => drop(wire),
                _ => wire.reset(),
            }
            until(|| shared.ends().len() > n).await;
            assert_eq!(shared.ends()[n..], [*reason], "{how}");
            assert!(names.is_empty() && groups.is_empty(), "{how}");
        }
        until(|| live.stats().behaviours == 0 && live.stats().sockets == 0).await;
        assert_eq!(shared.ends().len(), ENDS.len(), "each once");
    }
}
