//! What has been sent and is not acknowledged.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::Limits;
use crate::id::ObservableId;
use crate::proto::outbox::Transmit;

/// Most frames that are not acknowledged, values that gave way included.
const FRAMES: usize = 4096;
/// Room for so many is kept by a ring that is empty.
const SMALL: usize = 64;

/// The bounds of a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replay {
    messages: usize,
    bytes: usize,
}

impl Replay {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { messages: limits.replay_messages, bytes: limits.replay_bytes }
    }
}

/// Messages in the order in which they were sent, each with its number.
///
/// A value gives way to a later one of the same observable, but not across a message that is none; where it stood is a
/// hole, which keeps the number until the messages are sent again and numbered anew.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    entries: VecDeque<Option<Transmit>>,
    /// Frames of the stream that are acknowledged. The first entry has the number behind it.
    acked: u64,
    /// Entries that have gone out over the socket that there is, or the last one. Those behind have gone out over one before.
    out: usize,
    /// Numbers of the values that a later one may stand for.
    newest: HashMap<ObservableId, u64, RandomState>,
    /// Entries that are no holes.
    kept: usize,
    bytes: usize,
    others: usize,
}

impl Ring {
    /// Frames of the stream that have been sent, as both sides count them.
    pub(crate) fn sent(&self) -> u64 {
        self.acked + self.out as u64
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.kept
    }

    /// Whether everything is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether something has to be sent again.
    pub(crate) fn has_again(&self) -> bool {
        self.out < self.entries.len()
    }

    /// Whether something new may be sent. One message alone is never too much.
    pub(crate) fn has_room(&self, replay: Replay) -> bool {
        self.entries.is_empty()
            || !self.has_again()
                && self.others < replay.messages
                && self.bytes < replay.bytes
                && self.entries.len() < FRAMES
    }

    /// The next message that has to be sent again.
    pub(crate) fn send_again(&mut self) -> Option<Transmit> {
        let transmit = self.entries.get(self.out)?.clone();
        self.out += 1;
        transmit
    }

    /// A message is sent, behind all that has to be sent again.
    pub(crate) fn push(&mut self, transmit: Transmit) {
        let number = self.sent() + 1;
        match transmit.observable() {
            Some(id) => {
                if let Some(earlier) = self.newest.insert(id, number) {
                    self.remove(earlier);
                }
            }
            None => self.newest.clear(),
        }
        self.kept += 1;
        self.bytes += transmit.bytes.len();
        self.others += usize::from(transmit.observable().is_none());
        self.entries.push_back(Some(transmit));
        self.out += 1;
    }

    /// The last so many that were sent have not been sent after all.
    pub(crate) fn unsend(&mut self, count: usize) {
        self.out = self.out.saturating_sub(count);
        self.close_up(self.out);
    }

    /// So many frames of the stream have been had. Answers whether that is possible.
    pub(crate) fn acknowledge(&mut self, received: u64) -> bool {
        if !(self.acked..=self.sent()).contains(&received) {
            return false;
        }
        while self.acked < received {
            if let Some(transmit) = self.entries.pop_front().flatten() {
                self.discount(&transmit);
            }
            self.acked += 1;
            self.out -= 1;
        }
        if self.entries.is_empty() {
            self.newest.clear();
            self.entries.shrink_to(SMALL);
            self.newest.shrink_to(SMALL);
        }
        true
    }

    /// So many frames of the stream have been had, and whatever else was sent is sent again, numbered from there. Answers
    /// whether that is possible.
    pub(crate) fn rewind(&mut self, received: u64) -> bool {
        if !self.acknowledge(received) {
            return false;
        }
        self.out = 0;
        self.close_up(0);
        true
    }

