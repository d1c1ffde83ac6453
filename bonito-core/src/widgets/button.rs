//! A button.

use std::fmt;
use std::sync::Arc;

use super::field::{Field, field_script, keep_input};
use crate::Observable;
use crate::page::{Escaped, Fragment};
use crate::session::Session;

/// A `<button>` that runs Rust when it is clicked.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::Button};
/// # let session = Endpoint::builder("/live").build().session();
/// let saved = Observable::new(0);
/// let count = saved.clone();
/// let html = Button::new("Save").primary().on_click(move || count.update(|n| *n += 1)).render(&session);
/// # assert!(html.to_string().contains(">Save</button>"));
/// ```
#[must_use = "render makes the HTML"]
pub struct Button {
    field: Field,
    primary: bool,
    clicked: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Button {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Button").field("label", &self.field.label).finish_non_exhaustive()
    }
}

impl Button {
    /// A button with this text on it, which is escaped.
    pub fn new(label: impl Into<String>) -> Self {
        let field = Field { label: label.into(), ..Field::default() };
        Self { field, primary: false, clicked: Arc::new(|| {}) }
    }

    /// What a click does; the last of several counts. It runs on the task of the session's socket: hand long work to
    /// [`Session::spawn`].
    pub fn on_click(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.clicked = Arc::new(f);
        self
    }

    /// Marks what the page is for.
    pub fn primary(mut self) -> Self {
        self.primary = true;
        self
    }

    /// While this is `true` the button cannot be clicked, and a click that comes from the page all the same is refused.
    pub fn disabled(mut self, disabled: &Observable<bool>) -> Self {
        self.field.disabled = Some(disabled.clone());
        self
    }

    /// The `id` of the button. It must be the only one of its page.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.field.id = Some(id.into());
        self
    }

    /// The HTML of the button, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        let frame = self.field.frame(session, "button");
        let (field, clicked) = (self.field.clone(), self.clicked);
        let input = keep_input(session, move |_, _| {
            field.usable()?;
            clicked();
            Ok(())
        });
        session.send_follower(&frame.script(field_script!("button.js"), &[""], &input));
        let class = if self.primary { "bonito-button bonito-primary" } else { "bonito-button" };
        let disabled = if self.field.is_disabled() { " disabled" } else { "" };
        Fragment(format!(
            "<button type=\"button\" class=\"{class}\" id=\"{id}\"{disabled}>{label}</button>",
            id = Escaped(&frame.id),
            label = Escaped(&self.field.label),
        ))
    }
}
