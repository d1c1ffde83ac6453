//! Numbers that a control may hold.

use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::field::refused;
use crate::proto::DecodeError;

mod sealed {
    #[expect(unnameable_types, reason = "nobody else may add a number")]
    pub trait Sealed {}
}

/// A number of a control: `f64`, or an integer. Browsers know integers beyond 2^53 only roughly.
pub trait Number:
    sealed::Sealed
    + Copy
    + PartialOrd
    + Debug
    + Display
    + Serialize
    + DeserializeOwned
    + NumberValue<Number = Self>
{
    /// Whether there are numbers between two neighbouring integers.
    const HAS_FRACTIONS: bool;

    /// The number as JavaScript has it.
    fn to_f64(self) -> f64;
}

/// What a [`NumberField`](super::NumberField) may hold: a [`Number`], or an `Option` of one, which is `None` while the field is
/// empty.
pub trait NumberValue: sealed::Sealed + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The number.
    type Number: Number;
    /// Whether the field may be empty.
    const OPTIONAL: bool;

    /// The number, if there is one.
    fn number(&self) -> Option<Self::Number>;
}

macro_rules! numbers {
    ($has_fractions:literal: $($number:ty)*) => {$(
        impl sealed::Sealed for $number {}

        impl Number for $number {
            const HAS_FRACTIONS: bool = $has_fractions;

            fn to_f64(self) -> f64 {
                self as f64
            }
        }

        impl NumberValue for $number {
            type Number = Self;
            const OPTIONAL: bool = false;

            fn number(&self) -> Option<Self> {
                Some(*self)
            }
        }
    )*};
}

numbers! { true: f64 }
numbers! { false: i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

impl<N: Number> sealed::Sealed for Option<N> {}

impl<N: Number> NumberValue for Option<N> {
    type Number = N;
    const OPTIONAL: bool = true;

    fn number(&self) -> Self {
        *self
    }
}

/// The bounds of a number, either of which may be absent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<N> {
    pub(super) least: Option<N>,
    pub(super) most: Option<N>,
}

impl<N: Number> Bounds<N> {
    pub(super) const NONE: Self = Self { least: None, most: None };

    #[track_caller]
    pub(super) fn of(range: &RangeInclusive<N>) -> Self {
        let (least, most) = (*range.start(), *range.end());
        let finite = least.to_f64().is_finite() && most.to_f64().is_finite();
        assert!(
            finite && least <= most,
            "expected a range from a number to one that is not less, got {range:?}"
        );
        Self { least: Some(least), most: Some(most) }
    }

    /// Refuses what no control in these bounds offers.
    pub(super) fn check(&self, number: N) -> Result<(), DecodeError> {
        if !number.to_f64().is_finite() {
            return Err(refused(format!("expected a finite number, {number} came")));
        }
        if let Some(least) = self.least.filter(|least| number < *least) {
            return Err(refused(format!("expected at least {least}, {number} came")));
        }
        if let Some(most) = self.most.filter(|most| number > *most) {
            return Err(refused(format!("expected at most {most}, {number} came")));
        }
        Ok(())
    }
}

/// The step of a slider over this range, and the digits behind the point that its numbers have.
pub(super) fn step_of<N: Number>(least: N, most: N, step: Option<N>) -> (f64, usize) {
    let step = step
        .map(N::to_f64)
        .unwrap_or_else(|| if N::HAS_FRACTIONS { (most.to_f64() - least.to_f64()) / 100.0 } else { 1.0 });
    let digits = format!("{step}").split_once('.').map_or(0, |(_, digits)| digits.len());
    (step, digits.min(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_refuse_what_is_outside_and_what_is_no_number() {
        let bounds = Bounds::of(&(0.0..=10.0));
        assert!(bounds.check(0.0).is_ok() && bounds.check(10.0).is_ok());
        for bad in [-0.1, 10.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(bounds.check(bad).is_err(), "{bad}");
        }
        assert!(Bounds::NONE.check(f64::NAN).is_err());
    }

    #[test]
    #[should_panic(expected = "not less")]
    fn a_range_from_more_to_less_is_a_mistake() {
        Bounds::of(&RangeInclusive::new(2, 1));
    }

    #[test]
    fn a_step_has_the_digits_that_it_is_written_with() {
        assert_eq!(step_of(0.0, 100.0, Some(0.5)), (0.5, 1));
        assert_eq!(step_of(0.0, 1.0, None), (0.01, 2));
        assert_eq!(step_of(0, 10, None), (1.0, 0));
    }
}
