//! Who is here: this node's own roster, and what is known of another's.
//!
//! Only its node changes a roster, one change a version, so a version says all; the digest finds out what should not be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::frame::{Blob, Change};

/// Changes that a node keeps for those who are behind; who is further behind gets everything.
const LOG: usize = 1024;

/// What can be in a roster once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Name(Arc<str>),
    Member(Arc<str>, u64),
}

impl Key {
    fn of(change: &Change) -> Self {
        match change {
            Change::Name { name, .. } | Change::NameGone { name } => Self::Name(name.as_str().into()),
            Change::Member { group, serial, .. } | Change::MemberGone { group, serial } => {
                Self::Member(group.as_str().into(), *serial)
            }
        }
    }

    fn gone(&self) -> Change {
        match self {
            Self::Name(name) => Change::NameGone { name: name.to_string() },
            Self::Member(group, serial) => Change::MemberGone { group: group.to_string(), serial: *serial },
        }
    }
}

/// Entries, and what they add up to.
#[derive(Debug, Default)]
pub(super) struct Entries {
    entries: BTreeMap<Key, Change>,
    pub(super) digest: u64,
}

impl Entries {
    /// Answers what stood there before.
    fn apply(&mut self, change: Change) -> (Key, Option<Change>) {
        let key = Key::of(&change);
        let former = match change {
            Change::NameGone { .. } | Change::MemberGone { .. } => self.entries.remove(&key),
            entry => {
                self.digest ^= entry.digest();
                self.entries.insert(key.clone(), entry)
            }
        };
        self.digest ^= former.as_ref().map_or(0, Change::digest);
        (key, former)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.entries.values()
    }
}

/// This node's own.
#[derive(Debug, Default)]
pub(super) struct Roster {
    entries: Entries,
    members: usize,
    pub(super) version: u64,
    log: VecDeque<Change>,
    /// How far the others have been told.
    pub(super) told: u64,
}

impl Roster {
    pub(super) fn digest(&self) -> u64 {
        self.entries.digest
    }

    pub(super) fn members(&self) -> usize {
        self.members
    }

    pub(super) fn set_name(&mut self, name: &str, serial: u64, epoch: u64) {
        self.change(Change::Name { name: name.to_owned(), serial, epoch });
    }

    pub(super) fn unset_name(&mut self, name: &Arc<str>) {
        self.remove(&Key::Name(name.clone()));
    }

    /// Answers whether there was room, if it needed any.
    pub(super) fn set_member(&mut self, group: &Arc<str>, serial: u64, meta: Bytes, room: bool) -> bool {
        let key = Key::Member(group.clone(), serial);
        if !room && !self.entries.entries.contains_key(&key) {
            return false;
        }
        let entry = Change::Member { group: group.to_string(), serial, meta: Blob(meta) };
        if self.entries.entries.get(&key) != Some(&entry) {
            self.change(entry);
        }
        true
    }

    pub(super) fn unset_member(&mut self, group: &Arc<str>, serial: u64) {
        self.remove(&Key::Member(group.clone(), serial));
    }

    fn remove(&mut self, key: &Key) {
        if self.entries.entries.contains_key(key) {
            self.change(key.gone());
        }
    }

    fn change(&mut self, change: Change) {
        let (key, former) = self.entries.apply(change.clone());
        if matches!(key, Key::Member(..)) {
            match (&change, former) {
                (Change::Member { .. }, None) => self.members += 1,
                (Change::MemberGone { .. }, Some(_)) => self.members -= 1,
                _ => {}
            }
        }
        self.version += 1;
        self.log.push_back(change);
        if self.log.len() > LOG {
            self.log.pop_front();
        }
    }

    /// The changes since that version, as far as they fit into so many bytes; `None` if they are not all known any more.
    pub(super) fn since(&self, base: u64, bytes: usize) -> Option<Vec<Change>> {
        let missing = usize::try_from(self.version.checked_sub(base)?).ok()?;
        let first = self.log.len().checked_sub(missing)?;
        let mut room = bytes;
        let fits = |change: &&Change| {
            let fits = room >= change.bytes();
            room = room.saturating_sub(change.bytes());
            fits
        };
        Some(self.log.range(first..).take_while(fits).cloned().collect())
    }

