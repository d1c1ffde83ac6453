//! What a socket ends for, and with which code.

use std::net::SocketAddr;

use bonito_core::{Endpoint, Session, Status, js};
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use super::with;
use crate::client::{Socket, close_code, comes, next, open, page, ping, send_raw, until};

/// A frame with this first byte, masked with zeroes.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[head, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

async fn is_refused(mut socket: Socket, session: &Session, code: u16, what: &str) {
    assert_eq!(close_code(&mut socket).await, Some(code), "{what}");
    until(|| session.status() == Status::SoftClosed).await;
}

/// A session that was refused a message is alive: the page comes back and finds what waited.
async fn comes_back(address: SocketAddr, session: &Session) {
    session.eval(js!("alive"));
    let mut socket = open(address, session).await;
    assert!(comes(&mut socket, "alive").await);
}

case! {
    /// 1003: the protocol is binary, and a text would be bytes that nobody has checked.
    a_text_frame_is_refused(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        socket.send(Message::Text("text".into())).await.unwrap();
        is_refused(socket, &session, 1003, "text").await;
        comes_back(address, &session).await;
    }
}

case! {
    /// 1007: what cannot be decoded ends its socket, not the session.
    a_message_that_cannot_be_decoded_is_refused(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        socket.send(Message::Binary(vec![0xc1].into())).await.unwrap();
        is_refused(socket, &session, 1007, "no MessagePack").await;
        comes_back(address, &session).await;
    }
}

case! {
    /// 1002 and 1007: a peer that breaks the WebSocket protocol is told so, whichever way the framework reports it.
    broken_frames_are_refused(live, address) {
        let session = page(&live);
        for (what, frame, code) in [
            ("reserved opcode 3", &b"\x83\x80\0\0\0\0"[..], 1002),
            ("a reserved bit", b"\xc2\x80\0\0\0\0", 1002),
            ("not masked", b"\x82\x01\xc0", 1002),
            ("a continuation of nothing", b"\x80\x80\0\0\0\0", 1002),
            ("a fragmented ping", b"\x09\x80\0\0\0\0", 1002),
            ("a text that is not UTF-8", b"\x81\x81\0\0\0\0\xff", 1007),
        ] {
            let mut socket = open(address, &session).await;
            send_raw(&mut socket, frame).await;
            is_refused(socket, &session, code, what).await;
        }
        comes_back(address, &session).await;
    }
}

case! {
    /// 1009: the limit must reach the framework, and the session waits for a page that behaves.
    a_message_over_the_limit_closes_its_socket_only(live = with(|limits| limits.message_bytes = 1000), address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        socket.send(Message::Binary(vec![0; 1001].into())).await.unwrap();
        is_refused(socket, &session, 1009, "1001 bytes").await;
        comes_back(address, &session).await;
    }
}

case! {
    /// A frame says how large it is before it comes: nothing is gathered that will be refused.
    a_message_far_too_large_is_refused_by_its_header(live, address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        send_raw(&mut socket, b"\x82\xff\0\0\0\x01\0\0\0\0\0\0\0\0").await;
        is_refused(socket, &session, 1009, "4 GiB").await;
    }
}

case! {
    /// A connection that is dropped with something unread is reset, and the close frame is lost.
    a_message_far_too_large_that_comes_all_the_same_is_told_why(
        live = with(|limits| limits.message_bytes = 1000),
        address
    ) {
        let session = page(&live);
        for _ in 0..10 {
            let mut socket = open(address, &session).await;
            let sent = socket.send(Message::Binary(vec![0; 1 << 20].into())).await;
            assert!(sent.is_ok(), "{sent:?}");
            assert_eq!(close_code(&mut socket).await, Some(1009));
            let end = next(&mut socket).await;
            assert!(end.is_none(), "the connection ends without a reset: {end:?}");
            until(|| session.status() == Status::SoftClosed).await;
        }
    }
}

case! {
    /// A message may come in pieces, and must not thereby become larger than one in a single piece.
    fragments_are_joined_and_their_sum_is_bounded(live = with(|limits| limits.message_bytes = 1000), address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        let whole = ping().into_data();
        send_raw(&mut socket, &frame(0x02, &whole[..1])).await;
        for byte in &whole[1..] {
            send_raw(&mut socket, &frame(0x00, &[*byte])).await;
        }
        send_raw(&mut socket, &frame(0x80, &[])).await;
        assert!(comes(&mut socket, "msg_type").await);
        send_raw(&mut socket, &frame(0x02, &[0; 100])).await;
        for _ in 0..10 {
            send_raw(&mut socket, &frame(0x00, &[0; 100])).await;
        }
        is_refused(socket, &session, 1009, "1100 bytes in fragments").await;
        comes_back(address, &session).await;
    }
}

case! {
    /// 1009: empty fragments without end cost nothing to send, and no bound on their sum ever stops them.
    too_many_fragments_are_refused(live = with(|limits| limits.message_fragments = 40), address) {
        let session = page(&live);
        let mut socket = open(address, &session).await;
        let whole = ping().into_data();
        let mut fragments = vec![frame(0x02, &whole)];
        fragments.extend(vec![frame(0x00, b""); 38]);
        // A ping between fragments is not one of them.
        fragments.insert(20, frame(0x89, b"between"));
        fragments.push(frame(0x80, b""));
        for _ in 0..2 {
            for fragment in &fragments {
                send_raw(&mut socket, fragment).await;
            }
            assert!(matches!(next(&mut socket).await, Some(Ok(Message::Pong(_)))));
            assert!(comes(&mut socket, "msg_type").await);
        }
        // The last one is still to come when the 41st does.
        fragments.pop();
        fragments.extend(vec![frame(0x00, b""); 2]);
        send_raw(&mut socket, &fragments.concat()).await;
        is_refused(socket, &session, 1009, "41 fragments").await;
        comes_back(address, &session).await;
    }
}
