//! A list in the page whose items come, go and move by their keys.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::Part;
use super::place::{Place, checked};
use crate::id::SessionId;
use crate::js::Script;
use crate::observable::{Observable, Subscription};
use crate::proto::reorder;
use crate::proto::session::Status;
use crate::proto::value::TypedArray;
use crate::session::{Session, WeakShared};
use crate::sync::{guard, lock};

/// Takes items away, puts new ones in and moves others, from the last to the first: what an item stands before is in its
/// place already.
const ARRANGE: &str = "\
const list = document.querySelector('[data-jscall-id=\"' + __lookup_interpolated('list') + '\"]')
if (list) {
  const items = new Map(Array.from(list.children, (node) => [node.getAttribute('data-jscall-id'), node]))
  for (const name of __lookup_interpolated('gone')) { items.get(name)?.remove(); items.delete(name) }
  for (const [name, before, start] of __lookup_interpolated('placed')) {
    const next = items.get(before) ?? null
    let node = items.get(name)
    if (node && !start) {
      if (node.nextElementSibling !== next) Bonito.move_dom_node(node, list, next)
      continue
    }
    node = document.createElement(__lookup_interpolated('tag'))
    node.setAttribute('data-jscall-id', name)
    if (start) { node.id = start[0]; node.innerHTML = start[1] }
    list.insertBefore(node, next)
    items.set(name, node)
    if (start) Bonito.init_session(start[0], start[2], 'sub', false)
  }
  const all = __lookup_interpolated('all')
  const known = all && new Set(all)
  if (known) for (const [name, node] of items) if (name !== null && !known.has(name)) node.remove()
}";

/// Makes the HTML of an item.
type View<T> = dyn Fn(&Session, &T) -> String + Send + Sync;

/// An item that is to stand before another: its name, that one's name, and what it starts with if it is new.
type Placed = (String, Option<String>, Option<(String, String, TypedArray<u8>)>);

/// A list and the items of it that the page shows.
struct Rows<T, K> {
    number: u32,
    parent: WeakShared,
    items: Observable<Vec<T>>,
    key: Box<dyn Fn(&T) -> K + Send + Sync>,
    view: Arc<View<T>>,
    state: Mutex<State<T, K>>,
    kept: Mutex<Option<Subscription>>,
}

struct State<T, K> {
    tag: &'static str,
    item_tag: &'static str,
    /// Whoever compares the lists has the rows.
    rows: Option<Vec<Row<T, K>>>,
    /// Places of former items that something was still under way to.
    leaving: Vec<Arc<Place>>,
    /// The page may show something else than the rows.
    stale: bool,
    /// What was sent may have been lost.
    unsure: bool,
}

struct Row<T, K> {
    key: K,
    place: Arc<Place>,
    item: Arc<Mutex<Item<T>>>,
}

/// An item, as part of the list that it came in.
struct Item<T> {
    all: Arc<Vec<T>>,
    index: usize,
}

impl<T> Item<T> {
    fn get(&self) -> Option<&T> {
        self.all.get(self.index)
    }
}

impl<T> Clone for Item<T> {
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), index: self.index }
    }
}

