//! Which values of an observable reach the pages, and what becomes of one.

use crate::proto::session::SendOutcome;

/// Which values of an observable a page sees while they come faster than it takes them, or while its connection is lost.
///
/// Whichever it is, what a page sees of all observables is what was set, in that order, with values left out. Chosen with
/// [`Observable::delivery`](crate::Observable::delivery).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Values that wait collapse to the last one, never across a script or a change of the page. So what waits is bounded by the
    /// number of observables, however long the browser is away.
    #[default]
    Latest,
    /// Each value waits, and counts like any other message: more than [`Limits`](crate::Limits) allow ends the session. For what
    /// is an event rather than a state: a line of a log, a word of an answer.
    Every,
}

/// What became of a value at the sessions that follow its observable, from [`Observable::send`](crate::Observable::send): how
/// many of them there are for each [`SendOutcome`]. The session whose browser set the value is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Sessions whose connection takes it next.
    pub sent: usize,
    /// Sessions at which it waits.
    pub queued: usize,
    /// Sessions at which it waits in place of an earlier value.
    pub compacted: usize,
    /// Sessions that are closed, or close for it.
    pub refused: usize,
}

impl Delivered {
    pub(super) fn count(&mut self, outcome: SendOutcome) {
        *match outcome {
            SendOutcome::Sent => &mut self.sent,
            SendOutcome::Queued => &mut self.queued,
            SendOutcome::Compacted => &mut self.compacted,
            SendOutcome::Refused => &mut self.refused,
        } += 1;
    }

    /// Whether every session takes it next: whoever sends much may go on.
    pub fn is_keeping_up(&self) -> bool {
        self.queued == 0 && self.compacted == 0 && self.refused == 0
    }
}
