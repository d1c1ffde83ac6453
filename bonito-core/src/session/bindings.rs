//! What of one page the browser knows by name: observables that it follows, and what it may send; and which of the page's
//! sessions they are there for.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use foldhash::fast::RandomState;

use super::bind::Bindable;
use super::render::Place;
use super::{Session, Shared};
use crate::id::{ObservableId, SessionId};
use crate::observable::{AnyObservable, LinkSlot};
use crate::proto::DecodeError;
use crate::proto::tree::{Freed, Hold, Tree};
use crate::proto::value::RawValue;
use crate::sync::{guard, lock};

pub(super) type Receive = dyn Fn(&Session, &RawValue) -> Result<(), DecodeError> + Send + Sync;

/// One for a page: its sub-sessions share it.
pub(crate) struct Bindings {
    page: SessionId,
    pub(super) table: Mutex<Table>,
    last_node: AtomicU32,
    /// Bytes that wait for sub-sessions which the page has not started yet.
    pub(super) held: AtomicUsize,
}

pub(super) struct Table {
    closed: bool,
    pub(super) tree: Tree,
    /// The sub-sessions, until the page has let them go.
    pub(super) members: HashMap<SessionId, Member, RandomState>,
    pub(super) observables: HashMap<ObservableId, Bound, RandomState>,
    /// What the page may send besides values of observables, by name.
    inputs: HashMap<String, Input, RandomState>,
    last_input: u64,
}

/// A sub-session of the page.
pub(super) struct Member {
    pub(super) session: Arc<Shared>,
    pub(super) stage: Stage,
    /// What its HTML was made from, until the page has started it.
    pub(super) seen: Vec<Seen>,
    inputs: HashSet<String, RandomState>,
    /// The part of the page that it fills.
    pub(super) place: Weak<Place>,
}

/// How far a sub-session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its content is being made.
    Drawn,
    /// It is under way to the page.
    Sent,
    /// The page has started it.
    Open,
}

/// An observable at the version that was looked at last.
pub(super) struct Seen {
    pub(super) observable: Arc<dyn AnyObservable>,
    pub(super) version: u64,
}

pub(super) struct Bound {
    observable: Arc<dyn AnyObservable>,
    /// Absent until a session of the page that follows it is handed to the page.
    pub(super) slot: Option<LinkSlot>,
    receive: Option<Arc<Receive>>,
}

struct Input {
    owner: SessionId,
    receive: Arc<Receive>,
}

impl fmt::Debug for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bindings").field("tree", &lock(&self.table).tree).finish_non_exhaustive()
    }
}

impl Table {
    fn new(page: SessionId, limit: usize) -> Self {
        Self {
            closed: false,
            tree: Tree::new(page, limit),
            members: HashMap::default(),
            observables: HashMap::default(),
            inputs: HashMap::default(),
            last_input: 0,
        }
    }

    pub(super) fn is_live(&self, id: SessionId) -> bool {
        !self.closed && self.tree.is_live(id)
    }

    /// How far a sub-session has come; `None` for the page's own session.
    pub(super) fn stage(&self, id: SessionId) -> Option<Stage> {
        self.members.get(&id).map(|member| member.stage)
    }

    pub(super) fn bound(&mut self, id: ObservableId) -> Option<&mut Bound> {
        self.observables.get_mut(&id)
    }

    pub(super) fn see(&mut self, id: SessionId, seen: Seen) {
        if let Some(member) = self.members.get_mut(&id) {
            member.seen.push(seen);
        }
    }

    pub(super) fn hold(&mut self, id: SessionId, bindable: &Bindable) -> Hold {
        if self.closed {
            return Hold::Closed;
        }
        let hold = self.tree.hold(id, bindable.id(), bindable.receive.is_some());
        if hold != Hold::Closed {
            let bound = self.observables.entry(bindable.id()).or_insert_with(|| Bound {
                observable: bindable.observable.clone(),
                slot: None,
                receive: None,
            });
            if bound.receive.is_none() {
                bound.receive.clone_from(&bindable.receive);
            }
        }
        hold
    }

    /// Adds a sub-session, if it may be.
    pub(super) fn join(&mut self, parent: SessionId, session: Arc<Shared>, place: Weak<Place>) -> bool {
        let joined = !self.closed && self.tree.add(parent, session.id());
        if joined {
            let (stage, seen, inputs) = (Stage::Drawn, Vec::new(), HashSet::default());
            self.members.insert(session.id(), Member { session, stage, seen, inputs, place });
        }
        joined
    }

    /// Closes a sub-session and those below it: the page sends nothing for them any more. What they received with is
    /// handed back to be dropped outside the lock.
    pub(super) fn close(&mut self, id: SessionId) -> (Vec<Arc<Shared>>, Vec<Arc<Receive>>) {
        let (mut sessions, mut dropped) = (Vec::new(), Vec::new());
        for id in self.tree.close(id) {
            let Some(member) = self.members.get_mut(&id) else { continue };
            for name in std::mem::take(&mut member.inputs) {
                dropped.extend(self.inputs.remove(&name).map(|input| input.receive));
            }
            member.seen = Vec::new();
            sessions.push(member.session.clone());
        }
        (sessions, dropped)
    }

