//! Parts of a page that change as a whole: regions that follow an observable, and lists of them.

mod list;
mod place;

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex};

use serde::Serialize;

pub use list::List;
pub(crate) use place::Place;
pub use place::Region;

use super::Session;
use crate::observable::Observable;
use crate::page::Html;
use crate::sync::lock;

/// Something below a session that brings the page up to date when it can.
pub(super) trait Part: Send + Sync {
    /// Does what is due, if the page takes it.
    fn advance(self: Arc<Self>);
    /// The page is there: for the first time, or again, and then what was under way to it may have been lost.
    fn resume(self: Arc<Self>, again: bool);
    /// Follows nothing any more.
    fn end(&self);
}

/// The parts below one session, by number; `None` once it is over.
pub(crate) struct Parts(Mutex<Option<HashMap<u32, Arc<dyn Part>>>>);

impl Default for Parts {
    fn default() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts")
    }
}

impl Parts {
    fn add(&self, number: u32, part: Arc<dyn Part>) {
        if let Some(parts) = &mut *lock(&self.0) {
            parts.insert(number, part);
            return;
        }
        part.end();
    }

    fn remove(&self, number: u32) {
        let part = lock(&self.0).as_mut().and_then(|parts| parts.remove(&number));
        drop(part);
    }

    pub(super) fn each(&self, run: impl Fn(Arc<dyn Part>)) {
        let parts: Vec<_> = lock(&self.0).iter().flat_map(HashMap::values).cloned().collect();
        parts.into_iter().for_each(run);
    }

    /// The session is over. What the parts own is dropped outside the lock.
    pub(super) fn clear(&self) {
        let parts = lock(&self.0).take();
        for part in parts.into_iter().flat_map(HashMap::into_values) {
            part.end();
        }
    }
}

/// Parts of a page. See also [`Region`] and [`List`].
impl Session {
    /// A part of the page that follows an observable: `view` makes its HTML from the value, anew whenever the value is set,
    /// and the page swaps it. Write the result into the page.
    ///
    /// `view` builds on a session of its own, which lives as long as the page shows that content: its bindings, scripts,
    /// tasks, [`keep`](Self::keep) and hooks end with it, and [`on_close`](Self::on_close) tells. It may render parts
    /// within. Its HTML is written as it is, so whatever users could have written passes through [`text`](Self::text) or
    /// is escaped by your template engine.
    ///
    /// ```
    /// # use bonito_core::{Endpoint, Observable};
    /// # let session = Endpoint::builder("/live").build().session();
    /// let step = Observable::new(1);
    /// let wizard = session.render(&step, |sub, step| {
    ///     let seconds = Observable::new(0);
    ///     format!("<h2>Step {step}</h2> {}", sub.text(&seconds))
    /// });
    /// let html = session.page("Wizard", wizard);
    /// # assert!(html.contains("<h2>Step 1</h2>"));
    /// ```
    ///
    /// # Failure
    ///
    /// * `view` panics: it is logged, and the page keeps what it shows.
    /// * Values come faster than the page takes the content: it gets the newest one. While the connection is lost, `view` is
    ///   not called; when it is back, once.
    /// * The page cannot show the content: its session is told by [`on_javascript_error`](Self::on_javascript_error), and
    ///   the next value is tried.
    /// * Page code removes the element: the session of its content closes with
    ///   [`CloseReason::Removed`](crate::CloseReason::Removed), and the part follows nothing any more.
    /// * The page has [`Limits::sub_sessions`](crate::Limits::sub_sessions) parts already: the content is shown as it is and
    ///   does not come alive, and the log says so.
    ///
    /// `view` runs outside every lock, on the thread that set the value or on that of the page's socket: keep it short.
    pub fn render<T, H>(
        &self,
        observable: &Observable<T>,
        view: impl Fn(&Self, &T) -> H + Send + Sync + 'static,
    ) -> Region
    where
        T: Serialize + Send + Sync + 'static,
        H: Display,
    {
        let value = observable.clone();
        let place = Place::new(self, move |sub| value.with(|value| view(sub, value).to_string()));
        let follower = Arc::downgrade(&place);
        place.keep(observable.on(move |_| {
            if let Some(place) = follower.upgrade() {
                place.change();
            }
        }));
        self.0.parts.add(place.number(), place.clone());
        place.draw_first();
        place.start_late();
        place.clone().advance();
        Region::new(place)
    }

    /// A part of the page that shows the HTML an observable holds, as [`render`](Self::render) does with a view. Write the
    /// result into the page.
    ///
    /// ```
    /// # use bonito_core::{Endpoint, Html, Observable};
    /// # let session = Endpoint::builder("/live").build().session();
    /// let news = Observable::new(Html::new("<b>Nothing yet</b>"));
    /// let html = session.page("News", session.render_html(&news));
    /// # assert!(html.contains("<b>Nothing yet</b>"));
    /// ```
    pub fn render_html(&self, html: &Observable<Html>) -> Region {
        self.render(html, |_, html| html.clone())
    }
}