    /// Everything, in parts of about so many bytes. At least one part.
    pub(super) fn parts(&self, bytes: usize) -> Vec<Vec<Change>> {
        let mut parts = vec![Vec::new()];
        let mut room = bytes;
        for entry in self.entries.iter() {
            let takes = entry.bytes();
            if takes > room && parts.last().is_some_and(|part| !part.is_empty()) {
                parts.push(Vec::new());
                room = bytes;
            }
            room = room.saturating_sub(takes);
            if let Some(part) = parts.last_mut() {
                part.push(entry.clone());
            }
        }
        parts
    }
}

/// What is known of another node's.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) entries: Entries,
    /// `None` before the first snapshot.
    pub(super) version: Option<u64>,
    pub(super) heard: Instant,
    /// When it was asked last for what is missing, if it has not answered.
    pub(super) pulled: Option<Instant>,
    /// When it was sent everything last.
    pub(super) served: Option<Instant>,
    /// It has more than this node takes, and counts as empty.
    pub(super) too_large: bool,
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    version: u64,
    next: u32,
    entries: Vec<Change>,
}

/// One entry is another than before.
pub(super) type Changed = (Key, Option<Change>, Option<Change>);

impl Peer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            entries: Entries::default(),
            version: None,
            heard: now,
            pulled: None,
            served: None,
            too_large: false,
            partial: None,
        }
    }

    /// Applies those of the changes that are new. Answers what came of it, or `None` if some before them are missing.
    pub(super) fn apply(&mut self, base: u64, changes: Vec<Change>, room: usize) -> Option<Vec<Changed>> {
        let version = self.version?;
        let known = usize::try_from(version.checked_sub(base)?).unwrap_or(usize::MAX);
        let mut changed = Vec::new();
        for change in changes.into_iter().skip(known) {
            self.version = Some(self.version.unwrap_or(base).saturating_add(1));
            changed.push(self.put(change));
            if self.entries.len() > room {
                changed.extend(self.refuse());
                break;
            }
        }
        Some(changed)
    }

    /// One part of a snapshot. Nothing changes before the last.
    pub(super) fn take_part(
        &mut self,
        version: u64,
        part: u32,
        parts: u32,
        entries: Vec<Change>,
        room: usize,
    ) -> Option<Vec<Changed>> {
        if part == 0 {
            self.partial = Some(Partial { version, next: 0, entries: Vec::new() });
        }
        let partial =
            self.partial.as_mut().filter(|partial| (partial.version, partial.next) == (version, part))?;
        partial.next += 1;
        partial.entries.extend(entries);
        if partial.entries.len() > room {
            return Some(self.refuse());
        }
        if partial.next < parts {
            return None;
        }
        let partial = self.partial.take()?;
        if self.version.is_some_and(|known| known > version) {
            return None;
        }
        let mut target = Entries::default();
        for entry in partial.entries {
            target.apply(entry);
        }
        let mut changed = Vec::new();
        let gone: Vec<_> =
            self.entries.entries.keys().filter(|key| !target.entries.contains_key(key)).collect();
        let gone: Vec<_> = gone.into_iter().map(Key::gone).collect();
        changed.extend(gone.into_iter().map(|change| self.put(change)));
        for (key, entry) in target.entries {
            if self.entries.entries.get(&key) != Some(&entry) {
                changed.push(self.put(entry));
            }
        }
        self.version = Some(version);
        Some(changed)
    }

    fn put(&mut self, change: Change) -> Changed {
        let now =
            (!matches!(change, Change::NameGone { .. } | Change::MemberGone { .. })).then(|| change.clone());
        let (key, former) = self.entries.apply(change);
        (key, former, now)
    }

    /// Forgets all of it. Answers what is gone.
    pub(super) fn clear(&mut self) -> Vec<Changed> {
        self.partial = None;
        self.version = None;
        let entries = std::mem::take(&mut self.entries);
        entries.entries.into_iter().map(|(key, former)| (key, Some(former), None)).collect()
    }

    fn refuse(&mut self) -> Vec<Changed> {
        self.too_large = true;
        tracing::error!("a node has more names and members than this one takes: it counts as empty here");
        self.clear()
    }
}
