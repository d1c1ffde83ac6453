//! The one cleanup task of an endpoint. It sleeps until a deadline falls due and asks the policy about that session only.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::select;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::clock;
use crate::id::SessionId;
use crate::sync::lock;

/// A policy that asks for an earlier check than this waits so long.
const SOONEST: Duration = Duration::from_millis(50);

/// What is swept.
pub(crate) trait Sweep: Send + Sync + 'static {
    /// The check that was asked for with [`Sweeper::schedule`] for `due` has its time.
    fn check(&self, id: SessionId, due: Instant, now: Instant);
    /// [`Sweeper::relieve`] was called.
    fn relieve(&self);
}

#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    due: Mutex<BTreeSet<(Instant, SessionId)>>,
    woken: Arc<Notify>,
    crowded: AtomicBool,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Sweeper {
    /// When a check that is wished for then can be.
    pub(crate) fn soonest(at: Instant, now: Instant) -> Instant {
        at.max(now + SOONEST)
    }

    /// Asks for a check of this session, in place of an earlier wish.
    pub(crate) fn schedule(&self, id: SessionId, former: Option<Instant>, at: Instant) {
        let first = {
            let mut due = lock(&self.due);
            if let Some(former) = former {
                due.remove(&(former, id));
            }
            due.insert((at, id));
            due.first() == Some(&(at, id))
        };
        if first {
            self.woken.notify_one();
        }
    }

    /// The session is no more, nor is the check that was to be at this time.
    pub(crate) fn cancel(&self, id: SessionId, at: Instant) {
        lock(&self.due).remove(&(at, id));
    }

    /// Asks for [`Sweep::relieve`].
    pub(crate) fn relieve(&self) {
        if !self.crowded.swap(true, Ordering::AcqRel) {
            self.woken.notify_one();
        }
    }

    /// Starts the task if there is a runtime and none is running: a runtime that ended took its task with it.
    pub(crate) fn start(&self, runtime: Option<Handle>, swept: &Arc<impl Sweep + AsSweeper>) {
        let Some(runtime) = runtime else { return };
        let mut task = lock(&self.task);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (swept, woken, blocking) = (Arc::downgrade(swept), self.woken.clone(), runtime.clone());
        *task = Some(runtime.spawn(async move {
            loop {
                let Some(swept) = swept.upgrade() else { return };
                let next = if swept.sweeper().is_due() {
                    // A policy that takes its time holds up cleanup, and neither a socket nor another task.
                    let swept = swept.clone();
                    match blocking.spawn_blocking(move || swept.sweeper().sweep(&*swept)).await {
                        Ok(next) => next,
                        Err(error) if error.is_panic() => continue,
                        Err(_) => return,
                    }
                } else {
                    swept.sweeper().next()
                };
                drop(swept);
                match next {
                    Some(at) => {
                        #[expect(clippy::disallowed_methods, reason = "the runtime waits")]
                        let timer = sleep_until(at.into());
                        select(pin!(timer), pin!(woken.notified())).await;
                    }
                    None => woken.notified().await,
                }
            }
        }));
    }

    /// When the next check is.
    fn next(&self) -> Option<Instant> {
        lock(&self.due).first().map(|(at, _)| *at)
    }

    fn is_due(&self) -> bool {
        self.crowded.load(Ordering::Acquire) || self.next().is_some_and(|at| at <= clock::now())
    }

    /// Does the checks that are due. Answers when the next one is.
    fn sweep(&self, swept: &impl Sweep) -> Option<Instant> {
        let now = clock::now();
        loop {
            if self.crowded.swap(false, Ordering::AcqRel) {
                swept.relieve();
            }
            let (at, id) = {
                let mut due = lock(&self.due);
                let next @ (at, _) = *due.first()?;
                if at > now {
                    return Some(at);
                }
                due.remove(&next);
                next
            };
            swept.check(id, at, now);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.due).len()
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.woken.notify_one();
    }
}

pub(crate) trait AsSweeper {
    fn sweeper(&self) -> &Sweeper;
}
