//! A line of text, or several.

use std::fmt::Write;

use super::field::{Field, field_methods, field_script, keep_input, refused};
use crate::Observable;
use crate::page::{Escaped, Fragment};
use crate::proto::value::RawValue;
use crate::session::Session;

/// An `<input>` for a line of text, or a `<textarea>` for more of them.
///
/// The observable follows every keystroke. The length that the browser is held to is checked here as well.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::TextField};
/// # let session = Endpoint::builder("/live").build().session();
/// let name = Observable::new(String::new());
/// // Shown while it is `Some`.
/// let error = name.map(|name| name.is_empty().then(|| "Who are you?".to_owned()));
/// let html = TextField::new(&name).label("Name").placeholder("Ada").max_length(80).error(&error).render(&session);
/// # assert!(html.to_string().contains("Who are you?"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "render makes the HTML"]
pub struct TextField {
    value: Observable<String>,
    field: Field,
    kind: &'static str,
    lines: Option<u16>,
    placeholder: String,
    autocomplete: String,
    max_length: Option<usize>,
}

impl TextField {
    /// A field for this text.
    pub fn new(value: &Observable<String>) -> Self {
        Self {
            value: value.clone(),
            field: Field::default(),
            kind: "text",
            lines: None,
            placeholder: String::new(),
            autocomplete: String::new(),
            max_length: None,
        }
    }

    field_methods!();

    /// What stands in the field while it is empty: an example, not the label.
    pub fn placeholder(mut self, placeholder: impl Into<String>) -> Self {
        self.placeholder = placeholder.into();
        self
    }

    /// Most characters that it takes, counted as the browser does, in UTF-16. Without it the bound is the length of a
    /// message, [`Limits::message_bytes`](crate::Limits::message_bytes): a longer text is not sent, and reported to
    /// [`on_javascript_error`](Session::on_javascript_error).
    pub fn max_length(mut self, characters: usize) -> Self {
        self.max_length = Some(characters);
        self
    }

    /// Several lines, so many of them visible.
    pub fn lines(mut self, lines: u16) -> Self {
        self.lines = Some(lines);
        self
    }

    /// An address of email: suits keyboards and autofill. What is entered is not checked to be one.
    pub fn email(mut self) -> Self {
        self.kind = "email";
        self
    }

    /// Hides what is typed. The value goes from the page to Rust only: what Rust holds never travels to the page, so that a
    /// value set here does not show there.
    pub fn password(mut self) -> Self {
        self.kind = "password";
        self
    }

    /// What the browser may fill in: the [`autocomplete` attribute](https://html.spec.whatwg.org/#autofill), `name` or
    /// `street-address` for example.
    pub fn autocomplete(mut self, autocomplete: impl Into<String>) -> Self {
        self.autocomplete = autocomplete.into();
        self
    }

    /// The HTML of the field, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        let frame = self.field.frame(session, "text field");
        let (most, one_line) = (self.max_length, self.lines.is_none());
        let read = move |payload: &RawValue| {
            let text: String = payload.decode()?;
            let length = text.encode_utf16().count();
            match most {
                Some(most) if length > most => {
                    Err(refused(format!("expected at most {most} characters, {length} came")))
                }
                _ if one_line && text.contains(['\n', '\r']) => {
                    Err(refused("expected one line, several came"))
                }
                _ => Ok(text),
            }
        };
        let is_secret = self.kind == "password";
        let source = field_script!("text_field.js");
        if is_secret {
            let (target, field) = (self.value.clone(), self.field.clone());
            let input = keep_input(session, move |session, payload| {
                field.usable()?;
                target.set_from(read(payload)?, session.id());
                Ok(())
            });
            session.send_follower(&frame.script(source, &[""], &input));
        } else {
            let input = self.field.input(session, &self.value, read);
            frame.start(frame.script(source, &[""], &input), &self.value);
        }
        let mut attributes = frame.attributes("");
        for (name, value) in [("placeholder", &self.placeholder), ("autocomplete", &self.autocomplete)] {
            if !value.is_empty() {
                _ = write!(attributes, " {name}=\"{}\"", Escaped(value));
            }
        }
        if let Some(most) = most {
            _ = write!(attributes, " maxlength=\"{most}\"");
        }
        let value = if is_secret { String::new() } else { self.value.get() };
        let value = Escaped(&value);
        let control = match self.lines {
            // The line break behind the tag is not part of the text, and keeps one that the text begins with.
            Some(lines) => {
                format!("<textarea class=\"bonito-input\" rows=\"{lines}\" {attributes}>\n{value}</textarea>")
            }
            None => format!(
                "<input class=\"bonito-input\" type=\"{}\" {attributes} value=\"{value}\">",
                self.kind
            ),
        };
        Fragment(format!("<div class=\"bonito-field\">{}{control}{}</div>", frame.label(), frame.notes()))
    }
}
