//! HTML of the application's own, as a value.

use std::fmt;

use serde::{Serialize, Serializer};

use super::binding::Fragment;
use crate::proto::value::{RawValue, serialize_raw_ext};

/// HTML of your own. It is taken as it is: whatever a user could have written must be escaped in it already.
///
/// As a value, in [`js!`](crate::js) or of an [`Observable`](crate::Observable), it arrives as a `<div>` with this
/// content, whose scripts do not run (extension 108, protocol.md §3.5). For nodes whose text needs no escaping see
/// [`Node`](crate::Node).
///
/// A page cannot send HTML: an observable of it goes to the page as [`read_only`](crate::Observable::read_only).
///
/// ```
/// use bonito_core::{Html, Observable, js};
///
/// let news = Observable::new(Html::new("<b>Hello</b>"));
/// let script = js!("const news = $(news.read_only()); document.body.append(news.value)");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Html(String);

impl Html {
    /// Takes HTML as it is.
    pub fn new(html: impl Into<String>) -> Self {
        Self(html.into())
    }

    /// The HTML.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The HTML.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Html {
    /// # Errors
    ///
    /// When it is longer than 4 GiB.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_raw_ext(RawValue::html(&self.0), serializer)
    }
}

impl From<Fragment> for Html {
    fn from(fragment: Fragment) -> Self {
        Self(fragment.0)
    }
}

#[cfg(feature = "maud")]
impl maud::Render for Html {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.0);
    }
}
