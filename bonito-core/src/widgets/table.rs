//! Many rows, of which the page has a few at a time.

mod column;
mod view;

use std::fmt::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use column::Column;
use view::Viewer;

use super::field::keep_input;
use crate::Observable;
use crate::js::Script;
use crate::page::{Escaped, Fragment};
use crate::session::Session;

/// A `<table>` that shows rows page by page, and sorts them when its headers are clicked.
///
/// Rows stay in Rust. The page holds those of one page of the table and asks for others; sorting is done here, once for each
/// change of the rows or of the order. So a table of many thousand rows costs a browser no more than one of 25. Each session
/// has its own page and order, and follows the rows as they change. Headers sort upwards, then downwards; rows that are equal
/// keep their order.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::{Column, Table}};
/// # let session = Endpoint::builder("/live").build().session();
/// #[derive(Clone, serde::Serialize)]
/// struct City { name: String, people: u32 }
///
/// let cities = Observable::new(vec![
///     City { name: "Oslo".into(), people: 709_000 },
///     City { name: "Bergen".into(), people: 291_000 },
/// ]);
/// let html = Table::new(
///     &cities,
///     [
///         Column::new("City", |city: &City| city.name.clone()),
///         Column::number("People", |city: &City| city.people.into()),
///     ],
/// )
/// .caption("Cities of Norway")
/// .sortable()
/// .render(&session);
/// # assert!(html.to_string().contains("709000"));
/// ```
#[must_use = "render makes the HTML"]
pub struct Table<R> {
    rows: Observable<Vec<R>>,
    columns: Vec<Column<R>>,
    caption: String,
    sortable: bool,
    page_rows: usize,
}

impl<R> fmt::Debug for Table<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// What the page asks for.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Asked {
    Sort(usize),
    Turn(Turn),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Turn {
    First,
    Previous,
    Next,
    Last,
}

impl<R: Serialize + Send + Sync + 'static> Table<R> {
    /// A table of these rows, in these columns.
    pub fn new(rows: &Observable<Vec<R>>, columns: impl IntoIterator<Item = Column<R>>) -> Self {
        let columns = columns.into_iter().collect();
        Self { rows: rows.clone(), columns, caption: String::new(), sortable: false, page_rows: 25 }
    }

    /// The name of the table. It is text and is escaped.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// Lets users sort by any column.
    pub fn sortable(mut self) -> Self {
        self.sortable = true;
        self
    }

    /// How many rows are shown at a time, 25 by default and at least one.
    pub fn page_rows(mut self, rows: usize) -> Self {
        self.page_rows = rows.max(1);
        self
    }

    /// The HTML of the table, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        if self.caption.is_empty() {
            tracing::warn!("a table has no caption: nobody can tell what it is for");
        }
        let id = format!("bonito-{}", session.0.bindings.next_node());
        let heads = self.columns.iter().fold(String::new(), |mut heads, column| {
            let (class, title) = (class_of(column), Escaped(&column.title));
            _ = match self.sortable {
                true => {
                    write!(heads, "<th scope=\"col\"{class}><button type=\"button\">{title}</button></th>")
                }
                false => write!(heads, "<th scope=\"col\"{class}>{title}</th>"),
            };
            heads
        });
        let ends: Vec<bool> = self.columns.iter().map(|column| column.is_at_end).collect();
        let classes: Vec<&str> = self.columns.iter().map(class_of).collect();
        let count = self.columns.len();
        let viewer = Viewer::new(self.rows.clone(), self.columns, self.page_rows);
        viewer.refresh();
        let follow = Arc::downgrade(&viewer);
        session.keep(self.rows.on(move |_| {
            if let Some(viewer) = follow.upgrade() {
                viewer.refresh();
            }
        }));
        let (asked, sortable) = (viewer.clone(), self.sortable);
        let input = keep_input(session, move |_, payload| {
            match payload.decode()? {
                Asked::Sort(column) if sortable && column < count => asked.sort(column),
                Asked::Sort(column) => {
                    return Err(super::field::refused(format!("column {column} cannot be sorted")));
                }
                Asked::Turn(turn) => asked.turn(turn),
            }
            Ok(())
        });
        let script =
            Script::new(include_str!("table.js")).with("id", &id).with("input", &input).with("ends", &ends);
        session.send_follower(&script.with("view", &viewer.view.read_only()));

        let view = viewer.view.get();
        let body = view.rows.iter().enumerate().fold(String::new(), |mut body, (at, row)| {
            _ = write!(body, "<tr aria-rowindex=\"{}\">", view.first + at + 2);
            for (cell, class) in row.iter().zip(&classes) {
                _ = write!(body, "<td{class}>{}</td>", Escaped(cell));
            }
            body.push_str("</tr>");
            body
        });
        let caption = match self.caption.as_str() {
            "" => String::new(),
            caption => format!("<caption id=\"{id}-caption\">{}</caption>", Escaped(caption)),
        };
        let turns = ["First", "Previous", "Next", "Last"].iter().fold(String::new(), |mut turns, name| {
            let back = matches!(*name, "First" | "Previous");
            let off =
                if back && view.page == 0 || !back && view.page + 1 >= view.pages { " disabled" } else { "" };
            _ = write!(
                turns,
                "<button type=\"button\" class=\"bonito-button\" value=\"{}\"{off}>{name}</button>",
                name.to_ascii_lowercase()
            );
            turns
        });
        Fragment(format!(
            "<div class=\"bonito-table\" id=\"{id}\"><div class=\"bonito-scroll\" role=\"region\" tabindex=\"0\" \
             aria-labelledby=\"{id}-caption\"><table aria-rowcount=\"{rowcount}\">{caption}<thead><tr>{heads}</tr></thead>\
             <tbody>{body}</tbody></table></div><div class=\"bonito-pages\">\
             <p class=\"bonito-status\" role=\"status\">{status}</p><div class=\"bonito-turns\">{turns}</div></div></div>",
            rowcount = view.total + 1,
            status = Escaped(&view.status),
        ))
    }
}

fn class_of<R>(column: &Column<R>) -> &'static str {
    if column.is_at_end { " class=\"bonito-end\"" } else { "" }
}