impl<T, K> Rows<T, K>
where
    T: PartialEq + Serialize + Send + Sync + 'static,
    K: Eq + Hash + Clone + Send + Sync + 'static,
{
    fn name(&self) -> String {
        format!("r{}", self.number)
    }

    /// The items with their keys, each key once. `None` if that panicked.
    fn wanted(&self) -> Option<Vec<(K, Item<T>)>> {
        let (all, _) = self.items.snapshot();
        guard("the key of a list", || {
            let mut seen = std::collections::HashSet::new();
            let keys = all.iter().enumerate().map(|(index, item)| ((self.key)(item), index));
            let once = keys.filter(|(key, _)| seen.insert(key.clone()));
            let wanted: Vec<_> = once.map(|(key, index)| (key, Item { all: all.clone(), index })).collect();
            if wanted.len() < all.len() {
                let more = all.len() - wanted.len();
                tracing::warn!(more, "items of a list have the key of another one and are not shown");
            }
            wanted
        })
    }

    /// A row for an item that is new.
    fn row(&self, parent: &Session, key: K, item: Item<T>) -> Row<T, K> {
        let item = Arc::new(Mutex::new(item));
        let (drawn, view) = (item.clone(), self.view.clone());
        let place = Place::new(parent, move |sub| {
            let item = lock(&drawn).clone();
            item.get().map(|item| view(sub, item)).unwrap_or_default()
        });
        place.draw_first();
        Row { key, place, item }
    }

    fn draw_first(&self) {
        let Some(parent) = self.parent.upgrade().map(Session) else { return };
        let wanted = self.wanted().unwrap_or_default();
        let rows = wanted.into_iter().map(|(key, item)| self.row(&parent, key, item)).collect();
        lock(&self.state).rows = Some(rows);
    }

    /// Starts the items of a list that was made after its page was.
    fn start_late(&self) {
        let Some(parent) = self.parent.upgrade().map(Session) else { return };
        if parent.status() == Status::Uninitialized {
            return;
        }
        let places: Vec<_> = lock(&self.state).rows.iter().flatten().map(|row| row.place.clone()).collect();
        places.iter().for_each(Place::start_late);
        while self.step() {}
    }

    /// Compares the list that the page shows with the one that holds. Answers whether there may be more to do.
    fn step(&self) -> bool {
        let Some(parent) = self.parent.upgrade().map(Session) else { return false };
        let shown = parent.is_shown();
        let (rows, item_tag, unsure) = {
            let mut state = lock(&self.state);
            if !shown || !state.stale {
                return false;
            }
            let Some(rows) = state.rows.take() else { return false };
            state.stale = false;
            (rows, state.item_tag, std::mem::take(&mut state.unsure))
        };
        let Some(wanted) = self.wanted() else {
            lock(&self.state).rows = Some(rows);
            return true;
        };
        let Compared { rows, gone, freed, changed, mut placed, leaving } =
            self.compare(&parent, rows, wanted, item_tag);
        let here = || rows.iter().filter(|row| !row.place.is_gone());
        let all = unsure.then(|| here().map(|row| row.place.name()).collect::<Vec<_>>());
        if let Some(all) = &all {
            let mut before = None;
            let mut new: HashMap<String, Placed> =
                placed.drain(..).map(|placed| (placed.0.clone(), placed)).collect();
            for name in all.iter().rev() {
                placed.push(new.remove(name).unwrap_or_else(|| (name.clone(), before.clone(), None)));
                before = Some(name.clone());
            }
        }
        if !gone.is_empty() || !placed.is_empty() || all.is_some() {
            let script = Script::new(ARRANGE)
                .with("list", &self.name())
                .with("tag", item_tag)
                .with("gone", &gone)
                .with("placed", &placed)
                .with("all", &all);
            parent.send_code(&script);
        }
        parent.0.free(&freed);
        {
            let mut state = lock(&self.state);
            state.rows = Some(rows);
            state.leaving.retain(|place| !place.is_gone());
            state.leaving.extend(leaving);
        }
        for place in changed {
            place.change();
        }
        true
    }

    fn compare(
        &self,
        parent: &Session,
        rows: Vec<Row<T, K>>,
        wanted: Vec<(K, Item<T>)>,
        item_tag: &'static str,
    ) -> Compared<T, K> {
        let mut former: HashMap<K, (usize, Row<T, K>)> =
            rows.into_iter().enumerate().map(|(index, row)| (row.key.clone(), (index, row))).collect();
        let (mut rows, mut order, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for (key, item) in wanted {
            let Some((index, row)) = former.remove(&key) else {
                let row = self.row(parent, key, item);
                row.place.set_tag(item_tag);
                order.push(None);
                rows.push(row);
                continue;
            };
            let before = std::mem::replace(&mut *lock(&row.item), item.clone());
            let same = guard("the comparison of a list's items", || before.get() == item.get());
            if same != Some(true) {
                changed.push(row.place.clone());
            }
            order.push(Some(index));
            rows.push(row);
        }
        let (mut gone, mut freed, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
        for (_, row) in former.into_values() {
            match row.place.leave() {
                Some(sessions) => {
                    gone.push(row.place.name());
                    freed.extend(sessions);
                }
                None => leaving.push(row.place),
            }
        }
        let stays = reorder::stays(&order);
        let (mut placed, mut before) = (Vec::new(), None);
        for (index, row) in rows.iter().enumerate().rev() {
            // Page code has removed its element.
            if row.place.is_gone() {
                continue;
            }
            let name = row.place.name();
            if order[index].is_none() {
                let start = row.place.take_first();
                placed.push((
                    name.clone(),
                    before,
                    start.map(|(id, html, bundle)| (id.to_string(), html, bundle)),
                ));
            } else if !stays[index] {
                placed.push((name.clone(), before, None));
            }
            before = Some(name);
        }
        Compared { rows, gone, freed, changed, placed, leaving }
    }
}

/// What it takes to turn the list that the page shows into the one that holds.
struct Compared<T, K> {
    rows: Vec<Row<T, K>>,
    gone: Vec<String>,
    freed: Vec<SessionId>,
    changed: Vec<Arc<Place>>,
    placed: Vec<Placed>,
    leaving: Vec<Arc<Place>>,
}

impl<T, K> Part for Rows<T, K>
where
    T: PartialEq + Serialize + Send + Sync + 'static,
    K: Eq + Hash + Clone + Send + Sync + 'static,
{
    fn advance(self: Arc<Self>) {
        while self.step() {}
    }

    fn end(&self) {
        let subscription = lock(&self.kept).take();
        drop(subscription);
    }

    fn resume(self: Arc<Self>, again: bool) {
        if again {
            let mut state = lock(&self.state);
            state.unsure = true;
            state.stale = true;
        }
        self.clone().advance();
        let places: Vec<_> = {
            let state = lock(&self.state);
            let rows = state.rows.iter().flatten().map(|row| &row.place);
            rows.chain(&state.leaving).cloned().collect()
        };
        for place in places {
            place.resume(again);
        }
    }
}

/// Writes a list without its types.
trait Write: Send + Sync {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn set_tags(&self, tag: Option<&'static str>, item_tag: Option<&'static str>);
}

impl<T: Send + Sync, K: Send + Sync> Write for Rows<T, K> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tag, places) = {
            let state = lock(&self.state);
            let rows = state.rows.iter().flatten();
            (state.tag, rows.map(|row| row.place.clone()).collect::<Vec<_>>())
        };
        write!(f, "<{tag} data-jscall-id=\"r{}\">", self.number)?;
        places.iter().try_for_each(|place| place.write(f))?;
        write!(f, "</{tag}>")
    }

    fn set_tags(&self, tag: Option<&'static str>, item_tag: Option<&'static str>) {
        let mut state = lock(&self.state);
        state.tag = tag.unwrap_or(state.tag);
        state.item_tag = item_tag.unwrap_or(state.item_tag);
        let item_tag = state.item_tag;
        for row in state.rows.iter().flatten() {
            row.place.set_tag(item_tag);
        }
    }
}

