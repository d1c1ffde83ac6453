//! Where messages wait for the loop of one socket, and how that loop is woken: never twice for nothing, never not at all.
//!
//! Beside the standard library this uses [`crate::sync`] alone, so that `tests/simulation/tests/threads.rs` can run it in every
//! order in which its threads may come.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use crate::sync::{Mutex, MutexGuard, lock};

/// What waits counts by its size.
pub(crate) trait Weight {
    fn bytes(&self) -> usize;
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No socket is there.
    Closed,
    /// The socket does not keep up.
    Full,
}

/// Messages `M` for the socket of an attachment `E`.
pub(crate) struct Slot<E, M> {
    state: Mutex<State<E, M>>,
}

struct State<E, M> {
    /// The attachment whose loop takes from the outbox.
    epoch: Option<E>,
    closing: bool,
    outbox: VecDeque<M>,
    bytes: usize,
    waker: Option<Waker>,
    /// The loop is at work and looks for messages before it sleeps, so nobody need wake it for them.
    awake: bool,
}

impl<E, M> Default for Slot<E, M> {
    fn default() -> Self {
        let state = State {
            epoch: None,
            closing: false,
            outbox: VecDeque::new(),
            bytes: 0,
            waker: None,
            awake: false,
        };
        Self { state: Mutex::new(state) }
    }
}

impl<E: Copy + PartialEq, M: Weight> State<E, M> {
    fn pop(&mut self, epoch: E) -> Option<M> {
        if self.epoch != Some(epoch) {
            return None;
        }
        let next = self.outbox.pop_front()?;
        self.bytes -= next.bytes();
        Some(next)
    }

    fn take_outbox(&mut self) -> VecDeque<M> {
        self.bytes = 0;
        std::mem::take(&mut self.outbox)
    }
}

impl<E: Copy + PartialEq, M: Weight> Slot<E, M> {
    /// A message for the socket, of which at most about `room` bytes may wait. What comes back was not taken.
    pub(crate) fn push(&self, message: M, room: usize) -> Result<(), (M, Refused)> {
        let mut state = lock(&self.state);
        if state.epoch.is_none() || state.closing {
            return Err((message, Refused::Closed));
        }
        if state.bytes >= room {
            return Err((message, Refused::Full));
        }
        state.bytes += message.bytes();
        state.outbox.push_back(message);
        let waker = if state.awake { None } else { state.waker.take() };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Whether a socket is there.
    pub(crate) fn is_open(&self) -> bool {
        let state = lock(&self.state);
        state.epoch.is_some() && !state.closing
    }

    /// The socket is to end; its loop is to be woken outside every lock.
    #[must_use = "the loop is to be woken"]
    pub(crate) fn close(&self) -> Option<Waker> {
        let mut state = lock(&self.state);
        state.closing = true;
        state.waker.take()
    }

    /// A new socket comes; what the one before has not taken is handed back.
    pub(crate) fn begin(&self, epoch: E) -> VecDeque<M> {
        let mut state = lock(&self.state);
        state.epoch = Some(epoch);
        state.closing = false;
        state.awake = false;
        state.take_outbox()
    }

    /// The socket of this attachment is gone; what it has not taken is handed back.
    /// The waker of its loop goes along, to be dropped outside every lock.
    pub(crate) fn end(&self, epoch: E) -> (VecDeque<M>, Option<Waker>) {
        let mut state = lock(&self.state);
        if state.epoch != Some(epoch) {
            return (VecDeque::new(), None);
        }
        state.epoch = None;
        (state.take_outbox(), state.waker.take())
    }

    /// The next message for the socket of this attachment.
    pub(crate) fn pop(&self, epoch: E) -> Option<M> {
        lock(&self.state).pop(epoch)
    }

    /// The next message for the socket of this attachment. Without one, the waker is called when one comes.
    pub(crate) fn poll_pop(&self, epoch: E, waker: &Waker) -> Option<M> {
        let mut state = lock(&self.state);
        let next = state.pop(epoch);
        if next.is_none() && state.epoch == Some(epoch) {
            state.awake = false;
            register(state, waker);
        }
        next
    }

    /// Whether this attachment's socket is to end. If not, the waker is called when it is, and the loop is at work from now on
    /// until [`poll_pop`](Self::poll_pop) finds no message.
    pub(crate) fn poll_closing(&self, epoch: E, waker: &Waker) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.epoch != Some(epoch) {
            return Poll::Pending;
        }
        if state.closing {
            return Poll::Ready(());
        }
        state.awake = true;
        register(state, waker);
        Poll::Pending
    }
}

/// Leaves the waker in the slot, and drops the former one outside the lock.
fn register<E, M>(mut state: MutexGuard<'_, State<E, M>>, waker: &Waker) {
    if state.waker.as_ref().is_some_and(|registered| registered.will_wake(waker)) {
        return;
    }
    let former = state.waker.replace(waker.clone());
    drop(state);
    drop(former);
}
