//! One node of a cluster as a machine: unique names as fenced leases, and who is where.
//!
//! Four kinds of methods, as in [`session`](super::session):
//! * **getters**;
//! * **inputs** `handle_*`: what the backend answered, what other nodes said, the time;
//! * **commands** of the application: [`claim`](ClusterMachine::claim), [`release`](ClusterMachine::release),
//!   [`join`](ClusterMachine::join), [`leave`](ClusterMachine::leave), [`send`](ClusterMachine::send),
//!   [`publish`](ClusterMachine::publish);
//! * **outputs** `poll_*`. After any input or command poll events, requests and transmits until there are none.
//!
//! A name is a lease at the backend, and what is here only says when this node may act under it. Everything else is gossip:
//! each node has a roster of the names and members it has, tells the others what changes, and says every quarter of the lease
//! time where it stands; who finds that it knows less asks for the rest. A node that nobody hears for the lease time is not
//! there, with all that it had.

mod frame;
mod machine;
mod names;
mod options;
mod peers;
mod roster;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use frame::{NAME_BYTES, Outcome, VERSION};
pub use machine::ClusterMachine;
pub use options::ClusterOptions;

/// Name of a node, random for each start of a process: one that comes back is another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(u64);

impl NodeId {
    /// The node of this number, which must not be 0.
    pub fn new(number: u64) -> Self {
        Self(number.max(1))
    }

    /// A new one, or the error of the operating system's random source.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(Self::new)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// One wish of a connection in this node to have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "whoever claims numbers its claims")]
pub struct ClaimId(pub u64);

/// One call of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(u64);

/// Why a connection does not have a name, or has it no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameLost {
    /// The claim came too late: a connection of another node has the name.
    Taken,
    /// The claim has failed: the backend did not answer in time.
    Unreachable,
    /// The claim has failed, and would again: the name is too long, this node has too many, or the backend refuses.
    Refused,
    /// The name was this connection's, and its lease is over: it could not be renewed in time, because the backend could not
    /// be reached or this process was held up. Somebody else may have it now.
    Expired,
    /// This node has left the cluster.
    Left,
    /// The connection has ended, and its name with it: whoever still holds the registration may not act under it.
    Ended,
}

impl fmt::Display for NameLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "a connection of another node has this name",
            Self::Unreachable => "the cluster's backend did not answer the claim of this name",
            Self::Refused => "the cluster refuses the claim of this name",
            Self::Expired => "the lease of this name was not renewed in time",
            Self::Left => "this node has left the cluster",
            Self::Ended => "the connection that had this name has ended",
        })
    }
}

impl std::error::Error for NameLost {}

/// A call of the backend that is to be made. Each is answered once, with the backend's error if it fails; one that is not
/// answered within a sixth of the lease time should count as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "what ClusterBackend's methods take")]
#[expect(clippy::exhaustive_enums, reason = "whoever runs a machine must make them all")]
pub enum Request {
    /// To be answered with [`ClusterMachine::handle_acquired`].
    Acquire { op: OpId, name: Arc<str>, value: Bytes, ttl: Duration },
    /// To be answered with [`ClusterMachine::handle_renewed`].
    Renew { op: OpId, name: Arc<str>, epoch: u64, ttl: Duration },
    /// To be answered with [`ClusterMachine::handle_released`].
    Release { op: OpId, name: Arc<str>, epoch: u64 },
}

/// A frame that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever runs a machine sends it")]
pub struct Transmit {
    /// The node that is to get it, or all.
    pub to: Option<NodeId>,
    /// The frame.
    pub bytes: Bytes,
}

/// What whoever runs a machine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variants speak of")]
#[expect(clippy::exhaustive_enums, reason = "whoever runs a machine must know them all")]
pub enum Event {
    /// The claim has the name, and may act under it until then unless it is renewed.
    Held { claim: ClaimId, epoch: u64, until: Instant },
    /// It may act until then.
    Renewed { claim: ClaimId, until: Instant },
    /// The claim has not, or no more, the name.
    Lost { claim: ClaimId, name: Arc<str>, reason: NameLost },
    /// A message for the claim. What becomes of it is to be told with [`ClusterMachine::answer`].
    Deliver { claim: ClaimId, from: NodeId, receipt: Option<u64>, message: Bytes },
    /// A message for this node's members of a group.
    Published { group: Arc<str>, message: Bytes },
    /// What became of a message that was sent with this receipt.
    Receipt { receipt: u64, outcome: Outcome },
    /// A connection of another node is in the group, and tells this.
    Joined { group: Arc<str>, node: NodeId, serial: u64, meta: Bytes },
    /// It is not any more.
    Left { group: Arc<str>, node: NodeId, serial: u64 },
}

/// Who has a name, as far as known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a roster says")]
pub struct Owner {
    /// Its node.
    pub node: NodeId,
    /// The connection's number there.
    pub serial: u64,
    /// The fencing token of its claim.
    pub epoch: u64,
}
