//! The stream of a session: what is counted, what is kept until the page has it, and who may go on with it.
//!
//! A page that comes with the [key](Key) of its HTML begins a stream; from then on whoever has no key of it gets nothing.
//! Messages are polled and given back as without one: behind that they stay in the ring until they are acknowledged.
//! Source: protocol.md §18.

use std::time::Instant;

use super::{CloseReason, Epoch, Event, SessionMachine, Status, Transmit};
use crate::proto::resume::{
    ContinuityLost, Fresh, Hello, Instance, Key, Keys, Refusal, Ring, StreamId, Takeover, Welcome,
};

/// A socket's place among all that came to a session. A page opens them one after another, so of two by the same page the
/// one that came first is stale, whenever its hello is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(u64);

#[derive(Debug)]
pub(super) struct Resume {
    keys: Keys,
    arrivals: u64,
    /// The socket that the stream went to last.
    attached: Arrival,
    pub(super) stream: Option<Stream>,
}

#[derive(Debug)]
pub(super) struct Stream {
    id: StreamId,
    instance: Instance,
    /// Data frames that have been had.
    received: u64,
    pub(super) ring: Ring,
    /// The page has said that it has loaded.
    pub(super) loaded: bool,
}

impl Stream {
    fn new(id: StreamId, instance: Instance) -> Self {
        Self { id, instance, received: 0, ring: Ring::default(), loaded: false }
    }
}

/// How a hello is to be answered.
enum Answer {
    GoOn,
    Begin,
    TakeOver,
}

/// Getters.
impl SessionMachine {
    /// Whether a page may resume: it has a key.
    pub fn is_resumable(&self) -> bool {
        self.resume.is_some()
    }

    /// Whether a page has said hello, so that plain connections are refused.
    pub fn has_stream(&self) -> bool {
        self.resume.as_ref().is_some_and(|resume| resume.stream.is_some())
    }

    /// Data frames of the stream that have been had, for an acknowledgement.
    pub fn received(&self) -> u64 {
        self.stream().map_or(0, |stream| stream.received)
    }

    /// Data frames of the stream that have been sent.
    pub fn sent(&self) -> u64 {
        self.stream().map_or(0, |stream| stream.ring.sent())
    }

    /// Messages that have been sent and are not acknowledged, and their bytes.
    pub fn unacknowledged(&self) -> (usize, usize) {
        self.stream().map_or((0, 0), |stream| (stream.ring.len(), stream.ring.bytes()))
    }

    /// What was lost when the session closed, if anything was.
    pub fn continuity_lost(&self) -> Option<ContinuityLost> {
        self.continuity_lost
    }

    /// Whether anything waits for the page, for acknowledgements too.
    pub fn has_waiting(&self) -> bool {
        !self.outbox.is_empty()
            || !self.large.is_empty()
            || self.stream().is_some_and(|stream| !stream.ring.is_empty())
    }

    /// Whether messages wait for the page to acknowledge what is before them.
    pub fn is_held_back(&self) -> bool {
        let waits = !self.outbox.is_empty() || !self.large.is_empty();
        waits && !self.has_room()
    }

    fn stream(&self) -> Option<&Stream> {
        self.resume.as_ref()?.stream.as_ref()
    }

    pub(super) fn stream_mut(&mut self) -> Option<&mut Stream> {
        self.resume.as_mut()?.stream.as_mut()
    }

    pub(super) fn has_again(&self) -> bool {
        self.stream().is_some_and(|stream| stream.ring.has_again())
    }

    pub(super) fn has_room(&self) -> bool {
        self.stream().is_none_or(|stream| stream.ring.has_room(self.replay))
    }
}

/// Inputs.
impl SessionMachine {
    /// The page is made, and has this key. The last one counts. Answers whether it does: not on a session that is closed or
    /// has a stream.
    pub fn set_page_key(&mut self, key: &Key) -> bool {
        if self.status == Status::Closed || self.has_stream() {
            return false;
        }
        let (arrivals, attached) =
            self.resume.as_ref().map_or((0, Arrival(0)), |resume| (resume.arrivals, resume.attached));
        self.resume = Some(Box::new(Resume { keys: Keys::new(key), arrivals, attached, stream: None }));
        true
    }

    /// A socket has come, whose hello is not known yet. To be called in the order in which they are let in.
    pub fn handle_arrival(&mut self) -> Arrival {
        match &mut self.resume {
            Some(resume) => {
                resume.arrivals += 1;
                Arrival(resume.arrivals)
            }
            None => Arrival(0),
        }
    }

    /// The first frame of a socket: verified, it attaches the socket and makes all before it stale; what the page has not had
    /// waits to be sent again. Nothing happens to the session when it is refused.
    ///
    /// # Errors
    ///
    /// As the table of protocol.md §18.5 says. After one that [is a mismatch](Refusal::is_mismatch) the session is to be
    /// closed with [`CloseReason::Mismatch`].
    pub fn handle_hello(
        &mut self,
        arrival: Arrival,
        hello: &Hello,
        fresh: Fresh,
        takeover: Takeover,
        now: Instant,
    ) -> Result<(Epoch, Welcome), Refusal> {
        if let Some(reason) = self.close_reason {
            return Err(Refusal::Closed(reason));
        }
        let Some(resume) = &mut self.resume else { return Err(Refusal::Key) };
        let answer = resume.answer(arrival, hello, takeover)?;
        let used = resume.keys.recognize(&hello.key);
        let Fresh { stream: id, key } = fresh;
        match answer {
            Answer::GoOn | Answer::Begin => resume.keys.rotate(used, &key),
            Answer::TakeOver => resume.keys.begin_again(&key),
        }
        resume.attached = resume.attached.max(arrival);
        let resumed = matches!(answer, Answer::GoOn);
        if !resumed {
            resume.stream = Some(Stream::new(id, hello.instance));
        }
        let epoch = self.attach(now);
        self.last_activity = now;
        if matches!(answer, Answer::TakeOver) {
            self.emit(Event::ContinuityLost(ContinuityLost::TakenOver));
        }
        let (stream, received, loaded) =
            self.stream().map_or((id, 0, false), |stream| (stream.id, stream.received, stream.loaded));
        if let (true, Some(attachment)) = (loaded, &mut self.attachment) {
            attachment.ready = Some(now);
            self.open(true);
        }
        // JavaScript has no larger integers.
        let message_bytes = (self.message_bytes as u64).min((1 << 53) - 1);
        Ok((epoch, Welcome { resumed, stream, key, received, message_bytes }))
    }

