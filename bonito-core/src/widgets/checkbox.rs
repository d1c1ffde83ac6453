//! A yes or no.

use super::field::{Field, field_methods, field_script};
use crate::Observable;
use crate::page::Fragment;
use crate::session::Session;

/// An `<input type="checkbox">` with its label beside it.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::Checkbox};
/// # let session = Endpoint::builder("/live").build().session();
/// let news = Observable::new(true);
/// let html = Checkbox::new(&news).label("Send me news").render(&session);
/// # assert!(html.to_string().contains(" checked"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "render makes the HTML"]
pub struct Checkbox {
    value: Observable<bool>,
    field: Field,
}

impl Checkbox {
    /// A checkbox for this flag.
    pub fn new(value: &Observable<bool>) -> Self {
        Self { value: value.clone(), field: Field::default() }
    }

    field_methods!();

    /// The HTML of the checkbox, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        let frame = self.field.frame(session, "checkbox");
        let input = self.field.input(session, &self.value, |payload| payload.decode());
        frame.start(frame.script(field_script!("checkbox.js"), &[""], &input), &self.value);
        let checked = if self.value.get() { " checked" } else { "" };
        Fragment(format!(
            "<div class=\"bonito-field\"><div class=\"bonito-check\"><input type=\"checkbox\" {}{checked}>{}</div>{}</div>",
            frame.attributes(""),
            frame.label(),
            frame.notes()
        ))
    }
}
