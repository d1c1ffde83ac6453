//! Values that Rust and browsers share.

mod any;
mod delivery;
mod fanout;
mod listeners;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use serde::Serialize;

pub use any::{Observables, on_any};
pub use delivery::{Delivered, Delivery};
pub use listeners::Subscription;

use crate::SessionId;
use crate::id::ObservableId;
use crate::proto::EncodeError;
use crate::proto::codec::UpdatePrefix;
use crate::proto::value::RawValue;
use crate::sync::lock;
use fanout::{AllWoken, Links};
pub(crate) use fanout::{AnyObservable, LinkSlot};
use listeners::Listeners;

/// A value that listeners in Rust and any number of browsers follow.
///
/// A clone is another handle to the same value. [`set`](Self::set) never blocks and may be called from any thread; a
/// value is encoded once however many sessions receive it. An update that comes from one browser reaches every other
/// session and does not echo to its origin, unless the origin was sent a value of somebody else a moment before: then it
/// is told the outcome, so that all end at the same value.
///
/// # Listeners
///
/// They run outside every lock, one at a time and in the order of the values. When one is running, on this thread or on
/// another, `set` leaves the new value to whoever runs them and returns at once: a listener may set its own observable.
/// A listener that panics is logged, and the next one runs. Of values that come faster than listeners run, the last 65,536
/// wait; older ones are missed, and the log says so.
///
/// ```
/// use bonito_core::Observable;
///
/// let celsius = Observable::new(20.0);
/// let fahrenheit = celsius.map(|c| c * 1.8 + 32.0);
/// celsius.set(100.0);
/// assert_eq!(fahrenheit.get(), 212.0);
/// ```
pub struct Observable<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    id: ObservableId,
    prefix: UpdatePrefix,
    encode: fn(&T) -> RawValue,
    /// Writes a value into an update.
    update: fn(&UpdatePrefix, &T) -> Bytes,
    /// Its values travel on the lane for large data.
    large: AtomicBool,
    /// [`Delivery::Every`].
    every: AtomicBool,
    state: Mutex<State<T>>,
    /// A derived observable's subscription to its source, and the source.
    source: Mutex<Option<(Subscription, Box<dyn Send + Sync>)>>,
}

struct State<T> {
    value: Arc<T>,
    /// Counts the values, so that work done outside the lock can tell whether it is late.
    version: u64,
    listeners: Listeners<T>,
    links: Links,
    /// The text of this observable, shared by all sessions that show it.
    text: Weak<Inner<String>>,
}

impl<T> Clone for Observable<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Observable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observable").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

