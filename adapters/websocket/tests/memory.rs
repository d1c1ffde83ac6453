//! What a socket holds. A file of its own, since it counts all that its process allocates.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use bonito_core::{Frame, Limits};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use peak_alloc::PeakAlloc;
use tokio::io::duplex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const LARGE: usize = 200_000;

/// tungstenite keeps the buffers that its largest message needed: 400 KiB after one of 200 KB each way, for as long as the socket
/// lived, and every idle page that once had a large value had them.
#[tokio::test]
async fn a_large_message_leaves_nothing_behind() {
    let (near, far) = duplex(4_096);
    let limits = Limits::default();
    let mut client = Some(WebSocketStream::from_raw_socket(near, Role::Client, None).await);
    let mut server = Box::pin(bonito_websocket::transport(far, &limits).await);
    let mut held = Vec::new();
    // The first fills the line, which has buffers of its own.
    for length in [5_000, LARGE, 10] {
        let mut page = client.take().unwrap();
        // The client's own buffers are not what is measured: it is made anew each time.
        let speaking = tokio::spawn(async move {
            page.send(Message::Binary(Bytes::from(vec![0; length]))).await.unwrap();
            assert_eq!(page.next().await.unwrap().unwrap().len(), length);
            page.into_inner()
        });
        while !speaking.is_finished() {
            tokio::select! {
                biased;
                frame = server.next() => match frame {
                    Some(Ok(Frame::Binary(bytes))) => server.send(Frame::Binary(bytes)).await.unwrap(),
                    other => panic!("{other:?}"),
                },
                () = tokio::task::yield_now() => {}
            }
        }
        let near = speaking.await.unwrap();
        assert!(server.next().now_or_never().is_none());
        held.push(PeakAlloc.current_usage());
        client = Some(WebSocketStream::from_raw_socket(near, Role::Client, None).await);
        let _ = &client;
    }
    let [before, after, later] = held[..] else { panic!("{held:?}") };
    assert!(after <= before + 1_024, "{before} bytes before, {after} after");
    assert!(later <= before + 1_024, "{before} bytes before, {later} later");
}
