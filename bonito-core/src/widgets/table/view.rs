//! What one session sees of the rows.

use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::{Column, Turn};
use crate::Observable;
use crate::sync::{guard, lock};

/// What the page shows.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct View {
    pub(super) rows: Vec<Vec<String>>,
    /// The place of the first of them.
    pub(super) first: usize,
    pub(super) total: usize,
    pub(super) page: usize,
    pub(super) pages: usize,
    pub(super) status: String,
    sort: Option<Sort>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Sort {
    column: usize,
    down: bool,
}

/// Makes the view anew whenever rows, order or page change. One thread does so at a time, and without a lock, since columns
/// are the application's code; who comes meanwhile leaves the work to it.
pub(super) struct Viewer<R> {
    rows: Observable<Vec<R>>,
    columns: Vec<Column<R>>,
    page_rows: usize,
    pub(super) view: Observable<View>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sort: Option<Sort>,
    page: usize,
    is_busy: bool,
    is_dirty: bool,
    order: Option<Sorted>,
}

/// The places of the rows, sorted, and of which rows in which order.
struct Sorted {
    version: u64,
    sort: Sort,
    places: Vec<usize>,
}

impl<R: Serialize + Send + Sync + 'static> Viewer<R> {
    pub(super) fn new(rows: Observable<Vec<R>>, columns: Vec<Column<R>>, page_rows: usize) -> Arc<Self> {
        let view = Observable::new(View::default());
        Arc::new(Self { rows, columns, page_rows, view, state: Mutex::default() })
    }

    /// Sorts by a column, and by the same one the other way round. Begins with the first page.
    pub(super) fn sort(&self, column: usize) {
        {
            let mut state = lock(&self.state);
            let down = state.sort.is_some_and(|sort| sort.column == column && !sort.down);
            state.sort = Some(Sort { column, down });
            state.page = 0;
        }
        self.refresh();
    }

    pub(super) fn turn(&self, turn: Turn) {
        let last = self.rows.with(Vec::len).div_ceil(self.page_rows).saturating_sub(1);
        {
            let mut state = lock(&self.state);
            state.page = match turn {
                Turn::First => 0,
                Turn::Previous => state.page.min(last).saturating_sub(1),
                Turn::Next => (state.page + 1).min(last),
                Turn::Last => last,
            };
        }
        self.refresh();
    }

    pub(super) fn refresh(&self) {
        let mut request = {
            let mut state = lock(&self.state);
            state.is_dirty = true;
            if state.is_busy {
                return;
            }
            state.is_busy = true;
            state.next()
        };
        while let Some((sort, page, order)) = request {
            let made = guard("a column of a table", || self.make(sort, page, order));
            let (view, order) = made.map_or((None, None), |(view, order)| (Some(view), order));
            if let Some(view) = view {
                self.view.set(view);
            }
            let mut state = lock(&self.state);
            state.order = order;
            request = state.next();
        }
    }

    fn make(&self, sort: Option<Sort>, page: usize, order: Option<Sorted>) -> (View, Option<Sorted>) {
        let (rows, version) = self.rows.snapshot();
        let order = sort.map(|sort| match order {
            Some(order) if order.version == version && order.sort == sort => order,
            _ => {
                let mut places: Vec<usize> = (0..rows.len()).collect();
                self.columns[sort.column].sort(&rows, &mut places, sort.down);
                Sorted { version, sort, places }
            }
        });
        let total = rows.len();
        let pages = total.div_ceil(self.page_rows).max(1);
        let page = page.min(pages - 1);
        let first = page * self.page_rows;
        let end = total.min(first + self.page_rows);
        let cells = (first..end)
            .filter_map(|place| rows.get(order.as_ref().map_or(place, |order| order.places[place])))
            .map(|row| self.columns.iter().map(|column| column.cell(row)).collect())
            .collect();
        let status = match total {
            0 => "No rows".to_owned(),
            _ => format!("{}–{} of {}", grouped(first + 1), grouped(end), grouped(total)),
        };
        (View { rows: cells, first, total, page, pages, status, sort }, order)
    }
}

impl State {
    /// What is to be made, if anything has changed; otherwise the work is over.
    fn next(&mut self) -> Option<(Option<Sort>, usize, Option<Sorted>)> {
        if !std::mem::take(&mut self.is_dirty) {
            self.is_busy = false;
            return None;
        }
        Some((self.sort, self.page, self.order.take()))
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([1, 999, 1000, 1_234_567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
    }
}
