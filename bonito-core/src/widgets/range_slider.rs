//! A part of a scale.

use std::ops::RangeInclusive;

use super::field::{Field, field_methods, field_script, refused};
use super::number::{Bounds, Number, step_of};
use crate::Observable;
use crate::page::{Escaped, Fragment};
use crate::session::Session;

/// Two `<input type="range">` on one scale, for the lower and the upper end of a range.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::RangeSlider};
/// # let session = Endpoint::builder("/live").build().session();
/// let price = Observable::new((20, 80));
/// let html = RangeSlider::new(&price, 0..=100).unit(" €").label("Price").render(&session);
/// # assert!(html.to_string().contains("20 € – 80 €"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "render makes the HTML"]
pub struct RangeSlider<N: Number> {
    value: Observable<(N, N)>,
    field: Field,
    range: RangeInclusive<N>,
    bounds: Bounds<N>,
    step: Option<N>,
    unit: String,
    ends: (String, String),
}

impl<N: Number> RangeSlider<N> {
    /// A slider for both ends of a range within this range.
    ///
    /// # Panics
    ///
    /// If the range is empty or has no finite ends.
    #[track_caller]
    pub fn new(value: &Observable<(N, N)>, range: RangeInclusive<N>) -> Self {
        let bounds = Bounds::of(&range);
        Self {
            value: value.clone(),
            field: Field::default(),
            range,
            bounds,
            step: None,
            unit: String::new(),
            ends: ("from".into(), "to".into()),
        }
    }

    field_methods!();

    /// The step, as for a [`Slider`](super::Slider::step).
    pub fn step(mut self, step: N) -> Self {
        self.step = Some(step);
        self
    }

    /// What stands behind the numbers, a blank before it included: `" kg"`.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// What the two ends are called behind the label, for those who hear the page; "from" and "to" by default.
    pub fn ends(mut self, lower: impl Into<String>, upper: impl Into<String>) -> Self {
        self.ends = (lower.into(), upper.into());
        self
    }

    /// The HTML of the slider, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        let frame = self.field.frame(session, "range slider");
        let bounds = self.bounds;
        let input = self.field.input(session, &self.value, move |payload| {
            let (from, to): (N, N) = payload.decode()?;
            bounds.check(from)?;
            bounds.check(to)?;
            if from > to {
                return Err(refused(format!("expected the lower end first, {from} and {to} came")));
            }
            Ok((from, to))
        });
        let (least, most) = (*self.range.start(), *self.range.end());
        let (step, digits) = step_of(least, most, self.step);
        let script = frame.script(field_script!("range_slider.js"), &["-from", "-to"], &input);
        frame.start(script.with("unit", &self.unit).with("digits", &digits), &self.value);

        let (id, unit) = (Escaped(&frame.id), Escaped(&self.unit));
        let (from, to) = self.value.get();
        let (from, to) = (from.to_f64(), to.to_f64());
        let end = |part: &str, name: &str, value: f64| {
            format!(
                "<input type=\"range\" {attributes} aria-label=\"{label} {name}\" min=\"{least}\" max=\"{most}\" \
                 step=\"{step}\" value=\"{value}\">",
                attributes = frame.attributes(part),
                label = Escaped(&self.field.label),
                name = Escaped(name),
            )
        };
        Fragment(format!(
            "<div class=\"bonito-field\" id=\"{id}\" role=\"group\" aria-labelledby=\"{id}-label\"><div class=\"bonito-head\">\
             <span class=\"bonito-label\" id=\"{id}-label\">{label}</span>\
             <output class=\"bonito-value\" id=\"{id}-shown\" for=\"{id}-from {id}-to\">\
             {from:.digits$}{unit} – {to:.digits$}{unit}</output></div>\
             <div class=\"bonito-slider bonito-range\"><span class=\"bonito-track\"></span>{lower}{upper}</div>{notes}</div>",
            label = Escaped(&self.field.label),
            lower = end("-from", &self.ends.0, from),
            upper = end("-to", &self.ends.1, to),
            notes = frame.notes(),
        ))
    }
}
