//! An observable on its way into a page, and the page following it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bindings::{Receive, Seen, Stage};
use super::{Session, Wakes};
use crate::id::ObservableId;
use crate::observable::{AnyObservable, Observable};
use crate::proto::message::CacheEntry;
use crate::proto::tree::Hold;
use crate::proto::value::RawValue;
use crate::sync::lock;

/// An observable on its way into a page.
#[derive(Clone)]
pub(crate) struct Bindable {
    pub(super) observable: Arc<dyn AnyObservable>,
    /// Absent for an observable that the page may only look at.
    pub(super) receive: Option<Arc<Receive>>,
}

impl fmt::Debug for Bindable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bindable").field(&self.observable.id()).finish()
    }
}

impl Bindable {
    pub(crate) fn read<T: Send + Sync + 'static>(observable: &Observable<T>) -> Self {
        Self { observable: observable.any(), receive: None }
    }

    pub(crate) fn write<T>(observable: &Observable<T>) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let target = observable.clone();
        let receive = move |session: &Session, payload: &RawValue| {
            target.set_from(payload.decode()?, session.id());
            Ok(())
        };
        Self { observable: observable.any(), receive: Some(Arc::new(receive)) }
    }

    pub(crate) fn id(&self) -> ObservableId {
        self.observable.id()
    }
}

impl Session {
    /// The page follows the observable from now on.
    pub(crate) fn bind(&self, bindable: &Bindable) {
        if self.is_bound(bindable) {
            return;
        }
        let observable = &bindable.observable;
        let mut encoded = None;
        let (wakes, late) = loop {
            let mut table = lock(&self.0.bindings.table);
            let stage = table.stage(self.id());
            if stage == Some(Stage::Drawn) {
                // Linked and encoded when it is handed to the page: a value set until then must not arrive before.
                let seen = Seen { observable: observable.clone(), version: observable.version() };
                if table.hold(self.id(), bindable) == Hold::New {
                    table.see(self.id(), seen);
                }
                return;
            }
            // Encoding runs code of the value's type, so not under the lock, and the value may change meanwhile.
            let Some((value, version)) = encoded.take() else {
                drop(table);
                encoded = Some(observable.encoded());
                continue;
            };
            if table.hold(self.id(), bindable) != Hold::New {
                return;
            }
            let mut entry = Some(CacheEntry::Observable { id: bindable.id().to_string(), value });
            let mut wakes = Wakes::default();
            let mut announce = || {
                let announced = entry.take().map(|entry| self.0.announce(entry));
                let (from_the_start, woken) = announced.unwrap_or_default();
                wakes = woken;
                from_the_start
            };
            let Some(bound) = table.bound(bindable.id()) else { return };
            let (slot, now) = if let Some(slot) = bound.slot {
                announce();
                (slot, observable.version())
            } else {
                let linked = observable.link(self.0.page(), &mut announce);
                bound.slot = Some(linked.slot);
                (linked.slot, linked.version)
            };
            if stage == Some(Stage::Sent) {
                // What is announced waits for the page; whatever changes until it has it is told again then.
                table.see(self.id(), Seen { observable: observable.clone(), version });
                break (wakes, None);
            }
            break (wakes, (now != version).then_some((slot, now)));
        };
        wakes.run();
        if let Some((slot, now)) = late {
            observable.refresh(self.0.page(), slot, Some(now)).run();
        }
    }

    /// Whether the page follows the observable already for this session; if so, it may from now on do with it what this
    /// binding allows.
    fn is_bound(&self, bindable: &Bindable) -> bool {
        let mut table = lock(&self.0.bindings.table);
        if !table.is_live(self.id()) {
            return true;
        }
        let bound = table.tree.holds(self.id(), bindable.id());
        if bound {
            table.hold(self.id(), bindable);
        }
        bound
    }

    /// Keeps something, a [`Subscription`](crate::Subscription) above all, for as long as the session lives.
    pub fn keep(&self, thing: impl Send + Sync + 'static) {
        self.0.kept.add(Box::new(thing));
    }

    /// How many observables and inputs the browser knows by name. Zero once the session is closed.
    ///
    /// For the session of a page those of its [parts](Self::render) count as well, each once; those that the page has not
    /// yet let go of included.
    pub fn binding_count(&self) -> usize {
        self.0.bindings.count(self.id())
    }
}