    /// Takes the holes out of what is to be sent again.
    fn close_up(&mut self, from: usize) {
        let tail = self.entries.split_off(from);
        self.entries.extend(tail.into_iter().filter(Option::is_some));
        self.newest.clear();
        for (index, entry) in self.entries.iter().enumerate() {
            match entry.as_ref().map(Transmit::observable) {
                Some(Some(id)) => _ = self.newest.insert(id, self.acked + index as u64 + 1),
                Some(None) => self.newest.clear(),
                None => {}
            }
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(index) = number.checked_sub(self.acked + 1) else { return };
        if let Some(transmit) = self.entries.get_mut(index as usize).and_then(Option::take) {
            self.discount(&transmit);
        }
    }

    fn discount(&mut self, transmit: &Transmit) {
        self.kept -= 1;
        self.bytes -= transmit.bytes.len();
        self.others -= usize::from(transmit.observable().is_none());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn script(text: &'static str) -> Transmit {
        Transmit::barrier(Bytes::from(text))
    }

    fn again(ring: &mut Ring) -> Vec<String> {
        std::iter::from_fn(|| ring.send_again())
            .map(|transmit| String::from_utf8(transmit.bytes.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn what_was_not_had_comes_again_in_order_and_is_numbered_from_there() {
        let mut ring = Ring::default();
        for text in ["1", "2", "3", "4"] {
            ring.push(script(text));
        }
        assert!(ring.rewind(2));
        assert_eq!((ring.sent(), ring.len(), ring.bytes()), (2, 2, 2));
        assert_eq!(again(&mut ring), ["3", "4"]);
        assert_eq!(ring.sent(), 4);
        assert!(ring.rewind(3));
        assert_eq!(again(&mut ring), ["4"]);
    }

    #[test]
    fn a_ring_that_is_empty_holds_little() {
        let a = ObservableId::next();
        let mut ring = Ring::default();
        for _ in 0..FRAMES {
            ring.push(Transmit::update(a, Bytes::from("a")));
        }
        assert!(ring.acknowledge(FRAMES as u64));
        assert!(ring.entries.capacity() <= 2 * SMALL, "{}", ring.entries.capacity());
    }

    #[test]
    fn a_value_gives_way_but_not_across_a_script_and_the_hole_keeps_its_number() {
        let (a, b) = (ObservableId::next(), ObservableId::next());
        let mut ring = Ring::default();
        for (id, text) in [(a, "a1"), (b, "b1"), (a, "a2")] {
            ring.push(Transmit::update(id, Bytes::from(text)));
        }
        ring.push(script("script"));
        for (id, text) in [(a, "a3"), (a, "a4")] {
            ring.push(Transmit::update(id, Bytes::from(text)));
        }
        assert_eq!((ring.sent(), ring.len(), ring.bytes()), (6, 4, 12));
        assert!(ring.acknowledge(1), "the page has had what was sent then");
        assert!(ring.rewind(1));
        assert_eq!(again(&mut ring), ["b1", "a2", "script", "a4"]);
        assert_eq!(ring.sent(), 5, "nobody counts what was skipped");
        ring.push(Transmit::update(a, Bytes::from("a5")));
        assert!(ring.rewind(4));
        assert_eq!(again(&mut ring), ["a5"], "places are right after they have moved");
    }

    #[test]
    fn nothing_is_had_that_was_not_sent_nor_less_than_before() {
        let mut ring = Ring::default();
        ring.push(script("1"));
        ring.push(script("2"));
        assert!(!ring.acknowledge(3) && !ring.rewind(3) && !ring.rewind(u64::MAX));
        assert!(ring.acknowledge(1) && ring.acknowledge(1));
        assert!(!ring.acknowledge(0) && !ring.rewind(0));
        assert!(ring.rewind(1));
        assert!(!ring.acknowledge(2), "it has not been sent again yet");
    }

    #[test]
    fn the_last_that_were_not_sent_are_still_to_be_sent() {
        let a = ObservableId::next();
        let mut ring = Ring::default();
        ring.push(script("1"));
        ring.push(Transmit::update(a, Bytes::from("a1")));
        ring.push(Transmit::update(a, Bytes::from("a2")));
        ring.unsend(2);
        assert_eq!(ring.sent(), 1);
        assert!(!ring.has_room(Replay { messages: 9, bytes: 99 }), "nothing may overtake it");
        assert_eq!(again(&mut ring), ["a2"]);
        assert_eq!(ring.sent(), 2);
    }

    #[test]
    fn it_is_full_by_messages_by_bytes_and_by_frames() {
        let replay = Replay { messages: 2, bytes: 10 };
        let mut ring = Ring::default();
        assert!(ring.has_room(Replay { messages: 0, bytes: 0 }), "one message alone is never too much");
        ring.push(script("1"));
        assert!(ring.has_room(replay));
        ring.push(script("2"));
        assert!(!ring.has_room(replay), "two messages");
        assert!(ring.acknowledge(1) && ring.has_room(replay));
        ring.push(Transmit::update(ObservableId::next(), Bytes::from("123456789")));
        assert!(!ring.has_room(replay), "ten bytes");

        let (mut ring, a) = (Ring::default(), ObservableId::next());
        for n in 0..FRAMES {
            assert!(ring.has_room(replay), "{n}");
            ring.push(Transmit::update(a, Bytes::from("a")));
        }
        assert!(!ring.has_room(replay));
        assert_eq!((ring.len(), ring.bytes(), ring.sent()), (1, 1, FRAMES as u64));
        assert!(ring.acknowledge(1) && ring.has_room(replay));
    }
}
