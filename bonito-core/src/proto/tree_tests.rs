use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn id() -> SessionId {
    SessionId::random().unwrap()
}

#[test]
fn an_object_leaves_with_the_last_that_holds_it() {
    let (root, a, b) = (id(), id(), id());
    let mut tree = Tree::new(root, 10);
    assert!(tree.add(root, a) && tree.add(root, b));
    let [shared, own] = [ObservableId::next(), ObservableId::next()];
    for (session, object) in [(a, shared), (b, shared), (a, own)] {
        assert_eq!(tree.hold(session, object, false), Hold::New);
        assert_eq!(tree.hold(session, object, false), Hold::Had);
    }
    assert_eq!(tree.free([a]), Freed::default(), "a live session is not freed");
    assert_eq!(tree.close(a), [a]);
    assert_eq!(tree.close(a), []);
    assert_eq!(tree.hold(a, own, false), Hold::Closed);
    assert_eq!(tree.free([a]), Freed { sessions: vec![a], objects: vec![own] });
    tree.close(b);
    assert_eq!(tree.free([b]), Freed { sessions: vec![b], objects: vec![shared] });
    assert_eq!((tree.len(), tree.objects()), (0, 0));
}

#[test]
fn descendants_close_and_leave_with_their_ancestor() {
    let (root, outer, inner, leaf, other) = (id(), id(), id(), id(), id());
    let mut tree = Tree::new(root, 10);
    for (parent, child) in [(root, outer), (outer, inner), (inner, leaf), (root, other)] {
        assert!(tree.add(parent, child));
    }
    assert_eq!(tree.close(inner), [inner, leaf]);
    assert_eq!(tree.close(outer), [outer], "the others were closed before");
    assert!(!tree.add(outer, id()), "a closed session has no more children");
    assert_eq!(tree.free([outer, leaf]).sessions, [outer, inner, leaf], "each once");
    assert!(tree.is_live(other) && tree.children(root).eq([other]));
}

#[test]
fn the_root_neither_closes_nor_leaves() {
    let root = id();
    let mut tree = Tree::new(root, 10);
    assert_eq!(tree.close(root), []);
    assert_eq!(tree.free([root]), Freed::default());
    assert!(tree.is_live(root));
}

#[test]
fn the_page_sets_an_object_while_a_live_session_lets_it() {
    let (root, reader, writer) = (id(), id(), id());
    let mut tree = Tree::new(root, 10);
    tree.add(root, reader);
    tree.add(root, writer);
    let object = ObservableId::next();
    tree.hold(reader, object, false);
    assert!(!tree.may_set(object));
    tree.hold(writer, object, false);
    tree.hold(writer, object, true);
    tree.hold(writer, object, false);
    assert!(tree.may_set(object));
    tree.close(writer);
    assert!(!tree.may_set(object), "the page still has it, and may only look");
}

#[test]
fn a_page_has_so_many_sub_sessions_and_no_more() {
    let root = id();
    let mut tree = Tree::new(root, 2);
    let [a, b, c] = [id(), id(), id()];
    assert_eq!([a, b, c].map(|sub| tree.add(root, sub)), [true, true, false]);
    tree.close(a);
    assert!(!tree.add(root, c), "the page still has it");
    tree.free([a]);
    assert!(tree.add(root, c));
}

/// The same as a list of facts, looked through each time.
#[derive(Debug, Default)]
struct Model {
    sessions: BTreeMap<usize, (Option<usize>, bool)>,
    holds: BTreeSet<(usize, usize, bool)>,
}

impl Model {
    fn is_live(&self, id: usize) -> bool {
        self.sessions.get(&id).is_some_and(|(_, closed)| !closed)
    }

    fn below(&self, id: usize, ancestor: usize) -> bool {
        id == ancestor || self.sessions[&id].0.is_some_and(|parent| self.below(parent, ancestor))
    }

    fn subtree(&self, id: usize) -> BTreeSet<usize> {
        self.sessions.keys().copied().filter(|other| self.below(*other, id)).collect()
    }

