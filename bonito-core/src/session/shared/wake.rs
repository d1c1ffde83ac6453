//! What is left to do once no lock is held.

use std::sync::Arc;
use std::task::Waker;

use super::Shared;
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
    pub(super) fn is_something(self) -> bool {
        self.crowded || self.water
    }
}

/// What is left to do once no lock is held.
#[derive(Debug)]
pub(crate) enum Wake {
    Socket(Waker),
    Pump(Arc<Shared>),
    Close(Arc<Shared>, CloseReason),
    /// The loop or the connection, and then whoever wants to know how much waits.
    Tell(Option<Box<Self>>, Arc<Shared>, Told),
}

impl Wake {
    pub(crate) fn run(self) {
        match self {
            Self::Socket(waker) => waker.wake(),
            Self::Pump(session) => session.pump(),
            Self::Close(session, reason) => session.close(reason),
            Self::Tell(first, session, told) => {
                if let Some(first) = first {
                    first.run();
                }
                session.tell(told);
            }
        }
    }

    /// Wakes the loop of a socket, which takes no time. What is left may run the application's code.
    pub(crate) fn run_socket(wake: &mut Option<Self>) {
        let socket = match wake {
            Some(Self::Socket(_)) => wake.take(),
            Some(Self::Tell(first, ..)) => {
                first.take_if(|first| matches!(**first, Self::Socket(_))).map(|first| *first)
            }
            _ => None,
        };
        socket.into_iter().for_each(Self::run);
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
