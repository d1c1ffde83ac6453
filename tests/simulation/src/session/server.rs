//! The server's half: the library's machine, and around it what the driver of each socket does.

use std::collections::{BTreeMap, VecDeque};
use std::iter;
use std::time::{Duration, Instant};

use bonito_core::proto::codec;
use bonito_core::proto::message::ClientMessage;
use bonito_core::proto::resume::{Acks, Control, Fresh, Hello, Key, StreamId, Takeover, is_control};
use bonito_core::proto::session::{Arrival, Epoch, Event, SessionMachine};
use bonito_core::{CleanupPolicy, CloseReason, DefaultCleanupPolicy, Limits, ObservableId, Status};
use bytes::Bytes;

use super::keys::{Answer, Book, Greeting};
use super::link::{Link, Packet};
use super::page::Broken;
use super::wire::Secret;

/// Messages that the driver takes from the machine at a time, and that its handler has room for.
const BATCH: usize = 8;
const HANDLER: usize = 5;

/// So long does the page take to be made: longer than one that is made may take to connect.
pub(super) const RENDERING: Duration = Duration::from_secs(100);

/// What the application sends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    Message,
    Value(ObservableId),
    Each,
    Large,
}

/// A socket's driver.
#[derive(Debug)]
struct Driver {
    stage: Stage,
    heard: Instant,
    pinged: Instant,
}

#[derive(Debug)]
enum Stage {
    /// Nothing has come yet.
    Accepted { since: Instant, arrival: Arrival },
    /// Messages that were polled and that the socket has not taken yet, as the connection's handler holds them.
    Attached { epoch: Epoch, acks: Acks, handler: VecDeque<Bytes> },
}

#[derive(Debug)]
pub(super) struct Server {
    machine: SessionMachine,
    limits: Limits,
    takeover: Takeover,
    policy: DefaultCleanupPolicy,
    drivers: BTreeMap<usize, Driver>,
    /// The socket whose hello was answered with a welcome last, until its driver has ended.
    serving: Option<usize>,
    pub(super) book: Book,
    secrets: u8,
    /// Data frames of this stream that went to a socket, and that the page has acknowledged.
    polled: u64,
    acknowledged: u64,
    /// Those between, and whether each is a message that is no value.
    flying: VecDeque<bool>,
    /// What the last hello was answered, until somebody has looked.
    pub(super) answered: Option<Answer>,
    away: Option<Instant>,
}

impl Server {
    pub(super) fn new(page_key: Secret, limits: &Limits, takeover: Takeover, now: Instant) -> Self {
        let id = format!("{:032x}", 7).parse().expect("32 digits");
        // The page takes its time to be made.
        let mut machine = SessionMachine::new(id, limits, now - RENDERING);
        machine.set_page_key(&Key::new(page_key));
        let _ = machine.render();
        let mut server = Self {
            machine,
            limits: limits.clone(),
            takeover,
            policy: DefaultCleanupPolicy::default(),
            drivers: BTreeMap::new(),
            serving: None,
            book: Book::new(page_key),
            secrets: 0,
            polled: 0,
            acknowledged: 0,
            flying: VecDeque::new(),
            answered: None,
            away: Some(now - RENDERING),
        };
        server.sweep(now);
        server.machine.display(now);
        server.away = Some(now);
        server
    }

    /// Since when no page is there.
    pub(super) fn away(&self) -> Option<Instant> {
        self.away
    }

    pub(super) fn is_closed(&self) -> bool {
        self.machine.status() == Status::Closed
    }

    /// The socket that the session has.
    pub(super) fn serving(&self) -> Option<usize> {
        self.serving
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.machine.poll_event()
    }

    pub(super) fn send(&mut self, bytes: Bytes, kind: Sent, now: Instant) {
        let _ = match kind {
            Sent::Message => self.machine.send(bytes),
            Sent::Value(id) => self.machine.send_update(id, bytes),
            Sent::Each => self.machine.send_each(bytes),
            Sent::Large => self.machine.send_large(bytes),
        };
        if self.machine.poll_overflow() {
            self.close(CloseReason::Overflow, now);
        }
    }

    pub(super) fn close(&mut self, reason: CloseReason, now: Instant) {
        self.machine.close(reason, now);
    }

    pub(super) fn accept(&mut self, link: usize, now: Instant) {
        let arrival = self.machine.handle_arrival();
        self.drivers
            .insert(link, Driver { stage: Stage::Accepted { since: now, arrival }, heard: now, pinged: now });
    }

