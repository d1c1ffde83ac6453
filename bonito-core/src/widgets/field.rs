//! What all form controls have in common: a label, help, an error, and being disabled.

use std::fmt::Write;

use serde::Serialize;

use crate::js::Script;
use crate::observable::Observable;
use crate::page::Escaped;
use crate::proto::DecodeError;
use crate::proto::value::RawValue;
use crate::session::Session;

/// The source of a control's script: what all begin with, and its own.
macro_rules! field_script {
    ($file:literal) => {
        concat!(include_str!("field.js"), include_str!($file))
    };
}
pub(super) use field_script;

#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    pub(super) label: String,
    pub(super) help: String,
    pub(super) id: Option<String>,
    pub(super) error: Option<Observable<Option<String>>>,
    pub(super) disabled: Option<Observable<bool>>,
}

/// The methods of a builder that has a [`Field`].
macro_rules! field_methods {
    () => {
        /// The visible name of the control. It is text and is escaped.
        pub fn label(mut self, label: impl Into<String>) -> Self {
            self.field.label = label.into();
            self
        }

        /// A sentence of help below the control.
        pub fn help(mut self, help: impl Into<String>) -> Self {
            self.field.help = help.into();
            self
        }

        /// What is wrong with the value, in the eyes of the application: shown, announced, and the control marked as
        /// invalid, until it is `None`.
        pub fn error(mut self, error: &crate::Observable<Option<String>>) -> Self {
            self.field.error = Some(error.clone());
            self
        }

        /// While this is `true` the control cannot be used, and what the page sends for it all the same is refused.
        pub fn disabled(mut self, disabled: &crate::Observable<bool>) -> Self {
            self.field.disabled = Some(disabled.clone());
            self
        }

        /// The `id` of the control, for a label or a style of your own. It must be the only one of its page.
        pub fn id(mut self, id: impl Into<String>) -> Self {
            self.field.id = Some(id.into());
            self
        }
    };
}
pub(super) use field_methods;

/// A field that is being rendered: it has its id now.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    field: &'a Field,
    session: &'a Session,
    pub(super) id: String,
}

impl Field {
    pub(super) fn frame<'a>(&'a self, session: &'a Session, widget: &str) -> Frame<'a> {
        if self.label.is_empty() && self.id.is_none() {
            tracing::warn!(
                "a {widget} has neither a label nor an id for one: nobody can tell what it is for"
            );
        }
        let id = self.id.clone().unwrap_or_else(|| format!("bonito-{}", session.0.bindings.next_node()));
        Frame { field: self, session, id }
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.disabled.as_ref().is_some_and(|disabled| disabled.get())
    }

    fn error_text(&self) -> Option<String> {
        self.error.as_ref().and_then(Observable::get)
    }

    /// A name under which the page may set the observable to what `read` makes of its value. If that is refused, the page is
    /// told what holds.
    pub(super) fn input<T>(
        &self,
        session: &Session,
        observable: &Observable<T>,
        read: impl Fn(&RawValue) -> Result<T, DecodeError> + Send + Sync + 'static,
    ) -> String
    where
        T: Serialize + Send + Sync + 'static,
    {
        let (target, field) = (observable.clone(), self.clone());
        keep_input(session, move |session, payload| match field.usable().and_then(|()| read(payload)) {
            Ok(value) => {
                target.set_from(value, session.id());
                Ok(())
            }
            Err(refusal) => {
                session.0.bindings.tell_again(session, target.id());
                Err(refusal)
            }
        })
    }

    pub(super) fn usable(&self) -> Result<(), DecodeError> {
        if self.is_disabled() { Err(refused("the control is disabled")) } else { Ok(()) }
    }
}

/// Lets the page send values under a name, as long as the session lives. On a closed session nothing is sent to the name.
pub(super) fn keep_input(
    session: &Session,
    receive: impl Fn(&Session, &RawValue) -> Result<(), DecodeError> + Send + Sync + 'static,
) -> String {
    let Some(input) = session.input(receive) else { return String::new() };
    let name = input.name().to_owned();
    session.keep(input);
    name
}

pub(super) fn refused(what: impl Into<String>) -> DecodeError {
    DecodeError::wrong_type(what.into())
}

impl Frame<'_> {
    /// The attributes of the control, or of one of several.
    pub(super) fn attributes(&self, part: &str) -> String {
        let mut all = format!("id=\"{id}{part}\" aria-describedby=\"", id = Escaped(&self.id));
        if !self.field.help.is_empty() {
            _ = write!(all, "{}-help ", Escaped(&self.id));
        }
        _ = write!(all, "{}-error\"", Escaped(&self.id));
        if self.field.error_text().is_some() {
            all.push_str(" aria-invalid=\"true\"");
        }
        if self.field.is_disabled() {
            all.push_str(" disabled");
        }
        all
    }

    pub(super) fn label(&self) -> String {
        match self.field.label.as_str() {
            "" => String::new(),
            label => {
                format!(
                    "<label class=\"bonito-label\" for=\"{}\">{}</label>",
                    Escaped(&self.id),
                    Escaped(label)
                )
            }
        }
    }

    /// Help and error, which stand below the control.
    pub(super) fn notes(&self) -> String {
        let id = Escaped(&self.id);
        let help = match self.field.help.as_str() {
            "" => String::new(),
            help => format!("<p class=\"bonito-help\" id=\"{id}-help\">{}</p>", Escaped(help)),
        };
        let error = self.field.error_text().unwrap_or_default();
        let error = Escaped(&error);
        format!("{help}<p class=\"bonito-error\" id=\"{id}-error\" aria-live=\"polite\">{error}</p>")
    }

    /// The script that brings the control to life: `source` behind the prelude.
    pub(super) fn script(&self, source: &'static str, parts: &[&str], input: &str) -> Script {
        let mut script = Script::new(source).with("id", &self.id).with("parts", parts).with("input", input);
        if let Some(error) = &self.field.error {
            script = script.with("error", &error.read_only());
        }
        if let Some(disabled) = &self.field.disabled {
            script = script.with("disabled", &disabled.read_only());
        }
        script
    }

    /// Sends the script of a control that shows an observable.
    pub(super) fn start<T>(&self, script: Script, value: &Observable<T>)
    where
        T: Serialize + Send + Sync + 'static,
    {
        self.session.send_follower(&script.with("value", &value.read_only()));
    }
}