    fn objects(&self) -> BTreeSet<usize> {
        self.holds.iter().map(|(_, object, _)| *object).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add { parent: usize, id: usize },
    Hold { id: usize, object: usize, may_set: bool },
    Close(usize),
    Free(Vec<usize>),
}

const SESSIONS: usize = 8;
const OBJECTS: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let session = || 0..SESSIONS;
    prop_oneof![
        4 => (session(), 1..SESSIONS).prop_map(|(parent, id)| Step::Add { parent, id }),
        4 => (session(), 0..OBJECTS, any::<bool>())
            .prop_map(|(id, object, may_set)| Step::Hold { id, object, may_set }),
        2 => session().prop_map(Step::Close),
        2 => prop::collection::vec(session(), 0..3).prop_map(Step::Free),
    ]
}

proptest! {
    #[test]
    fn the_tree_is_what_a_list_of_facts_says(steps in prop::collection::vec(step(), 0..60)) {
        let ids: Vec<SessionId> = (0..SESSIONS).map(|_| id()).collect();
        let names: Vec<ObservableId> = (0..OBJECTS).map(|_| ObservableId::next()).collect();
        let number = |id: &SessionId| ids.iter().position(|other| other == id).unwrap();
        let object_number = |id: &ObservableId| names.iter().position(|other| other == id).unwrap();
        let mut tree = Tree::new(ids[0], SESSIONS);
        let mut model = Model::default();
        model.sessions.insert(0, (None, false));
        for step in steps {
            match step {
                Step::Add { parent, id } => {
                    let added = model.is_live(parent) && !model.sessions.contains_key(&id);
                    prop_assert_eq!(tree.add(ids[parent], ids[id]), added);
                    if added {
                        model.sessions.insert(id, (Some(parent), false));
                    }
                }
                Step::Hold { id, object, may_set } => {
                    let had = [false, true].map(|set| model.holds.contains(&(id, object, set)));
                    let hold = match (model.is_live(id), had) {
                        (false, _) => Hold::Closed,
                        (true, [false, false]) => Hold::New,
                        (true, _) => Hold::Had,
                    };
                    prop_assert_eq!(tree.hold(ids[id], names[object], may_set), hold);
                    if hold != Hold::Closed {
                        model.holds.remove(&(id, object, false));
                        model.holds.insert((id, object, may_set || had[1]));
                    }
                }
                Step::Close(id) => {
                    let mut closed = BTreeSet::new();
                    if id != 0 && model.sessions.contains_key(&id) {
                        closed = model.subtree(id).into_iter().filter(|id| model.is_live(*id)).collect();
                    }
                    for id in &closed {
                        model.sessions.get_mut(id).unwrap().1 = true;
                    }
                    prop_assert_eq!(tree.close(ids[id]).iter().map(number).collect::<BTreeSet<_>>(), closed);
                }
                Step::Free(which) => {
                    let before = model.objects();
                    let mut sessions = BTreeSet::new();
                    for id in &which {
                        if *id != 0 && model.sessions.get(id).is_some_and(|(_, closed)| *closed) {
                            sessions.extend(model.subtree(*id));
                        }
                    }
                    model.sessions.retain(|id, _| !sessions.contains(id));
                    model.holds.retain(|(id, ..)| !sessions.contains(id));
                    let objects = before.difference(&model.objects()).copied().collect::<BTreeSet<_>>();
                    let freed = tree.free(which.iter().map(|id| ids[*id]));
                    prop_assert_eq!(freed.sessions.len(), sessions.len());
                    prop_assert_eq!(freed.sessions.iter().map(number).collect::<BTreeSet<_>>(), sessions);
                    prop_assert_eq!(freed.objects.iter().map(object_number).collect::<BTreeSet<_>>(), objects);
                }
            }
            prop_assert_eq!(tree.len(), model.sessions.len() - 1);
            prop_assert_eq!(tree.objects(), model.objects().len());
            for (id, name) in ids.iter().enumerate() {
                prop_assert_eq!(tree.is_live(*name), model.is_live(id));
                prop_assert_eq!(tree.held(*name), model.holds.iter().filter(|(holder, ..)| *holder == id).count());
            }
            for (object, name) in names.iter().enumerate() {
                let may_set = model.holds.iter().any(|(id, held, set)| *held == object && *set && model.is_live(*id));
                prop_assert_eq!(tree.may_set(*name), may_set);
            }
        }
    }
}
