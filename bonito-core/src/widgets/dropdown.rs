//! One of several.

use std::fmt::Write;

use serde::Serialize;

use super::field::{Field, field_methods, field_script, refused};
use crate::Observable;
use crate::page::{Escaped, Fragment};
use crate::session::Session;

/// A `<select>` of one of several values, each with a text of its own.
///
/// The page says which of them was chosen, by its place: it cannot name a value that was not offered. While the observable
/// holds none of them, none is shown as chosen.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::Dropdown};
/// # let session = Endpoint::builder("/live").build().session();
/// #[derive(Clone, PartialEq, serde::Serialize)]
/// enum Size { Small, Large }
///
/// let size = Observable::new(Size::Large);
/// let html = Dropdown::new(&size, [(Size::Small, "Small"), (Size::Large, "Large")]).label("Size").render(&session);
/// # assert!(html.to_string().contains("selected>Large</option>"));
///
/// let fruit = Observable::new(String::new());
/// let html = Dropdown::new(&fruit, [("a", "Apple"), ("p", "Pear")]).label("Fruit").placeholder("Choose…").render(&session);
/// # assert!(html.to_string().contains("selected>Choose…</option>"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "render makes the HTML"]
pub struct Dropdown<T> {
    value: Observable<T>,
    field: Field,
    options: Vec<(T, String)>,
    placeholder: Option<String>,
}

impl<T: Clone + PartialEq + Serialize + Send + Sync + 'static> Dropdown<T> {
    /// A choice among these values, each with the text that is shown for it.
    pub fn new<V: Into<T>, L: Into<String>>(
        value: &Observable<T>,
        options: impl IntoIterator<Item = (V, L)>,
    ) -> Self {
        let options = options.into_iter().map(|(value, text)| (value.into(), text.into())).collect();
        Self { value: value.clone(), field: Field::default(), options, placeholder: None }
    }

    field_methods!();

    /// What is shown while none is chosen. It cannot be chosen itself.
    pub fn placeholder(mut self, placeholder: impl Into<String>) -> Self {
        self.placeholder = Some(placeholder.into());
        self
    }

    /// The HTML of the choice, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        let frame = self.field.frame(session, "dropdown");
        let (values, texts): (Vec<T>, Vec<String>) = self.options.into_iter().unzip();
        let chosen = self.value.with(|value| values.iter().position(|each| each == value));
        let mut options = String::new();
        if let Some(placeholder) = &self.placeholder {
            let selected = if chosen.is_none() { " selected" } else { "" };
            _ = write!(
                options,
                "<option value=\"\" disabled hidden{selected}>{}</option>",
                Escaped(placeholder)
            );
        }
        for (index, text) in texts.iter().enumerate() {
            let selected = if chosen == Some(index) { " selected" } else { "" };
            _ = write!(options, "<option value=\"{index}\"{selected}>{}</option>", Escaped(text));
        }
        let offered = values.clone();
        let input = self.field.input(session, &self.value, move |payload| {
            let index: usize = payload.decode()?;
            let count = offered.len();
            let value = offered.get(index).cloned();
            value.ok_or_else(|| refused(format!("expected one of {count} options, number {index} came")))
        });
        let script = frame.script(field_script!("dropdown.js"), &[""], &input).with("values", &values);
        frame.start(script, &self.value);
        Fragment(format!(
            "<div class=\"bonito-field\">{}<select class=\"bonito-input\" {}>{options}</select>{}</div>",
            frame.label(),
            frame.attributes(""),
            frame.notes()
        ))
    }
}
