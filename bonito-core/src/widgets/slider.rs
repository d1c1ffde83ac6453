//! A number on a scale.

use std::ops::RangeInclusive;

use super::field::{Field, field_methods, field_script};
use super::number::{Bounds, Number, step_of};
use crate::Observable;
use crate::page::{Escaped, Fragment};
use crate::session::Session;

/// An `<input type="range">` with its value beside the label.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::Slider};
/// # let session = Endpoint::builder("/live").build().session();
/// let level = Observable::new(21.5);
/// let html = Slider::new(&level, 5.0..=30.0).step(0.5).unit(" °C").label("Temperature").render(&session);
/// # assert!(html.to_string().contains("21.5 °C"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "render makes the HTML"]
pub struct Slider<N: Number> {
    value: Observable<N>,
    field: Field,
    range: RangeInclusive<N>,
    bounds: Bounds<N>,
    step: Option<N>,
    unit: String,
}

impl<N: Number> Slider<N> {
    /// A slider for this number over this range.
    ///
    /// # Panics
    ///
    /// If the range is empty or has no finite ends.
    #[track_caller]
    pub fn new(value: &Observable<N>, range: RangeInclusive<N>) -> Self {
        let bounds = Bounds::of(&range);
        Self { value: value.clone(), field: Field::default(), range, bounds, step: None, unit: String::new() }
    }

    field_methods!();

    /// The step, to which the browser holds honest users; that what comes is in the range is checked here, the step is not.
    /// By default one for integers, and a hundredth of the range for other numbers.
    pub fn step(mut self, step: N) -> Self {
        self.step = Some(step);
        self
    }

    /// What stands behind the number, a blank before it included: `" kg"`.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// The HTML of the slider, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        let frame = self.field.frame(session, "slider");
        let bounds = self.bounds;
        let input = self.field.input(session, &self.value, move |payload| {
            let number = payload.decode()?;
            bounds.check(number)?;
            Ok(number)
        });
        let (least, most) = (*self.range.start(), *self.range.end());
        let (step, digits) = step_of(least, most, self.step);
        let script = frame.script(field_script!("slider.js"), &[""], &input);
        frame.start(script.with("unit", &self.unit).with("digits", &digits), &self.value);
        let value = self.value.get().to_f64();
        Fragment(format!(
            "<div class=\"bonito-field\"><div class=\"bonito-head\">{label}\
             <output class=\"bonito-value\" id=\"{id}-shown\" for=\"{id}\">{value:.digits$}{unit}</output></div>\
             <div class=\"bonito-slider\"><span class=\"bonito-track\"></span>\
             <input type=\"range\" {attributes} min=\"{least}\" max=\"{most}\" step=\"{step}\" value=\"{value}\">\
             </div>{notes}</div>",
            label = frame.label(),
            id = Escaped(&frame.id),
            unit = Escaped(&self.unit),
            attributes = frame.attributes(""),
            notes = frame.notes(),
        ))
    }
}
