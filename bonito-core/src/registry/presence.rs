//! Who comes to a group and who goes.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use futures_util::{Stream, stream};
use tokio::sync::Notify;

use super::group::{Group, Member, Table};
use crate::address::AddressId;

/// Somebody came or went.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "members come and go")]
pub enum PresenceChange<Meta = ()> {
    /// It is a member now; or it was one, and tells something else about itself now.
    Joined(Member<Meta>),
    /// It is no member any more.
    Left(Member<Meta>),
}

impl<Meta> Clone for PresenceChange<Meta> {
    fn clone(&self) -> Self {
        match self {
            Self::Joined(member) => Self::Joined(member.clone()),
            Self::Left(member) => Self::Left(member.clone()),
        }
    }
}

/// Who comes to a group and who goes, from [`Groups::watch`](crate::Groups::watch). It begins with those who are there.
///
/// What the changes add up to is always who is there. Whoever reads slowly, more than 256 changes behind, is told what has
/// become of it all, and not of those who came and went meanwhile.
pub struct Presence<M, Meta = ()> {
    table: Arc<Table<M, Meta>>,
    name: Arc<str>,
    changed: Arc<Notify>,
    seen: u64,
    /// What the changes add up to, those that wait included.
    known: BTreeMap<AddressId, Member<Meta>>,
    waiting: VecDeque<PresenceChange<Meta>>,
}

impl<M, Meta> Presence<M, Meta> {
    pub(super) fn new(table: Arc<Table<M, Meta>>, name: Arc<str>) -> Self {
        let (changed, seen, present) = table.with(&name, |group| {
            group.watchers += 1;
            (group.changed.clone(), group.version, group.present())
        });
        let known = present.iter().map(|member| (member.id(), member.clone())).collect();
        let waiting = present.into_iter().map(PresenceChange::Joined).collect();
        Self { table, name, changed, seen, known, waiting }
    }

    /// The next change.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses none.
    pub async fn next(&mut self) -> PresenceChange<Meta> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return change;
            }
            let changed = self.changed.clone();
            let notified = changed.notified();
            self.catch_up();
            if self.waiting.is_empty() {
                notified.await;
            }
        }
    }

    /// The changes as a stream.
    pub fn into_stream(self) -> impl Stream<Item = PresenceChange<Meta>> {
        stream::unfold(self, |mut presence| async move {
            let change = presence.next().await;
            Some((change, presence))
        })
    }

    fn catch_up(&mut self) {
        enum News<Meta> {
            Changes(Vec<PresenceChange<Meta>>),
            Present(Vec<Member<Meta>>),
        }
        let seen = self.seen;
        let (version, news) = self.table.with(&self.name, |group: &mut Group<M, Meta>| {
            let missed = usize::try_from(group.version - seen).unwrap_or(usize::MAX);
            let news = match group.log.len().checked_sub(missed) {
                Some(known) => News::Changes(group.log.range(known..).cloned().collect()),
                None => News::Present(group.present()),
            };
            (group.version, news)
        });
        self.seen = version;
        match news {
            News::Changes(changes) => {
                for change in &changes {
                    match change {
                        PresenceChange::Joined(member) => _ = self.known.insert(member.id(), member.clone()),
                        PresenceChange::Left(member) => _ = self.known.remove(&member.id()),
                    }
                }
                self.waiting.extend(changes);
            }
            News::Present(present) => self.compare(present),
        }
    }

    fn compare(&mut self, present: Vec<Member<Meta>>) {
        let now: BTreeMap<_, _> = present.into_iter().map(|member| (member.id(), member)).collect();
        let former = std::mem::take(&mut self.known);
        let left = former.values().filter(|member| !now.contains_key(&member.id()));
        self.waiting.extend(left.cloned().map(PresenceChange::Left));
        let joined = now.values().filter(|member| former.get(&member.id()) != Some(member));
        self.waiting.extend(joined.cloned().map(PresenceChange::Joined));
        self.known = now;
    }
}

impl<M, Meta> Drop for Presence<M, Meta> {
    fn drop(&mut self) {
        let log = self.table.with(&self.name, |group| {
            group.watchers -= 1;
            // Nobody is left who could be behind.
            if group.watchers == 0 { std::mem::take(&mut group.log) } else { VecDeque::new() }
        });
        drop(log);
        self.table.forget(&self.name);
    }
}

impl<M, Meta> fmt::Debug for Presence<M, Meta> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("group", &self.name).field("present", &self.known.len()).finish()
    }
}
