//! Names that any number of connections share.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use foldhash::quality::RandomState;
use tokio::sync::Notify;

use super::Target;
use super::cluster::{Link, Outcomes};
use super::presence::{Presence, PresenceChange};
use crate::address::{Address, AddressId, Lease, Posted};

/// Changes that a group keeps for those who watch it; who is further behind compares.
const LOG: usize = 256;

/// Names that any number of connections share, from [`Registry::group`](crate::Registry::group).
pub struct Groups<M, Meta = ()>(pub(super) Arc<Table<M, Meta>>);

pub(super) struct Table<M, Meta> {
    groups: DashMap<Arc<str>, Group<M, Meta>, RandomState>,
    clustered: Option<Clustered<M, Meta>>,
}

/// What a table over several processes has besides.
struct Clustered<M, Meta> {
    link: Link<Meta>,
    write: fn(&M) -> Option<Bytes>,
}

pub(super) struct Group<M, Meta> {
    members: BTreeMap<AddressId, Joined<M, Meta>>,
    /// All members' targets, until somebody comes or goes.
    targets: Option<Arc<[Target<M>]>>,
    /// How many changes there were since the first watcher.
    pub(super) version: u64,
    /// The last of them.
    pub(super) log: VecDeque<PresenceChange<Meta>>,
    pub(super) watchers: usize,
    pub(super) changed: Arc<Notify>,
}

struct Joined<M, Meta> {
    /// `None` for one of another process.
    target: Option<Target<M>>,
    member: Member<Meta>,
    /// How often it has joined and not left.
    times: usize,
}

/// What leaves a table and is dropped outside its lock, since dropping may run the application's code.
#[expect(dead_code, reason = "held to be dropped")]
enum Leftover<M, Meta> {
    Joined(Joined<M, Meta>),
    Targets(Option<Arc<[Target<M>]>>),
    Change(Option<PresenceChange<Meta>>),
    Member(Member<Meta>),
}

impl<M: 'static, Meta: Send + Sync + 'static> Groups<M, Meta> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Table { groups: DashMap::default(), clustered: None }))
    }

    /// Over several processes.
    pub(super) fn with(link: Link<Meta>, write: fn(&M) -> Option<Bytes>) -> Self {
        Self(Arc::new(Table { groups: DashMap::default(), clustered: Some(Clustered { link, write }) }))
    }

    /// Makes the connection a member of this group, until what is returned is dropped or the connection ends. It may join
    /// several groups. Joining one twice makes it one member, that leaves when both are dropped.
    pub fn join<T: From<M> + Send + 'static>(&self, name: &str, address: &Address<T>) -> Membership
    where
        Meta: Default,
    {
        self.join_as(name, address, Meta::default())
    }

    /// The same, and tells something about the member. Joining again replaces it.
    pub fn join_as<T: From<M> + Send + 'static>(
        &self,
        name: &str,
        address: &Address<T>,
        meta: Meta,
    ) -> Membership {
        let (id, name) = (address.id(), Arc::<str>::from(name));
        self.0.insert(&name, Member { id, meta: Arc::new(meta) }, Some(Arc::new(address.clone())));
        self.0.changed(&name, id);
        let table = Arc::downgrade(&self.0);
        let lease = address.life().lease({
            let name = name.clone();
            move || {
                if let Some(table) = table.upgrade() {
                    table.remove(&name, id);
                    table.changed(&name, id);
                }
            }
        });
        Membership { name, _lease: lease }
    }

    /// Sends a message to all members, whoever publishes included if it is one. Never waits.
    ///
    /// Each gets a clone: wrap what is large in an `Arc` or `Bytes`, and it is encoded once and shared.
    ///
    /// Over several processes it is written once, and goes once to each process that has members, as far as known here:
    /// see [`Published`].
    pub fn publish(&self, name: &str, message: M) -> Published
    where
        M: Clone,
    {
        let mut published = self.0.publish_elsewhere(name, &message);
        let Some(targets) = self.0.targets(name) else { return published };
        let mut count = |posted| match posted {
            Posted::Queued => published.addressed += 1,
            Posted::Refused => published.refused += 1,
            Posted::Nobody => {}
        };
        if let Some((last, others)) = targets.split_last() {
            for target in others {
                count(target.deliver(message.clone()));
            }
            count(last.deliver(message));
        }
        published
    }

    /// Who is in the group, in the order in which their connections began.
    pub fn members(&self, name: &str) -> Vec<Member<Meta>> {
        self.0.groups.get(name).map(|group| group.present()).unwrap_or_default()
    }

    /// Who comes and goes. It begins with those who are there.
    pub fn watch(&self, name: &str) -> Presence<M, Meta> {
        Presence::new(self.0.clone(), name.into())
    }

    /// How many groups there are. One without members and watchers is none.
    pub fn len(&self) -> usize {
        self.0.groups.len()
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.0.groups.is_empty()
    }
}

