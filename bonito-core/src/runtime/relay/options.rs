//! What may be chosen for sockets that land on another process.

use std::time::Duration;

/// How an endpoint finds the sessions of other processes, for [`EndpointBuilder::cluster`](crate::EndpointBuilder::cluster),
/// each with its default and its reason.
///
/// ```
/// use bonito_core::RelayOptions;
///
/// let mut options = RelayOptions::default();
/// options.beat = std::time::Duration::from_secs(2);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayOptions {
    /// How long a process counts as alive that does not say so. Until then a page whose process does not answer is told to come
    /// back (503), and later that its session is gone (404). Not more than the backend keeps. Default 15 s.
    pub lease_ttl: Duration,
    /// How long after a process was first found to have no lease it counts as gone: one that has just been started may be about
    /// to claim it. Default 5 s.
    pub grace: Duration,
    /// How often the two ends of a relayed socket hear of each other. After three times as much silence the other end counts as
    /// gone. Default 5 s.
    pub beat: Duration,
    /// How long the backend, or the process that holds a session, may take for an answer. Default 2 s.
    pub timeout: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(15),
            grace: Duration::from_secs(5),
            beat: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
        }
    }
}
