//! How much an endpoint holds, and what it has done.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Endpoint;
use crate::proto::session::{CloseReason, Status};
use crate::session::Tally;

/// How much an endpoint holds at the moment, from [`Endpoint::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions in any state.
    pub sessions: usize,
    /// Sessions whose page is being made.
    pub making: usize,
    /// Sessions whose page was handed out and has not connected yet.
    pub displayed: usize,
    /// Sessions with a page that has loaded and a connection that is up.
    pub open: usize,
    /// Sessions whose connection is lost.
    pub soft_closed: usize,
    /// Sockets, those of behaviours included.
    pub sockets: usize,
    /// Connections of [behaviours](crate::WebSocketBehaviour); see [`Endpoint::mounted`] for more.
    pub behaviours: usize,
    /// Running futures of [`Session::spawn`](crate::Session::spawn).
    pub tasks: usize,
    /// Observables and inputs that browsers know by name.
    pub bindings: usize,
    /// Bytes that wait for browsers; of pages that [resume](crate::Takeover), those included that they have not acknowledged.
    pub queued_bytes: usize,
    /// Bytes that sockets have been handed and may not have written yet.
    pub in_flight_bytes: usize,
    /// Bytes that count towards [`Limits::total_bytes`](crate::Limits::total_bytes): what is queued and in flight, what waits for
    /// the application, and uploads; in steps of 4 KiB for each session.
    pub held_bytes: usize,
}

/// What an endpoint has done since it was built, from [`Endpoint::totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Sessions that were made, those apart that were closed from the start.
    pub sessions: u64,
    /// Sessions that were closed to make room, with [`CloseReason::Capacity`](crate::CloseReason::Capacity).
    pub evicted: u64,
    /// Sessions that were closed since too much waited for their page, with
    /// [`CloseReason::Overflow`](crate::CloseReason::Overflow).
    pub overflowed: u64,
    /// Sessions that were closed from the start, since there was no room.
    pub refused_sessions: u64,
    /// Sockets that were answered with 503, since there was no room: those of pages, and those of behaviours for want of room in
    /// the endpoint.
    pub refused_sockets: u64,
    /// Uploads that failed, since there was no room.
    pub refused_uploads: u64,
    /// Messages that pages have sent.
    pub messages_in: u64,
    /// Messages that were handed to connections, those taken back that did not leave.
    pub messages_out: u64,
}

/// What is counted where it happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Sessions,
    RefusedSessions,
    RefusedSockets,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    counts: [AtomicU64; 3],
    evicted: AtomicU64,
    overflowed: AtomicU64,
    /// Those of sessions that are closed.
    messages_in: AtomicU64,
    messages_out: AtomicU64,
}

impl Counters {
    pub(super) fn add(&self, count: Count) {
        self.counts[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }

    /// A session is closed that was there.
    pub(super) fn add_closed(&self, tally: &Tally, reason: Option<CloseReason>) {
        match reason {
            Some(CloseReason::Capacity) => _ = self.evicted.fetch_add(1, Ordering::Relaxed),
            Some(CloseReason::Overflow) => _ = self.overflowed.fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
        self.messages_in.fetch_add(tally.messages_in, Ordering::Relaxed);
        self.messages_out.fetch_add(tally.messages_out, Ordering::Relaxed);
    }
}

impl Endpoint {
    /// How much there is at the moment. Locks each session for a moment, one after the other: what it costs grows with the number
    /// of sessions, so it is for a monitor that asks every few seconds and not for every request.
    ///
    /// Numbers of one call belong together as far as sessions stand still meanwhile.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            sockets: self.0.sockets.load(Ordering::Relaxed),
            behaviours: self.0.mounts.connections(),
            held_bytes: self.0.budgets.bytes(),
            ..Stats::default()
        };
        for session in self.0.all() {
            let tally = session.0.tally();
            stats.sessions += 1;
            *match tally.status {
                Status::Uninitialized | Status::Rendered => &mut stats.making,
                Status::Displayed => &mut stats.displayed,
                Status::Open => &mut stats.open,
                Status::SoftClosed => &mut stats.soft_closed,
                // It is about to go.
                Status::Closed => continue,
            } += 1;
            stats.tasks += session.task_count();
            stats.bindings += session.binding_count();
            stats.queued_bytes += tally.queued_bytes;
            stats.in_flight_bytes += tally.in_flight_bytes;
        }
        stats
    }

    /// What has happened since the endpoint was built. Costs what [`stats`](Self::stats) does.
    ///
    /// ```
    /// # let live = bonito_core::Endpoint::builder("/live").build();
    /// let (now, ever) = (live.stats(), live.totals());
    /// println!("{} pages, {} bytes, {} closed for want of room", now.open, now.held_bytes, ever.evicted);
    /// ```
    pub fn totals(&self) -> Totals {
        let counters = &self.0.counters;
        let (mut messages_in, mut messages_out) = (0, 0);
        for session in self.0.all() {
            let tally = session.0.tally();
            messages_in += tally.messages_in;
            messages_out += tally.messages_out;
        }
        Totals {
            sessions: counters.get(Count::Sessions),
            evicted: counters.evicted.load(Ordering::Relaxed),
            overflowed: counters.overflowed.load(Ordering::Relaxed),
            refused_sessions: counters.get(Count::RefusedSessions),
            refused_sockets: counters.get(Count::RefusedSockets),
            refused_uploads: self.0.budgets.refused(),
            messages_in: messages_in + counters.messages_in.load(Ordering::Relaxed),
            messages_out: messages_out + counters.messages_out.load(Ordering::Relaxed),
        }
    }
}
