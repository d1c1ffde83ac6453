//! The style sheet of the widgets.

use std::fmt;

use crate::page::Escaped;

/// The style sheet of the widgets as text, for an app that serves it as a file of its own.
pub const STYLESHEET: &str = include_str!("style.css");

/// The style sheet of the widgets, for the head of a page; made by [`style`].
#[derive(Clone, Debug, Default)]
pub struct Style {
    nonce: Option<String>,
}

/// The style sheet of the widgets as a `<style>` element, for the head of a page:
/// `Page::new("Form").head(widgets::style())`.
///
/// Under a Content-Security-Policy it needs `style-src 'nonce-…'` and the nonce of it; or serve [`STYLESHEET`] from a route of
/// your own under `style-src 'self'`.
pub fn style() -> Style {
    Style::default()
}

impl Style {
    /// Marks the element with the nonce of the page's Content-Security-Policy.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.nonce {
            Some(nonce) => write!(f, "<style nonce=\"{}\">{STYLESHEET}</style>", Escaped(nonce)),
            None => write!(f, "<style>{STYLESHEET}</style>"),
        }
    }
}

#[cfg(feature = "maud")]
impl maud::Render for Style {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.to_string());
    }
}
