//! Tasks that end with their session.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;
use futures_util::future::{AbortHandle, Abortable};

use super::{Session, WeakShared};
use crate::sync::lock;

/// The running tasks of one session.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: u64,
    running: HashMap<u64, AbortHandle, RandomState>,
    closed: bool,
}

impl Tasks {
    pub(super) fn len(&self) -> usize {
        lock(&self.0).running.len()
    }

    pub(super) fn abort(&self) {
        let running = {
            let mut table = lock(&self.0);
            table.closed = true;
            std::mem::take(&mut table.running)
        };
        for task in running.into_values() {
            task.abort();
        }
    }

    fn add(&self, task: AbortHandle) -> Option<u64> {
        let mut table = lock(&self.0);
        if table.closed {
            return None;
        }
        table.last += 1;
        let id = table.last;
        table.running.insert(id, task);
        Some(id)
    }
}

impl Session {
    /// Runs a future until it ends or the session does; then it is dropped at its next `.await`.
    ///
    /// On a session that is already closed the future is dropped unpolled.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, if the endpoint has not seen one yet.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let (task, registration) = AbortHandle::new_pair();
        let Some(id) = self.0.tasks.add(task) else { return };
        let done = Done { session: Arc::downgrade(&self.0), id };
        let future = Abortable::new(future, registration);
        self.0.host.spawn(Box::pin(async move {
            let _done = done;
            let _ = future.await;
        }));
    }

    /// How many futures of [`spawn`](Self::spawn) are running. For the session of a page those of its
    /// [parts](Self::render) count as well.
    pub fn task_count(&self) -> usize {
        self.0.tasks.len() + self.0.subs().iter().map(|sub| sub.tasks.len()).sum::<usize>()
    }
}

/// Takes the task off the list however it ends, by a panic too.
struct Done {
    session: WeakShared,
    id: u64,
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(session) = self.session.upgrade() {
            lock(&session.tasks.0).running.remove(&self.id);
        }
    }
}
