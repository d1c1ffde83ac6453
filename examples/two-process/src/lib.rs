//! Sessions in one process, the browsers' sockets in another: the [`app`] is where everything is decided, and the [`front`]
//! relays requests and frames over a [`link`].

#![cfg(unix)]

pub mod app;
pub mod front;
pub mod link;
pub mod message;

#[cfg(test)]
mod conformance;
