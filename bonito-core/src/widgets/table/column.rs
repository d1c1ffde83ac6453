//! What a column shows of a row, and how rows are sorted by it.

use std::cmp::Ordering;
use std::fmt::{self, Display};

type Compare<R> = dyn Fn(&R, &R) -> Ordering + Send + Sync;

/// A column of a [`Table`](super::Table).
pub struct Column<R> {
    pub(super) title: String,
    pub(super) is_at_end: bool,
    show: Box<dyn Fn(&R) -> String + Send + Sync>,
    order: Order<R>,
}

enum Order<R> {
    /// By what is shown, upper and lower case alike.
    Shown,
    Number(Box<dyn Fn(&R) -> f64 + Send + Sync>),
    Compare(Box<Compare<R>>),
}

impl<R> fmt::Debug for Column<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Column").field("title", &self.title).finish_non_exhaustive()
    }
}

impl<R> Column<R> {
    /// A column of texts, sorted by them, upper and lower case alike. Title and texts are escaped.
    pub fn new<D: Display>(title: impl Into<String>, show: impl Fn(&R) -> D + Send + Sync + 'static) -> Self {
        let show = Box::new(move |row: &R| show(row).to_string());
        Self { title: title.into(), is_at_end: false, show, order: Order::Shown }
    }

    /// A column of numbers, sorted by them and aligned at their ends. They are shown as Rust prints them; see
    /// [`show`](Self::show).
    pub fn number(
        title: impl Into<String>,
        number: impl Fn(&R) -> f64 + Clone + Send + Sync + 'static,
    ) -> Self {
        let shown = number.clone();
        let show = Box::new(move |row: &R| shown(row).to_string());
        Self { title: title.into(), is_at_end: true, show, order: Order::Number(Box::new(number)) }
    }

    /// Shows something else than what it is sorted by.
    #[must_use]
    pub fn show<D: Display>(mut self, show: impl Fn(&R) -> D + Send + Sync + 'static) -> Self {
        self.show = Box::new(move |row| show(row).to_string());
        self
    }

    /// Sorts by an order of your own.
    #[must_use]
    pub fn compare(mut self, compare: impl Fn(&R, &R) -> Ordering + Send + Sync + 'static) -> Self {
        self.order = Order::Compare(Box::new(compare));
        self
    }

    pub(super) fn cell(&self, row: &R) -> String {
        (self.show)(row)
    }

    /// Sorts the places of rows, which are all in `rows`. Rows that are equal keep their order, downwards too.
    pub(super) fn sort(&self, rows: &[R], places: &mut [usize], is_down: bool) {
        let turn = |order: Ordering| if is_down { order.reverse() } else { order };
        match &self.order {
            Order::Shown => {
                let keys: Vec<String> = rows.iter().map(|row| self.cell(row).to_lowercase()).collect();
                places.sort_by(|a, b| turn(keys[*a].cmp(&keys[*b])));
            }
            Order::Number(number) => {
                let keys: Vec<f64> = rows.iter().map(number).collect();
                places.sort_by(|a, b| turn(keys[*a].total_cmp(&keys[*b])));
            }
            Order::Compare(compare) => places.sort_by(|a, b| turn(compare(&rows[*a], &rows[*b]))),
        }
    }
}
