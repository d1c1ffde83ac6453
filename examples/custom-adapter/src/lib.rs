//! A web framework of its own, and the adapter that brings live sessions to it.

pub mod adapter;
pub mod framework;
