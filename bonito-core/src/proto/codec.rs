//! Messages to bytes and back.
//!
//! From a browser: [`decode_client`] checks a frame in one pass and builds no tree; the payload of an update is a
//! slice of the frame. To a browser: [`encode_packet`] and its siblings write in one pass, and [`UpdatePrefix`] turns
//! an update of an observable into two copies. [`encode_client`] and [`decode_packet`] are the other side, for clients
//! and tests.

mod client;
mod packet;
mod server;

pub use client::{decode_client, encode_client};
pub use packet::decode_packet;
pub(crate) use server::encode_update_session;
pub use server::{UpdatePrefix, encode_bundle, encode_envelope, encode_message, encode_packet};

/// A frame that browsers pass over before anything else, sent to find out whether a socket still takes bytes
/// (`docs/src/protocol.md` §2.2).
pub const TEST_WRITE: &[u8] = &[0];

const MSG_TYPE: &str = "msg_type";
const ID: &str = "id";
const PAYLOAD: &str = "payload";
const OBS: &str = "obs";
const MESSAGE: &str = "message";
const EXCEPTION: &str = "exception";
const STACKTRACE: &str = "stacktrace";
const SESSION: &str = "session";
const SUBSESSION: &str = "subsession";
const REPLACE: &str = "replace";
const SESSION_ID: &str = "session_id";
const SESSION_STATUS: &str = "session_status";
const MESSAGES: &str = "messages";
const HTML: &str = "html";
const DOM_NODE_SELECTOR: &str = "dom_node_selector";

/// The exception of a session that loaded.
const NOTHING: &str = "nothing";
