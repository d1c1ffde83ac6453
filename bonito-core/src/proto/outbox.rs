//! Messages that wait for one browser, in order and in bounds.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use foldhash::fast::RandomState;

use crate::id::ObservableId;

/// Messages for which an empty outbox keeps room.
const ROOM: usize = 64;

/// One message for the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transmit {
    /// The encoded message.
    pub bytes: Bytes,
    kind: Kind,
    /// It is as it leaves, compressed if the connection wants that.
    pub(crate) prepared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A value of an observable: a later value may stand for it.
    Update(ObservableId),
    /// Keeps its place: nothing is collapsed across it.
    Barrier,
    /// A value of an observable whose every value counts. Others may collapse across it: the page still sees what was pushed,
    /// in that order, and some of it not.
    Each,
    /// Keeps its place but does not care for its neighbours (a pong).
    Neutral,
}

impl Transmit {
    pub(crate) fn update(id: ObservableId, bytes: Bytes) -> Self {
        Self { bytes, kind: Kind::Update(id), prepared: false }
    }

    pub(crate) fn each(bytes: Bytes) -> Self {
        Self { bytes, kind: Kind::Each, prepared: false }
    }

    pub(crate) fn barrier(bytes: Bytes) -> Self {
        Self { bytes, kind: Kind::Barrier, prepared: false }
    }

    /// A message that a socket's handler gives back.
    pub(crate) fn given_back(bytes: Bytes) -> Self {
        Self { bytes, kind: Kind::Barrier, prepared: true }
    }

    pub(crate) fn neutral(bytes: Bytes) -> Self {
        Self { bytes, kind: Kind::Neutral, prepared: false }
    }

    /// The observable, if a later value of it may stand for this one.
    pub(crate) fn observable(&self) -> Option<ObservableId> {
        match self.kind {
            Kind::Update(id) => Some(id),
            Kind::Barrier | Kind::Each | Kind::Neutral => None,
        }
    }
}