    /// The driver of this socket reads. `joined` tells when a page is there that has not been there from the beginning.
    pub(super) fn receive(
        &mut self,
        at: usize,
        packet: &Packet,
        link: &mut Link,
        now: Instant,
    ) -> Result<(), Broken> {
        let Some(driver) = self.drivers.get_mut(&at) else { return Ok(()) };
        driver.heard = now;
        match (&mut driver.stage, packet) {
            (_, Packet::Ping) => link.send_down(Packet::Pong),
            (_, Packet::Pong) => {}
            (_, Packet::Close(..) | Packet::Reset) => self.leave(at, None, link, now)?,
            (Stage::Accepted { arrival, .. }, Packet::Binary(frame)) => match Control::decode(frame) {
                Ok(Some(Control::Hello(hello))) => {
                    let arrival = *arrival;
                    self.greet(at, arrival, &hello, link, now)?;
                }
                _ => self.leave(at, Some((1002, "")), link, now)?,
            },
            (Stage::Attached { .. }, Packet::Binary(frame)) => self.read(at, frame, link, now)?,
        }
        self.end_closed(at, link, now)
    }

    fn greet(
        &mut self,
        at: usize,
        arrival: Arrival,
        hello: &Hello,
        link: &mut Link,
        now: Instant,
    ) -> Result<(), Broken> {
        let greeting = Greeting {
            instance: *hello.instance.as_bytes(),
            key: *hello.key.as_bytes(),
            stream: hello.stream.map(|stream| *stream.as_bytes()),
            received: hello.received,
            socket: at,
        };
        self.secrets += 1;
        let (stream, key) = ([self.secrets; 16], [self.secrets; 32]);
        let fresh = Fresh { stream: StreamId::new(stream), key: Key::new(key) };
        let before = self.machine.epoch();
        let expected = match self.machine.close_reason() {
            Some(reason) => Some(last_word(reason)),
            None => self.book.answer(&greeting, self.takeover, (self.acknowledged, self.polled)),
        };
        let answer = match self.machine.handle_hello(arrival, hello, fresh, self.takeover, now) {
            Ok((epoch, welcome)) => {
                let resumed = welcome.resumed;
                let named = *welcome.stream.as_bytes();
                if self.machine.epoch() != Some(epoch) {
                    return Err("a welcome without an attachment".into());
                }
                if resumed {
                    (self.polled, self.acknowledged) = (hello.received, hello.received);
                } else {
                    (self.polled, self.acknowledged) = (0, 0);
                }
                self.flying.clear();
                self.book.welcomed(&greeting, named, key, resumed);
                link.send_down(Packet::Binary(Control::Welcome(welcome).encode()));
                self.serving = Some(at);
                self.away = None;
                let stage = Stage::Attached { epoch, acks: Acks::new(), handler: VecDeque::new() };
                self.drivers.insert(at, Driver { stage, heard: now, pinged: now });
                Answer::Welcome { resumed }
            }
            Err(refusal) => {
                if refusal.is_mismatch() {
                    self.close(CloseReason::Mismatch, now);
                }
                let frame = refusal.close_frame();
                self.leave(at, Some((frame.code.0, &frame.reason)), link, now)?;
                if !refusal.is_mismatch() && self.machine.epoch() != before {
                    return Err(format!("{refusal:?} disturbed the session"));
                }
                let words = ["key", "duplicate", "stream", "count", "overflow", "expired", "evicted"];
                let word = words.into_iter().find(|word| *word == frame.reason);
                Answer::Close(frame.code.0, word.unwrap_or_default())
            }
        };
        if expected.is_some_and(|expected| expected != answer) {
            return Err(format!("{greeting:02x?} is answered {answer:?}, not {expected:?}"));
        }
        self.answered = Some(answer);
        Ok(())
    }

