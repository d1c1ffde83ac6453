//! The library's promises in a simulated world: networks, clocks and applications that are all made of one seed, so that the
//! same seed is the same schedule.
//!
//! A failure prints its seed. `SEEDS=n` runs that many schedules in place of the default, `SEED=n` that one alone.

#![allow(clippy::unwrap_used, reason = "the whole crate is tests")]

pub mod cluster;
mod random;
mod seeds;
pub mod session;

pub use random::Random;
pub use seeds::{Failure, run_seeds};
