//! Numbers that a browser may send.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number between two bounds.
///
/// A control's `min` and `max` bind honest users only. A value of this type cannot be read from a number that is out of
/// bounds, so an observable of it refuses what a dishonest one sends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub(crate) struct Bounded<const MIN: i32, const MAX: i32>(f64);

impl<const MIN: i32, const MAX: i32> Bounded<MIN, MAX> {
    /// The nearest number within the bounds; not a number becomes the lower one.
    pub(crate) fn near(number: f64) -> Self {
        Self(number.max(MIN.into()).min(MAX.into()))
    }

    pub(crate) fn get(self) -> f64 {
        self.0
    }

    /// Without what follows the point.
    pub(crate) fn whole(self) -> i64 {
        self.0 as i64
    }
}

impl<const MIN: i32, const MAX: i32> TryFrom<f64> for Bounded<MIN, MAX> {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if (f64::from(MIN)..=f64::from(MAX)).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("{number} is not between {MIN} and {MAX}"))
        }
    }
}

impl<const MIN: i32, const MAX: i32> From<Bounded<MIN, MAX>> for f64 {
    fn from(number: Bounded<MIN, MAX>) -> Self {
        number.0
    }
}

impl<const MIN: i32, const MAX: i32> fmt::Display for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Percent = Bounded<0, 100>;

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        assert_eq!(Percent::try_from(0.0).unwrap().get(), 0.0);
        assert_eq!(Percent::try_from(100.0).unwrap().to_string(), "100");
        for number in [-0.1, 100.5, f64::NAN, f64::INFINITY] {
            assert!(Percent::try_from(number).is_err(), "{number}");
        }
    }

    #[test]
    fn near_always_finds_one() {
        assert_eq!(Percent::near(f64::NAN).get(), 0.0);
        assert_eq!(Percent::near(f64::INFINITY).get(), 100.0);
        assert_eq!(Percent::near(42.5).get(), 42.5);
    }
}
