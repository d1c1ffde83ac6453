//! Names that one connection has at a time.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use foldhash::quality::RandomState;

use super::Target;
use super::cluster::{Claim, Core, Link, OnLost};
use crate::address::{Address, AddressId, Lease, Posted};
use crate::cluster::ClusterError;
use crate::proto::cluster::{ClaimId, NameLost, Outcome, Owner};

/// Names that one connection has at a time, from [`Registry::unique`](crate::Registry::unique).
pub struct UniqueNames<M>(pub(super) Arc<Names<M>>);

pub(super) struct Names<M> {
    /// Locked before `names`.
    owners: DashMap<AddressId, Owned, RandomState>,
    names: DashMap<Arc<str>, Named<M>, RandomState>,
    link: Option<Link<M>>,
}

/// The name that a connection has, and which registration that is.
struct Owned {
    name: Arc<str>,
    serial: u64,
}

struct Named<M> {
    owner: AddressId,
    serial: u64,
    target: Target<M>,
    /// The claim on the name, over several processes.
    claim: Option<Arc<Claim>>,
}

impl<M> Named<M> {
    /// Whether a message that comes now is for this connection.
    fn may_act(&self, core: Option<&Arc<Core>>) -> bool {
        match (&self.claim, core) {
            (None, _) => true,
            (Some(claim), Some(core)) => claim.may_act(core.now()).is_some(),
            (Some(_), None) => false,
        }
    }
}

impl<M: 'static> UniqueNames<M> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Names { owners: DashMap::default(), names: DashMap::default(), link: None }))
    }

    /// Gives the connection this name, until what is returned is dropped or the connection ends.
    ///
    /// Over several processes this is the beginning: the name is claimed in the background. Nothing is delivered under it
    /// before the claim is [held](Registration::held), or once it is [lost](Registration::lost).
    ///
    /// # Errors
    ///
    /// [`Taken`](RegisterError::Taken) if another connection of this process has the name,
    /// [`AlreadyRegistered`](RegisterError::AlreadyRegistered) if the connection has one in this registry: each may have one.
    pub fn register<T: From<M> + Send + 'static>(
        &self,
        name: &str,
        address: &Address<T>,
    ) -> Result<Registration, RegisterError> {
        self.insert(name, address, None)
    }

    /// The same, and says what message the connection gets in its own mailbox if the name is lost: because another process has
    /// it, or the lease on it could not be kept. The connection lives on, and may register again. It gets the message when there
    /// is room, however full its mailbox is. In a registry of one process no name is ever lost.
    ///
    /// # Errors
    ///
    /// Those of [`register`](Self::register).
    pub fn register_or_tell<T: From<M> + Send + 'static>(
        &self,
        name: &str,
        address: &Address<T>,
        tell: impl FnOnce(NameLost) -> T + Send + 'static,
    ) -> Result<Registration, RegisterError> {
        let on_lost = self.core().cloned().map(|core| {
            let to = address.clone();
            Box::new(move |reason| core.post(to, tell(reason))) as OnLost
        });
        self.insert(name, address, on_lost)
    }

    fn insert<T: From<M> + Send + 'static>(
        &self,
        name: &str,
        address: &Address<T>,
        on_lost: Option<OnLost>,
    ) -> Result<Registration, RegisterError> {
        let (id, name) = (address.id(), Arc::<str>::from(name));
        let (serial, claim) = self.0.insert(id, &name, Arc::new(address.clone()), on_lost)?;
        let names = Arc::downgrade(&self.0);
        let lease = address.life().lease({
            let (name, claim) = (name.clone(), claim.clone());
            move || {
                if let Some(names) = names.upgrade() {
                    names.remove(id, &name, serial);
                    if let (Some(link), Some(claim)) = (&names.link, &claim) {
                        link.core.release(claim.id);
                    }
                }
            }
        });
        let core = self.core().cloned();
        Ok(Registration { name, claim: claim.zip(core), lease: lease.ok_or(RegisterError::Ended)? })
    }

    /// Sends a message to whoever has the name. Never waits.
    ///
    /// If it is a connection of another process, as far as known here, `Queued` says that the message is on its way there. It
    /// carries the epoch of the claim, so that a connection that has the name no more does not get it. `Refused` says that too
    /// much waits to be published, or that the message is too long or cannot be written; the log tells which.
    /// [`deliver`](Self::deliver) waits for the word of the owner's process.
    pub fn send(&self, name: &str, message: M) -> Posted {
        if let Some(target) = self.0.here(name) {
            return target.deliver(message);
        }
        let Some(link) = &self.0.link else { return Posted::Nobody };
        let Some(owner) = link.core.owner(name) else { return Posted::Nobody };
        let sent = link.write(&message).is_some_and(|message| link.core.send(name, owner, None, message));
        if sent { Posted::Queued } else { Posted::Refused }
    }

    /// Sends a message to whoever has the name, in whatever process, and waits for what became of it there. Where nobody is
    /// known here to have the name, or has it no more, the backend is asked. So `Nobody` means that at some moment since the
    /// call nobody had the name, or its owner's connection had ended.
    ///
    /// # Errors
    ///
    /// [`DeliverError`]. In a registry of one process, never.
    ///
    /// # Cancel safety
    ///
    /// The message may arrive even if the future is dropped.
    pub fn deliver(
        &self,
        name: &str,
        message: M,
    ) -> impl Future<Output = Result<Posted, DeliverError>> + Send + use<M> {
        let begun = match (self.0.here(name), &self.0.link) {
            (Some(target), _) => Begun::Done(Ok(target.deliver(message))),
            (None, None) => Begun::Done(Ok(Posted::Nobody)),
            (None, Some(link)) => match link.write(&message) {
                Some(message) => Begun::Elsewhere(link.core.clone(), message),
                None => Begun::Done(Err(DeliverError::Unwritable)),
            },
        };
        let name = name.to_owned();
        async move {
            match begun {
                Begun::Done(result) => result,
                Begun::Elsewhere(core, message) => deliver_elsewhere(&core, &name, message).await,
            }
        }
    }

    /// The address of the connection that has the name; over several processes, as far as known here.
    pub fn find(&self, name: &str) -> Option<AddressId> {
        let core = self.core();
        let here = self.0.names.get(name).filter(|named| named.may_act(core)).map(|named| named.owner);
        here.or_else(|| core?.owner(name).map(|owner| AddressId::remote(owner.node, owner.serial)))
    }

    /// How many names are taken; over several processes, as far as known here.
    pub fn len(&self) -> usize {
        self.0.names.len() + self.core().map_or(0, |core| core.remote_names())
    }

    /// Whether no name is taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<M> UniqueNames<M> {
    /// Over several processes.
    pub(super) fn with(link: Link<M>) -> Self {
        Self(Arc::new(Names { owners: DashMap::default(), names: DashMap::default(), link: Some(link) }))
    }

    pub(super) fn core(&self) -> Option<&Arc<Core>> {
        self.0.link.as_ref().map(|link| &link.core)
    }
}

