//! What is under way in one direction.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, Sleep, sleep_until};

use super::state::Latency;

const MOST_ITEMS: usize = 256;
const MOST_BYTES: usize = 1 << 20;
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Items on their way, in the order in which they were sent: one that is due waits for those before it.
#[derive(Debug)]
pub(super) struct Delay<T> {
    items: VecDeque<(Instant, usize, T)>,
    bytes: usize,
    rng: Rng,
    /// Set for the first item, if that is not due.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> Delay<T> {
    pub(super) fn new(rng: Rng) -> Self {
        Self { items: VecDeque::new(), bytes: 0, rng, timer: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether one more may come. Without latency nothing need wait here.
    pub(super) fn has_room(&self, latency: Latency) -> bool {
        self.is_empty() || (!latency.is_none() && self.items.len() < MOST_ITEMS && self.bytes < MOST_BYTES)
    }

    pub(super) fn push(&mut self, item: T, bytes: usize, latency: Latency) {
        let now = Instant::now();
        let due = now.checked_add(latency.draw(&mut self.rng)).unwrap_or(now + FOR_EVER);
        self.bytes += bytes;
        self.items.push_back((due, bytes, item));
    }

    /// Ready when the first item has arrived; `None` if nothing is under way.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let Some((due, ..)) = self.items.front() else { return Poll::Ready(None) };
        if *due > Instant::now() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(*due)));
            if timer.deadline() != *due {
                timer.as_mut().reset(*due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(Some(()))
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let (_, bytes, item) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }

    /// Nothing is under way any more.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.bytes = 0;
        self.timer = None;
    }
}
