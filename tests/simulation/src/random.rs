//! Numbers from a seed.

use fastrand::Rng;

/// What is drawn in a schedule.
#[derive(Clone, Debug)]
pub struct Random(Rng);

impl Random {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number from `low`, below `high`.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        self.0.u64(low..high)
    }

    /// An index below `len`.
    pub fn below(&mut self, len: usize) -> usize {
        self.0.usize(..len)
    }

    /// True so many times in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.0.u64(..100) < percent
    }
}