impl<M, Meta> Table<M, Meta> {
    fn insert(&self, name: &Arc<str>, member: Member<Meta>, target: Option<Target<M>>) {
        let (leftovers, changed) = self.groups.entry(name.clone()).or_default().insert(member, target);
        drop(leftovers);
        changed.notify_waiters();
    }

    pub(super) fn remove(&self, name: &str, id: AddressId) {
        let left = self.groups.get_mut(name).and_then(|mut group| group.remove(id));
        let Some((leftovers, changed)) = left else { return };
        drop(leftovers);
        changed.notify_waiters();
        self.forget(name);
    }

    /// Forgets a group that nobody is in and nobody watches.
    pub(super) fn forget(&self, name: &str) {
        drop(self.groups.remove_if(name, |_, group| group.members.is_empty() && group.watchers == 0));
    }

    /// A member of another process, or what it tells now.
    pub(super) fn insert_remote(&self, name: &Arc<str>, id: AddressId, meta: Meta) {
        self.insert(name, Member { id, meta: Arc::new(meta) }, None);
    }

    /// What a member tells.
    pub(super) fn meta(&self, name: &str, id: AddressId) -> Option<Arc<Meta>> {
        self.groups.get(name)?.members.get(&id).map(|joined| joined.member.meta.clone())
    }

    /// A member of this process came, went, or tells something else: other processes are to know.
    fn changed(&self, name: &Arc<str>, id: AddressId) {
        if let Some(clustered) = &self.clustered {
            clustered.link.core.member_changed(name, id.serial());
        }
    }

    fn publish_elsewhere(&self, name: &str, message: &M) -> Published {
        let mut published = Published::default();
        let Some(clustered) = &self.clustered else { return published };
        let core = &clustered.link.core;
        if core.remote_members(name) == 0 {
            return published;
        }
        match core.publish(name, (clustered.write)(message)) {
            Outcomes::Sent(members) => {
                published.addressed = members;
                published.elsewhere = members;
            }
            Outcomes::NoRoom(members) => published.refused = members,
        }
        published
    }

    /// The members of this process.
    pub(super) fn targets(&self, name: &str) -> Option<Arc<[Target<M>]>> {
        self.groups.get_mut(name).map(|mut group| group.targets())
    }

    /// Looks at a group, or at an empty one of that name.
    pub(super) fn with<R>(&self, name: &Arc<str>, look: impl FnOnce(&mut Group<M, Meta>) -> R) -> R {
        look(&mut self.groups.entry(name.clone()).or_default())
    }
}

impl<M, Meta> Default for Group<M, Meta> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            targets: None,
            version: 0,
            log: VecDeque::new(),
            watchers: 0,
            changed: Arc::default(),
        }
    }
}

type Changed<M, Meta> = (Vec<Leftover<M, Meta>>, Arc<Notify>);

