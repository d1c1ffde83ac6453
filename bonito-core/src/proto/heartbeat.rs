//! Liveness of one socket: when to ping, when to give it up.

use std::time::{Duration, Instant};

use super::later;
use crate::Limits;

/// A shorter interval between pings is taken for this one.
const SHORTEST: Duration = Duration::from_millis(10);

/// What a socket's loop has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Send a ping.
    Ping,
    /// The peer has been silent for too long.
    Dead,
    /// The peer has not said a word since the upgrade.
    NoHello,
}

/// Watches one socket. Whatever is received counts as a sign of life.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    ping_interval: Duration,
    dead_after: Duration,
    hello_by: Option<Instant>,
    heard: Instant,
    pinged: Instant,
}

impl Heartbeat {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            ping_interval: limits.ping_interval.max(SHORTEST),
            dead_after: limits.dead_after,
            hello_by: Some(later(now, limits.hello_timeout)),
            heard: now,
            pinged: now,
        }
    }

    /// Something came from the peer.
    pub(crate) fn handle_received(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A message of the protocol came.
    pub(crate) fn handle_hello(&mut self) {
        self.hello_by = None;
    }

    /// What is due at `now`. Ask again until it answers `None`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Beat> {
        if now >= self.dead_at() {
            return Some(Beat::Dead);
        }
        if self.hello_by.is_some_and(|by| now >= by) {
            return Some(Beat::NoHello);
        }
        if now >= self.next_ping() {
            self.pinged = now;
            return Some(Beat::Ping);
        }
        None
    }

    /// When to poll next.
    pub(crate) fn poll_timeout(&self) -> Instant {
        let next = self.next_ping().min(self.dead_at());
        self.hello_by.map_or(next, |by| by.min(next))
    }

    fn next_ping(&self) -> Instant {
        later(self.heard.max(self.pinged), self.ping_interval)
    }

    fn dead_at(&self) -> Instant {
        later(self.heard, self.dead_after)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start somewhere")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> (Heartbeat, Instant) {
        let now = Instant::now();
        (Heartbeat::new(&Limits::default(), now), now)
    }

    #[test]
    fn a_quiet_peer_is_pinged_and_then_given_up() {
        let (mut beat, t0) = start();
        beat.handle_hello();
        assert_eq!(beat.poll(t0), None);
        assert_eq!(beat.poll_timeout(), t0 + 15 * SECOND);
        assert_eq!(beat.poll(t0 + 15 * SECOND), Some(Beat::Ping));
        assert_eq!(beat.poll(t0 + 15 * SECOND), None, "one ping a time");
        assert_eq!(beat.poll_timeout(), t0 + 30 * SECOND);
        assert_eq!(beat.poll(t0 + 30 * SECOND), Some(Beat::Dead));
    }

    #[test]
    fn an_interval_of_nothing_is_not_a_ping_without_end() {
        let now = Instant::now();
        let limits = Limits { ping_interval: Duration::ZERO, ..Limits::default() };
        let mut beat = Heartbeat::new(&limits, now);
        let now = now + SECOND;
        assert_eq!((beat.poll(now), beat.poll(now)), (Some(Beat::Ping), None));
    }

    #[test]
    fn a_pong_keeps_the_socket_alive() {
        let (mut beat, t0) = start();
        beat.handle_hello();
        for round in 1..100u32 {
            let now = t0 + round * 15 * SECOND;
            assert_eq!(beat.poll(now), Some(Beat::Ping));
            beat.handle_received(now);
            assert_eq!(beat.poll(now), None);
        }
    }

    #[test]
    fn who_answers_pings_but_never_says_hello_is_shown_the_door() {
        let (mut beat, t0) = start();
        beat.handle_received(t0 + 9 * SECOND);
        assert_eq!(beat.poll_timeout(), t0 + 10 * SECOND);
        assert_eq!(beat.poll(t0 + 10 * SECOND), Some(Beat::NoHello));
    }
}
