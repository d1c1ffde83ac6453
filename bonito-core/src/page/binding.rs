//! Bindings: pieces of HTML that follow an observable or call back into Rust.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::escape::{BLOCKED, Escaped, is_address, is_bindable_attribute, safe_address};
use super::scalar::{Scalar, scalar};
use crate::js::Script;
use crate::observable::Observable;
use crate::session::{Bindable, Session};

/// A piece of HTML, already escaped; write it into a template as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment(pub(crate) String);

/// Attributes for the tag of one element, already escaped; write them into the tag.
///
/// Templates that take attribute values only, as maud's do, use [`name`](Self::name) and [`id`](Self::id):
/// `button data-bonito-click=(binding.id()) { "+1" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    name: String,
    id: u32,
    more: String,
}

impl Binding {
    /// The name of the attribute that marks the element: `data-bonito-click`, `data-bonito-input`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of that attribute.
    pub fn id(&self) -> u32 {
        self.id
    }

    fn selector(&self) -> String {
        format!("[{}=\"{}\"]", self.name, self.id)
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=\"{}\"{}", self.name, self.id, self.more)
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(feature = "maud")]
impl maud::Render for Fragment {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.0);
    }
}

/// Finds the element anew when page code has replaced it.
const NODE: &str = "\
let found
const node = () => found?.isConnected ? found : (found = document.querySelector(__lookup_interpolated('selector')))
";

const TEXT: &str = "\
return (value) => {
  if (over()) return false
  const at = node()
  if (at) at.textContent = value
}";

const CLICK: &str = "\
node()?.addEventListener('click', () => {
  Bonito.send_to_julia({ msg_type: '0', id: __lookup_interpolated('input'), payload: null })
})";

const INPUT: &str = "\
const at = node(), observable = __lookup_interpolated('observable')
if (at) {
  const kind = at.type
  const numeric = kind === 'number' || kind === 'range'
  const read = () => {
    if (kind === 'checkbox') return at.checked
    if (kind === 'select-multiple') return Array.from(at.selectedOptions, (option) => option.value)
    if (numeric) return Number.isNaN(at.valueAsNumber) ? null : at.valueAsNumber
    return typeof observable.value === 'number' ? Number(at.value) : at.value
  }
  const write = (value) => {
    if (kind === 'checkbox') at.checked = value === true
    else if (kind === 'radio') at.checked = at.value === String(value)
    else if (kind === 'select-multiple') for (const option of at.options) option.selected = Array.isArray(value) && value.includes(option.value)
    else if (!Object.is(read(), value)) at.value = value ?? ''
  }
  write(observable.value)
  observable.on((value) => {
    if (over()) return false
    write(value)
  })
  at.addEventListener('input', () => {
    if (kind === 'radio' && !at.checked) return
    try { observable.notify(read()) } catch (error) { Bonito.send_error('A value was not sent', error) }
  })
}";

const ATTRIBUTE: &str = "\
const name = __lookup_interpolated('name'), address = __lookup_interpolated('address')
const live = name === 'value' || name === 'checked' || name === 'selected'
const code = /^(javascript|vbscript|data):/i
return (value) => {
  if (over()) return false
  const at = node()
  if (!at) return
  if (value === false || value == null) at.removeAttribute(name)
  else {
    const text = value === true ? '' : String(value)
    const blocked = address && code.test(text.replace(/[\\0-\\x20\\x7f]/g, ''))
    at.setAttribute(name, blocked ? __lookup_interpolated('blocked') : text)
  }
  if (live && name in at) at[name] = value
}";

impl Session {
    /// An element with the text of an observable, kept in step: `<span data-bonito-text="1">42</span>`.
    ///
    /// The text is what `Display` gives, at first and for every later value; it lands as text, whatever it contains. The
    /// page may not set it.
    pub fn text<T>(&self, observable: &Observable<T>) -> Fragment
    where
        T: fmt::Display + Serialize + Send + Sync + 'static,
    {
        let text = observable.text();
        let binding = self.binding("data-bonito-text", String::new());
        let bindable = Bindable::read(&text);
        self.bind(&bindable);
        self.send_listener(&bindable, &script(TEXT, &binding));
        Fragment(format!("<span {binding}>{}</span>", Escaped(&text.get())))
    }

