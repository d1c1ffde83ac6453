//! What waits for one subscriber: bounded, and with a gap where something was dropped.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bonito_core::Received;
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::Notify;

/// The end at which messages come.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    most_messages: usize,
    most_bytes: usize,
}

/// The end at which they are read.
pub(crate) struct Reader(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when nobody reads any more.
    left: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Received>,
    bytes: usize,
    ended: bool,
    reader: Option<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn queue(most_messages: usize, most_bytes: usize) -> (Queue, Reader) {
    let shared = Arc::<Shared>::default();
    (Queue { shared: shared.clone(), most_messages, most_bytes }, Reader(shared))
}

impl Queue {
    pub(crate) fn message(&self, message: Bytes) {
        let mut state = self.shared.state();
        // One message alone is never too much.
        let fits = state.waiting.is_empty()
            || state.waiting.len() < self.most_messages && state.bytes + message.len() <= self.most_bytes;
        if fits {
            state.bytes += message.len();
            state.push(Received::Message(message));
        } else {
            state.gap();
        }
    }

    pub(crate) fn gap(&self) {
        self.shared.state().gap();
    }

    /// Until nobody reads any more.
    pub(crate) async fn left(&self) {
        self.shared.left.notified().await;
    }
}

impl State {
    fn gap(&mut self) {
        // Two holes side by side are one.
        if self.waiting.back() != Some(&Received::Gap) {
            self.push(Received::Gap);
        }
    }

    fn push(&mut self, delivery: Received) {
        self.waiting.push_back(delivery);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

impl Stream for Reader {
    type Item = Received;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        let mut state = self.0.state();
        if let Some(delivery) = state.waiting.pop_front() {
            if let Received::Message(message) = &delivery {
                state.bytes -= message.len();
            }
            return Poll::Ready(Some(delivery));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn message(text: &'static str) -> Received {
        Received::Message(Bytes::from_static(text.as_bytes()))
    }

    fn next(reader: &mut Reader) -> Option<Received> {
        reader.next().now_or_never().flatten()
    }

    #[test]
    fn what_does_not_fit_becomes_one_gap_in_its_place() {
        let (queue, mut reader) = queue(3, 10);
        for text in ["1", "2", "3", "lost", "lost too"] {
            queue.message(Bytes::from_static(text.as_bytes()));
        }
        assert_eq!(next(&mut reader), Some(message("1")));
        queue.message(Bytes::from_static(b"still lost, too many bytes"));
        assert_eq!(next(&mut reader), Some(message("2")));
        assert_eq!(next(&mut reader), Some(message("3")));
        queue.message(Bytes::from_static(b"4"));
        assert_eq!(next(&mut reader), Some(Received::Gap));
        assert_eq!(next(&mut reader), Some(message("4")));
        assert_eq!(next(&mut reader), None);
        queue.message(Bytes::from_static(b"one alone is never too much"));
        assert_eq!(next(&mut reader), Some(message("one alone is never too much")));
    }

    #[test]
    fn a_queue_without_its_writer_is_read_to_its_end() {
        let (queue, mut reader) = queue(3, 10);
        queue.gap();
        drop(queue);
        assert_eq!(reader.next().now_or_never(), Some(Some(Received::Gap)));
        assert_eq!(reader.next().now_or_never(), Some(None));
    }
}