/// A queue in which a value that nobody has seen yet may give way to a later one of the same observable.
///
/// What the browser observes is always a subsequence of what was pushed: the later value stands at the later place, and
/// no value moves across a barrier.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// A hole is where a value stood that gave way.
    entries: VecDeque<Option<Transmit>>,
    holes: usize,
    /// Sequence number of the front entry, so that places keep their number while the front moves.
    first: u64,
    /// Newest place of each observable since the last barrier, kept only while values collapse.
    newest: HashMap<ObservableId, u64, RandomState>,
    bytes: usize,
    /// While so many bytes wait, nobody needs to hear of it. Here, since whoever pushes has this line of memory at hand.
    level: Range<usize>,
    /// Messages that are not updates: these alone count against the limit of messages.
    others: usize,
    neutrals: usize,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { first: u64::MAX / 2, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.holes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no more and no less waits than what was [set](Self::set_level) last.
    pub(crate) fn is_level(&self) -> bool {
        self.level.contains(&self.bytes)
    }

    pub(crate) fn set_level(&mut self, level: Range<usize>) {
        self.level = level;
    }

    /// Waiting messages that are not updates.
    pub(crate) fn others(&self) -> usize {
        self.others
    }

    pub(crate) fn has_neutral(&self) -> bool {
        self.neutrals > 0
    }

    pub(crate) fn push_back(&mut self, transmit: Transmit) {
        self.count(&transmit);
        if transmit.kind == Kind::Barrier {
            self.newest.clear();
        }
        self.entries.push_back(Some(transmit));
    }

    /// Pushes a value; an earlier one of the same observable gives way to it. Answers whether one did.
    pub(crate) fn push_collapsing(&mut self, id: ObservableId, bytes: Bytes) -> bool {
        let place = self.first + self.entries.len() as u64;
        let collapsed = match self.newest.insert(id, place) {
            Some(earlier) => self.remove(earlier),
            None => false,
        };
        self.push_back(Transmit::update(id, bytes));
        self.fill_holes();
        collapsed
    }

    /// Whether a value that was pushed like that still waits, and no barrier behind it.
    pub(crate) fn awaits(&self, id: ObservableId) -> bool {
        let place = self.newest.get(&id).and_then(|place| place.checked_sub(self.first));
        place.is_some_and(|index| self.entries.get(index as usize).is_some_and(Option::is_some))
    }

    /// Puts messages that turned out not to have been sent back to the front, in their order.
    pub(crate) fn restore(&mut self, unsent: impl DoubleEndedIterator<Item = Transmit>) {
        for transmit in unsent.rev() {
            self.count(&transmit);
            self.first -= 1;
            self.entries.push_front(Some(transmit));
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<Transmit> {
        while let Some(entry) = self.entries.pop_front() {
            self.first += 1;
            match entry {
                Some(transmit) => {
                    self.discount(&transmit);
                    if self.entries.is_empty() {
                        self.newest.clear();
                        self.newest.shrink_to(ROOM);
                        self.entries.shrink_to(ROOM);
                    }
                    return Some(transmit);
                }
                None => self.holes -= 1,
            }
        }
        None
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    fn remove(&mut self, place: u64) -> bool {
        let Some(index) = place.checked_sub(self.first) else { return false };
        let Some(entry) = self.entries.get_mut(index as usize) else { return false };
        let Some(transmit) = entry.take() else { return false };
        self.holes += 1;
        self.discount(&transmit);
        true
    }

    /// Keeps the holes fewer than the messages, so that memory follows what waits and not what was pushed.
    fn fill_holes(&mut self) {
        if self.holes <= 16 + self.len() {
            return;
        }
        self.entries.retain(Option::is_some);
        self.holes = 0;
        self.newest.clear();
        let mut since_barrier = 0;
        for entry in self.entries.iter().rev().flatten() {
            if entry.kind == Kind::Barrier {
                break;
            }
            since_barrier += 1;
        }
        let tail = self.entries.len() - since_barrier;
        for (index, entry) in self.entries.iter().enumerate().skip(tail) {
            if let Some(Transmit { kind: Kind::Update(id), .. }) = entry {
                self.newest.insert(*id, self.first + index as u64);
            }
        }
    }

    fn count(&mut self, transmit: &Transmit) {
        self.bytes += transmit.bytes.len();
        self.others += usize::from(!matches!(transmit.kind, Kind::Update(_)));
        self.neutrals += usize::from(transmit.kind == Kind::Neutral);
    }

    fn discount(&mut self, transmit: &Transmit) {
        self.bytes -= transmit.bytes.len();
        self.others -= usize::from(!matches!(transmit.kind, Kind::Update(_)));
        self.neutrals -= usize::from(transmit.kind == Kind::Neutral);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.pop_front())
            .map(|t| String::from_utf8(t.bytes.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn the_later_value_stands_at_the_later_place() {
        let (a, b) = (ObservableId::next(), ObservableId::next());
        let mut outbox = Outbox::new();
        assert!(!outbox.push_collapsing(a, Bytes::from("a1")));
        assert!(!outbox.push_collapsing(b, Bytes::from("b1")));
        assert!(outbox.push_collapsing(a, Bytes::from("a2")));
        assert_eq!((outbox.len(), outbox.bytes(), outbox.others()), (2, 4, 0));
        assert_eq!(drain(&mut outbox), ["b1", "a2"]);
        assert_eq!((outbox.len(), outbox.bytes()), (0, 0));
    }

    #[test]
    fn nothing_collapses_across_a_barrier() {
        let a = ObservableId::next();
        let mut outbox = Outbox::new();
        outbox.push_collapsing(a, Bytes::from("a1"));
        outbox.push_back(Transmit::barrier(Bytes::from("script")));
        assert!(!outbox.push_collapsing(a, Bytes::from("a2")));
        outbox.push_back(Transmit::neutral(Bytes::from("pong")));
        assert!(outbox.push_collapsing(a, Bytes::from("a3")));
        assert_eq!(drain(&mut outbox), ["a1", "script", "pong", "a3"]);
    }

    #[test]
    fn values_that_each_count_stay_and_are_no_barrier_to_others() {
        let a = ObservableId::next();
        let mut outbox = Outbox::new();
        outbox.push_collapsing(a, Bytes::from("a1"));
        outbox.push_back(Transmit::each(Bytes::from("e1")));
        assert!(outbox.push_collapsing(a, Bytes::from("a2")));
        outbox.push_back(Transmit::each(Bytes::from("e2")));
        assert!(outbox.push_collapsing(a, Bytes::from("a3")));
        assert_eq!((outbox.len(), outbox.bytes(), outbox.others()), (3, 6, 2), "each counts as a message");
        assert_eq!(drain(&mut outbox), ["e1", "e2", "a3"]);
    }

    #[test]
    fn memory_follows_what_waits() {
        let ids = [ObservableId::next(), ObservableId::next()];
        let mut outbox = Outbox::new();
        outbox.push_back(Transmit::barrier(Bytes::from("script")));
        for n in 0..10_000 {
            outbox.push_collapsing(ids[n % 2], Bytes::from(n.to_string()));
            assert!(outbox.entries.len() <= 40, "{}", outbox.entries.len());
        }
        assert_eq!(drain(&mut outbox), ["script", "9998", "9999"]);
    }

    #[test]
    fn what_was_not_sent_comes_first_again_and_places_stay_right() {
        let a = ObservableId::next();
        let mut outbox = Outbox::new();
        for text in ["one", "two"] {
            outbox.push_back(Transmit::barrier(Bytes::from(text)));
        }
        outbox.push_collapsing(a, Bytes::from("a1"));
        let unsent = [outbox.pop_front().unwrap(), outbox.pop_front().unwrap()];
        outbox.restore(unsent.into_iter());
        assert!(outbox.push_collapsing(a, Bytes::from("a2")));
        assert_eq!(drain(&mut outbox), ["one", "two", "a2"]);
    }

    #[test]
    fn a_value_that_has_left_is_not_collapsed_with() {
        let a = ObservableId::next();
        let mut outbox = Outbox::new();
        outbox.push_collapsing(a, Bytes::from("a1"));
        outbox.push_back(Transmit::neutral(Bytes::from("pong")));
        assert_eq!(outbox.pop_front().unwrap().bytes, "a1");
        assert!(!outbox.push_collapsing(a, Bytes::from("a2")));
        assert_eq!(drain(&mut outbox), ["pong", "a2"]);
    }
}
