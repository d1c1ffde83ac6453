//! Large messages, and many: sections 9 and 10 of the Autobahn test suite, over a behaviour that echoes.

use std::net::SocketAddr;

use bonito_core::{Endpoint, SocketOptions};

use crate::client::until;
use crate::probe::probed;
use crate::wire::{BINARY, CONTINUATION, FIN, Raw, TEXT, Wire, frame};

const MIB: usize = 1 << 20;

/// A message in fragments of at most so many bytes.
fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let last = payload.len().div_ceil(size) - 1;
    let pieces = payload.chunks(size).enumerate().map(|(n, piece)| {
        let opcode = if n == 0 { opcode } else { CONTINUATION };
        frame(if n == last { FIN | opcode } else { opcode }, piece)
    });
    pieces.collect::<Vec<_>>().concat()
}

case! {
    /// Autobahn 9: messages of up to 16 MiB, in fragments and in pieces of any size, and a thousand in a row.
    messages_of_up_to_16_mib_are_echoed(
        (live, _shared) = probed(SocketOptions::new(), |limits| {
            limits.message_bytes = 16 * MIB;
            limits.message_fragments = 4 * MIB / 64;
            limits.queued_bytes = 17 * MIB;
        }),
        address
    ) {
        let mut wire = Wire::open(address, "/live/echo").await;
        for (opcode, byte) in [(TEXT, b'*'), (BINARY, 0xfe)] {
            let payload = vec![byte; 16 * MIB];
            let echoed = |length: usize| Some(Raw(FIN | opcode, payload[..length].to_vec()));
            for length in [64 << 10, 256 << 10, MIB, 4 * MIB, 8 * MIB, 16 * MIB] {
                wire.send(frame(FIN | opcode, &payload[..length])).await;
                assert!(wire.next().await == echoed(length), "{length}");
            }
            for size in [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, MIB, 4 * MIB] {
                wire.send(fragments(opcode, &payload[..4 * MIB], size)).await;
                assert!(wire.next().await == echoed(4 * MIB), "in fragments of {size}");
            }
            for size in [64, 128, 256, 512, 1024, 2048] {
                wire.send_in(frame(FIN | opcode, &payload[..MIB]), size).await;
                assert!(wire.next().await == echoed(MIB), "in pieces of {size}");
            }
            for length in [0, 16, 64, 256, 1024, 4096] {
                let message = frame(FIN | opcode, &payload[..length]);
                for _ in 0..1000 {
                    wire.send(&message).await;
                    assert!(wire.next().await == echoed(length), "one of a thousand of {length}");
                }
            }
        }
        drop(live);
    }
}

case! {
    /// Autobahn 10: a text of 65,536 bytes comes in frames of 1,300, as from a client that cuts by itself.
    a_text_in_frames_of_1300_bytes_is_echoed((live, _shared) = probed(SocketOptions::new(), |_| {}), address) {
        let mut wire = Wire::open(address, "/live/echo").await;
        let text: String = ('!'..='~').cycle().take(65_536).collect();
        for size in [usize::MAX, 1000] {
            wire.send_in(fragments(TEXT, text.as_bytes(), 1300), size).await;
            wire.hears(&text).await;
        }
        let stats = live.mounted("/echo").unwrap().stats();
        assert_eq!((stats.frames_in, stats.frames_out), (2, 2), "one message each");
    }
}

case! {
    /// A message of the largest size is echoed, and one byte more is 1009; in fragments too.
    the_largest_message_is_echoed_and_a_larger_one_refused(
        (live, shared) = probed(SocketOptions::new(), |limits| limits.message_bytes = 100_000),
        address
    ) {
        let mut wire = Wire::open(address, "/live/echo").await;
        wire.send(frame(FIN | BINARY, vec![1; 100_000])).await;
        assert_eq!(wire.next().await, Some(Raw(FIN | BINARY, vec![1; 100_000])));
        wire.send([frame(BINARY, vec![2; 50_000]), frame(FIN | CONTINUATION, vec![2; 50_000])].concat()).await;
        assert_eq!(wire.next().await, Some(Raw(FIN | BINARY, vec![2; 100_000])));
        wire.send(frame(FIN | BINARY, vec![1; 100_001])).await;
        wire.closes(Some(1009), "one byte more").await;
        let mut wire = Wire::open(address, "/live/echo").await;
        wire.send([frame(BINARY, vec![2; 50_000]), frame(FIN | CONTINUATION, vec![2; 50_001])].concat()).await;
        wire.closes(Some(1009), "one byte more in fragments").await;
        until(|| shared.ends() == ["Protocol"; 2]).await;
        drop(live);
    }
}
