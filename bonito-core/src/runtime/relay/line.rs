//! One end of a relayed socket: what has been sent, taken and heard.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, mpsc};

use super::wire::{Answer, Body, End, NodeId, Part};

/// Parts that may be under way in one direction. So many times [`PART`](super::wire::PART) is what one end holds for a browser
/// or a session that does not keep up.
pub(crate) const WINDOW: u64 = 32;

/// Which one it is, for this process.
pub(crate) type Key = (NodeId, u64, End);

/// What comes to an end in its order.
#[derive(Debug)]
pub(crate) enum Inbound {
    Answer(Answer),
    Start,
    Part(Part),
    End,
}

/// One end, as the node sees it that takes what comes, and the [`Tunnel`](super::tunnel::Tunnel) that works it off.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) peer: NodeId,
    pub(crate) stream: u64,
    /// The end that this is.
    pub(crate) end: End,
    inbox: mpsc::Sender<Inbound>,
    /// Parts whose sending is over.
    pub(crate) sent: AtomicU64,
    /// Parts that the other side has taken.
    acknowledged: AtomicU64,
    /// Parts that have come.
    arrived: AtomicU64,
    /// Parts that this side has taken.
    pub(crate) taken: AtomicU64,
    /// Something is missing, or the other side does not keep to the rules.
    broken: AtomicBool,
    heard: Mutex<Instant>,
    ended: Mutex<Option<Instant>>,
    /// Notified when there is more room, or no use in waiting for it.
    room: Notify,
    /// Notified when the tunnel should look whether it is over.
    over: Notify,
}

impl Line {
    pub(crate) fn new(key: Key, now: Instant) -> (Self, mpsc::Receiver<Inbound>) {
        // Besides parts: an answer or a start, and the end.
        let (inbox, inbound) = mpsc::channel(WINDOW as usize + 2);
        let (peer, stream, end) = key;
        let line = Self {
            peer,
            stream,
            end,
            inbox,
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            heard: Mutex::new(now),
            ended: Mutex::new(None),
            room: Notify::new(),
            over: Notify::new(),
        };
        (line, inbound)
    }

    pub(crate) fn key(&self) -> Key {
        (self.peer, self.stream, self.end)
    }

    /// Something has come. The node calls this for one message at a time, in the order in which they come.
    pub(crate) fn handle(&self, body: Body, now: Instant) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = now;
        match body {
            Body::Open(_) => {}
            Body::Answer(answer) => self.push(Inbound::Answer(answer)),
            Body::Start => self.push(Inbound::Start),
            Body::Part(part) => {
                let expected = self.arrived.load(Ordering::Relaxed) + 1;
                if part.number != expected {
                    return self.break_off();
                }
                self.arrived.store(expected, Ordering::Relaxed);
                self.push(Inbound::Part(part));
            }
            Body::Taken(taken) => self.acknowledge(taken),
            Body::Beat { sent, taken } => {
                self.acknowledge(taken);
                // A beat comes behind the parts that it counts.
                if sent > self.arrived.load(Ordering::Relaxed) {
                    self.break_off();
                }
            }
            Body::End => {
                let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
                // Every beat of this end may be answered with one. The time to close runs from the first.
                if ended.is_some() {
                    return;
                }
                *ended = Some(now);
                drop(ended);
                self.push(Inbound::End);
                self.over.notify_one();
            }
        }
    }

    fn push(&self, inbound: Inbound) {
        // Full is more than the window allows.
        if matches!(self.inbox.try_send(inbound), Err(mpsc::error::TrySendError::Full(_))) {
            self.break_off();
        }
    }

    fn acknowledge(&self, taken: u64) {
        // One may be under way whose sending is not over yet.
        if taken > self.sent.load(Ordering::Acquire) + 1 {
            return self.break_off();
        }
        self.acknowledged.fetch_max(taken, Ordering::Relaxed);
        self.room.notify_one();
    }

    pub(crate) fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
        self.over.notify_one();
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(crate) fn heard(&self) -> Instant {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the other side said that there is no more.
    pub(crate) fn ended(&self) -> Option<Instant> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more part may be sent.
    pub(crate) async fn room(&self) {
        loop {
            let more = self.room.notified();
            let under_way =
                self.sent.load(Ordering::Relaxed).saturating_sub(self.acknowledged.load(Ordering::Relaxed));
            if under_way < WINDOW {
                return;
            }
            more.await;
        }
    }

    /// Waits until there is something to look at.
    pub(crate) async fn over(&self) {
        self.over.notified().await;
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
