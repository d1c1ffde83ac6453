#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::io::Cursor;

use futures_util::StreamExt;
use proptest::prelude::*;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use super::*;

fn limits(bytes: usize, fragments: usize) -> Limits {
    let mut limits = Limits::default();
    (limits.message_bytes, limits.message_fragments) = (bytes, fragments);
    limits
}

/// Where the frame begins that is refused, by tungstenite's reading of the headers.
fn refused_at(bytes: &[u8], most_bytes: u64, most_fragments: usize) -> Option<usize> {
    let (mut at, mut message, mut fragments) = (0, 0_u64, 0);
    loop {
        let mut cursor = Cursor::new(bytes.get(at..)?);
        // What tungstenite takes for no frame has no place among these.
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap()?;
        if let OpCode::Data(kind) = header.opcode {
            if kind != Data::Continue {
                (message, fragments) = (0, 0);
            }
            (message, fragments) = (message.saturating_add(length), fragments + 1);
            if message > most_bytes || fragments > most_fragments {
                return Some(at);
            }
            if header.is_final {
                (message, fragments) = (0, 0);
            }
        }
        if matches!(header.opcode, OpCode::Control(_)) && length > most_bytes.max(125) {
            return Some(at);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        at = at.saturating_add(usize::try_from(cursor.position()).unwrap()).saturating_add(length);
    }
}

/// The same, by a guard that gets the bytes in pieces.
fn followed(bytes: &[u8], pieces: &[usize], limits: &Limits) -> Option<usize> {
    let mut guard = Guard::new(limits);
    let (mut rest, mut done, mut frame) = (bytes, 0, 0);
    for piece in pieces.iter().copied().chain([bytes.len()]) {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        if guard.known == 0 {
            frame = done;
        }
        if let Err(admitted) = guard.follow(now) {
            // Of a header that came in pieces, the first ones have been let through.
            return Some(if admitted > 0 { done + admitted } else { frame });
        }
        if guard.known > 0 && now.len() >= guard.known {
            frame = done + now.len() - guard.known;
        }
        (rest, done) = (later, done + now.len());
    }
    None
}

prop_compose! {
    fn frame()(
        kind in 0..9_u8,
        is_final in any::<bool>(),
        mask in any::<Option<[u8; 4]>>(),
        length in prop_oneof![0..6_usize, 120..130_usize, Just(65_535), Just(65_536)],
    ) -> Frame {
        let opcode = match kind {
            0 => OpCode::Data(Data::Text),
            1 | 2 => OpCode::Data(Data::Binary),
            3..=5 => OpCode::Data(Data::Continue),
            6 => OpCode::Control(Control::Ping),
            7 => OpCode::Control(Control::Pong),
            _ => OpCode::Control(Control::Close),
        };
        let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
        Frame::from_payload(header, vec![0x81; length].into())
    }
}

proptest! {
    /// Whatever the pieces are in which frames come, the frame is found that is the first one too much.
    #[test]
    fn frames_are_followed_in_any_pieces(
        frames in prop::collection::vec(frame(), 0..12),
        pieces in prop::collection::vec(prop_oneof![0..4_usize, 0..200_usize, 0..80_000_usize], 0..60),
        most_bytes in prop_oneof![0..300_usize, 60_000..200_000_usize],
        most_fragments in 1..5_usize,
    ) {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.format(&mut bytes).unwrap();
        }
        let expected = refused_at(&bytes, most_bytes as u64, most_fragments);
        prop_assert_eq!(followed(&bytes, &pieces, &limits(most_bytes, most_fragments)), expected);
    }

    /// What is no frame at all does no harm either, and pieces make no difference.
    #[test]
    fn any_bytes_are_followed_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        pieces in prop::collection::vec(0..20_usize, 0..60),
    ) {
        let limits = limits(1000, 3);
        prop_assert_eq!(followed(&bytes, &pieces, &limits), followed(&bytes, &[], &limits));
    }
}

/// A whole message of one byte, and the first fragment of one that has a second.
const WHOLE: &[u8] = b"\x82\x81\0\0\0\0a";
const FIRST: &[u8] = b"\x02\x81\0\0\0\0b";
const SECOND: &[u8] = b"\x80\x81\0\0\0\0c";

/// What stands before the refused frame is still read, and then every read fails.
#[tokio::test]
async fn a_connection_is_read_up_to_the_refused_frame() {
    let bytes = [WHOLE, FIRST, SECOND, WHOLE].concat();
    let mut guarded = Guarded::new(&bytes[..], &limits(1000, 1));
    let mut read = Vec::new();
    for _ in 0..2 {
        let error = guarded.read_to_end(&mut read).await.unwrap_err();
        assert!(error.get_ref().unwrap().is::<TooLarge>());
        assert_eq!(read, [WHOLE, FIRST].concat());
    }
}

#[tokio::test]
async fn a_stream_is_read_up_to_the_refused_frame() {
    let bytes = Bytes::from([WHOLE, FIRST, SECOND, WHOLE].concat());
    let source = stream::iter([Ok::<_, io::Error>(bytes)]);
    let mut guarded = guard(source, &limits(1000, 1));
    assert_eq!(guarded.next().await.unwrap().unwrap(), [WHOLE, FIRST].concat());
    for _ in 0..2 {
        let error = guarded.next().await.unwrap().unwrap_err();
        assert!(error.get_ref().unwrap().is::<TooLarge>());
    }
    let source = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"\x82\xfe\x03\xe9"))]);
    assert!(guard(source, &limits(1000, 1)).next().await.unwrap().is_err(), "1001 bytes");
}

/// The reader that takes all there is before it looks finds what stands before the refused frame.
#[test]
fn an_error_waits_for_its_turn() {
    let bytes = Bytes::from([WHOLE, FIRST, SECOND].concat());
    let mut guarded = guard(stream::iter([Ok::<_, io::Error>(bytes)]), &limits(1000, 1));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(matches!(guarded.poll_next_unpin(&mut cx), Poll::Ready(Some(Ok(_)))));
    assert!(guarded.poll_next_unpin(&mut cx).is_pending());
    assert!(matches!(guarded.poll_next_unpin(&mut cx), Poll::Ready(Some(Err(_)))));
}

/// actix-ws gathers a frame before it looks at its length, and control frames of any were let through: a ping that says it is a
/// tebibyte long was gathered for as long as it came.
#[test]
fn a_control_frame_far_too_long_is_refused_by_its_header() {
    for opcode in [0x88, 0x89, 0x8a] {
        let mut ping = vec![opcode, 0xff];
        ping.extend((1_u64 << 40).to_be_bytes());
        ping.extend([0; 100]);
        let mut guard = Guard::new(&limits(1_000, 4));
        assert_eq!(guard.follow(&ping), Err(0), "{opcode:x}");
    }
    // One that is merely too long is a matter of the protocol, which the library knows.
    let mut guard = Guard::new(&limits(1_000, 4));
    assert_eq!(guard.follow(&[0x89, 0xfe, 0, 126, 0, 0, 0, 0]), Ok(()));
}