    /// Forgets closed sub-sessions, and what only they held. What they owned is handed back to be dropped outside the
    /// lock.
    pub(super) fn free(&mut self, ids: &[SessionId]) -> (Freed, Vec<Member>, Vec<Bound>) {
        let freed = self.tree.free(ids.iter().copied());
        let members = freed.sessions.iter().filter_map(|id| self.members.remove(id)).collect();
        let bounds: Vec<Bound> = freed.objects.iter().filter_map(|id| self.observables.remove(id)).collect();
        for bound in &bounds {
            bound.unlink();
        }
        (freed, members, bounds)
    }
}

impl Bound {
    fn unlink(&self) {
        if let Some(slot) = self.slot {
            self.observable.unlink(slot);
        }
    }
}

impl Bindings {
    pub(super) fn new(page: SessionId, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            page,
            table: Mutex::new(Table::new(page, limit)),
            last_node: AtomicU32::new(0),
            held: AtomicUsize::new(0),
        })
    }

    /// A name for a node of the page, unique in it.
    pub(crate) fn next_node(&self) -> u32 {
        self.last_node.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn count(&self, id: SessionId) -> usize {
        let table = lock(&self.table);
        if !table.is_live(id) {
            0
        } else if let Some(member) = table.members.get(&id) {
            table.tree.held(id) + member.inputs.len()
        } else {
            table.observables.len() + table.inputs.len()
        }
    }

    /// A name under which the page may send values to `receive`; `None` if the session is closed.
    pub(super) fn add_input(&self, owner: SessionId, receive: Arc<Receive>) -> Option<String> {
        let mut table = lock(&self.table);
        if !table.is_live(owner) {
            return None;
        }
        table.last_input += 1;
        let name = format!("i{:x}", table.last_input);
        table.inputs.insert(name.clone(), Input { owner, receive });
        if let Some(member) = table.members.get_mut(&owner) {
            member.inputs.insert(name.clone());
        }
        Some(name)
    }

    pub(super) fn remove_input(&self, name: &str) {
        let removed = {
            let mut table = lock(&self.table);
            let removed = table.inputs.remove(name);
            if let Some(Input { owner, .. }) = &removed
                && let Some(member) = table.members.get_mut(owner)
            {
                member.inputs.remove(name);
            }
            removed
        };
        drop(removed);
    }

    /// The page has sent a value under this name.
    pub(super) fn receive(&self, page: &Session, name: &str, payload: &RawValue) {
        let id = ObservableId::parse(name);
        let (receive, session) = {
            let table = lock(&self.table);
            if let Some((id, bound)) = id.and_then(|id| Some((id, table.observables.get(&id)?))) {
                (Some(bound.receive.clone().filter(|_| table.tree.may_set(id))), page.clone())
            } else {
                let input = table.inputs.get(name);
                let owner = input.and_then(|input| table.members.get(&input.owner));
                let session = owner.map_or_else(|| page.clone(), |owner| Session(owner.session.clone()));
                (input.map(|input| Some(input.receive.clone())), session)
            }
        };
        let refusal = match receive {
            Some(Some(receive)) => guard("an input of a session", || receive(&session, payload))
                .and_then(Result::err)
                .map(|error| error.to_string()),
            Some(None) => Some("the page may not set it".to_owned()),
            // Late values for what is gone are normal, protocol.md §16.
            None => return tracing::trace!(session = ?page.id(), "a value for nobody"),
        };
        let Some(refusal) = refusal else { return };
        page.complain(|| format!("a value of the page for {name:?} was refused: {refusal}"));
        // The page shows what was refused; it is told what holds instead, unless that is about to be said anyway: a page that
        // goes on and on costs one value for each time that it reads.
        if let Some(id) = id.filter(|id| !page.0.page().awaits(*id)) {
            self.tell_again(page, id);
        }
    }

    /// Tells the page once more what an observable holds, if it follows it.
    pub(crate) fn tell_again(&self, session: &Session, id: ObservableId) {
        let bound = {
            let table = lock(&self.table);
            table.observables.get(&id).and_then(|bound| Some((bound.observable.clone(), bound.slot?)))
        };
        if let Some((observable, slot)) = bound {
            observable.refresh(session.0.page(), slot, None).run();
        }
    }

    /// Takes all names away. Answers the sub-sessions, which are to close, and what the names own: dropping that runs the
    /// application's code, which may panic.
    pub(super) fn clear(&self) -> (Vec<Arc<Shared>>, impl Sized + use<>) {
        let mut table = {
            let mut table = lock(&self.table);
            std::mem::replace(&mut *table, Table { closed: true, ..Table::new(self.page, 0) })
        };
        for bound in table.observables.values() {
            bound.unlink();
        }
        let subs = table.members.drain().map(|(_, member)| member.session).collect();
        (subs, table)
    }
}

/// What lives as long as a session because the application wants it to.
pub(crate) struct Kept(Mutex<Option<Vec<Box<dyn Any + Send + Sync>>>>);

impl Default for Kept {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl Kept {
    pub(super) fn add(&self, thing: Box<dyn Any + Send + Sync>) {
        if let Some(all) = &mut *lock(&self.0) {
            all.push(thing);
        }
    }

    /// The session is over. What is dropped runs the application's code, outside the lock.
    pub(super) fn clear(&self) {
        let all = lock(&self.0).take();
        drop(all);
    }
}
