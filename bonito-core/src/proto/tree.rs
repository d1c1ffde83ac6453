//! The sub-sessions of one page, and which of them hold which of the page's objects.
//!
//! A session of the page has a parent, is live until it closes, and holds objects until it is *freed*, which is later: the
//! page keeps what it was brought for as long as its entry of the session stands. An object that nobody holds any more is
//! to be taken out of the page.
//!
//! Source: protocol.md §4, §9.2 and rules 6 to 8 of §14.

use std::collections::{BTreeSet, HashMap, HashSet};

use foldhash::fast::RandomState;

use crate::id::{ObservableId, SessionId};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Tree {
    /// Sub-sessions at most.
    limit: usize,
    nodes: Nodes,
    objects: HashMap<ObservableId, Holders, RandomState>,
}

/// The sessions. Most pages have one alone, for which there is no table.
#[derive(Debug)]
struct Nodes {
    root: SessionId,
    of_root: Node,
    subs: HashMap<SessionId, Node, RandomState>,
}

impl Nodes {
    fn get(&self, id: SessionId) -> Option<&Node> {
        if id == self.root { Some(&self.of_root) } else { self.subs.get(&id) }
    }

    fn get_mut(&mut self, id: SessionId) -> Option<&mut Node> {
        if id == self.root { Some(&mut self.of_root) } else { self.subs.get_mut(&id) }
    }
}

#[derive(Debug, Default)]
struct Node {
    parent: Option<SessionId>,
    children: BTreeSet<SessionId>,
    closed: bool,
    /// What it holds, and whether the page may set it on its behalf.
    holds: HashMap<ObservableId, bool, RandomState>,
}

#[derive(Debug, Default)]
struct Holders {
    all: usize,
    /// Those that are live and let the page set the object.
    writers: usize,
}

/// What became of a wish to hold an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The session holds it from now on.
    New,
    /// It held it before.
    Had,
    /// The session is closed, or none of this page.
    Closed,
}

/// What left the page together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    /// The sessions, each behind its parent.
    pub(crate) sessions: Vec<SessionId>,
    /// The objects that nobody holds any more.
    pub(crate) objects: Vec<ObservableId>,
}

impl Tree {
    pub(crate) fn new(root: SessionId, limit: usize) -> Self {
        let nodes = Nodes { root, of_root: Node::default(), subs: HashMap::default() };
        Self { limit, nodes, objects: HashMap::default() }
    }

    /// How many sub-sessions there are, closed ones that the page still has included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.subs.len()
    }

    /// Objects that some session of the page holds.
    #[cfg(test)]
    pub(crate) fn objects(&self) -> usize {
        self.objects.len()
    }

    pub(crate) fn is_live(&self, id: SessionId) -> bool {
        self.nodes.get(id).is_some_and(|node| !node.closed)
    }

    /// The live children of a session.
    pub(crate) fn children(&self, id: SessionId) -> impl Iterator<Item = SessionId> {
        let children = self.nodes.get(id).into_iter().flat_map(|node| &node.children);
        children.copied().filter(|child| self.is_live(*child))
    }

    pub(crate) fn holds(&self, id: SessionId, object: ObservableId) -> bool {
        self.nodes.get(id).is_some_and(|node| node.holds.contains_key(&object))
    }

    /// How many objects a session holds.
    pub(crate) fn held(&self, id: SessionId) -> usize {
        self.nodes.get(id).map_or(0, |node| node.holds.len())
    }

    /// Whether the page may set the object.
    pub(crate) fn may_set(&self, object: ObservableId) -> bool {
        self.objects.get(&object).is_some_and(|holders| holders.writers > 0)
    }

    /// Adds a sub-session. Not if its parent is closed or the page has as many as it may.
    pub(crate) fn add(&mut self, parent: SessionId, id: SessionId) -> bool {
        if self.len() >= self.limit || !self.is_live(parent) || self.nodes.get(id).is_some() {
            return false;
        }
        if let Some(node) = self.nodes.get_mut(parent) {
            node.children.insert(id);
        }
        self.nodes.subs.insert(id, Node { parent: Some(parent), ..Node::default() });
        true
    }

    /// A session holds an object. That it may be set in the page is never taken back while it does.
    pub(crate) fn hold(&mut self, id: SessionId, object: ObservableId, may_set: bool) -> Hold {
        let Some(node) = self.nodes.get_mut(id).filter(|node| !node.closed) else { return Hold::Closed };
        let former = node.holds.get(&object).copied();
        node.holds.insert(object, may_set || former == Some(true));
        let holders = self.objects.entry(object).or_default();
        holders.all += usize::from(former.is_none());
        holders.writers += usize::from(may_set && former != Some(true));
        if former.is_none() { Hold::New } else { Hold::Had }
    }

    /// Closes a sub-session and its descendants: they hold what they hold, but do no more. Answers those that were live,
    /// each behind its parent.
    pub(crate) fn close(&mut self, id: SessionId) -> Vec<SessionId> {
        if id == self.nodes.root {
            return Vec::new();
        }
        let mut closed = Vec::new();
        for id in self.subtree(id) {
            let Some(node) = self.nodes.get_mut(id).filter(|node| !node.closed) else { continue };
            node.closed = true;
            for (object, may_set) in &node.holds {
                if *may_set && let Some(holders) = self.objects.get_mut(object) {
                    holders.writers -= 1;
                }
            }
            closed.push(id);
        }
        closed
    }

    /// The page gives up closed sub-sessions and their descendants. Live ones stay, as does the root.
    pub(crate) fn free(&mut self, ids: impl IntoIterator<Item = SessionId>) -> Freed {
        let mut freed = Freed::default();
        let mut touched = HashSet::<ObservableId, RandomState>::default();
        for id in ids {
            if id == self.nodes.root || self.is_live(id) {
                continue;
            }
            for id in self.subtree(id) {
                let Some(node) = self.nodes.subs.remove(&id) else { continue };
                if let Some(parent) = node.parent.and_then(|parent| self.nodes.get_mut(parent)) {
                    parent.children.remove(&id);
                }
                for object in node.holds.into_keys() {
                    if let Some(holders) = self.objects.get_mut(&object) {
                        holders.all -= 1;
                        touched.insert(object);
                    }
                }
                freed.sessions.push(id);
            }
        }
        freed.objects = touched
            .into_iter()
            .filter(|object| self.objects.get(object).is_some_and(|h| h.all == 0))
            .collect();
        for object in &freed.objects {
            self.objects.remove(object);
        }
        freed
    }

    /// A session and all below it, each behind its parent.
    fn subtree(&self, id: SessionId) -> Vec<SessionId> {
        let mut all = Vec::from_iter(self.nodes.get(id).map(|_| id));
        let mut next = 0;
        while let Some(id) = all.get(next) {
            all.extend(self.nodes.get(*id).into_iter().flat_map(|node| &node.children));
            next += 1;
        }
        all
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
