//! The claim of one connection on one name: whether it is held, and who is told that it is lost.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::proto::cluster::{ClaimId, NameLost};

/// What is to be done when a name is lost. Runs the application's code.
pub(crate) type OnLost = Box<dyn FnOnce(NameLost) + Send>;

pub(crate) struct Claim {
    pub(crate) id: ClaimId,
    stage: watch::Sender<Stage>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    Claiming,
    Held { epoch: u64, until: Instant },
    Lost(NameLost),
}

impl Claim {
    pub(crate) fn new(id: ClaimId) -> Arc<Self> {
        Arc::new(Self { id, stage: watch::Sender::new(Stage::Claiming) })
    }

    /// The epoch in which it may act at this time.
    pub(crate) fn may_act(&self, now: Instant) -> Option<u64> {
        match *self.stage.borrow() {
            Stage::Held { epoch, until } if now < until => Some(epoch),
            _ => None,
        }
    }

    pub(crate) fn set(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Moves the end of the time, and wakes nobody for that.
    pub(crate) fn renew(&self, to: Instant) {
        self.stage.send_if_modified(|stage| {
            if let Stage::Held { until, .. } = stage {
                *until = to;
            }
            false
        });
    }

    /// Ready when it is held or lost.
    pub(crate) async fn held(&self) -> Result<(), NameLost> {
        let mut stage = self.stage.subscribe();
        match stage.wait_for(|stage| !matches!(stage, Stage::Claiming)).await.as_deref() {
            Ok(Stage::Lost(reason)) => Err(*reason),
            _ => Ok(()),
        }
    }

    pub(crate) async fn lost(&self) -> NameLost {
        let mut stage = self.stage.subscribe();
        match stage.wait_for(|stage| matches!(stage, Stage::Lost(_))).await.as_deref() {
            Ok(Stage::Lost(reason)) => *reason,
            _ => NameLost::Left,
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("id", &self.id).field("stage", &*self.stage.borrow()).finish()
    }
}