    /// Calls `f` when the element is clicked. Write the result into its tag: `<button {…}>`.
    ///
    /// `f` runs on the task of the session's socket: hand long work to [`spawn`](Self::spawn).
    pub fn on_click(&self, f: impl Fn() + Send + Sync + 'static) -> Binding {
        let binding = self.binding("data-bonito-click", String::new());
        let input = self.input(move |_, _| {
            f();
            Ok(())
        });
        if let Some(input) = input {
            self.send_code(&script(CLICK, &binding).with("input", input.name()));
            self.keep(input);
        }
        binding
    }

    /// Ties a form control to an observable, both ways. Write the result into its tag: `<input type="range" {…}>`, behind
    /// the tag's own attributes, so that a radio button keeps its `value`.
    ///
    /// The value is a `bool` for a checkbox, a number for `number` and `range` (nil while it is empty, so an
    /// `Option<f64>` may suit better), a list of texts for a multiple selection, and a text otherwise. A selection or radio
    /// button whose observable holds a number gives numbers.
    ///
    /// The value for the first paint is written as `value` or `checked`; in the tag of a radio button your own `value` stands
    /// before the binding, since the first of two counts.
    ///
    /// What the browser sends is checked to be a `T` and nothing else: a range's `min` and `max` bind honest users only.
    pub fn on_input<T>(&self, observable: &Observable<T>) -> Binding
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let more = observable.with(|value| match scalar(value) {
            Some(Scalar::Text(value)) => format!(" value=\"{}\"", Escaped(&value)),
            Some(Scalar::Flag(true)) => " checked".to_owned(),
            Some(Scalar::Flag(false)) | None => String::new(),
        });
        let binding = self.binding("data-bonito-input", more);
        self.send_follower(&script(INPUT, &binding).with("observable", observable));
        binding
    }

    /// An attribute that follows an observable. Write the result into the tag: `<progress max="100" {…}>`.
    ///
    /// `false` and nil take the attribute away, `true` sets it without a value, everything else becomes its value. An
    /// address (`href`, `src`, …) whose scheme runs code is replaced by `about:blank#blocked`. An element has at most one
    /// binding of each attribute.
    ///
    /// # Panics
    ///
    /// If `name` is not the name of an attribute, or its value would be code or markup (`on…`, `srcdoc`).
    pub fn attribute<T>(&self, name: &str, observable: &Observable<T>) -> Binding
    where
        T: Serialize + Send + Sync + 'static,
    {
        assert!(
            is_bindable_attribute(name),
            "cannot bind {name:?}: expected the name of an attribute whose value is neither code nor markup"
        );
        let address = is_address(name);
        let bindable = Bindable::read(observable);
        self.bind(&bindable);
        // After binding: whatever is set from here on reaches the page by itself.
        let more = match observable.with(scalar) {
            Some(Scalar::Flag(true)) => format!(" {name}"),
            Some(Scalar::Text(value)) if address => format!(" {name}=\"{}\"", Escaped(safe_address(&value))),
            Some(Scalar::Text(value)) => format!(" {name}=\"{}\"", Escaped(&value)),
            Some(Scalar::Flag(false)) | None => String::new(),
        };
        let binding = self.binding(&format!("data-bonito-attr-{}", name.replace([':', '.'], "-")), more);
        let follow =
            script(ATTRIBUTE, &binding).with("name", name).with("address", &address).with("blocked", BLOCKED);
        self.send_listener(&bindable, &follow);
        binding
    }

    fn binding(&self, name: &str, more: String) -> Binding {
        Binding { name: name.to_ascii_lowercase(), id: self.0.bindings.next_node(), more }
    }
}

fn script(source: &str, binding: &Binding) -> Script {
    Script::new(format!("{NODE}{source}")).with("selector", &binding.selector())
}
