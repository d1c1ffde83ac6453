//! The stream of a page that resumes: sockets that greet it, and messages that go out over the one that has it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;

use super::attachment::{BATCH, by_lane, restore};
use super::{Shared, wake_all};
use crate::connection::{Lanes, WebSocketHandler};
use crate::frame::Lane;
use crate::id::random;
use crate::proto::resume::{Fresh, Hello, Key, Refusal, StreamId, Welcome, is_control};
use crate::proto::session::{Arrival, Epoch};
use crate::session::Session;
use crate::sync::{guard, lock};

impl Shared {
    /// The key of the page that is being made. `None` if it can have none: it cannot resume then.
    pub(crate) fn make_page_key(&self) -> Option<Key> {
        let key = random().map(Key::new);
        let key = key
            .inspect_err(|error| tracing::error!(session = ?self.id, "no key for a page: {error}"))
            .ok()?;
        self.with_machine(|machine| machine.set_page_key(&key)).then_some(key)
    }

    pub(crate) fn is_resumable(&self) -> bool {
        self.with_machine(|machine| machine.is_resumable())
    }

    /// A socket has been let in.
    pub(crate) fn arrival(&self) -> Arrival {
        self.with_machine(|machine| machine.handle_arrival())
    }

    /// A socket's loop has the hello of its page, and takes the session over if that is right. Until then nobody is
    /// disturbed.
    pub(crate) fn poll_greet(
        self: &Arc<Self>,
        handler: &WebSocketHandler,
        arrival: Arrival,
        hello: &Hello,
        waker: &Waker,
    ) -> Poll<Result<(Epoch, Welcome), Refusal>> {
        let (stream, key) = match (random(), random()) {
            (Ok(stream), Ok(key)) => (StreamId::new(stream), Key::new(key)),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(session = ?self.id, "no keys for a stream: {error}");
                return Poll::Ready(Err(Refusal::Key));
            }
        };
        let takeover = self.host.resumption().takeover;
        let mut state = lock(&self.state);
        if state.is_writing_here() {
            // What it could not get rid of is to be given back before there is a stream.
            state.desk.wait(waker);
            return Poll::Pending;
        }
        let had_stream = state.machine.has_stream();
        let fresh = Fresh { stream, key };
        let greeted = state.machine.handle_hello(arrival, hello, fresh, takeover, self.now());
        let (epoch, welcome) = match greeted {
            Ok(greeted) => greeted,
            Err(refusal) => return Poll::Ready(Err(refusal)),
        };
        // Plain sockets that still want the session do not get it.
        state.tickets += 1;
        state.attached = state.tickets;
        state.holding.land(Lanes::Both);
        let unsent = handler.begin(epoch);
        if had_stream {
            restore(&mut state.machine, unsent);
        } else {
            let (small, large) = by_lane(unsent);
            state.machine.handle_unsent_before(small, large);
        }
        state.account(&*self.host);
        let former = state.desk.attach(waker);
        let mut woken = state.desk.take_waiting();
        woken.extend(former);
        drop(state);
        wake_all(woken);
        guard("FrontendConnection::open", || self.connection.open());
        self.host.changed(&Session(self.clone()));
        self.dispatch();
        Poll::Ready(Ok((epoch, welcome)))
    }

    /// The page has had so many data frames.
    pub(crate) fn receive_ack(&self, epoch: Epoch, received: u64) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        let result = state.machine.handle_ack(epoch, received, self.now());
        state.account(&*self.host);
        result
    }

    /// The page has sent another control frame.
    pub(crate) fn receive_ping(&self, epoch: Epoch) {
        let now = self.now();
        self.with_machine(|machine| machine.handle_ping(epoch, now));
    }

    /// Data frames that have been had of the stream that this attachment belongs to; `None` if it is stale.
    pub(crate) fn received(&self, epoch: Epoch) -> Option<u64> {
        self.with_machine(|machine| machine.is_current(epoch).then(|| machine.received()))
    }

    /// Whether this attachment is the session's own.
    pub(crate) fn is_current(&self, epoch: Epoch) -> bool {
        self.with_machine(|machine| machine.is_current(epoch))
    }

    /// Whether something waits for the page to acknowledge what is before it.
    pub(crate) fn is_held_back(&self) -> bool {
        self.with_machine(|machine| machine.is_held_back())
    }

    /// The application has written to the handler itself; that is counted as all else is.
    pub(crate) fn adopt(self: &Arc<Self>, bytes: Bytes) {
        if is_control(&bytes) {
            tracing::error!(
                session = ?self.id,
                "what was written to the handler begins with c1 and would be no message for the page: it is left out"
            );
            return;
        }
        self.send(|machine| machine.send_prepared(bytes));
    }

    /// The loop of this attachment takes a batch. Without one, it will be woken when there is something.
    pub(crate) fn pull_stream(
        self: &Arc<Self>,
        epoch: Epoch,
        room: usize,
        batch: &mut VecDeque<Bytes>,
    ) -> bool {
        let mut transmits = Vec::new();
        let told = {
            let mut state = lock(&self.state);
            if !state.machine.is_current(epoch) {
                return false;
            }
            let mut bytes = 0;
            while transmits.len() < BATCH && bytes < room {
                let Some((_, transmit)) = state.poll_any_transmit() else { break };
                bytes += transmit.bytes.len();
                transmits.push(transmit);
            }
            if transmits.is_empty() {
                state.stay_awake(Lane::LowLatency, false);
                return false;
            }
            state.account(&*self.host)
        };
        self.tell(told);
        // Kept as they were before: they are compressed once more if they go out again.
        batch.extend(transmits.iter().map(|transmit| self.prepare(transmit)));
        true
    }
}
