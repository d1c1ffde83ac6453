#![allow(clippy::unwrap_used, reason = "tests expect")]

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};
use tokio::join;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;

/// What a client says. Messages come in as many frames as there are lengths.
#[derive(Clone, Debug)]
enum Said {
    Message(Vec<usize>),
    Ping,
}

fn small_limits() -> Limits {
    let mut limits = Limits::default();
    (limits.read_buffer_bytes, limits.write_buffer_bytes) = (64, 128);
    limits
}

async fn client(connection: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(connection, Role::Client, None).await
}

/// Answers each message with itself, and says how often a small one found that buffers had been given back.
async fn echo(connection: DuplexStream) -> usize {
    let mut socket = Socket::new(connection, &small_limits());
    let (mut shrunk, mut was_large) = (0, false);
    while let Some(Ok(frame)) = socket.next().await {
        // Only giving back makes it forget.
        shrunk += usize::from(was_large && !socket.was_large);
        if let Frame::Binary(_) = frame {
            was_large = matches!(&frame, Frame::Binary(bytes) if bytes.len() > socket.large);
            socket.send(frame).await.unwrap();
        }
    }
    shrunk
}

fn message(at: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (at * 31 + i * 7) as u8).collect()
}

async fn say(client: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin), at: usize, said: &Said) {
    let Said::Message(lengths) = said else {
        return client.send(Message::Ping(Bytes::from_static(b"ping"))).await.unwrap();
    };
    let whole = message(at, lengths.iter().sum());
    let mut begin = 0;
    for (i, length) in lengths.iter().enumerate() {
        let opcode = if i == 0 { Data::Binary } else { Data::Continue };
        let part = whole[begin..begin + length].to_vec();
        begin += length;
        let frame = RawFrame::message(part, OpCode::Data(opcode), i + 1 == lengths.len());
        client.send(Message::Frame(frame)).await.unwrap();
    }
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => prop::collection::vec(0..2_000_usize, 1..4).prop_map(Said::Message),
        4 => (0..200_usize).prop_map(|length| Said::Message(vec![length])),
        1 => Just(Said::Ping),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is under way when a large message has passed: nothing is lost, doubled or cut.
    #[test]
    fn giving_buffers_back_loses_nothing(all in prop::collection::vec(said(), 1..30), line in 1..4_000_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, far) = duplex(line);
            let server = tokio::spawn(echo(far));
            let (mut say_to, mut hear) = client(near).await.split();
            let speaking = async {
                for (at, said) in all.iter().enumerate() {
                    say(&mut say_to, at, said).await;
                }
            };
            let hearing = async {
                for (at, said) in all.iter().enumerate() {
                    if let Said::Message(lengths) = said {
                        let heard = loop {
                            match hear.next().await.unwrap().unwrap() {
                                Message::Binary(bytes) => break bytes,
                                Message::Pong(payload) => assert_eq!(payload, b"ping"[..]),
                                other => panic!("{other:?}"),
                            }
                        };
                        assert_eq!(heard, message(at, lengths.iter().sum()));
                    }
                }
            };
            join!(speaking, hearing);
            say_to.close().await.unwrap();
            while hear.next().await.is_some() {}
            server.await.unwrap();
        });
    }
}

#[tokio::test]
async fn buffers_are_given_back_once_a_large_message_has_passed() {
    let (near, far) = duplex(100_000);
    let server = tokio::spawn(echo(far));
    let mut client = client(near).await;
    for length in [10, 5_000, 10, 10, 5_000, 10] {
        client.send(Message::Binary(message(0, length).into())).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap().into_data(), message(0, length));
    }
    client.close(None).await.unwrap();
    while client.next().await.is_some() {}
    assert_eq!(server.await.unwrap(), 2);
}

/// A pong that has not been written yet is tungstenite's, and would be gone with it.
#[tokio::test]
async fn nothing_is_given_back_while_something_is_to_be_written() {
    let (near, far) = duplex(64);
    let mut socket = Socket::new(far, &small_limits());
    let mut client = client(near).await;
    let large = Message::Binary(message(0, 1_000).into());
    let (_, frame) = join!(client.send(large), socket.next());
    assert!(matches!(frame, Some(Ok(Frame::Binary(_)))));
    // The line is too narrow for it, and nobody reads.
    let large = Frame::Binary(message(1, 1_000).into());
    socket.feed(large).await.unwrap();
    assert!(socket.flush().now_or_never().is_none());
    assert!(socket.next().now_or_never().is_none());
    assert!(socket.was_large);
    let (flushed, heard) = join!(socket.flush(), client.next());
    flushed.unwrap();
    assert_eq!(heard.unwrap().unwrap().into_data(), message(1, 1_000));
    assert!(socket.next().now_or_never().is_none());
    assert!(!socket.was_large);
}
