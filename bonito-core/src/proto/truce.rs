//! Slows down two pages that take one session from each other.
//!
//! A client that does not know close code 4001 comes back at once when another socket has taken its session over. Two tabs
//! with the same page would go on for ever at the speed of the network.

use std::time::{Duration, Instant};

/// So many takeovers in a row cost nothing: a browser that changes its network looks the same.
const FREE: u32 = 3;
const FIRST: Duration = Duration::from_millis(250);
/// After so long without one, takeovers count from the beginning.
const FORGIVEN: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Truce {
    longest: Duration,
    count: u32,
    last: Option<Instant>,
}

impl Truce {
    pub(crate) fn new(longest: Duration) -> Self {
        Self { longest, count: 0, last: None }
    }

    /// A socket has taken the session from another that was there.
    pub(crate) fn handle_takeover(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > FORGIVEN) {
            self.count = 0;
        }
        self.count += 1;
        self.last = Some(now);
    }

    /// When the session may be taken over again, if that is not now.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let steps = self.count.checked_sub(FREE)?;
        let pause = FIRST.saturating_mul(1 << steps.min(16)).min(self.longest);
        let at = self.last? + pause;
        (at > now).then_some(at)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start somewhere")]
mod tests {
    use super::*;

    #[test]
    fn a_fight_slows_down_and_is_forgiven_in_time() {
        let mut now = Instant::now();
        let mut truce = Truce::new(Duration::from_secs(8));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let at = truce.poll_timeout(now).unwrap_or(now);
            pauses.push((at - now).as_millis());
            now = at;
            truce.handle_takeover(now);
        }
        assert_eq!(pauses, [0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
        now += Duration::from_secs(31);
        truce.handle_takeover(now);
        assert_eq!(truce.poll_timeout(now), None);
    }
}
