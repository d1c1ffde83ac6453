//! The page's half of protocol.md §18, written from that section alone: an executable reading of it, to which the library's
//! server is held. It has no clock, no socket and no timers; whoever drives it hands in what happens and when.
//!
//! ```text
//! waiting ──connected──▶ greeting ──welcome──▶ open ──lost, closed, silent──▶ waiting
//!        any ── 4003, 4004, 4005, 404, too much held ──▶ ended
//! ```
//!
//! It checks the server while it follows it: a frame that §18 does not allow where it stands is [`Broken`].

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::wire::{Control, Name, Secret, is_control};

/// §18.3: each side acknowledges after so many data frames …
const ACK_FRAMES: u64 = 32;
/// … after so many bytes of them …
const ACK_BYTES: usize = 64 << 10;
/// … and so long after the first that it has not acknowledged yet.
const ACK_AFTER: Duration = Duration::from_secs(1);
/// Silence after which the page asks whether anybody is there.
const PING_AFTER: Duration = Duration::from_secs(15);
/// Silence after which the socket is given up.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(30);
/// Pause before the next attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// The server has done what §18 does not allow.
pub(super) type Broken = String;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Continuity is lost, and the page's code is told why.
    Lost(String),
    /// The server will not have this page.
    Refused(String),
    /// The session is unknown: continuity is lost too.
    Gone,
    /// The application has closed the session.
    Closed,
    /// Another page has the session.
    Superseded,
    /// The user has left.
    Left,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting { until: Duration },
    Greeting { since: Duration },
    Open,
    Ended(End),
}

#[derive(Debug)]
pub(super) struct Page {
    state: State,
    instance: Name,
    /// For the next hello.
    key: Secret,
    stream: Option<Name>,
    /// Data frames of this stream that the page has had.
    received: u64,
    /// So many of them has it told the server of.
    told: u64,
    untold_bytes: usize,
    untold_since: Option<Duration>,
    /// Data frames of this stream that the server has had.
    forgotten: u64,
    /// What comes after those, and what of it was sent on this socket, and on any.
    ring: VecDeque<Bytes>,
    ring_bytes: usize,
    next: usize,
    ever: u64,
    /// The announcement that opens the session.
    announcement: Bytes,
    control: VecDeque<Control>,
    heard: Duration,
    pinged: Duration,
    most_bytes: usize,
    /// Before the next attempt.
    pub(super) pause: Duration,
    /// Keys in the order in which they came.
    pub(super) keys: Vec<Secret>,
    /// Welcomes that it had.
    pub(super) welcomes: u64,
}

