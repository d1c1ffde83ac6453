//! Where messages of the server's side are sent: a bounded mailbox, and what ends with it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::proto::cluster::NodeId;
use crate::sync::lock;

/// Where one connection takes messages from the server's side: from [`Context::address`](crate::Context::address) or
/// [`Session::on_message`](crate::Session::on_message). A clone is the same address.
///
/// Messages of one sender arrive in the order in which they were sent. A mailbox that is full takes no more, and says so; a
/// connection that has ended takes none. A message that was taken is lost if the connection ends before its turn.
pub struct Address<M>(Arc<Mailbox<M>>);

struct Mailbox<M> {
    sender: mpsc::Sender<M>,
    life: Arc<Life>,
}

/// Name of an [`Address`], unique in this process and in the cluster of a registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressId {
    /// `None` for this process, whose addresses go before others.
    node: Option<NodeId>,
    serial: u64,
}

impl AddressId {
    pub(crate) fn local(serial: u64) -> Self {
        Self { node: None, serial }
    }

    pub(crate) fn remote(node: NodeId, serial: u64) -> Self {
        Self { node: Some(node), serial }
    }

    /// The process that the address is in; `None` for this one.
    pub fn node(self) -> Option<NodeId> {
        self.node
    }

    pub(crate) fn serial(self) -> u64 {
        self.serial
    }
}

impl fmt::Debug for AddressId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "AddressId({node}:{})", self.serial),
            None => write!(f, "AddressId({})", self.serial),
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a message that was refused is lost unless it is sent again"]
#[expect(clippy::exhaustive_enums, reason = "a message is taken, or there is no room, or there is nobody")]
pub enum Posted {
    /// It is in the mailbox.
    Queued,
    /// The mailbox is full. Send it again later, or go without.
    Refused,
    /// Nobody is there: the connection has ended, or nobody has the name.
    Nobody,
}

impl Posted {
    /// Whether the message is in a mailbox.
    pub fn is_queued(self) -> bool {
        self == Self::Queued
    }

    /// Whether the mailbox was full.
    pub fn is_refused(self) -> bool {
        self == Self::Refused
    }
}

impl<M> Address<M> {
    /// Sends a message. Never waits.
    pub fn send(&self, message: M) -> Posted {
        match self.0.sender.try_send(message) {
            Ok(()) => Posted::Queued,
            Err(TrySendError::Full(_)) => Posted::Refused,
            Err(TrySendError::Closed(_)) => Posted::Nobody,
        }
    }

    /// Sends a message as soon as there is room, unless the connection ends before.
    pub(crate) async fn send_patiently(&self, message: M) {
        let _ = self.0.sender.send(message).await;
    }

    /// The name of this address.
    pub fn id(&self) -> AddressId {
        self.0.life.id
    }

    /// Whether the connection has ended.
    pub fn is_ended(&self) -> bool {
        self.0.life.is_ended()
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.0.life
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> PartialEq for Address<M> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl<M> Eq for Address<M> {}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("id", &self.id().serial).field("ended", &self.is_ended()).finish()
    }
}

/// The receiving end of an address. Dropping it ends the address: whoever sends is told, and names are released.
pub(crate) struct Inbox<M> {
    receiver: mpsc::Receiver<M>,
    life: Arc<Life>,
}

/// A mailbox for at most so many messages.
pub(crate) fn mailbox<M>(room: usize) -> (Address<M>, Inbox<M>) {
    let room = room.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
    let (sender, receiver) = mpsc::channel(room);
    let life = Arc::new(Life::new());
    (Address(Arc::new(Mailbox { sender, life: life.clone() })), Inbox { receiver, life })
}

impl<M> Inbox<M> {
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<M>> {
        self.receiver.poll_recv(cx)
    }

    /// No message is taken any more, and all names are free.
    pub(crate) fn end(&mut self) {
        self.receiver.close();
        self.life.end();
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        self.end();
    }
}

type Release = Box<dyn FnOnce() + Send>;

/// How long an address lives, and what is released when it ends.
pub(crate) struct Life {
    id: AddressId,
    /// `None` once it has ended.
    releases: Mutex<Option<HashMap<u64, Release>>>,
    ended: Notify,
}

impl Life {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = AddressId::local(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { id, releases: Mutex::new(Some(HashMap::new())), ended: Notify::new() }
    }

    fn is_ended(&self) -> bool {
        lock(&self.releases).is_none()
    }

    /// Runs `release` when the address ends or the lease is dropped, whichever is first; at once if it has ended already.
    pub(crate) fn lease(self: &Arc<Self>, release: impl FnOnce() + Send + 'static) -> Option<Lease> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let release: Release = Box::new(release);
        let late = match &mut *lock(&self.releases) {
            Some(releases) => {
                releases.insert(serial, release);
                None
            }
            None => Some(release),
        };
        if let Some(release) = late {
            release();
            return None;
        }
        Some(Lease { life: Arc::downgrade(self), serial })
    }

    fn end(&self) {
        let releases = lock(&self.releases).take();
        for release in releases.into_iter().flat_map(HashMap::into_values) {
            release();
        }
        self.ended.notify_waiters();
    }
}

/// What an address holds somewhere else, until this is dropped or the address ends.
pub(crate) struct Lease {
    life: Weak<Life>,
    serial: u64,
}

impl Lease {
    /// Whether the address has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.life.upgrade().is_none_or(|life| life.is_ended())
    }

    /// Waits until the address has ended.
    pub(crate) async fn over(&self) {
        let Some(life) = self.life.upgrade() else { return };
        let ended = life.ended.notified();
        // From here on it is told.
        if !life.is_ended() {
            ended.await;
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.serial).finish()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(life) = self.life.upgrade() else { return };
        let release = lock(&life.releases).as_mut().and_then(|releases| releases.remove(&self.serial));
        if let Some(release) = release {
            release();
        }
    }
}
