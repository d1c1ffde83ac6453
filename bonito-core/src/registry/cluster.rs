//! The local tables over a cluster: which machine knows the others, and who is told what it learns.
//!
//! Nothing here waits or reads a clock by itself: `runtime/cluster.rs` makes a clustered registry, and gives its hands along.

mod claim;
mod core;
mod sink;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::claim::Stage;
pub(super) use self::claim::{Claim, OnLost};
pub(super) use self::core::Outcomes;
pub(crate) use self::core::{Core, Hands, Sink};
use self::sink::Tables;
use super::Registry;
use super::group::Groups;
use super::unique::UniqueNames;

/// What a table needs of its cluster, and how its values are written.
pub(super) struct Link<T> {
    pub(super) core: Arc<Core>,
    write: fn(&T) -> Option<Bytes>,
    /// The cluster is left when the last table is gone.
    _alive: Arc<Alive>,
}

impl<T> Link<T> {
    /// The value as other nodes read it. Runs the application's code.
    pub(super) fn write(&self, value: &T) -> Option<Bytes> {
        (self.write)(value)
    }
}

struct Alive(Arc<Core>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<M, Meta> Registry<M, Meta>
where
    M: Clone + Serialize + DeserializeOwned + 'static,
    Meta: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Tables over a cluster, and what its task gives what comes to.
    pub(crate) fn over(core: &Arc<Core>) -> (Self, Box<dyn Sink>) {
        let alive = Arc::new(Alive(core.clone()));
        let link = Link { core: core.clone(), write: write::<M>, _alive: alive.clone() };
        let unique = UniqueNames::with(link);
        let link = Link { core: core.clone(), write: write::<Meta>, _alive: alive };
        let group = Groups::with(link, write::<M>);
        let tables = Box::new(Tables::new(&unique, &group));
        (Self { unique, group }, tables)
    }
}

impl<M: 'static, Meta: Send + Sync + 'static> Registry<M, Meta> {
    /// Leaves the cluster in good order: all names of this process are free for others at once, and its members gone. For the
    /// end of a process, after its sockets have drained. Afterwards no name can be registered, and who joins a group is not
    /// known to others.
    ///
    /// Ready when others have been told, or could not be for a sixth of the lease time. On a registry of one process, at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not call it off.
    pub async fn leave(&self) {
        if let Some(core) = self.unique.core() {
            core.leave();
            core.left().await;
        }
    }

    /// The processes besides this one whose names and members are known here.
    pub fn nodes(&self) -> Vec<crate::NodeId> {
        self.unique.core().map(|core| core.nodes()).unwrap_or_default()
    }
}

fn write<T: Serialize>(value: &T) -> Option<Bytes> {
    // By name, so that fields may come and go while versions of the app run side by side.
    rmp_serde::to_vec_named(value)
        .inspect_err(|error| {
            let what = std::any::type_name::<T>();
            tracing::error!("a value of {what} cannot be sent to other nodes: {error}");
        })
        .ok()
        .map(Bytes::from)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    crate::sync::guard("Deserialize", || rmp_serde::from_slice(bytes))?
        .inspect_err(|error| {
            let what = std::any::type_name::<T>();
            tracing::warn!("a value of {what} from another node is refused: {error}");
        })
        .ok()
}
