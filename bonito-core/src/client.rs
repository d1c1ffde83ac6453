//! The browser client, built into the crate.

/// The library, a module without imports.
pub(crate) static LIBRARY: &str = include_str!("../client/dist/bonito.js");

/// The module that opens WebSockets.
pub(crate) static WEBSOCKET: &str = include_str!("../client/dist/websocket.js");