/// A list in a page that follows an observable, made by [`Session::render_list`]. Write it into the page's HTML, once.
#[derive(Clone)]
#[must_use = "a list is to be written into the page"]
pub struct List(Arc<dyn Write>);

impl List {
    /// The element of the list: `list.tag("ul")`. A `<div>` by default.
    ///
    /// # Panics
    ///
    /// If it is not the name of an element.
    pub fn tag(self, tag: &'static str) -> Self {
        self.0.set_tags(Some(checked(tag)), None);
        self
    }

    /// The element around each item: `list.item_tag("li")`. A `<div>` by default.
    ///
    /// # Panics
    ///
    /// If it is not the name of an element.
    pub fn item_tag(self, tag: &'static str) -> Self {
        self.0.set_tags(None, Some(checked(tag)));
        self
    }
}

impl Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("List")
    }
}

#[cfg(feature = "maud")]
impl maud::Render for List {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.to_string());
    }
}

impl Session {
    /// A list in the page that follows an observable: an item whose key is new comes, one whose key is no more goes, and
    /// one that stands elsewhere moves, with its element and all that page code made of it. An item that is not equal to
    /// the one that had its key is made anew. Write the result into the page.
    ///
    /// Each item is a part of the page with a session of its own, as [`render`](Self::render) describes. Of items with the
    /// same key the first is shown, and the log says so.
    ///
    /// ```
    /// # use bonito_core::{Endpoint, Observable};
    /// # let session = Endpoint::builder("/live").build().session();
    /// let todo = Observable::new(vec![(1, "buy milk"), (2, "water the plants")]);
    /// let list = session.render_list(&todo, |(id, _)| *id, |_, (_, what)| (*what).to_owned());
    /// let html = session.page("To do", list.tag("ul").item_tag("li"));
    /// # assert!(html.contains("<ul data-jscall-id=") && html.contains(">buy milk</li>"));
    /// ```
    pub fn render_list<T, K, H>(
        &self,
        items: &Observable<Vec<T>>,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        view: impl Fn(&Self, &T) -> H + Send + Sync + 'static,
    ) -> List
    where
        T: PartialEq + Serialize + Send + Sync + 'static,
        K: Eq + Hash + Clone + Send + Sync + 'static,
        H: Display,
    {
        let state = State {
            tag: "div",
            item_tag: "div",
            rows: None,
            leaving: Vec::new(),
            stale: false,
            unsure: false,
        };
        let rows = Arc::new(Rows {
            number: self.0.bindings.next_node(),
            parent: Arc::downgrade(&self.0),
            items: items.clone(),
            key: Box::new(key),
            view: Arc::new(move |sub: &Self, item: &T| view(sub, item).to_string()),
            state: Mutex::new(state),
            kept: Mutex::new(None),
        });
        let follower = Arc::downgrade(&rows);
        let following = items.on(move |_| {
            if let Some(rows) = follower.upgrade() {
                lock(&rows.state).stale = true;
                rows.advance();
            }
        });
        *lock(&rows.kept) = Some(following);
        self.0.parts.add(rows.number, rows.clone());
        rows.draw_first();
        rows.start_late();
        List(rows)
    }
}
