//! The parts where threads meet, in every order in which loom can have them come. They are the library's own files, compiled here
//! with loom's locks.

mod sync {
    use std::sync::PoisonError;

    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[path = "../../../bonito-core/src/session/shared/desk.rs"]
#[expect(dead_code, reason = "a session uses all of it")]
mod desk;
#[path = "../../../bonito-core/src/connection/slot.rs"]
mod slot;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::{Arc, Mutex};
use loom::thread;

use desk::{Desk, Next};
use slot::{Refused, Slot, Weight};
use sync::lock;

#[derive(Debug, PartialEq)]
struct Message(u32);

impl Weight for Message {
    fn bytes(&self) -> usize {
        1
    }
}

type Messages = Slot<u32, Message>;

/// What a socket's loop does, until it has had so many messages or is to end.
fn serve(slot: &Messages, epoch: u32, count: usize) -> Vec<u32> {
    let mut had = Vec::new();
    block_on(poll_fn(|cx| {
        loop {
            if had.len() == count || slot.poll_closing(epoch, cx.waker()).is_ready() {
                return Poll::Ready(());
            }
            match slot.poll_pop(epoch, cx.waker()) {
                Some(Message(number)) => had.push(number),
                None => return Poll::Pending,
            }
        }
    }));
    had
}

#[test]
fn no_message_is_left_while_its_loop_sleeps() {
    // Of three threads, every order with so many switches that none asked for; all of them take minutes.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let slot = Arc::new(Messages::default());
        assert!(slot.begin(1).is_empty());
        let writers = [10, 20].map(|number| {
            let slot = slot.clone();
            thread::spawn(move || slot.push(Message(number), 9).unwrap())
        });
        // A wake-up that is lost shows as a thread that never ends.
        let mut had = serve(&slot, 1, 2);
        had.sort_unstable();
        assert_eq!(had, [10, 20]);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

#[test]
fn one_writer_is_heard_in_order() {
    loom::model(|| {
        let slot = Arc::new(Messages::default());
        assert!(slot.begin(1).is_empty());
        let writer = slot.clone();
        let writer =
            thread::spawn(move || (1..=2).for_each(|number| writer.push(Message(number), 9).unwrap()));
        assert_eq!(serve(&slot, 1, 2), [1, 2]);
        writer.join().unwrap();
    });
}

#[test]
fn a_socket_that_is_to_end_ends_though_it_sleeps() {
    loom::model(|| {
        let slot = Arc::new(Messages::default());
        assert!(slot.begin(1).is_empty());
        let closer = slot.clone();
        let closer = thread::spawn(move || closer.close().into_iter().for_each(std::task::Waker::wake));
        assert_eq!(serve(&slot, 1, usize::MAX), [] as [u32; 0]);
        closer.join().unwrap();
        assert_eq!(slot.push(Message(1), 9), Err((Message(1), Refused::Closed)));
    });
}

#[test]
fn a_message_is_had_handed_back_or_refused_when_another_socket_comes() {
    loom::model(|| {
        let slot = Arc::new(Messages::default());
        assert!(slot.begin(1).is_empty());
        let writer = slot.clone();
        let writer = thread::spawn(move || writer.push(Message(7), 9).map_err(|(Message(number), _)| number));
        let old = slot.clone();
        let old = thread::spawn(move || {
            let had = old.pop(1).map(|Message(number)| number);
            let (back, _) = old.end(1);
            (had, back)
        });
        let back = slot.begin(2);
        let (had, ended) = old.join().unwrap();
        let refused = writer.join().unwrap().err();
        let next = slot.pop(2).map(|Message(number)| number);
        let all: Vec<u32> = back
            .into_iter()
            .chain(ended)
            .map(|Message(number)| number)
            .chain(had)
            .chain(refused)
            .chain(next)
            .collect();
        assert_eq!(all, [7], "once, wherever it is");
        assert!(slot.is_open(), "the socket of the past has not ended the new one's");
    });
}

/// A session as far as its desk goes: what waits, and what has been handed over without a loop.
#[derive(Default)]
struct Session {
    state: Mutex<(VecDeque<u32>, Desk)>,
    connection: Mutex<Vec<u32>>,
}

impl Session {
    /// As `Shared::queue_here` and `Wakes::run`.
    fn queue(&self, message: u32) {
        let next = {
            let mut state = lock(&self.state);
            state.0.push_back(message);
            state.1.offer()
        };
        match next {
            Next::Nothing => {}
            Next::Wake(waker) => waker.wake(),
            Next::Pump => self.pump(),
        }
    }

    /// As `Shared::pump`, with a connection that takes everything.
    fn pump(&self) {
        loop {
            let message = {
                let mut state = lock(&self.state);
                if !state.1.may_pump() {
                    return;
                }
                let Some(message) = state.0.pop_front() else { return };
                state.1.begin();
                message
            };
            lock(&self.connection).push(message);
            let woken = {
                let mut state = lock(&self.state);
                *state.1.writing_mut() = false;
                state.1.take_waiting()
            };
            woken.into_iter().for_each(std::task::Waker::wake);
        }
    }

    fn serve_what_is_there(&self) {
        self.serve(|_| true);
    }

    /// A loop as the driver's: attaches when nobody writes, and serves until nothing waits and enough has been handed over.
    fn serve(&self, is_enough: impl Fn(usize) -> bool) {
        let mut attached = false;
        block_on(poll_fn(|cx| {
            let mut state = lock(&self.state);
            if !attached {
                if state.1.is_writing() {
                    state.1.wait(cx.waker());
                    return Poll::Pending;
                }
                drop(state.1.attach(cx.waker()));
                attached = true;
            }
            drop(state);
            loop {
                let mut state = lock(&self.state);
                drop(state.1.at_work(cx.waker()));
                drop(state);
                let mut state = lock(&self.state);
                let Some(message) = state.0.pop_front() else {
                    state.1.stay_awake(false);
                    let enough = is_enough(lock(&self.connection).len());
                    return if enough { Poll::Ready(()) } else { Poll::Pending };
                };
                drop(state);
                lock(&self.connection).push(message);
            }
        }));
    }
}

#[test]
fn a_loop_that_sleeps_is_woken_for_what_is_queued() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let session = Arc::new(Session::default());
        drop(lock(&session.state).1.attach(std::task::Waker::noop()));
        let writer = session.clone();
        let writer = thread::spawn(move || (1..=2).for_each(|message| writer.queue(message)));
        session.serve(|count| count == 2);
        writer.join().unwrap();
        assert_eq!(*lock(&session.connection), [1, 2]);
    });
}

#[test]
fn what_two_threads_queue_without_a_loop_is_handed_over_by_one_of_them() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let session = Arc::new(Session::default());
        let other = session.clone();
        let other = thread::spawn(move || other.queue(1));
        session.queue(2);
        other.join().unwrap();
        let mut had = lock(&session.connection).clone();
        had.sort_unstable();
        assert_eq!(had, [1, 2]);
    });
}

#[test]
fn a_loop_that_comes_while_somebody_writes_takes_over_behind_it() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let session = Arc::new(Session::default());
        let writer = session.clone();
        let writer = thread::spawn(move || (1..=2).for_each(|message| writer.queue(message)));
        // It only attaches and takes what is there: the writer may have handed over everything before.
        session.serve_what_is_there();
        writer.join().unwrap();
        session.serve_what_is_there();
        assert_eq!(*lock(&session.connection), [1, 2], "in order, each once");
    });
}