enum Begun {
    Done(Result<Posted, DeliverError>),
    Elsewhere(Arc<Core>, Bytes),
}

async fn deliver_elsewhere(core: &Arc<Core>, name: &str, message: Bytes) -> Result<Posted, DeliverError> {
    if let Some(owner) = core.owner(name) {
        match deliver_to(core, name, owner, message.clone()).await? {
            Posted::Nobody => {}
            posted => return Ok(posted),
        }
    }
    match core.look_up(name).await.map_err(DeliverError::Backend)? {
        Some(owner) => deliver_to(core, name, owner, message).await,
        None => Ok(Posted::Nobody),
    }
}

async fn deliver_to(
    core: &Arc<Core>,
    name: &str,
    owner: Owner,
    message: Bytes,
) -> Result<Posted, DeliverError> {
    let Some(expected) = core.expect() else { return Ok(Posted::Refused) };
    if !core.send(name, owner, Some(expected.receipt), message) {
        return Ok(Posted::Refused);
    }
    match expected.outcome().await {
        Some(Outcome::Queued) => Ok(Posted::Queued),
        Some(Outcome::Refused) => Ok(Posted::Refused),
        Some(Outcome::Nobody) => Ok(Posted::Nobody),
        Some(Outcome::Unreadable) => Err(DeliverError::Unreadable),
        None => Err(DeliverError::Unconfirmed),
    }
}

