//! Form controls and a table, live on both sides, for forms without JavaScript of your own.
//!
//! Each is made by a builder and rendered on a session into a piece of HTML, before the page is written:
//!
//! ```
//! use bonito_core::widgets::{self, Button, Slider, TextField};
//! use bonito_core::{Endpoint, Observable, Page};
//!
//! let live = Endpoint::builder("/live").build();
//! let session = live.session();
//! let name = Observable::new("Ada".to_owned());
//! let level = Observable::new(20.0);
//! let (who, how) = (name.clone(), level.clone());
//! let body = format!(
//!     "{}{}{}",
//!     TextField::new(&name).label("Name").placeholder("Your name").render(&session),
//!     Slider::new(&level, 0.0..=100.0).step(0.5).label("Level").render(&session),
//!     Button::new("Save").on_click(move || println!("{} at {}", who.get(), how.get())).render(&session),
//! );
//! let html = Page::new("Settings").head(widgets::style()).render(&session, body);
//! # assert!(html.contains("type=\"range\""));
//! ```
//!
//! # What can go wrong
//!
//! * **The page sends what the control does not offer**: a number out of range, `NaN`, a text that is too long, an option that
//!   is not there, anything at all while the control is disabled. It is refused with a warning in the log, the observable keeps
//!   its value, and the page is told that value. That holds for what comes through the widget: a page that may also set the
//!   observable directly, since [`on_input`](crate::Session::on_input) or a script gave it the right to, is not checked there.
//! * **The connection is lost.** Values that were entered meanwhile arrive when it is back, as all messages do. An upload is
//!   aborted, says so, and can be tried again.
//! * **The application's own code sets a value out of range**: it is kept, and shown as well as the control can.
//!
//! # Looks
//!
//! Underneath are plain form controls with classes of their own (`bonito-field`, `bonito-button`, …). Nothing is styled unless
//! the page asks for it with [`style`]; that sheet stands in the cascade layer `bonito`, so whatever your own says wins. It
//! follows `prefers-color-scheme` and takes its colours and shapes from custom properties that you may set on any element:
//!
//! | property | for |
//! |---|---|
//! | `--bonito-accent`, `--bonito-on-accent` | what is active, and text on it |
//! | `--bonito-text`, `--bonito-muted` | text, and less important text |
//! | `--bonito-surface`, `--bonito-border`, `--bonito-track` | controls, their edges, and what a slider runs on |
//! | `--bonito-error` | what is wrong |
//! | `--bonito-radius`, `--bonito-gap`, `--bonito-font` | corners, space, type |
//!
//! # Accessibility
//!
//! Each control has a `<label for>`; one with neither a label nor an [id](TextField::id) for a label of your own is logged as a
//! mistake. Help and errors are tied to it by `aria-describedby`, an error sets `aria-invalid` and is announced. Everything works
//! with the keyboard, from right to left, and on a narrow screen; nothing moves if the user prefers that.

mod button;
mod checkbox;
mod dropdown;
mod field;
mod file_input;
mod number;
mod number_field;
mod range_slider;
mod slider;
mod style;
mod table;
mod text_field;
mod upload;

pub use button::Button;
pub use checkbox::Checkbox;
pub use dropdown::Dropdown;
pub use file_input::FileInput;
pub use number::{Number, NumberValue};
pub use number_field::NumberField;
pub use range_slider::RangeSlider;
pub use slider::Slider;
pub use style::{STYLESHEET, Style, style};
pub use table::{Column, Table};
pub use text_field::TextField;
pub use upload::{Upload, UploadError, UploadedFile};