impl<T: Serialize + Send + Sync + 'static> Observable<T> {
    /// An observable with its first value.
    pub fn new(value: T) -> Self {
        let id = ObservableId::next();
        let state = State {
            value: Arc::new(value),
            version: 0,
            listeners: Listeners::default(),
            links: Links::default(),
            text: Weak::new(),
        };
        let inner = Inner {
            id,
            prefix: UpdatePrefix::new(&id.to_string()),
            encode: encode_or_nil::<T>,
            update: update_or_nil::<T>,
            large: AtomicBool::new(false),
            every: AtomicBool::new(false),
            state: Mutex::new(state),
            source: Mutex::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The same observable, whose values are large: they travel on the [lane](crate::Lane::LargeData) for large data, where they
    /// hold up nobody and keep their own order, whatever else is sent. For a connection that has such a lane, as
    /// [`DualWebSocketConnection`](crate::DualWebSocketConnection) does; on others they come after what is not large.
    ///
    /// Call it before any page is made with the observable. A page that learns of it only after it was made gets its values
    /// with everything else: on the other lane they might come before the observable itself. So does the value that a page
    /// starts with.
    #[must_use]
    pub fn large(self) -> Self {
        self.inner.large.store(true, Ordering::Relaxed);
        self
    }

    /// The same observable, of which pages see these values: by default the [latest](Delivery::Latest), where they cannot have
    /// all. What this one is [mapped](Self::map) to has a choice of its own.
    ///
    /// ```
    /// # use bonito_core::{js, Delivery, Endpoint, Observable};
    /// # let session = Endpoint::builder("/live").build().session();
    /// let log = Observable::new(String::new()).delivery(Delivery::Every);
    /// session.on_js(&log, js!("(line) => { document.querySelector('pre').append(line, '\\n') }"));
    /// ```
    ///
    /// A page sees each value that is set from when it is made. A [part](crate::Session::render) of a page starts with the value
    /// of then, and sees each from there on.
    #[must_use]
    pub fn delivery(self, delivery: Delivery) -> Self {
        self.inner.every.store(delivery == Delivery::Every, Ordering::Relaxed);
        self
    }

    /// Sets the value, tells every session that follows it, and runs the listeners.
    ///
    /// A value that MessagePack or a browser cannot take (a map with a key `__proto__`, say) is kept here, logged, and
    /// reaches the browsers as nil.
    pub fn set(&self, value: T) {
        self.send(value);
    }

    /// [Sets](Self::set) the value, and says what became of it at the sessions that follow.
    ///
    /// ```
    /// # use bonito_core::Observable;
    /// let frame = Observable::new(vec![0_u8; 4]);
    /// if !frame.send(vec![1; 4]).is_keeping_up() {
    ///     // Somebody watches over a slow line: fewer frames from now on.
    /// }
    /// ```
    pub fn send(&self, value: T) -> Delivered {
        self.store(Arc::new(value), None, None).unwrap_or_default()
    }

    /// Changes the value in place of a copy: as atomic as an atomic's `fetch_update`, so `change` may run more than once
    /// when others set the value at the same time.
    pub fn update(&self, mut change: impl FnMut(&mut T))
    where
        T: Clone,
    {
        loop {
            let (value, version) = self.snapshot();
            let mut value = T::clone(&value);
            change(&mut value);
            if self.store(Arc::new(value), None, Some(version)).is_some() {
                return;
            }
        }
    }

    /// An observable that follows this one through `f`, for as long as it lives, and keeps this one alive. Its value follows after this one's
    /// listeners have run.
    pub fn map<U, F>(&self, f: F) -> Observable<U>
    where
        U: Serialize + Send + Sync + 'static,
        F: Fn(&T) -> U + Send + Sync + 'static,
    {
        let (value, version) = self.snapshot();
        let derived = Observable::new(f(&value));
        let target = Arc::downgrade(&derived.inner);
        let subscription = self.subscribe(Some(version), move |value, _| {
            if let Some(inner) = target.upgrade() {
                Observable { inner }.set(f(value));
            }
        });
        *lock(&derived.inner.source) = Some((subscription, Box::new(self.clone())));
        derived
    }

    /// Calls `listener` with every value set from now on, until the subscription is dropped.
    #[must_use = "dropping the subscription ends it; see Subscription::forget and Session::keep"]
    pub fn on(&self, listener: impl Fn(&T) + Send + Sync + 'static) -> Subscription {
        self.subscribe(None, move |value, _| listener(value))
    }

    /// Calls `listener` with every value set from now on and the session whose page set it, `None` for Rust, until the
    /// subscription is dropped.
    ///
    /// ```
    /// # use bonito_core::{Endpoint, Observable};
    /// # let session = Endpoint::builder("/live").build().session();
    /// let line = Observable::new(String::new());
    /// let mine = session.id();
    /// session.keep(line.on_from(move |line, origin| {
    ///     if origin != Some(mine) {
    ///         println!("somebody else says {line}");
    ///     }
    /// }));
    /// ```
    #[must_use = "dropping the subscription ends it; see Subscription::forget and Session::keep"]
    pub fn on_from(&self, listener: impl Fn(&T, Option<SessionId>) + Send + Sync + 'static) -> Subscription {
        self.subscribe(None, move |value, origin| listener(value, origin))
    }

    /// The target gets every value set from now on, until the subscription is dropped.
    ///
    /// What it gets is the latest value and not the one that was heard of, and only if it has another one. So two that lead
    /// each other come to rest, even when both are set at the same time.
    pub(crate) fn lead(&self, target: &Self) -> Subscription {
        let (source, target) = (Arc::downgrade(&self.inner), Arc::downgrade(&target.inner));
        self.subscribe(None, move |heard, origin| {
            let (Some(source), Some(target)) = (source.upgrade(), target.upgrade()) else { return };
            let (latest, _) = source.snapshot();
            let (there, _) = target.snapshot();
            // The application may link back with a copy, which is to stop here as well.
            if Arc::ptr_eq(&latest, &there) || (source.encode)(&latest) == (source.encode)(&there) {
                return;
            }
            // The page that has set the source has set the target as well.
            let origin = origin.filter(|_| Arc::ptr_eq(&latest, heard));
            Self { inner: target }.store(latest, origin, None);
        })
    }

    /// Sets a value that came from this session's browser.
    pub(crate) fn set_from(&self, value: T, origin: SessionId) {
        self.store(Arc::new(value), Some(origin), None);
    }

    /// The text of this observable, the same for everybody who asks.
    pub(crate) fn text(&self) -> Observable<String>
    where
        T: fmt::Display,
    {
        if let Some(inner) = lock(&self.inner.state).text.upgrade() {
            return Observable { inner };
        }
        let text = self.map(T::to_string);
        let mut state = lock(&self.inner.state);
        if let Some(inner) = state.text.upgrade() {
            return Observable { inner };
        }
        state.text = Arc::downgrade(&text.inner);
        text
    }

    /// Stores, fans out and notifies. With `expected`, only if no other value came in between.
    fn store(&self, value: Arc<T>, origin: Option<SessionId>, expected: Option<u64>) -> Option<Delivered> {
        let mut frame = None;
        // The old value is dropped outside the lock.
        let (woken, _old, missed, due) = loop {
            let mut state = lock(&self.inner.state);
            if expected.is_some_and(|version| version != state.version) {
                return None;
            }
            if frame.is_none() && state.links.want(origin) {
                drop(state);
                frame = Some((self.inner.update)(&self.inner.prefix, &value));
                continue;
            }
            let old = std::mem::replace(&mut state.value, value.clone());
            state.version += 1;
            let missed = state.listeners.enqueue(value, origin);
            let woken = match frame {
                Some(frame) => state.links.send(self.inner.id, self.inner.delivery(), &frame, origin),
                None => AllWoken::default(),
            };
            break (woken, old, missed, state.listeners.are_due());
        };
        let delivered = woken.run();
        if let Some((_, true)) = missed {
            let (id, value) = (self.inner.id, std::any::type_name::<T>());
            tracing::error!(%id, value, "listeners are too slow: they miss values from here on");
        }
        if due {
            self.inner.run_listeners();
        }
        Some(delivered)
    }
}

impl<T> Observable<T> {
    /// The id that names this observable on the wire.
    pub fn id(&self) -> ObservableId {
        self.inner.id
    }

    /// A copy of the value.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Looks at the value without copying it. No lock is held meanwhile.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.snapshot().0)
    }

    /// How many listeners it has, those of derived observables included.
    pub fn listener_count(&self) -> usize {
        lock(&self.inner.state).listeners.len()
    }

    /// How many sessions follow it.
    pub fn session_count(&self) -> usize {
        lock(&self.inner.state).links.len()
    }

    /// This observable for a page that may look but not write: `js!("$(x)")` with it gives the page a value that Rust
    /// keeps in step, and what the page sets is refused.
    pub fn read_only(&self) -> ReadOnly<T> {
        ReadOnly(self.clone())
    }

    /// The value, and the number by which it can be told from later ones.
    pub(crate) fn snapshot(&self) -> (Arc<T>, u64) {
        self.inner.snapshot()
    }

    /// The same handle, whatever the type of the value.
    pub(crate) fn any(&self) -> Arc<dyn AnyObservable>
    where
        T: Send + Sync + 'static,
    {
        self.inner.clone()
    }
}

impl<T> Inner<T> {
    fn delivery(&self) -> Delivery {
        if self.every.load(Ordering::Relaxed) { Delivery::Every } else { Delivery::Latest }
    }

    fn snapshot(&self) -> (Arc<T>, u64) {
        let state = lock(&self.state);
        (state.value.clone(), state.version)
    }

    fn version(&self) -> u64 {
        lock(&self.state).version
    }
}

/// An observable that a page may look at but not write; see [`Observable::read_only`].
pub struct ReadOnly<T>(pub(crate) Observable<T>);

impl<T> fmt::Debug for ReadOnly<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadOnly").field(&self.0).finish()
    }
}

fn encode_or_nil<T: Serialize>(value: &T) -> RawValue {
    RawValue::encode(value).unwrap_or_else(|error| {
        complain::<T>(&error);
        RawValue::NIL
    })
}

fn update_or_nil<T: Serialize>(prefix: &UpdatePrefix, value: &T) -> Bytes {
    prefix.encode(value).unwrap_or_else(|error| {
        complain::<T>(&error);
        prefix.frame(&RawValue::NIL)
    })
}

fn complain<T>(error: &EncodeError) {
    tracing::error!("an observable of {} is nil in the browser: {error}", std::any::type_name::<T>());
}