impl Page {
    pub(super) fn new(instance: Name, page_key: Secret, announcement: Bytes, most_bytes: usize) -> Self {
        Self {
            state: State::Waiting { until: Duration::ZERO },
            instance,
            key: page_key,
            stream: None,
            received: 0,
            told: 0,
            untold_bytes: 0,
            untold_since: None,
            forgotten: 0,
            ring: VecDeque::new(),
            ring_bytes: 0,
            next: 0,
            ever: 0,
            announcement,
            control: VecDeque::new(),
            heard: Duration::ZERO,
            pinged: Duration::ZERO,
            most_bytes,
            pause: PAUSE,
            keys: vec![page_key],
            welcomes: 0,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(super) fn end(&self) -> Option<&End> {
        match &self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    pub(super) fn instance(&self) -> Name {
        self.instance
    }

    #[cfg(test)]
    pub(super) fn key(&self) -> Secret {
        self.key
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes and messages that the server has not acknowledged.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.ring_bytes, self.ring.len())
    }

    /// Whether it would have a socket now.
    pub(super) fn wants_socket(&self, now: Duration) -> bool {
        matches!(self.state, State::Waiting { until } if until <= now)
    }

    /// Page code sends a message. Answers whether continuity has been lost over it.
    pub(super) fn send(&mut self, message: Bytes) -> bool {
        if self.end().is_some() {
            return false;
        }
        self.ring_bytes += message.len();
        self.ring.push_back(message);
        let overflows = self.ring_bytes > self.most_bytes;
        if overflows {
            self.finish(End::Lost("overflow".into()));
        }
        overflows
    }

    /// The upgrade was accepted.
    pub(super) fn handle_connected(&mut self, now: Duration) {
        self.state = State::Greeting { since: now };
        (self.heard, self.pinged) = (now, now);
        self.control.clear();
        self.control.push_back(self.hello());
    }

    pub(super) fn hello(&self) -> Control {
        Control::Hello {
            version: 1,
            instance: self.instance,
            key: self.key,
            stream: self.stream,
            received: self.received,
        }
    }

    /// The upgrade was refused with this status, or nobody answered.
    pub(super) fn handle_refused(&mut self, status: Option<u16>, now: Duration) {
        match status {
            Some(404) => self.finish(End::Gone),
            _ => self.pause(now),
        }
    }

    /// A frame has come over the page's socket. Answers the message in it, if it holds one.
    pub(super) fn handle_frame(&mut self, frame: Bytes, now: Duration) -> Result<Option<Bytes>, Broken> {
        self.heard = now;
        if is_control(&frame) {
            return self.handle_control(&Control::decode(&frame)?, now).map(|()| None);
        }
        if self.state != State::Open {
            return Err(format!("a data frame before the welcome: {frame:02x?}"));
        }
        self.received += 1;
        self.untold_bytes += frame.len();
        self.untold_since.get_or_insert(now);
        Ok(Some(frame))
    }

    fn handle_control(&mut self, control: &Control, now: Duration) -> Result<(), Broken> {
        match (&self.state, control) {
            (State::Greeting { .. }, Control::Welcome { resumed, stream, key, received, .. }) => {
                self.welcomes += 1;
                self.keys.push(*key);
                self.key = *key;
                self.state = State::Open;
                self.told = self.received;
                (self.untold_bytes, self.untold_since) = (0, None);
                self.next = 0;
                if *resumed { self.resume(*stream, *received) } else { self.begin(*stream, *received) }
            }
            (State::Open, Control::Ack(received)) => {
                let most = self.forgotten + self.next as u64;
                self.forget(*received, most, "an ack")
            }
            (State::Open, Control::Pong) => Ok(()),
            (state, control) => Err(format!("{control:?} while the page is {state:?} at {now:?}")),
        }
    }

    fn resume(&mut self, stream: Name, received: u64) -> Result<(), Broken> {
        if self.stream != Some(stream) {
            return Err(format!("a stream that is not {:?} was resumed", self.stream));
        }
        self.forget(received, self.ever, "a welcome")
    }

    fn begin(&mut self, stream: Name, received: u64) -> Result<(), Broken> {
        if let Some(known) = self.stream {
            return Err(format!("stream {known:?} ended without a word, {stream:?} began"));
        }
        if received != 0 {
            return Err(format!("{received} frames of a new stream were received"));
        }
        self.stream = Some(stream);
        self.ring_bytes += self.announcement.len();
        self.ring.push_front(self.announcement.clone());
        Ok(())
    }

    /// The server has had so many frames, of at most so many that it can have had.
    fn forget(&mut self, received: u64, most: u64, by: &str) -> Result<(), Broken> {
        let least = self.forgotten;
        if received < least || received > most {
            return Err(format!("{by} of {received} frames, where {least} to {most} are possible"));
        }
        for _ in self.forgotten..received {
            self.ring_bytes -= self.ring.pop_front().map_or(0, |message| message.len());
            // A welcome speaks of other sockets: on its own none has been sent yet.
            self.next = self.next.saturating_sub(1);
        }
        self.forgotten = received;
        Ok(())
    }

    /// A close frame has come.
    pub(super) fn handle_close(&mut self, code: u16, reason: &str, now: Duration) -> Result<(), Broken> {
        match code {
            1000 | 1001 | 1002 | 1006 | 1007 | 1011 | 1012 | 4008 => self.pause(now),
            1009 => self.finish(End::Lost("too large".into())),
            4001 => self.finish(End::Superseded),
            4003 => self.finish(End::Refused(reason.into())),
            4004 => self.finish(End::Closed),
            4005 => self.finish(End::Lost(reason.into())),
            _ => return Err(format!("close code {code} is nobody's")),
        }
        Ok(())
    }

    /// The socket has failed, or it is given up.
    pub(super) fn handle_lost(&mut self, now: Duration) {
        self.pause(now);
    }

    pub(super) fn leave(&mut self) {
        self.finish(End::Left);
    }

    fn pause(&mut self, now: Duration) {
        self.control.clear();
        self.state = State::Waiting { until: now + self.pause };
    }

    fn finish(&mut self, end: End) {
        self.state = State::Ended(end);
        self.control.clear();
        self.ring.clear();
        self.ring_bytes = 0;
    }

    /// The next frame for the socket.
    pub(super) fn poll_transmit(&mut self, now: Duration) -> Option<Bytes> {
        if let Some(control) = self.control.pop_front() {
            return Some(control.encode());
        }
        if self.state != State::Open {
            return None;
        }
        let untold = self.received - self.told;
        if untold >= ACK_FRAMES
            || self.untold_bytes >= ACK_BYTES
            || self.untold_since.is_some_and(|since| since + ACK_AFTER <= now)
        {
            self.told = self.received;
            (self.untold_bytes, self.untold_since) = (0, None);
            return Some(Control::Ack(self.received).encode());
        }
        let message = self.ring.get(self.next)?.clone();
        self.next += 1;
        self.ever = self.ever.max(self.forgotten + self.next as u64);
        Some(message)
    }

    /// When to look again, if nothing happens before.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Greeting { since } => Some(since + DEAD_AFTER),
            State::Open => {
                let silent = (self.heard + DEAD_AFTER).min(self.heard.max(self.pinged) + PING_AFTER);
                Some(self.untold_since.map_or(silent, |since| silent.min(since + ACK_AFTER)))
            }
            State::Ended(_) => None,
        }
    }

    /// Time has passed. Answers whether the page gives its socket up.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> bool {
        let silent = match self.state {
            State::Greeting { since } => since + DEAD_AFTER <= now,
            State::Open => self.heard + DEAD_AFTER <= now,
            State::Waiting { .. } | State::Ended(_) => false,
        };
        if silent {
            self.pause(now);
        } else if self.state == State::Open && self.heard.max(self.pinged) + PING_AFTER <= now {
            self.pinged = now;
            self.control.push_back(Control::Ping);
        }
        silent
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
