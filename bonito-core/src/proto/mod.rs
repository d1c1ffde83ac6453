//! The protocol, sans-I/O: no clock, no runtime, no locks, no user code. Time is an argument.
//!
//! Bytes go in and out through [`codec`]; the messages they mean are in [`message`]; the values that messages
//! carry are in [`value`]; [`compress`] wraps whole messages. `docs/src/protocol.md` is the specification that all of
//! them follow.

pub mod cluster;
pub mod codec;
pub mod compress;
mod error;
mod event;
pub(crate) mod heartbeat;
pub(crate) mod idle;
pub mod message;
pub(crate) mod outbox;
pub mod policy;
pub(crate) mod reorder;
pub mod resume;
mod scan;
pub mod session;
pub(crate) mod tree;
mod truce;
pub mod value;
pub(crate) mod water;
mod wire;

use std::time::{Duration, Instant};

pub(crate) use error::cut;
pub use error::{DecodeError, EncodeError};

/// The moment so long after `start`; for a time without end, one that nobody lives to see.
pub(crate) fn later(start: Instant, time: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(time).unwrap_or_else(|| start + THIRTY_YEARS)
}
