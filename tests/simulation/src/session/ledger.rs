//! What one side has sent and the other has observed: exactly once and in order, but that a value of an observable may give way
//! to a later one, never across a barrier.

/// A message, as its sender numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Every one is observed.
    Barrier(u32),
    /// Every one is observed, and values may give way across it.
    Each(u32),
    /// The last one of its observable between two barriers is observed.
    Value { observable: u8, number: u32 },
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: Vec<Message>,
}

/// How far one observer is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observer {
    /// So many of what was sent have been observed, or have given way to a later one.
    pub(super) settled: usize,
    /// The next one that is observed may be any: whoever observes has not been there from the beginning.
    joins: bool,
    /// Of so many it is not promised that they are observed.
    before: usize,
    /// Nothing that was sent after so many is for this observer.
    until: Option<usize>,
}

impl Observer {
    /// Comes now, and was not promised what was sent before.
    pub(super) fn joining(ledger: &Ledger) -> Self {
        Self { joins: true, before: ledger.sent.len(), ..Self::default() }
    }

    /// Nothing that is sent from now on is for this one.
    pub(super) fn end(&mut self, ledger: &Ledger) {
        self.until = Some(ledger.sent.len());
    }
}

impl Ledger {
    pub(super) fn send(&mut self, message: Message) {
        self.sent.push(message);
    }

    pub(super) fn sent(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn observe(&self, by: &mut Observer, message: Message) -> Result<(), String> {
        let Some(ahead) = self.sent[by.settled..].iter().position(|sent| *sent == message) else {
            let before = self.sent[..by.settled].contains(&message);
            let what = if before { "again, or after a later one" } else { "though nobody sent it" };
            return Err(format!("{message:?} is observed {what}"));
        };
        let at = by.settled + ahead;
        if by.until.is_some_and(|until| at >= until) {
            return Err(format!("{message:?} is observed by somebody else"));
        }
        if !std::mem::take(&mut by.joins) {
            for skipped in by.settled..at {
                if !self.gave_way(skipped) {
                    return Err(format!("{:?} is missing before {message:?}", self.sent[skipped]));
                }
            }
        }
        by.settled = at + 1;
        Ok(())
    }

    /// The first that has not been observed. The last value of an observable is never passed over.
    pub(super) fn missing(&self, by: &Observer) -> Option<Message> {
        self.sent.get(by.settled.max(by.before)).copied()
    }

    fn gave_way(&self, at: usize) -> bool {
        let Message::Value { observable, .. } = self.sent[at] else { return false };
        self.sent[at + 1..]
            .iter()
            .take_while(|later| !matches!(later, Message::Barrier(_)))
            .any(|later| matches!(later, Message::Value { observable: of, .. } if *of == observable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(observable: u8, number: u32) -> Message {
        Message::Value { observable, number }
    }

    fn ledger(sent: &[Message]) -> Ledger {
        let mut ledger = Ledger::default();
        sent.iter().for_each(|message| ledger.send(*message));
        ledger
    }

    #[test]
    fn a_value_may_give_way_to_a_later_one_before_the_next_barrier() {
        let mut log = ledger(&[value(0, 1), value(1, 2), value(0, 3), Message::Barrier(4)]);
        let mut by = Observer::default();
        for message in [value(1, 2), value(0, 3), Message::Barrier(4)] {
            log.observe(&mut by, message).unwrap();
        }
        assert_eq!(log.missing(&by), None);
        by.end(&log);
        log.send(Message::Barrier(5));
        assert!(log.observe(&mut by, Message::Barrier(5)).is_err(), "it is for another");
    }

    #[test]
    fn a_value_may_give_way_across_one_of_which_each_counts() {
        let log = ledger(&[value(0, 1), Message::Each(2), value(0, 3), Message::Each(4)]);
        let mut by = Observer::default();
        for message in [Message::Each(2), value(0, 3), Message::Each(4)] {
            log.observe(&mut by, message).unwrap();
        }
        let mut by = Observer::default();
        assert!(log.observe(&mut by, value(0, 3)).is_err(), "one of which each counts is missing");
    }

    #[test]
    fn what_is_lost_twice_or_out_of_order_is_found() {
        let sent = [Message::Barrier(1), value(0, 2), Message::Barrier(3), value(0, 4)];
        let log = ledger(&sent);
        assert!(log.observe(&mut Observer::default(), value(0, 2)).is_err(), "a barrier is missing");
        let mut by = Observer::default();
        log.observe(&mut by, Message::Barrier(1)).unwrap();
        assert!(log.observe(&mut by, Message::Barrier(1)).is_err(), "twice");
        assert!(log.observe(&mut by, Message::Barrier(3)).is_err(), "a value gave way across a barrier");
        log.observe(&mut by, value(0, 2)).unwrap();
        log.observe(&mut by, Message::Barrier(3)).unwrap();
        assert_eq!(log.missing(&by), Some(value(0, 4)));
        assert!(log.observe(&mut by, Message::Barrier(9)).is_err(), "never sent");
        log.observe(&mut Observer::joining(&log), value(0, 4)).unwrap();
    }
}
