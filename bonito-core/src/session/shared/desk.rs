//! Who hands messages to the connection, and whom to wake when there is one more.
//!
//! A loop that serves the session looks for messages before it sleeps, so that whoever brings one while it is at work need not
//! wake it. Without a loop, whoever brings one hands it over, one at a time. To be used under the session's lock alone.
//!
//! This uses nothing but the standard library, so that `tests/simulation/tests/threads.rs` can run it in every order in which its
//! threads may come.

use std::task::Waker;

/// What is left to do for whoever has queued a message, once no lock is held.
#[derive(Debug)]
pub(super) enum Next {
    /// Somebody else sees to it.
    Nothing,
    /// The loop is to be woken.
    Wake(Waker),
    /// There is no loop: the message is to be handed over.
    Pump,
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    writing: bool,
    /// Somebody wanted a message written while another one was being written.
    again: bool,
    /// The socket loop that serves the session, if one does.
    socket: Option<Waker>,
    /// That loop is at work and looks for low-latency messages before it sleeps, so nobody need wake it for them.
    awake: bool,
    /// Loops that wait for the writer to finish or for the dispatcher to catch up.
    waiting: Vec<Waker>,
}

impl Desk {
    pub(super) fn is_writing(&self) -> bool {
        self.writing
    }

    pub(super) fn writing_mut(&mut self) -> &mut bool {
        &mut self.writing
    }

    /// The loop that serves the session.
    pub(super) fn socket(&self) -> Option<&Waker> {
        self.socket.as_ref()
    }

    /// A loop takes the session over. The one before is to be woken.
    #[must_use]
    pub(super) fn attach(&mut self, waker: &Waker) -> Option<Waker> {
        self.awake = false;
        self.socket.replace(waker.clone())
    }

    /// The loop is gone. Its waker is to be dropped, and may be woken, outside every lock.
    #[must_use]
    pub(super) fn detach(&mut self) -> Option<Waker> {
        self.socket.take()
    }

    /// The loop is at work from now on until it [sleeps](Self::stay_awake). What comes back is to be dropped outside every lock.
    #[must_use]
    pub(super) fn at_work(&mut self, waker: &Waker) -> Option<Waker> {
        self.awake = true;
        match &self.socket {
            Some(registered) if registered.will_wake(waker) => None,
            _ => self.socket.replace(waker.clone()),
        }
    }

    /// Whether the loop will look for messages before it sleeps.
    pub(super) fn stay_awake(&mut self, awake: bool) {
        self.awake = awake;
    }

    /// A low-latency message waits. If somebody is writing, he looks again.
    pub(super) fn offer(&mut self) -> Next {
        self.again |= self.writing;
        match &self.socket {
            _ if self.writing => Next::Nothing,
            Some(_) if self.awake => Next::Nothing,
            Some(waker) => Next::Wake(waker.clone()),
            None => Next::Pump,
        }
    }

    /// Whether messages are to be handed over without a loop. If somebody is at it, he looks again.
    pub(super) fn may_pump(&mut self) -> bool {
        if self.writing {
            self.again = true;
            return false;
        }
        self.socket.is_none()
    }

    /// One is being handed over.
    pub(super) fn begin(&mut self) {
        self.writing = true;
        self.again = false;
    }

    /// Whether somebody wanted one handed over in the meantime.
    pub(super) fn is_wanted_again(&self) -> bool {
        self.again
    }

    /// Remembers a loop that waits, once.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// Whoever waits is to be woken, once no lock is held.
    #[must_use]
    pub(super) fn take_waiting(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting)
    }
}
