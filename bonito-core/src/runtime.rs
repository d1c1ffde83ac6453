//! Where the library meets tokio: the only place that reads a clock, waits or spawns.

pub(crate) mod behaviour;
pub(crate) mod clock;
pub(crate) mod cluster;
mod driver;
pub(crate) mod relay;
pub(crate) mod sweeper;

pub(crate) use driver::run_resumable_connection_loop_as;
pub use driver::{Disconnect, run_connection_loop, run_resumable_connection_loop};
