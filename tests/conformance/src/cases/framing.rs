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
        for (opcode, byte) in [(TEXT, b'*'), (BINARY, 0xfe)] {
            wire.send_in(frame(FIN | opcode, vec![byte; 65536]), 997).await;
            assert_eq!(wire.next().await, Some(Raw(FIN | opcode, vec![byte; 65536])), "in pieces");
        }
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
        for size in [usize::MAX, 1] {
            let ten: Vec<_> = (0..10).flat_map(|n| frame(FIN | PING, format!("payload-{n}"))).collect();
            wire.send_in(ten, size).await;
            for n in 0..10 {
                assert_eq!(wire.next().await, Some(Raw(FIN | PONG, format!("payload-{n}").into())), "each, in order");
            }
        }
        wire.send(frame(FIN | PING, [0xfe; 126])).await;
        wire.closes(Some(1002), "a ping of 126 bytes").await;
        until(|| shared.ends() == ["Protocol"]).await;
        drop(live);
    }
}

case! {
    /// Autobahn 3: reserved bits have no meaning without an extension, and none was agreed on.
    reserved_bits_are_refused((live, shared) = plain(), address) {
        for bits in (1..=7).map(|bits| bits << 4) {
            for (opcode, size) in [(TEXT, usize::MAX), (BINARY, 1), (PING, 1), (CLOSE, usize::MAX)] {
                let mut wire = open(address).await;
                let frames = [
                    frame(FIN | TEXT, "before"),
                    frame(FIN | bits | opcode, "payload"),
                    frame(FIN | TEXT, "after"),
                    frame(FIN | PING, ""),
                ];
                wire.send_in(frames.concat(), size).await;
                wire.hears("before").await;
                wire.closes(Some(1002), &format!("bits {bits:x}, opcode {opcode}")).await;
            }
        }
        until(|| shared.ends() == vec!["Protocol"; 28] && live.stats().sockets == 0).await;
    }
}

case! {
    /// Autobahn 4: opcodes that mean nothing yet.
    reserved_opcodes_are_refused((live, shared) = plain(), address) {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            for (payload, size) in [("", usize::MAX), ("reserved opcode payload", 1)] {
                let mut wire = open(address).await;
                let frames = [frame(FIN | TEXT, "before"), frame(FIN | opcode, payload), frame(FIN | PING, "")];
                wire.send_in(frames.concat(), size).await;
                wire.hears("before").await;
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
        // In five, with pings between, each of which is answered before the next comes.
        let pieces = ["fragment1", "fragment2", "fragment3", "fragment4", "fragment5"];
        for size in [usize::MAX, 1] {
            for (n, piece) in pieces.iter().enumerate() {
                let first = if n == 0 { TEXT } else if n == 4 { FIN | CONTINUATION } else { CONTINUATION };
                let ping = if matches!(n, 1 | 4) { frame(FIN | PING, "ping") } else { Vec::new() };
                wire.send_in([frame(first, piece), ping].concat(), size).await;
                if n == 1 {
                    assert_eq!(wire.next().await, Some(Raw(FIN | PONG, b"ping".to_vec())));
                }
            }
            wire.hears(&pieces.concat()).await;
            assert_eq!(wire.next().await, Some(Raw(FIN | PONG, b"ping".to_vec())));
        }
        for fin in [0, FIN] {
            for size in [usize::MAX, 1] {
                let mut wire = open(address).await;
                let frames = [
                    frame(TEXT, "fragment1"),
                    frame(FIN | CONTINUATION, "fragment2"),
                    frame(fin | CONTINUATION, "fragment3"),
                    frame(FIN | TEXT, "after"),
                ];
                wire.send_in(frames.concat(), size).await;
                wire.hears("fragment1fragment2").await;
                wire.closes(Some(1002), "a continuation of a message that is complete").await;
            }
        }
        until(|| shared.ends() == vec!["Protocol"; 4]).await;
        for (what, frames) in [
            ("a fragmented ping", vec![frame(PING, "a"), frame(FIN | CONTINUATION, "b")]),
            ("a fragmented pong", vec![frame(PONG, "a"), frame(FIN | CONTINUATION, "b")]),
            ("a fragmented close", vec![frame(CLOSE, "")]),
            ("a continuation of nothing", vec![frame(FIN | CONTINUATION, "a")]),
            ("a continuation of nothing, to be continued", vec![frame(CONTINUATION, "a")]),
            ("a message within a message", vec![frame(TEXT, "a"), frame(FIN | TEXT, "b")]),
            ("another kind within a message", vec![frame(TEXT, "a"), frame(BINARY, "b")]),
        ] {
            for size in [usize::MAX, 1] {
                let mut wire = open(address).await;
                wire.send_in(frames.concat(), size).await;
                wire.closes(Some(1002), what).await;
            }
        }
        until(|| shared.ends() == vec!["Protocol"; 18]).await;
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
        // A second close, one within a message, and one behind a message that takes its time.
        let large = vec![b'*'; 256 << 10];
        for frames in [
            [frame(FIN | CLOSE, ""), frame(FIN | CLOSE, "")].concat(),
            [frame(TEXT, "fragment1"), frame(FIN | CLOSE, ""), frame(FIN | CONTINUATION, "fragment2")].concat(),
        ] {
            let mut wire = open(address).await;
            wire.send(frames).await;
            wire.closes(None, "a close, and more").await;
        }
        let mut wire = open(address).await;
        wire.send([frame(FIN | TEXT, &large), frame(FIN | CLOSE, ""), frame(FIN | PING, "")].concat()).await;
        assert_eq!(wire.next().await, Some(Raw(FIN | TEXT, large)));
        wire.closes(None, "a close behind a large message").await;
        let mut wire = open(address).await;
        wire.send(close(1000, "")).await;
        wire.closes(Some(1000), "a code without a reason").await;
        until(|| shared.ends().len() == 5).await;
        let reason = "x".repeat(123);
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
            let mut wire = open(address).await;
            wire.send(close(code, &reason)).await;
            wire.closes(Some(code), "a good code").await;
        }
        until(|| shared.ends().len() == 18).await;
        assert_eq!(shared.ends()[..5], ["Remote", "Remote", "Remote", "Remote", "RemoteWith(CloseCode(1000), \"\")"]);
        assert!(shared.ends()[5..].iter().all(|end| end.starts_with("RemoteWith") && end.contains(&reason)));
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