    fn read(&mut self, at: usize, frame: &Bytes, link: &mut Link, now: Instant) -> Result<(), Broken> {
        let Some(Driver { stage: Stage::Attached { epoch, acks, .. }, .. }) = self.drivers.get_mut(&at)
        else {
            return Ok(());
        };
        let (epoch, stale) = (*epoch, self.serving != Some(at));
        let before = self.machine.received();
        if !stale {
            self.book.shown();
        }
        let refused = if is_control(frame) {
            match Control::decode(frame) {
                Ok(Some(Control::Ping)) => {
                    self.machine.handle_ping(epoch, now);
                    link.send_down(Packet::Binary(Control::Pong.encode()));
                    None
                }
                Ok(Some(Control::Ack(received))) => match self.machine.handle_ack(epoch, received, now) {
                    Ok(()) if stale => None,
                    Ok(()) => {
                        self.flying.drain(..(received - self.acknowledged) as usize);
                        self.acknowledged = received;
                        None
                    }
                    Err(refusal) => {
                        if refusal.is_mismatch() {
                            self.close(CloseReason::Mismatch, now);
                        }
                        let frame = refusal.close_frame();
                        Some((frame.code.0, frame.reason))
                    }
                },
                Ok(None) => None,
                Ok(Some(_)) | Err(_) => Some((1002, "".into())),
            }
        } else {
            let code = match codec::decode_client(frame.clone(), &self.limits) {
                Ok(message) => {
                    if self.machine.handle_message(epoch, message, now) == stale {
                        return Err(format!(
                            "a message of socket {at}, stale: {stale}, was not taken for that"
                        ));
                    }
                    None
                }
                Err(_) => {
                    self.machine.handle_malformed(epoch);
                    Some((1007, "".into()))
                }
            };
            acks.handle_received(frame.len(), now);
            code
        };
        let counts = u64::from(!stale && !is_control(frame));
        if self.machine.received() != before + counts && !self.is_closed() {
            return Err(format!("{} frames had, then {}", before, self.machine.received()));
        }
        match refused {
            Some((code, reason)) => self.leave(at, Some((code, &reason)), link, now),
            None => Ok(()),
        }
    }

    /// A driver ends its socket.
    pub(super) fn leave(
        &mut self,
        at: usize,
        close: Option<(u16, &str)>,
        link: &mut Link,
        now: Instant,
    ) -> Result<(), Broken> {
        if let Some((code, reason)) = close {
            link.send_down(Packet::Close(code, reason.to_owned()));
        }
        let Some(driver) = self.drivers.remove(&at) else { return Ok(()) };
        if let Stage::Attached { epoch, .. } = driver.stage {
            let owned = self.machine.handle_detached(epoch, now);
            let serving = self.serving == Some(at);
            if serving {
                self.serving = None;
                self.away = Some(now);
            }
            if owned != serving && !self.is_closed() {
                return Err(format!("socket {at} ends, and it was the session's own: {owned}"));
            }
        }
        Ok(())
    }

    /// The driver sees that the session is over, or that another has it.
    fn end_closed(&mut self, at: usize, link: &mut Link, now: Instant) -> Result<(), Broken> {
        let Some(Driver { stage: Stage::Attached { epoch, .. }, .. }) = self.drivers.get(&at) else {
            return Ok(());
        };
        let close = match self.machine.close_reason() {
            Some(reason) => match last_word(reason) {
                Answer::Close(code, reason) => (code, reason),
                Answer::Welcome { .. } => return Ok(()),
            },
            None if !self.machine.is_current(*epoch) => (4001, ""),
            None => return Ok(()),
        };
        self.leave(at, Some(close), link, now)
    }

    /// The driver writes what there is, as far as its socket has room.
    pub(super) fn write(&mut self, at: usize, link: &mut Link, now: Instant) -> Result<(), Broken> {
        if self.serving != Some(at) || self.is_closed() {
            // A stale driver notices when it is woken, which may be late.
            return if self.is_closed() { self.end_closed(at, link, now) } else { Ok(()) };
        }
        let Some(Driver { stage: Stage::Attached { acks, handler, .. }, .. }) = self.drivers.get_mut(&at)
        else {
            return Ok(());
        };
        while link.has_room() {
            if acks.poll(now) {
                link.send_down(Packet::Binary(Control::Ack(self.machine.received()).encode()));
                continue;
            }
            if handler.is_empty() {
                let mut batch: Vec<_> = iter::from_fn(|| self.machine.poll_transmit()).take(BATCH).collect();
                let large = batch.is_empty();
                if large {
                    batch.extend(iter::from_fn(|| self.machine.poll_large_transmit()).take(BATCH));
                }
                let unsent = batch.split_off(batch.len().min(HANDLER));
                self.polled += batch.len() as u64;
                self.flying.extend(batch.iter().map(|transmit| !is_value(&transmit.bytes)));
                handler.extend(batch.into_iter().map(|transmit| transmit.bytes));
                if large {
                    self.machine.handle_large_unsent(unsent);
                } else {
                    self.machine.handle_unsent(unsent);
                }
            }
            let Some(bytes) = handler.pop_front() else { break };
            link.send_down(Packet::Binary(bytes));
        }
        Ok(())
    }

