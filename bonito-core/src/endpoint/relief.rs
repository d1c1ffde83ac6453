//! Sessions that are closed to make room for others.

use std::cmp::Reverse;

use super::inner::Inner;
use super::kept::Excess;
use crate::proto::session::{CloseReason, Status};

impl Inner {
    /// Closes sessions that hold more than their share, until there is room.
    pub(super) fn relieve_budgets(&self) {
        if !self.budgets.take_exceeded() {
            return;
        }
        let mut blamed: Vec<_> = self
            .all()
            .into_iter()
            .filter_map(|session| session.0.excess().map(|bytes| (session.0.bare_info(), bytes, session)))
            .collect();
        // Whose connection is lost goes first, and of the others who holds most.
        blamed.sort_by_key(|(info, bytes, _)| match info.status {
            Status::SoftClosed => (0, info.messages_in, info.disconnected, Reverse(*bytes)),
            _ => (1, 0, None, Reverse(*bytes)),
        });
        for (info, bytes, session) in blamed {
            if session.0.excess().is_some() && session.0.close_if_still(&info, CloseReason::Capacity) {
                tracing::warn!(session = ?session.id(), bytes, "sessions hold too much: one that holds more than its share is closed");
            }
        }
    }

    /// Closes sessions that wait for lost browsers, as many as there are too many, or hold too much.
    pub(super) fn relieve_waiting(&self) {
        if self.waiting.excess().is_none() {
            return;
        }
        for id in self.waiting.cheapest_first() {
            let Some(excess) = self.waiting.excess() else { return };
            let Some(session) = self.find(id) else { continue };
            let info = session.info();
            let spared = match excess {
                Excess::Sessions => false,
                Excess::Bytes(share) => info.queued_bytes <= share,
            };
            if info.status != Status::SoftClosed || spared {
                continue;
            }
            if session.0.close_if_still(&info, CloseReason::Capacity) {
                tracing::warn!(session = ?id, ?excess, "too many sessions wait for lost browsers: one of them is closed");
            }
        }
    }
}
