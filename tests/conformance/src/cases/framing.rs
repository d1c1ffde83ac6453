//! The WebSocket protocol itself, byte by byte: the sections of the Autobahn test suite, over a behaviour that echoes.

use std::net::SocketAddr;

use bonito_core::{Endpoint, SocketOptions};

use crate::client::until;
use crate::probe::{Shared, probed};
use crate::wire::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Raw, TEXT, Wire, close, frame};

fn plain() -> (Endpoint, Shared) {
    probed(SocketOptions::new(), |_| {})
}

async fn open(address: SocketAddr) -> Wire {
    Wire::open(address, "/live/echo").await
}

case! {
    /// Autobahn 1: every length is written as it must be, and frames may come in any pieces.
    frames_of_every_length_are_echoed((live, _shared) = plain(), address) {
        let mut wire = open(address).await;
        for length in [0, 1, 125, 126, 127, 128, 65535, 65536, 100_000] {
            for (opcode, byte) in [(TEXT, b'*'), (BINARY, 0xfe)] {
                let payload = vec![byte; length];
                wire.send(frame(FIN | opcode, &payload)).await;
                assert_eq!(wire.next().await, Some(Raw(FIN | opcode, payload)), "{length}");
            }
        }
        wire.send_in(frame(FIN | TEXT, vec![b'*'; 65536]), 997).await;
        assert_eq!(wire.next().await, Some(Raw(FIN | TEXT, vec![b'*'; 65536])));
        wire.send_in(frame(FIN | BINARY, vec![1; 300]), 1).await;
        assert_eq!(wire.next().await, Some(Raw(FIN | BINARY, vec![1; 300])));
        drop(live);
    }
}

case! {
    /// Autobahn 2: a ping is answered once, with its payload; a pong that nobody asked for is not.
    pings_of_every_kind_are_answered((live, shared) = plain(), address) {
        let mut wire = open(address).await;
        for payload in [&b""[..], b"Hello", &[0, 255, 254, 253, 252, 0], &[0xfe; 125]] {
            wire.send(frame(FIN | PONG, payload)).await;
            wire.send(frame(FIN | PING, payload)).await;
            assert_eq!(wire.next().await, Some(Raw(FIN | PONG, payload.to_vec())));
        }
        wire.send_in(frame(FIN | PING, [0xfe; 125]), 1).await;
        assert_eq!(wire.next().await, Some(Raw(FIN | PONG, vec![0xfe; 125])));
        wire.send(frame(FIN | PING, [0xfe; 126])).await;
        wire.closes(Some(1002), "a ping of 126 bytes").await;
        until(|| shared.ends() == ["Protocol"]).await;
        drop(live);
    }
}

case! {
    /// Autobahn 3: reserved bits have no meaning without an extension, and none was agreed on.
    reserved_bits_are_refused((live, shared) = plain(), address) {
        for bits in [0x40, 0x20, 0x10, 0x70] {
            for opcode in [TEXT, BINARY, PING, CLOSE] {
                let mut wire = open(address).await;
                wire.send(frame(FIN | TEXT, "before")).await;
                wire.hears("before").await;
                wire.send([frame(FIN | bits | opcode, ""), frame(FIN | TEXT, "after")].concat()).await;
                wire.closes(Some(1002), &format!("bits {bits:x}, opcode {opcode}")).await;
            }
        }
        until(|| shared.ends() == vec!["Protocol"; 16] && live.stats().sockets == 0).await;
    }
}

case! {
    /// Autobahn 4: opcodes that mean nothing yet.
    reserved_opcodes_are_refused((live, shared) = plain(), address) {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            for payload in ["", "x"] {
                let mut wire = open(address).await;
                wire.send([frame(FIN | opcode, payload), frame(FIN | PING, "")].concat()).await;
                wire.closes(Some(1002), &format!("opcode {opcode}")).await;
            }
        }
        until(|| shared.ends() == vec!["Protocol"; 20] && live.stats().sockets == 0).await;
    }
}

case! {
    /// RFC 6455, section 5.1: frames of a client are masked.
    frames_without_a_mask_are_refused((live, _shared) = plain(), address) {
        let mut wire = open(address).await;
        wire.send([FIN | TEXT, 1, b'x']).await;
        wire.closes(Some(1002), "no mask").await;
        drop(live);
    }
}

case! {
    /// Autobahn 5: fragments make one message, control frames may stand between them, and their order is checked.
    fragments_make_one_message((live, shared) = plain(), address) {
        let mut wire = open(address).await;
        for size in [1, 3, 1000] {
            let pieces = [
                frame(TEXT, "fragment1"),
                frame(FIN | PING, "ping"),
                frame(CONTINUATION, ""),
                frame(FIN | PONG, ""),
                frame(FIN | CONTINUATION, "fragment2"),
            ];
            wire.send_in(pieces.concat(), size).await;
            assert_eq!(wire.next().await, Some(Raw(FIN | PONG, b"ping".to_vec())), "the pong does not wait");
            wire.hears("fragment1fragment2").await;
        }
        for (what, frames) in [
            ("a fragmented ping", vec![frame(PING, "a"), frame(FIN | CONTINUATION, "b")]),
            ("a fragmented pong", vec![frame(PONG, "a"), frame(FIN | CONTINUATION, "b")]),
            ("a fragmented close", vec![frame(CLOSE, "")]),
            ("a continuation of nothing", vec![frame(FIN | CONTINUATION, "a")]),
            ("a continuation of nothing, to be continued", vec![frame(CONTINUATION, "a")]),
            ("a message within a message", vec![frame(TEXT, "a"), frame(FIN | TEXT, "b")]),
            ("another kind within a message", vec![frame(TEXT, "a"), frame(BINARY, "b")]),
        ] {
            let mut wire = open(address).await;
            wire.send(frames.concat()).await;
            wire.closes(Some(1002), what).await;
        }
        until(|| shared.ends() == vec!["Protocol"; 7]).await;
        drop(live);
    }
}

