//! Names, groups and sessions over several processes: what is needed of a broker.

mod backend;

pub use backend::{Acquired, BackendFuture, ClusterBackend, ClusterError, Held, Incoming, Received, Renewed};
