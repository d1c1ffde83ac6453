//! Tools for testing apps, adapters and connections of [bonito](bonito_core).
//!
//! | for | see | feature |
//! |---|---|---|
//! | apps: connections that break when told to | [`Faults`], [`Flaky`] | none |
#![cfg_attr(feature = "overlay", doc = "| apps: buttons for that in the page | [`DevOverlay`] | `overlay` |")]
#![cfg_attr(
    feature = "conformance",
    doc = "| adapters: what each must do | [`conformance!`], [`behaviours!`] | `conformance` |"
)]
#![cfg_attr(
    feature = "conformance",
    doc = "| connections of one's own: what each must do | [`connection_conformance!`] | `conformance` |"
)]
#![cfg_attr(
    feature = "cluster",
    doc = "| cluster backends: what each must do, and one in this process | [`cluster_conformance!`], [`LocalCluster`] | `cluster` |"
)]
//!
//! What takes long to build is off by default. None of this has a place in production: name the crate among the
//! `dev-dependencies`, or behind a feature of the app's own.

#[cfg(feature = "conformance")]
#[allow(clippy::unwrap_used, reason = "all of it is tests")]
pub mod cases;
#[cfg(feature = "conformance")]
#[allow(clippy::unwrap_used, reason = "all of it is tests")]
mod client;
#[cfg(feature = "cluster")]
#[allow(clippy::unwrap_used, reason = "all of it is tests")]
mod cluster;
#[cfg(feature = "cluster")]
#[allow(clippy::unwrap_used, reason = "all of it is tests")]
pub mod cluster_cases;
#[cfg(feature = "conformance")]
mod connection;
#[cfg(feature = "conformance")]
#[allow(clippy::unwrap_used, reason = "all of it is tests")]
pub mod connection_cases;
mod faults;
#[cfg(feature = "overlay")]
mod overlay;
#[cfg(feature = "conformance")]
#[allow(clippy::unwrap_used, reason = "all of it is tests")]
mod probe;
#[cfg(any(feature = "cluster", feature = "conformance"))]
#[allow(clippy::unwrap_used, reason = "all of it is tests")]
mod runner;
#[cfg(feature = "conformance")]
mod suite;
#[cfg(feature = "conformance")]
#[allow(clippy::unwrap_used, reason = "all of it is tests")]
mod wire;

#[cfg(feature = "conformance")]
pub use client::set_patience;
#[cfg(feature = "cluster")]
pub use cluster::{CLUSTER_CASES, LocalCluster, LocalNode, run_paused};
#[cfg(feature = "conformance")]
pub use connection::FarEnd;
pub use faults::{Faults, Flaky};
#[cfg(feature = "overlay")]
pub use overlay::DevOverlay;
#[cfg(any(feature = "cluster", feature = "conformance"))]
pub use runner::{Note, run};
#[cfg(feature = "conformance")]
pub use suite::{BEHAVIOUR_CASES, CASES, CONNECTION_CASES};
