//! Listening to several observables as one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use serde::Serialize;

use super::{Inner, Observable, Subscription};
use crate::sync::guard;

/// Calls `listener` with the values of all these observables whenever one of them is set, until the subscription is dropped.
///
/// The values are of one moment: there was a time at which all of them held. Calls are never two at a time, and the last one
/// has the latest values. Of values that are set while the listener runs only the latest are heard; to hear each one, see
/// [`Observable::on`]. It runs where observables run their listeners, outside every lock. When one of the observables is gone
/// it is not called any more.
///
/// In the page the same is `Bonito.onany([a, b], ([a, b]) => { … })`.
///
/// ```
/// use bonito_core::{Observable, on_any};
///
/// let (width, height) = (Observable::new(2), Observable::new(3));
/// let area = Observable::new(0);
/// let result = area.clone();
/// let _subscription = on_any((&width, &height), move |(width, height)| result.set(width * height));
/// height.set(5);
/// assert_eq!(area.get(), 10);
/// ```
pub fn on_any<O: Observables>(
    observables: O,
    listener: impl for<'a> Fn(O::Values<'a>) + Send + Sync + 'static,
) -> Subscription {
    let weak = observables.downgrade();
    // Whoever makes this more than zero calls the listener, and goes on for as long as others have added to it.
    let changes = AtomicUsize::new(0);
    let changed = Arc::new(move || {
        if changes.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        loop {
            let seen = changes.load(Ordering::Acquire);
            guard("a listener of several observables", || O::look(&weak, &listener));
            if changes.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return;
            }
        }
    });
    observables.subscribe_all(&changed)
}

/// What [`on_any`] takes: a tuple of two to six references to observables.
pub trait Observables: sealed::Group {}

pub(super) mod sealed {
    use super::{Arc, Inner, Subscription, Weak};

    /// An observable that is not kept alive.
    #[expect(missing_debug_implementations, unnameable_types, reason = "sealed: nobody sees one")]
    pub struct Held<T>(pub(super) Weak<Inner<T>>);

    #[expect(unnameable_types, reason = "sealed: only this module implements it")]
    pub trait Group {
        /// The values, as the listener gets them.
        type Values<'a>;
        type Weak: Send + Sync + 'static;

        fn downgrade(&self) -> Self::Weak;
        fn look(weak: &Self::Weak, listener: &impl for<'a> Fn(Self::Values<'a>));
        fn subscribe_all(self, changed: &Arc<impl Fn() + Send + Sync + 'static>) -> Subscription;
    }
}

macro_rules! groups {
    ($($($type:ident $name:ident $at:tt),+;)*) => {$(
        impl<$($type: Serialize + Send + Sync + 'static),+> Observables for ($(&Observable<$type>,)+) {}

        impl<$($type: Serialize + Send + Sync + 'static),+> sealed::Group for ($(&Observable<$type>,)+) {
            type Values<'a> = ($(&'a $type,)+);
            type Weak = ($(sealed::Held<$type>,)+);

            fn downgrade(&self) -> Self::Weak {
                ($(sealed::Held(Arc::downgrade(&self.$at.inner)),)+)
            }

            fn look(weak: &Self::Weak, listener: &impl for<'a> Fn(Self::Values<'a>)) {
                let all = ($(weak.$at.0.upgrade(),)+);
                let ($(Some($name),)+) = ($(&all.$at,)+) else { return };
                loop {
                    let values = ($($name.snapshot(),)+);
                    // Those that were read first held still when the last one was read.
                    if $($name.version() == values.$at.1)&&+ {
                        return listener(($(&*values.$at.0,)+));
                    }
                }
            }

            fn subscribe_all(self, changed: &Arc<impl Fn() + Send + Sync + 'static>) -> Subscription {
                let all = vec![$({
                    let changed = changed.clone();
                    self.$at.subscribe(None, move |_, _| changed())
                }),+];
                Subscription::of_all(all)
            }
        }
    )*};
}

groups! {
    A a 0, B b 1;
    A a 0, B b 1, C c 2;
    A a 0, B b 1, C c 2, D d 3;
    A a 0, B b 1, C c 2, D d 3, E e 4;
    A a 0, B b 1, C c 2, D d 3, E e 4, F f 5;
}