impl<M> Names<M> {
    fn insert(
        &self,
        id: AddressId,
        name: &Arc<str>,
        target: Target<M>,
        on_lost: Option<OnLost>,
    ) -> Result<(u64, Option<Arc<Claim>>), RegisterError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let Entry::Vacant(owner) = self.owners.entry(id) else {
            return Err(RegisterError::AlreadyRegistered);
        };
        let Entry::Vacant(place) = self.names.entry(name.clone()) else { return Err(RegisterError::Taken) };
        let claim = self.link.as_ref().map(|link| link.core.claim(name, id, serial, on_lost)).transpose();
        let claim = match claim {
            Ok(claim) => claim,
            Err(leftover) => {
                drop((place, owner));
                drop(leftover);
                return Err(RegisterError::Left);
            }
        };
        place.insert(Named { owner: id, serial, target, claim: claim.clone() });
        owner.insert(Owned { name: name.clone(), serial });
        Ok((serial, claim))
    }

    /// Takes a name from a connection, unless it has got it anew since.
    pub(super) fn remove(&self, id: AddressId, name: &str, serial: u64) {
        // What is removed is dropped here, outside the table's lock.
        let named = self.names.remove_if(name, |_, named| named.serial == serial);
        drop(named);
        self.owners.remove_if(&id, |_, owned| owned.serial == serial && &*owned.name == name);
    }

    /// The connection of this process that may act under the name.
    fn here(&self, name: &str) -> Option<Target<M>> {
        let named = self.names.get(name)?;
        named.may_act(self.link.as_ref().map(|link| &link.core)).then(|| named.target.clone())
    }

    /// The connection of a claim, if it may act.
    pub(super) fn target(&self, name: &str, claim: ClaimId, now: Instant) -> Option<Target<M>> {
        let named = self.names.get(name)?;
        let held = named.claim.as_ref().filter(|held| held.id == claim)?;
        held.may_act(now).map(|_| named.target.clone())
    }
}

impl<M> Clone for UniqueNames<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for UniqueNames<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UniqueNames").field(&self.0.names.len()).finish()
    }
}

/// A name that a connection has. Dropping it releases the name.
///
/// Over several processes a name is a lease, which is renewed while this lives and can be lost. Whoever acts under the name
/// outside this library, say by writing to a database, gives the [epoch](Self::epoch) along, and whoever takes the act refuses
/// an epoch that is lower than one it has seen.
#[derive(Debug)]
#[must_use = "a registration that is dropped releases its name"]
pub struct Registration {
    name: Arc<str>,
    claim: Option<(Arc<Claim>, Arc<Core>)>,
    lease: Lease,
}

impl Registration {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the name is this connection's in all processes. In a registry of one process it is at once.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub async fn held(&self) -> Result<(), NameLost> {
        match &self.claim {
            Some((claim, _)) => claim.held().await,
            None => Ok(()),
        }
    }

    /// Waits until the name is not this connection's any more, or turns out never to have been. In a registry of one process it
    /// is until the connection ends.
    pub async fn lost(&self) -> NameLost {
        match &self.claim {
            Some((claim, _)) => claim.lost().await,
            None => {
                self.lease.over().await;
                NameLost::Ended
            }
        }
    }

    /// Whether the connection may act under the name now: exactly, even if nobody has been told yet that time is over, or that
    /// the connection has ended.
    pub fn is_held(&self) -> bool {
        match &self.claim {
            Some((claim, core)) => claim.may_act(core.now()).is_some(),
            None => !self.lease.is_over(),
        }
    }

    /// The fencing token of the claim, while it [is held](Self::is_held): strictly greater than that of each earlier claim on
    /// the name in any process. `None` in a registry of one process.
    pub fn epoch(&self) -> Option<u64> {
        self.claim.as_ref().and_then(|(claim, core)| claim.may_act(core.now()))
    }
}

/// Why a connection did not get a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another connection has it.
    Taken,
    /// The connection has a name already.
    AlreadyRegistered,
    /// The connection has ended.
    Ended,
    /// This process has [left](crate::Registry::leave) the cluster.
    Left,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "another connection has this name",
            Self::AlreadyRegistered => "this connection has a name already, and may have one",
            Self::Ended => "the connection has ended",
            Self::Left => "this process has left the cluster",
        })
    }
}

impl std::error::Error for RegisterError {}

/// Why it is not known that a message has arrived.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeliverError {
    /// The owner's process did not answer in time. The message may have arrived.
    Unconfirmed,
    /// The backend could not say who has the name. The message has not arrived.
    Backend(ClusterError),
    /// The message cannot be written for other processes; the log tells why. It has not arrived.
    Unwritable,
    /// The owner's process cannot read the message: it runs another version of the app. It has not arrived.
    Unreadable,
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unconfirmed => "the process that has the name did not answer in time",
            Self::Backend(_) => "who has the name is not known",
            Self::Unwritable => "the message cannot be written for other processes",
            Self::Unreadable => "the process that has the name cannot read the message",
        })
    }
}

impl std::error::Error for DeliverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Backend(error) => Some(error),
            Self::Unconfirmed | Self::Unwritable | Self::Unreadable => None,
        }
    }
}
