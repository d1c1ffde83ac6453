//! How much a session's messages hold, and between which levels nobody needs to hear of it.

use std::ops::Range;

use bytes::Bytes;

use super::{SessionMachine, Status};

/// How much waits.
impl SessionMachine {
    /// Bytes of all messages for the page, those included that a page in the making is made of.
    pub fn outbound_bytes(&self) -> usize {
        let on_load: usize = self.on_load.iter().map(Bytes::len).sum();
        self.outbox.bytes() + self.large.bytes() + self.unacknowledged().1 + on_load
    }

    /// Bytes that came from the page and wait to be polled.
    pub fn pending_bytes(&self) -> usize {
        self.event_bytes
    }

    /// Bytes that wait for a page that was made.
    pub fn waiting_bytes(&self) -> usize {
        let made = self.status != Status::Uninitialized;
        if made { self.outbox.bytes() + self.large.bytes() } else { 0 }
    }

    /// Bytes that wait for a browser that is gone.
    pub fn held_bytes(&self) -> usize {
        if self.status == Status::SoftClosed { self.waiting_bytes() + self.unacknowledged().1 } else { 0 }
    }
}

/// Levels.
impl SessionMachine {
    /// Whether what waits, what is large apart, is where nobody needs to hear of it.
    pub(crate) fn is_level(&self) -> bool {
        self.outbox.is_level()
    }

    /// So many bytes are accounted for that wait for a lost browser. Of all there are so many, and others need not hear of it
    /// in this range; nor of what waits for the page in that one.
    pub(crate) fn set_level(
        &mut self,
        held: usize,
        (all, charge): (usize, Range<usize>),
        water: Range<usize>,
    ) {
        let bytes = self.outbox.bytes();
        let (besides, large) = (all.saturating_sub(bytes), self.large.bytes());
        let mut level = less(&charge, besides);
        if self.status != Status::Uninitialized {
            level = both(&level, &less(&water, large));
        }
        if held > 0 || self.status == Status::SoftClosed {
            level = both(&level, &(bytes..bytes + 1));
        }
        self.outbox.set_level(level);
    }
}

fn less(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start.saturating_sub(by)..range.end.saturating_sub(by)
}

fn both(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    one.start.max(other.start)..one.end.min(other.end)
}
