//! A number.

use std::fmt::Write;
use std::ops::RangeInclusive;

use super::field::{Field, field_methods, field_script};
use super::number::{Bounds, Number, NumberValue};
use crate::Observable;
use crate::page::{Escaped, Fragment};
use crate::session::Session;

/// An `<input type="number">`.
///
/// The observable follows what is entered as long as that is a number in the range; what is not stays in the field and is
/// marked with a hint, and the observable keeps its value. An `Option` of a number may be left empty.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::NumberField};
/// # let session = Endpoint::builder("/live").build().session();
/// let age = Observable::new(36_u8);
/// let height: Observable<Option<f64>> = Observable::new(None);
/// let age = NumberField::new(&age).range(0..=130).label("Age").render(&session);
/// let height = NumberField::new(&height).min(0.0).label("Height in metres").render(&session);
/// # assert!(age.to_string().contains("max=\"130\"") && height.to_string().contains("step=\"any\""));
/// ```
#[derive(Clone, Debug)]
#[must_use = "render makes the HTML"]
pub struct NumberField<T: NumberValue> {
    value: Observable<T>,
    field: Field,
    bounds: Bounds<T::Number>,
    step: Option<T::Number>,
    hint: Option<String>,
    placeholder: String,
}

impl<T: NumberValue> NumberField<T> {
    /// A field for this number.
    pub fn new(value: &Observable<T>) -> Self {
        Self {
            value: value.clone(),
            field: Field::default(),
            bounds: Bounds::NONE,
            step: None,
            hint: None,
            placeholder: String::new(),
        }
    }

    field_methods!();

    /// The numbers that it takes.
    ///
    /// # Panics
    ///
    /// If the range is empty or has no finite ends.
    #[track_caller]
    pub fn range(mut self, range: RangeInclusive<T::Number>) -> Self {
        self.bounds = Bounds::of(&range);
        self
    }

    /// The least number that it takes.
    pub fn min(mut self, least: T::Number) -> Self {
        self.bounds.least = Some(least);
        self
    }

    /// The greatest number that it takes.
    pub fn max(mut self, most: T::Number) -> Self {
        self.bounds.most = Some(most);
        self
    }

    /// The step of its arrows, and what the browser rounds honest users to; it is not checked here. By default integers go
    /// by one, and other numbers may be any.
    pub fn step(mut self, step: T::Number) -> Self {
        self.step = Some(step);
        self
    }

    /// What is shown when something else than such a number is entered, in place of the English sentence.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What stands in the field while it is empty.
    pub fn placeholder(mut self, placeholder: impl Into<String>) -> Self {
        self.placeholder = placeholder.into();
        self
    }

    /// The HTML of the field, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        let frame = self.field.frame(session, "number field");
        let bounds = self.bounds;
        let input = self.field.input(session, &self.value, move |payload| {
            let value: T = payload.decode()?;
            value.number().map_or(Ok(()), |number| bounds.check(number))?;
            Ok(value)
        });
        let hint = self.hint.clone().unwrap_or_else(|| self.default_hint());
        let script = frame.script(field_script!("number_field.js"), &[""], &input).with("hint", &hint);
        frame.start(script, &self.value);

        let mut attributes = frame.attributes("");
        for (name, bound) in [("min", bounds.least), ("max", bounds.most)] {
            if let Some(bound) = bound {
                _ = write!(attributes, " {name}=\"{bound}\"");
            }
        }
        match self.step {
            Some(step) => _ = write!(attributes, " step=\"{step}\""),
            None if T::Number::HAS_FRACTIONS => attributes.push_str(" step=\"any\""),
            None => {}
        }
        if !self.placeholder.is_empty() {
            _ = write!(attributes, " placeholder=\"{}\"", Escaped(&self.placeholder));
        }
        if !T::OPTIONAL {
            attributes.push_str(" required");
        }
        let mode = if T::Number::HAS_FRACTIONS { "decimal" } else { "numeric" };
        let value = self.value.get().number().map(|number| number.to_string()).unwrap_or_default();
        Fragment(format!(
            "<div class=\"bonito-field\">{}<input class=\"bonito-input\" type=\"number\" inputmode=\"{mode}\" \
             {attributes} value=\"{}\">{}</div>",
            frame.label(),
            Escaped(&value),
            frame.notes()
        ))
    }

    fn default_hint(&self) -> String {
        let what = if T::Number::HAS_FRACTIONS { "a number" } else { "a whole number" };
        let range = match (self.bounds.least, self.bounds.most) {
            (Some(least), Some(most)) => format!(" from {least} to {most}"),
            (Some(least), None) => format!(", at least {least}"),
            (None, Some(most)) => format!(", at most {most}"),
            (None, None) => String::new(),
        };
        let step = self.step.map(|step| format!(", in steps of {step}")).unwrap_or_default();
        format!("Enter {what}{range}{step}.")
    }
}
