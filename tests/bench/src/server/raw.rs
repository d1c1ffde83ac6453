//! What a raw WebSocket does, whichever framework's it is.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The sockets that listen.
#[derive(Clone, Default)]
pub(super) struct Hub(Arc<Mutex<Vec<UnboundedSender<Bytes>>>>);

impl Hub {
    pub(super) fn listen(&self) -> UnboundedReceiver<Bytes> {
        let (sender, receiver) = unbounded_channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    pub(super) fn listeners(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn burst(&self, messages: usize) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..messages {
            let bytes = Bytes::from(vec![b'x'; super::MESSAGE]);
            all.iter().for_each(|sender| _ = sender.send(bytes.clone()));
        }
    }
}

/// A framework's message.
pub(super) trait RawMessage {
    fn binary(bytes: Bytes) -> Self;
    fn len(&self) -> usize;
}

/// Serves one socket: `echo` sends everything back, `sink` answers the message of one byte, `listen` sends what the hub has.
pub(super) async fn serve<M: RawMessage, E>(
    kind: &str,
    mut socket: impl Stream<Item = Result<M, E>> + Sink<M> + Unpin,
    hub: &Hub,
) {
    match kind {
        "echo" => {
            while let Some(Ok(message)) = socket.next().await {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        }
        "sink" => {
            while let Some(Ok(message)) = socket.next().await {
                if message.len() == 1 && socket.send(M::binary(Bytes::new())).await.is_err() {
                    return;
                }
            }
        }
        _ => {
            let mut receiver = hub.listen();
            while let Some(bytes) = receiver.recv().await {
                if socket.send(M::binary(bytes)).await.is_err() {
                    return;
                }
            }
        }
    }
}