impl<M, Meta> Group<M, Meta> {
    fn insert(&mut self, member: Member<Meta>, target: Option<Target<M>>) -> Changed<M, Meta> {
        let mut leftovers = vec![
            Leftover::Targets(self.targets.take()),
            Leftover::Change(self.record(PresenceChange::Joined(member.clone()))),
        ];
        match self.members.get_mut(&member.id) {
            Some(joined) => {
                // Another process counts for itself.
                joined.times += usize::from(target.is_some());
                leftovers.push(Leftover::Member(std::mem::replace(&mut joined.member, member)));
            }
            None => _ = self.members.insert(member.id, Joined { target, member, times: 1 }),
        }
        (leftovers, self.changed.clone())
    }

    fn remove(&mut self, id: AddressId) -> Option<Changed<M, Meta>> {
        let joined = self.members.get_mut(&id)?;
        joined.times -= 1;
        if joined.times > 0 {
            return None;
        }
        let joined = self.members.remove(&id)?;
        let change = PresenceChange::Left(joined.member.clone());
        let leftovers = vec![
            Leftover::Targets(self.targets.take()),
            Leftover::Change(self.record(change)),
            Leftover::Joined(joined),
        ];
        Some((leftovers, self.changed.clone()))
    }

    /// Keeps a change for those who watch; answers the one that makes room.
    fn record(&mut self, change: PresenceChange<Meta>) -> Option<PresenceChange<Meta>> {
        if self.watchers == 0 {
            return Some(change);
        }
        self.version += 1;
        self.log.push_back(change);
        if self.log.len() > LOG { self.log.pop_front() } else { None }
    }

    fn targets(&mut self) -> Arc<[Target<M>]> {
        let members = &self.members;
        self.targets
            .get_or_insert_with(|| members.values().filter_map(|joined| joined.target.clone()).collect())
            .clone()
    }

    pub(super) fn present(&self) -> Vec<Member<Meta>> {
        self.members.values().map(|joined| joined.member.clone()).collect()
    }
}

impl<M, Meta> Clone for Groups<M, Meta> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M, Meta> fmt::Debug for Groups<M, Meta> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Groups").field(&self.0.groups.len()).finish()
    }
}

/// A member of a group. A clone is the same member.
pub struct Member<Meta = ()> {
    id: AddressId,
    meta: Arc<Meta>,
}

impl<Meta> Member<Meta> {
    /// The name of its address.
    pub fn id(&self) -> AddressId {
        self.id
    }

    /// What it tells about itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// The same member telling the same.
impl<Meta> PartialEq for Member<Meta> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && Arc::ptr_eq(&self.meta, &other.meta)
    }
}

impl<Meta> Eq for Member<Meta> {}

impl<Meta> Clone for Member<Meta> {
    fn clone(&self) -> Self {
        Self { id: self.id, meta: self.meta.clone() }
    }
}

impl<Meta: fmt::Debug> fmt::Debug for Member<Meta> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id).field("meta", &self.meta).finish()
    }
}

/// That a connection is in a group. Dropping it leaves the group.
#[derive(Debug)]
#[must_use = "a membership that is dropped leaves its group"]
pub struct Membership {
    name: Arc<str>,
    _lease: Option<Lease>,
}

impl Membership {
    /// The name of the group.
    pub fn group(&self) -> &str {
        &self.name
    }
}

/// What became of a message to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "members whose mailboxes are full do not get the message"]
#[non_exhaustive]
pub struct Published {
    /// Members in whose mailboxes it is, and those [elsewhere](Self::elsewhere).
    pub addressed: usize,
    /// Members whose mailboxes are full, here; and those of other processes, if the message is too long, cannot be written, or
    /// too much waits to be published.
    pub refused: usize,
    /// How many of the addressed are in other processes: as many as were known here when the message was put into the queue to
    /// the backend. Whether it arrives and finds room in their mailboxes is not known. 0 in a registry of one process.
    pub elsewhere: usize,
}
