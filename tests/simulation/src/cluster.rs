//! Three to five nodes of a cluster: partitions, crashes, pauses, lost and late answers, clocks that go wrong.
//!
//! For the first part of a schedule everything that is allowed to go wrong does; then all is healed, and it must be right.
//!
//! At each step:
//! * nobody acts under a name while somebody else does, and no epoch is two claims';
//! * nobody acts in an epoch once somebody could in a later one, a process that has slept included;
//! * a message to a name comes to the claim whose epoch it carries, and only while that may act;
//! * what one node sends to another comes in order and once;
//! * nothing is seen of a node that is known to have left, and it has no lease when it ends, if its last calls were answered.
//!
//! At the end each node knows exactly who is there: nodes, names, members and what they tell. In half of the schedules one has
//! left before, while nothing went wrong: within 100 ms nobody saw it any more, and others got its names.

mod broker;
mod node;
mod world;

pub use world::run;

/// A world, or a machine in it, that breaks a rule which the promises rest on. The simulation must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mutant {
    /// The broker gives a key away before its lease is over.
    LeasesEndEarly,
    /// The broker grants each claim the same epoch.
    EpochsRepeat,
    /// A node's clock is slower than the bound allows.
    SlowClock,
    /// A node acts from the word that it has a name to the word that it has lost it, and does not look at the time.
    ActsOnTrust,
    /// A node acts longer than a lease.
    CountsTooLong,
    /// Messages of one node to another overtake each other.
    Disorder,
    /// Nobody gets what it asks for when it has missed something.
    NoSnapshots,
    /// A node that leaves does not say so.
    LeavesSilently,
    /// The broker does not give up a lease that is released.
    KeepsReleased,
}

/// What has happened in schedules, so that a test sees that something has.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Names that a claim got.
    pub held: u64,
    /// Claims that somebody else was before.
    pub taken: u64,
    /// Names lost since their lease was over.
    pub expired: u64,
    /// Names that went from one node to another.
    pub moved: u64,
    /// Messages that came to the owner of a name.
    pub delivered: u64,
    /// Messages that came to nobody, since their epoch was over.
    pub stale: u64,
    /// Messages to groups that came.
    pub published: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Processes that slept.
    pub pauses: u64,
    /// Connections that were cut.
    pub cuts: u64,
    /// Processes that ended in good order.
    pub leaves: u64,
    /// Names of such that somebody else got at once.
    pub freed: u64,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.held += other.held;
        self.taken += other.taken;
        self.expired += other.expired;
        self.moved += other.moved;
        self.delivered += other.delivered;
        self.stale += other.stale;
        self.published += other.published;
        self.crashes += other.crashes;
        self.pauses += other.pauses;
        self.cuts += other.cuts;
        self.leaves += other.leaves;
        self.freed += other.freed;
    }
}
