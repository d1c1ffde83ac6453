//! What may be chosen about a cluster, and every bound on what comes from other nodes.

use std::time::Duration;

/// What may be chosen about a [clustered registry](crate::Registry::clustered), each with its default and its reason.
///
/// ```
/// use bonito_core::ClusterOptions;
///
/// let mut options = ClusterOptions::new("chat");
/// options.lease_ttl = std::time::Duration::from_secs(30);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// Which registry this is: those of one scope at one backend are one. Letters, digits, `-` and `_`, at most 64.
    pub scope: String,
    /// How long a name stays taken after its node has died, and how long a silent node counts as there. A node that cannot
    /// reach the backend loses its names after three quarters of it. Default 15 s; at least 1 s. The same on all nodes.
    pub lease_ttl: Duration,
    /// Longest frame from another node, and longest message to one, in bytes. Default 512 KiB: brokers take 1 MiB.
    pub frame_bytes: usize,
    /// Longest encoded metadata of a member, in bytes. Default 4 KiB.
    pub meta_bytes: usize,
    /// Most nodes; one more is not seen. Default 256.
    pub nodes: usize,
    /// Most names and members that one node may have. Members beyond are not seen by others, names not claimed; a node that
    /// says it has more counts as empty. Default 100,000.
    pub entries: usize,
    /// Bytes that may wait to be published; more is [refused](crate::Posted::Refused). Default 8 MiB.
    pub outbox_bytes: usize,
    /// Messages that may wait for the word of their owner's node at a time. Default 10,000.
    pub receipts: usize,
}

impl ClusterOptions {
    /// The defaults, for the registry of this scope.
    pub fn new(scope: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            lease_ttl: Duration::from_secs(15),
            frame_bytes: 512 << 10,
            meta_bytes: 4 << 10,
            nodes: 256,
            entries: 100_000,
            outbox_bytes: 8 << 20,
            receipts: 10_000,
        }
    }

    /// Why these cannot be used, if so.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let letters = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if self.scope.is_empty() || self.scope.len() > 64 || !self.scope.bytes().all(letters) {
            return Err("expected a scope of 1 to 64 letters, digits, - and _");
        }
        if self.lease_ttl < Duration::from_secs(1) {
            return Err("expected a lease_ttl of at least 1 s");
        }
        if self.frame_bytes / 2 < self.meta_bytes.saturating_add(2048) {
            return Err("expected frame_bytes to be at least twice meta_bytes and 4 KiB");
        }
        Ok(())
    }
}
