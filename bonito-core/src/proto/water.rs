//! Tells when much waits, and when little does again.

use std::ops::Range;

use crate::Limits;

/// What waits for a page against two marks, so that a queue which hovers about one of them says nothing.
#[derive(Debug)]
pub(crate) struct Water {
    high: usize,
    low: usize,
    above: bool,
    told: bool,
}

impl Water {
    pub(crate) fn new(limits: &Limits) -> Self {
        let high = limits.high_water_bytes.max(1);
        Self { high, low: limits.low_water_bytes.min(high - 1), above: false, told: false }
    }

    /// So many bytes wait now. Answers whether there is something to tell.
    pub(crate) fn handle_level(&mut self, bytes: usize) -> bool {
        if bytes >= self.high {
            self.above = true;
        } else if bytes <= self.low {
            self.above = false;
        }
        self.above != self.told
    }

    /// The levels at which there would be nothing to tell.
    pub(crate) fn still(&self) -> Range<usize> {
        match (self.above, self.told) {
            (true, true) => self.low + 1..usize::MAX,
            (false, false) => 0..self.high,
            _ => 0..0,
        }
    }

    /// Whether it is above the high mark now, if that is news. What has come and gone since is none.
    #[must_use = "it is told once"]
    pub(crate) fn poll(&mut self) -> Option<bool> {
        let news = self.above != self.told;
        self.told = self.above;
        news.then_some(self.above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn water(high: usize, low: usize) -> Water {
        let mut limits = Limits::default();
        (limits.high_water_bytes, limits.low_water_bytes) = (high, low);
        Water::new(&limits)
    }

    #[test]
    fn each_mark_is_told_once_and_between_them_nothing() {
        let mut water = water(100, 20);
        let levels = [99, 100, 21, 100, 20, 99, 20, 500];
        let told: Vec<_> = levels
            .iter()
            .map(|level| {
                let still = water.still().contains(level);
                let news = water.handle_level(*level);
                let told = water.poll();
                assert_eq!(told.is_some(), news);
                assert_eq!(!still, news);
                told
            })
            .collect();
        assert_eq!(told, [None, Some(true), None, None, Some(false), None, None, Some(true)]);
    }

    #[test]
    fn what_has_come_and_gone_is_no_news() {
        let mut water = water(100, 20);
        assert!(water.handle_level(100));
        assert!(!water.handle_level(0));
        assert_eq!(water.poll(), None);
    }

    #[test]
    fn marks_that_make_no_sense_still_alternate() {
        let mut water = water(10, 50);
        assert!(water.handle_level(10));
        assert_eq!(water.poll(), Some(true));
        assert!(water.handle_level(9));
        assert_eq!(water.poll(), Some(false));
    }
}
