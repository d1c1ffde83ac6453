//! What happens in the world, in the order of its time.

use std::sync::Arc;

use bonito_core::proto::cluster::Request;

use super::super::node::Input;

#[derive(Debug)]
pub(super) enum Happening {
    /// Something comes to a process, if it is still the one that it was for.
    Arrives(usize, u64, Input),
    /// A call arrives at the broker.
    Asks(usize, u64, Request),
    /// A call has been waited for long enough.
    TimesOut(usize, u64, Request),
    Wakes(usize, u64),
    Rings(usize),
    /// The app of a process does something.
    Acts(usize),
    /// Something goes wrong.
    Breaks,
    Heals(usize),
    Starts(usize),
    /// A process that leaves in good order has waited for its last calls for long enough.
    Ends(usize, u64),
    Calms,
    /// A process leaves in good order and for good, and nothing goes wrong.
    LeavesForGood(usize),
    /// Nothing may be left of it, and its names are free.
    IsGone(usize, Vec<Arc<str>>),
    /// Whoever has claimed such a name since must have it.
    IsHeld(usize, Arc<str>),
}

/// When, in what order of those at the same time, and what.
pub(super) struct Entry(pub(super) u64, pub(super) u64, pub(super) Happening);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}
