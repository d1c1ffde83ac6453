//! Silence of one behaviour's client: when to ping it, when to give it up.

use std::time::{Duration, Instant};

use super::later;

/// A shorter interval between pings is taken for this one.
const SHORTEST: Duration = Duration::from_millis(10);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send a ping.
    Ping,
    /// The client was silent for the idle timeout, or took nothing for as long.
    Timeout,
}

/// Watches one client. Each frame that it sends counts, a ping or pong too; what is sent to it does not.
#[derive(Debug)]
pub(crate) struct Idle {
    timeout: Duration,
    ping: Option<Duration>,
    heard: Instant,
    pinged: Instant,
    /// The client takes nothing, so it is not listened to either: its silence since then is ours.
    blocked: Option<Instant>,
}

impl Idle {
    pub(crate) fn new(timeout: Duration, ping: Option<Duration>, now: Instant) -> Self {
        Self { timeout, ping: ping.map(|ping| ping.max(SHORTEST)), heard: now, pinged: now, blocked: None }
    }

    /// A frame came.
    pub(crate) fn handle_received(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The client takes no more, or does again.
    pub(crate) fn handle_blocked(&mut self, blocked: bool, now: Instant) {
        if !blocked {
            self.blocked = None;
        } else if self.blocked.is_none() {
            self.blocked = Some(now);
        }
    }

    /// The client took something.
    pub(crate) fn handle_progress(&mut self, now: Instant) {
        if self.blocked.is_some() {
            self.blocked = Some(now);
        }
    }

    /// What is due at `now`. Ask again until it answers `None`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Due> {
        if now >= self.timeout_at() {
            return Some(Due::Timeout);
        }
        if self.next_ping().is_some_and(|at| now >= at) {
            self.pinged = now;
            return Some(Due::Ping);
        }
        None
    }

    /// When to poll next.
    pub(crate) fn poll_timeout(&self) -> Instant {
        let timeout = self.timeout_at();
        self.next_ping().map_or(timeout, |ping| ping.min(timeout))
    }

    fn timeout_at(&self) -> Instant {
        later(self.blocked.unwrap_or(self.heard), self.timeout)
    }

    fn next_ping(&self) -> Option<Instant> {
        // Whoever takes nothing takes no ping.
        self.ping.filter(|_| self.blocked.is_none()).map(|ping| later(self.heard.max(self.pinged), ping))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start somewhere")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn whoever_is_silent_for_the_timeout_is_given_up() {
        let t0 = Instant::now();
        let mut idle = Idle::new(60 * SECOND, None, t0);
        assert_eq!(idle.poll_timeout(), t0 + 60 * SECOND);
        idle.handle_received(t0 + 59 * SECOND);
        assert_eq!(idle.poll(t0 + 60 * SECOND), None);
        assert_eq!(idle.poll(t0 + 119 * SECOND), Some(Due::Timeout));
    }

    #[test]
    fn a_ping_is_sent_once_an_interval_and_does_not_count_itself() {
        let t0 = Instant::now();
        let mut idle = Idle::new(60 * SECOND, Some(25 * SECOND), t0);
        for round in 1..=2 {
            let now = t0 + round * 25 * SECOND;
            assert_eq!((idle.poll(now), idle.poll(now)), (Some(Due::Ping), None));
        }
        assert_eq!(idle.poll_timeout(), t0 + 60 * SECOND);
        assert_eq!(idle.poll(t0 + 60 * SECOND), Some(Due::Timeout));
    }

    #[test]
    fn whoever_is_not_listened_to_has_its_time_from_the_last_it_took() {
        let t0 = Instant::now();
        let mut idle = Idle::new(60 * SECOND, Some(25 * SECOND), t0);
        idle.handle_blocked(true, t0 + 50 * SECOND);
        idle.handle_blocked(true, t0 + 55 * SECOND);
        assert_eq!(idle.poll_timeout(), t0 + 110 * SECOND, "and it is not pinged");
        idle.handle_progress(t0 + 100 * SECOND);
        assert_eq!(idle.poll(t0 + 159 * SECOND), None);
        assert_eq!(idle.poll(t0 + 160 * SECOND), Some(Due::Timeout));
        idle.handle_blocked(false, t0 + 160 * SECOND);
        assert_eq!(idle.poll_timeout(), t0 + 25 * SECOND, "its ping is due at once");
    }

    #[test]
    fn a_timeout_without_end_never_comes() {
        let t0 = Instant::now();
        let mut idle = Idle::new(Duration::MAX, None, t0);
        assert_eq!(idle.poll(t0 + 1_000_000 * SECOND), None);
    }
}
