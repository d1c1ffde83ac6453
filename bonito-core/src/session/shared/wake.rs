//! What is left to do once no lock is held.

use std::sync::Arc;
use std::task::Waker;

use super::Shared;
use crate::frame::Lane;
use crate::proto::session::CloseReason;

/// What is to be told of how much waits, once no lock is held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// It is too much for the endpoint, which makes room.
    pub(super) crowded: bool,
    /// It is far too much, and the session is to blame.
    pub(super) bursts: bool,
    /// The application has a hook for it.
    pub(super) water: bool,
}

impl Told {
    fn is_something(self) -> bool {
        self.crowded || self.water
    }

    fn merge(&mut self, other: Self) {
        self.crowded |= other.crowded;
        self.bursts |= other.bursts;
        self.water |= other.water;
    }
}

/// What is left to do for one session once no lock is held.
#[derive(Debug, Default)]
#[must_use = "somebody waits for it"]
pub(crate) struct Wakes {
    /// Loops of sockets, by lane.
    sockets: [Option<Waker>; 2],
    rest: Rest,
    /// Whom the rest concerns, if there is any.
    session: Option<Arc<Shared>>,
}

#[derive(Debug, Default)]
struct Rest {
    /// There is no loop: messages are to be handed over.
    pump: bool,
    close: Option<CloseReason>,
    told: Told,
}

impl Wakes {
    pub(super) fn socket(lane: Lane, waker: Waker) -> Self {
        let mut wakes = Self::default();
        wakes.sockets[lane as usize] = Some(waker);
        wakes
    }

    pub(super) fn pump(session: &Arc<Shared>) -> Self {
        Self {
            rest: Rest { pump: true, ..Rest::default() },
            session: Some(session.clone()),
            ..Self::default()
        }
    }

    pub(in crate::session) fn close(session: &Arc<Shared>, reason: CloseReason) -> Self {
        Self {
            rest: Rest { close: Some(reason), ..Rest::default() },
            session: Some(session.clone()),
            ..Self::default()
        }
    }

    /// Whoever wants to know how much waits is told too.
    pub(super) fn tell(mut self, session: &Arc<Shared>, told: Told) -> Self {
        if told.is_something() {
            self.rest.told = told;
            self.session = Some(session.clone());
        }
        self
    }

    /// What another message of the same session has left to do.
    pub(in crate::session) fn merge(&mut self, other: Self) {
        for (mine, other) in self.sockets.iter_mut().zip(other.sockets) {
            *mine = mine.take().or(other);
        }
        self.rest.pump |= other.rest.pump;
        self.rest.close = self.rest.close.or(other.rest.close);
        self.rest.told.merge(other.rest.told);
        self.session = self.session.take().or(other.session);
    }

    pub(crate) fn run(mut self) {
        self.run_sockets();
        let Some(session) = self.session else { return };
        match self.rest.close {
            Some(reason) => session.close(reason),
            None if self.rest.pump => session.pump(),
            None => {}
        }
        session.tell(self.rest.told);
    }

    /// Wakes the loops of sockets, which takes no time. What is left may run the application's code.
    pub(crate) fn run_sockets(&mut self) {
        self.sockets.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }
}

impl Shared {
    /// Tells the endpoint and the application how much waits, under no lock.
    pub(super) fn tell(self: &Arc<Self>, told: Told) {
        if told.crowded {
            self.host.crowded();
        }
        if told.water {
            self.dispatch();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Of two messages that a part of a page handed on at once, one for each lane, the second's loop was woken alone: the first
    /// message waited for whatever woke the other loop next.
    #[test]
    fn whoever_a_former_message_wakes_is_woken() {
        let [small, large] = [Arc::new(Count::default()), Arc::new(Count::default())];
        let mut all = Wakes::default();
        for _ in 0..2 {
            all.merge(Wakes::socket(Lane::LowLatency, small.clone().into()));
            all.merge(Wakes::socket(Lane::LargeData, large.clone().into()));
            all.merge(Wakes::default());
        }
        all.run();
        assert_eq!([small, large].map(|count| count.0.load(Ordering::Relaxed)), [1, 1]);
    }
}