    /// The page has had so many data frames of the stream. An input of a stale attachment does not count.
    ///
    /// # Errors
    ///
    /// [`Refusal::Count`] if that cannot be. The session is to be closed then, with [`CloseReason::Mismatch`].
    pub fn handle_ack(&mut self, epoch: Epoch, received: u64, now: Instant) -> Result<(), Refusal> {
        if !self.is_current(epoch) {
            return Ok(());
        }
        self.last_activity = now;
        self.confirm();
        let possible = self.stream_mut().is_none_or(|stream| stream.ring.acknowledge(received));
        if possible { Ok(()) } else { Err(Refusal::Count) }
    }

    /// The page sent a control frame that says nothing of what it has had. Answers whether it counted.
    pub fn handle_ping(&mut self, epoch: Epoch, now: Instant) -> bool {
        let current = self.is_current(epoch);
        if current {
            self.last_activity = now;
            self.confirm();
        }
        current
    }

    /// The page sent a data frame that is no message. It has been had, and must not come again.
    pub fn handle_malformed(&mut self, epoch: Epoch) {
        if self.is_current(epoch) {
            self.count_received();
        }
    }

    /// These messages, small and large ones, were handed to a socket before the stream began, and have not reached it.
    pub fn handle_unsent_before(&mut self, small: Vec<Transmit>, large: Vec<Transmit>) {
        if self.status != Status::Closed {
            self.messages_out = self.messages_out.saturating_sub((small.len() + large.len()) as u64);
            self.outbox.restore(small.into_iter());
            self.large.restore(large);
        }
    }

    pub(super) fn count_received(&mut self) {
        if let Some(stream) = self.stream_mut() {
            stream.received += 1;
            self.confirm();
        }
    }

    /// Any frame behind the hello shows that the page has had the welcome.
    fn confirm(&mut self) {
        if let Some(resume) = &mut self.resume
            && resume.stream.is_some()
        {
            resume.keys.confirm();
        }
    }
}

impl Resume {
    fn answer(&mut self, arrival: Arrival, hello: &Hello, takeover: Takeover) -> Result<Answer, Refusal> {
        let known = self.keys.recognize(&hello.key);
        let Some(stream) = &mut self.stream else {
            return match (known.page, hello.stream, hello.received) {
                (false, ..) => Err(Refusal::Key),
                (true, Some(_), _) => Err(Refusal::Stream),
                (true, None, 1..) => Err(Refusal::Count),
                (true, None, 0) => Ok(Answer::Begin),
            };
        };
        if stream.instance != hello.instance {
            return match (known.page, takeover) {
                (false, _) => Err(Refusal::Key),
                (true, Takeover::Newest) if arrival < self.attached => Err(Refusal::Stale),
                (true, Takeover::Newest) => Ok(Answer::TakeOver),
                (true, Takeover::Reject) => Err(Refusal::Duplicate),
                (true, Takeover::Fork) => Err(Refusal::Fork),
            };
        }
        if !known.opens {
            return Err(Refusal::Key);
        }
        if arrival < self.attached {
            return Err(Refusal::Stale);
        }
        match hello.stream {
            Some(id) if id == stream.id => {
                if stream.ring.rewind(hello.received) {
                    Ok(Answer::GoOn)
                } else {
                    Err(Refusal::Count)
                }
            }
            // The first welcome was lost.
            None if stream.received == 0 && !stream.loaded => {
                if hello.received == 0 {
                    Ok(Answer::Begin)
                } else {
                    Err(Refusal::Count)
                }
            }
            _ => Err(Refusal::Stream),
        }
    }
}

/// Outputs.
impl SessionMachine {
    /// What has to be sent again, and then, if there is room for it, what is new.
    pub(super) fn poll_stream(
        &mut self,
        next: impl FnOnce(&mut Self) -> Option<Transmit>,
    ) -> Option<Transmit> {
        if let Some(again) = self.stream_mut().and_then(|stream| stream.ring.send_again()) {
            return Some(again);
        }
        if !self.has_room() {
            return None;
        }
        let transmit = next(self)?;
        if let Some(stream) = self.stream_mut() {
            stream.ring.push(transmit.clone());
        }
        Some(transmit)
    }

    /// What is lost, or may be, when the session closes for this reason.
    pub(super) fn loss(&self, reason: CloseReason) -> Option<ContinuityLost> {
        if !self.is_resumable() {
            return None;
        }
        let waits = self.has_stream() && self.has_waiting();
        match reason {
            CloseReason::Overflow => Some(ContinuityLost::Overflow),
            CloseReason::Mismatch => Some(ContinuityLost::Mismatch),
            CloseReason::Cleanup | CloseReason::Disconnected if waits => Some(ContinuityLost::Expired),
            CloseReason::Capacity if waits => Some(ContinuityLost::Evicted),
            _ => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start somewhere")]
#[path = "resume_tests.rs"]
mod tests;