case! {
    /// Autobahn 6: a text is UTF-8, wherever its fragments are cut, and what is not is refused.
    texts_are_utf8((live, shared) = plain(), address) {
        let mut wire = open(address).await;
        let text = "Hello-µ@ßöäüàá-UTF-8!! κόσμε \u{10ffff}\u{fffd}\u{ffff}\u{0}";
        for cut in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            wire.send([frame(TEXT, a), frame(FIN | CONTINUATION, b)].concat()).await;
            wire.hears(text).await;
        }
        let wrong: &[(&str, &[u8])] = &[
            ("a byte that never is", b"\xff"),
            ("a continuation byte alone", b"\x80"),
            ("a start byte alone", b"\xc3"),
            ("cut short", b"\xe2\x82"),
            ("an overlong slash", b"\xc0\xaf"),
            ("an overlong null in four", b"\xf0\x80\x80\x80"),
            ("a surrogate", b"\xed\xa0\x80"),
            ("past the last one", b"\xf4\x90\x80\x80"),
            ("in the middle", b"Hello \xce\xba\xed\xa0\x80edited"),
        ];
        for (what, bytes) in wrong {
            let mut wire = open(address).await;
            wire.send(frame(FIN | TEXT, bytes)).await;
            wire.closes(Some(1007), what).await;
            let mut wire = open(address).await;
            wire.send([frame(TEXT, bytes), frame(FIN | CONTINUATION, "")].concat()).await;
            wire.closes(Some(1007), &format!("{what}, in a fragment")).await;
            let mut wire = open(address).await;
            wire.send(frame(FIN | BINARY, bytes)).await;
            assert_eq!(wire.next().await, Some(Raw(FIN | BINARY, bytes.to_vec())), "{what}: bytes are bytes");
            wire.send(close(1000, "")).await;
            wire.closes(Some(1000), what).await;
        }
        until(|| shared.ends().iter().filter(|end| *end == "Protocol").count() == 2 * wrong.len()).await;
        drop(live);
    }
}

case! {
    /// Autobahn 7: the closing handshake; after it nothing is handled.
    closing_handshakes_are_answered((live, shared) = plain(), address) {
        let mut wire = open(address).await;
        wire.send([frame(FIN | TEXT, "before"), frame(FIN | CLOSE, ""), frame(FIN | TEXT, "after"), frame(FIN | PING, "")].concat()).await;
        wire.hears("before").await;
        wire.closes(None, "an empty close").await;
        let reason = "x".repeat(123);
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
            let mut wire = open(address).await;
            wire.send(close(code, &reason)).await;
            wire.closes(Some(code), "a good code").await;
        }
        until(|| shared.ends().len() == 14).await;
        assert_eq!(shared.ends()[0], "Remote");
        assert!(shared.ends()[1..].iter().all(|end| end.starts_with("RemoteWith") && end.contains(&reason)));
        drop(live);
    }
}

case! {
    /// Autobahn 7.9: codes that must not be sent, and close frames that are none.
    bad_close_frames_are_refused((live, shared) = plain(), address) {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            let mut wire = open(address).await;
            wire.send(close(code, "")).await;
            wire.closes(Some(1002), &format!("code {code}")).await;
        }
        for (what, bytes, code) in [
            ("a payload of one byte", frame(FIN | CLOSE, "x"), 1002),
            ("a reason of 124 bytes", close(1000, "x".repeat(124)), 1002),
            ("a reason that is not UTF-8", close(1000, b"\xce\xba\xed\xa0\x80"), 1007),
        ] {
            let mut wire = open(address).await;
            wire.send(bytes).await;
            wire.closes(Some(code), what).await;
        }
        until(|| shared.ends().len() == 15).await;
        // tungstenite answers a bad code as it should, and hands on its own answer as if it were the client's frame.
        let of_tungstenite = "RemoteWith(CloseCode(1002), \"Protocol violation\")";
        assert!(shared.ends()[..12].iter().all(|end| end == "Protocol" || end == of_tungstenite));
        assert_eq!(shared.ends()[12..], ["Protocol"; 3]);
        drop(live);
    }
}

case! {
    /// Autobahn 9: a message of the largest size is echoed, and one byte more is 1009; in fragments too.
    the_largest_message_is_echoed_and_a_larger_one_refused(
        (live, shared) = probed(SocketOptions::new(), |limits| limits.message_bytes = 100_000),
        address
    ) {
        let mut wire = open(address).await;
        wire.send(frame(FIN | BINARY, vec![1; 100_000])).await;
        assert_eq!(wire.next().await, Some(Raw(FIN | BINARY, vec![1; 100_000])));
        wire.send([frame(BINARY, vec![2; 50_000]), frame(FIN | CONTINUATION, vec![2; 50_000])].concat()).await;
        assert_eq!(wire.next().await, Some(Raw(FIN | BINARY, vec![2; 100_000])));
        wire.send(frame(FIN | BINARY, vec![1; 100_001])).await;
        wire.closes(Some(1009), "one byte more").await;
        let mut wire = open(address).await;
        wire.send([frame(BINARY, vec![2; 50_000]), frame(FIN | CONTINUATION, vec![2; 50_001])].concat()).await;
        wire.closes(Some(1009), "one byte more in fragments").await;
        until(|| shared.ends() == ["Protocol"; 2]).await;
        drop(live);
    }
}
