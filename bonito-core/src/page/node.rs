//! DOM nodes as values.

use serde::{Serialize, Serializer};

use super::escape::{is_address, is_bindable_attribute, safe_address};
use super::scalar::{Scalar, scalar};
use crate::proto::EncodeError;
use crate::proto::value::{RawValue, serialize_raw_ext};

/// A node of the page, as a value: in [`js!`](crate::js) or of an [`Observable`](crate::Observable) it arrives as an
/// element (extension 105, protocol.md §3.5).
///
/// Texts and attributes are set through the DOM, so nothing in them can become markup. An address (`href`, `src`, …)
/// whose scheme runs code is replaced by `about:blank#blocked`. A page cannot send one. Nested deeper than about 20 levels
/// it is too deep for a message: it is nil, and the log says so.
///
/// ```
/// use bonito_core::{Node, js};
///
/// let name = "O'Hara <script>";
/// let row = Node::new("li").attr("class", "guest").attr("title", None::<String>).child(name);
/// let script = js!("document.querySelector('ul').append($(row))");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    tag: String,
    svg: bool,
    children: Vec<RawValue>,
    attributes: Vec<(String, String)>,
}

impl Node {
    /// An element of HTML.
    ///
    /// # Panics
    ///
    /// If `tag` is not the name of an element, or is `script`: code belongs into [`js!`](crate::js).
    pub fn new(tag: &str) -> Self {
        // Of a name in a namespace the last part says what it is.
        let is_script = tag.rsplit(':').next().is_some_and(|name| name.eq_ignore_ascii_case("script"));
        assert!(
            is_bindable_attribute(tag) && !is_script,
            "cannot make a {tag:?}: expected the name of an element other than script"
        );
        Self { tag: tag.to_owned(), svg: false, children: Vec::new(), attributes: Vec::new() }
    }

    /// An element of SVG, the `svg` around the drawing included.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn svg(tag: &str) -> Self {
        Self { svg: true, ..Self::new(tag) }
    }

    /// An attribute; of one name the last counts. `None` and `false` leave it away, `true` sets it without a value.
    ///
    /// # Panics
    ///
    /// If `name` is not the name of an attribute, or its value would be code or markup (`on…`, `srcdoc`). If it is
    /// `class` on an element of SVG, with which existing clients refuse the whole message: put the class on a node around
    /// it, or use `style`. If it has an animation write an address (`attributeName="href"`).
    #[must_use]
    pub fn attr(mut self, name: &str, value: impl Serialize) -> Self {
        assert!(
            is_bindable_attribute(name),
            "cannot set {name:?}: expected the name of an attribute whose value is neither code nor markup"
        );
        assert!(
            !(self.svg && name.eq_ignore_ascii_case("class")) && name != SVG_MARK,
            "cannot set {name:?} on this element: put a class on a node around it, or use a style"
        );
        let value = scalar(&value);
        let animated = match &value {
            Some(Scalar::Text(text)) if name.eq_ignore_ascii_case("attributeName") => text.trim(),
            _ => "",
        };
        assert!(
            !is_address(animated),
            "cannot animate {animated:?}: what an animation writes there is not looked at"
        );
        self.attributes.retain(|(former, _)| former != name);
        let value = match value {
            Some(Scalar::Text(text)) if is_address(name) => safe_address(&text).to_owned(),
            Some(Scalar::Text(text)) => text,
            Some(Scalar::Flag(true)) => String::new(),
            Some(Scalar::Flag(false)) | None => return self,
        };
        self.attributes.push((name.to_owned(), value));
        self
    }

    /// Something inside, behind what is there: a node, [`Html`](crate::Html), a text or a number. Text stays text, whatever it contains;
    /// nothing (`None`) adds nothing.
    #[must_use]
    pub fn child(mut self, child: impl Serialize) -> Self {
        match RawValue::encode(&child) {
            Ok(child) if child.is_nil() => {}
            Ok(child) => self.children.push(child),
            Err(error) => {
                tracing::error!("a child of a node cannot be sent and is left away: {error}");
            }
        }
        self
    }

    /// Several things inside, as by [`child`](Self::child).
    #[must_use]
    pub fn children<T: Serialize>(self, children: impl IntoIterator<Item = T>) -> Self {
        children.into_iter().fold(self, Self::child)
    }

    fn raw(&self) -> Result<RawValue, EncodeError> {
        let texts = self.attributes.iter().map(|(name, value)| Ok((name.as_str(), RawValue::encode(value)?)));
        let mut attributes = texts.collect::<Result<Vec<_>, EncodeError>>()?;
        if self.svg {
            attributes.push((SVG_MARK, RawValue::encode(&true)?));
        }
        RawValue::dom(&self.tag, &self.children, &attributes)
    }
}

/// The attribute that makes an element one of SVG.
const SVG_MARK: &str = "juliasvgnode";

impl Serialize for Node {
    /// # Errors
    ///
    /// When it is longer than 4 GiB.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_raw_ext(self.raw(), serializer)
    }
}