    /// What is due of one driver.
    pub(super) fn tick(&mut self, at: usize, link: &mut Link, now: Instant) -> Result<(), Broken> {
        self.end_closed(at, link, now)?;
        let Some(driver) = self.drivers.get_mut(&at) else { return Ok(()) };
        let greeted_by = match driver.stage {
            Stage::Accepted { since, .. } => Some(since + self.limits.hello_timeout),
            Stage::Attached { .. } => None,
        };
        if driver.heard + self.limits.dead_after <= now || greeted_by.is_some_and(|by| by <= now) {
            return self.leave(at, Some((4008, "")), link, now);
        }
        if driver.heard.max(driver.pinged) + self.limits.ping_interval <= now {
            driver.pinged = now;
            link.send_down(Packet::Ping);
        }
        Ok(())
    }

    /// The time has come to look whether the session has had its time.
    pub(super) fn sweep(&mut self, now: Instant) {
        if !self.is_closed() && self.policy.should_cleanup(&self.machine.info(), now) {
            self.close(CloseReason::Cleanup, now);
        }
    }

    /// When something is due.
    pub(super) fn timeout(&self, links: &[Link], now: Instant) -> Option<Instant> {
        let due = self.drivers.iter().flat_map(|(at, driver)| {
            let quiet = driver.heard.max(driver.pinged) + self.limits.ping_interval;
            let dead = driver.heard + self.limits.dead_after;
            let own = match &driver.stage {
                Stage::Accepted { since, .. } => Some(*since + self.limits.hello_timeout),
                // Without room in the socket it waits for that.
                Stage::Attached { acks, .. } => acks.poll_timeout().filter(|_| links[*at].has_room()),
            };
            [Some(quiet), Some(dead), own]
        });
        let sweep = (!self.is_closed()).then(|| self.policy.next_check(&self.machine.info(), now)).flatten();
        due.flatten().chain(sweep).min()
    }

    /// What must hold after every step.
    pub(super) fn check(&self) -> Result<(), Broken> {
        let info = self.machine.info();
        if self.is_closed() {
            let (epoch, waits) = (self.machine.epoch(), self.machine.has_transmit());
            if epoch.is_some() || waits || info.queued_messages + info.queued_bytes != 0 {
                return Err(format!("a closed session holds something: {info:?}"));
            }
            return Ok(());
        }
        let owned = self.serving.and_then(|at| match self.drivers.get(&at)?.stage {
            Stage::Attached { epoch, .. } => Some(epoch),
            Stage::Accepted { .. } => None,
        });
        if owned != self.machine.epoch() {
            return Err(format!("the session is attached to {:?}, not {owned:?}", self.machine.epoch()));
        }
        let most = self.limits.queued_bytes + self.limits.replay_bytes + 2 * super::world::MOST_BYTES;
        let flying = self.flying.iter().filter(|message| **message).count();
        if flying > self.limits.replay_messages {
            return Err(format!("{flying} messages are not acknowledged"));
        }
        if info.queued_bytes > most {
            return Err(format!("{} bytes are held, {most} are allowed", info.queued_bytes));
        }
        Ok(())
    }

    /// Bytes that wait or are not acknowledged.
    pub(super) fn held(&self) -> usize {
        self.machine.info().queued_bytes
    }

    /// An announcement that the page of this session has loaded.
    pub(super) fn announcement(&self) -> Bytes {
        let message = ClientMessage::DoneLoading {
            session: self.machine.info().id.to_string(),
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        };
        codec::encode_client(&message).expect("it is short")
    }
}

/// What a socket of a closed session is told.
fn last_word(reason: CloseReason) -> Answer {
    match reason {
        CloseReason::Overflow => Answer::Close(4005, "overflow"),
        CloseReason::Mismatch => Answer::Close(4005, "count"),
        CloseReason::Cleanup | CloseReason::Disconnected => Answer::Close(4005, "expired"),
        CloseReason::Capacity => Answer::Close(4005, "evicted"),
        _ => Answer::Close(4004, ""),
    }
}

fn is_value(message: &[u8]) -> bool {
    matches!(message, [b'm', 0..0xf0, ..])
}
