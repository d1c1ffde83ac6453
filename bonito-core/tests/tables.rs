//! Tables: the page has a few rows, Rust the rest.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bonito_core::widgets::{Column, Table};
use bonito_core::{Endpoint, Observable};
use serde_json::{Value as Json, json};
use support::{Page, endpoint, settle};

type Row = (u32, &'static str);

fn columns() -> [Column<Row>; 2] {
    [Column::number("No.", |row: &Row| row.0.into()), Column::new("Name", |row: &Row| row.1)]
}

async fn open<R: serde::Serialize + Send + Sync + 'static>(
    live: &Endpoint,
    table: Table<R>,
) -> (Page, String) {
    let session = live.session();
    let html = table.caption("Rows").render(&session).to_string();
    let _page = session.page("t", &html);
    let page = Page::open(live, &session).await;
    page.received();
    (page, html)
}

async fn told(page: &Page) -> Option<Json> {
    settle().await;
    let told = page.received().pop()?;
    serde_json::from_str(told.split_once('=')?.1).ok()
}

async fn ask(page: &Page, what: Json) -> Option<Json> {
    page.update("i1", what);
    told(page).await
}

/// The cells of one column.
fn column(view: &Json, at: usize) -> Vec<&str> {
    view["rows"].as_array().unwrap().iter().map(|row| row[at].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_page_has_one_page_of_rows_from_the_beginning() {
    let rows = Observable::new((1..=5000).map(|n| (n, "x")).collect::<Vec<Row>>());
    let live = endpoint();
    let (page, html) = open(&live, Table::new(&rows, columns()).page_rows(10).sortable()).await;
    assert_eq!(html.matches("<tr").count(), 11);
    assert!(html.len() < 3000, "{}", html.len());
    for part in [
        "aria-rowcount=\"5001\"",
        "<th scope=\"col\" class=\"bonito-end\"><button type=\"button\">No.</button>",
        "1–10 of 5,000",
        "value=\"first\" disabled",
        "value=\"next\">",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    let view = ask(&page, json!({ "turn": "last" })).await.unwrap();
    assert_eq!((view["first"].as_u64(), column(&view, 0)[9]), (Some(4990), "5000"));
    assert_eq!(column(&view, 0).len(), 10);
}

#[tokio::test]
async fn rows_are_sorted_both_ways_and_equal_ones_keep_their_order() {
    let rows = Observable::new(vec![(10, "b"), (9, "a"), (100, "B"), (1, "A")]);
    let live = endpoint();
    let (page, _) = open(&live, Table::new(&rows, columns()).sortable()).await;
    for (column_at, cells, down) in [
        (0, ["1", "9", "10", "100"], false),
        (0, ["100", "10", "9", "1"], true),
        (0, ["1", "9", "10", "100"], false),
        (1, ["a", "A", "b", "B"], false),
        (1, ["b", "B", "a", "A"], true),
    ] {
        let view = ask(&page, json!({ "sort": column_at })).await.unwrap();
        assert_eq!(column(&view, column_at), cells);
        assert_eq!(view["sort"], json!({ "column": column_at, "down": down }));
    }
}

#[tokio::test]
async fn numbers_that_are_none_and_orders_of_ones_own_sort_too() {
    let rows = Observable::new(vec![2.0, f64::NAN, -1.0]);
    let live = endpoint();
    let table = Table::new(
        &rows,
        [
            Column::number("n", |n: &f64| *n).show(|n| format!("<{n}>")),
            Column::new("size", |n: &f64| n.abs()).compare(|a, b| b.abs().total_cmp(&a.abs())),
        ],
    );
    let (page, html) = open(&live, table.sortable()).await;
    assert!(html.contains("&lt;2&gt;"), "{html}");
    let view = ask(&page, json!({ "sort": 0 })).await.unwrap();
    assert_eq!(column(&view, 0), ["<-1>", "<2>", "<NaN>"]);
    let view = ask(&page, json!({ "sort": 1 })).await.unwrap();
    assert_eq!(column(&view, 0), ["<NaN>", "<2>", "<-1>"]);
}

#[tokio::test]
async fn the_table_follows_its_rows_and_stays_where_it_is() {
    let rows = Observable::new((1..=30).map(|n| (n, "x")).collect::<Vec<Row>>());
    let live = endpoint();
    let (page, _) = open(&live, Table::new(&rows, columns()).sortable().page_rows(10)).await;
    ask(&page, json!({ "sort": 0 })).await;
    ask(&page, json!({ "sort": 0 })).await;
    let view = ask(&page, json!({ "turn": "next" })).await.unwrap();
    assert_eq!(column(&view, 0)[0], "20");
    rows.update(|rows| rows.push((99, "new")));
    let view = told(&page).await.unwrap();
    assert_eq!((column(&view, 0)[0], view["status"].as_str()), ("21", Some("11–20 of 31")));
    rows.set(vec![(1, "x")]);
    let view = told(&page).await.unwrap();
    assert_eq!((column(&view, 0), view["status"].as_str()), (vec!["1"], Some("1–1 of 1")));
    rows.set(Vec::new());
    let view = told(&page).await.unwrap();
    assert_eq!((column(&view, 0).len(), view["status"].as_str()), (0, Some("No rows")));
    for turn in ["first", "previous", "next", "last"] {
        assert_eq!(ask(&page, json!({ "turn": turn })).await.unwrap()["page"], 0);
    }
}

#[tokio::test]
async fn turning_pages_does_not_sort_again() {
    let compared = Arc::new(AtomicUsize::new(0));
    let count = compared.clone();
    let rows = Observable::new((0..1000).rev().collect::<Vec<i32>>());
    let live = endpoint();
    let column = Column::new("n", |n: &i32| *n).compare(move |a, b| {
        count.fetch_add(1, Ordering::Relaxed);
        a.cmp(b)
    });
    let (page, _) = open(&live, Table::new(&rows, [column]).sortable()).await;
    ask(&page, json!({ "sort": 0 })).await;
    let once = compared.load(Ordering::Relaxed);
    assert!(once > 0);
    for turn in ["next", "last", "previous", "first"] {
        ask(&page, json!({ "turn": turn })).await;
    }
    assert_eq!(compared.load(Ordering::Relaxed), once);
    rows.update(|rows| rows.push(5));
    assert!(compared.load(Ordering::Relaxed) > once);
}

#[tokio::test]
async fn each_session_has_its_own_order() {
    let rows = Observable::new(vec![(2, "a"), (1, "b")]);
    let live = endpoint();
    let (one, _) = open(&live, Table::new(&rows, columns()).sortable()).await;
    let (two, _) = open(&live, Table::new(&rows, columns()).sortable()).await;
    ask(&one, json!({ "sort": 0 })).await;
    assert_eq!(told(&two).await, None);
    rows.update(|rows| rows.push((3, "c")));
    assert_eq!(column(&told(&one).await.unwrap(), 0), ["1", "2", "3"]);
    assert_eq!(column(&told(&two).await.unwrap(), 0), ["2", "1", "3"]);
}

#[tokio::test]
async fn what_a_page_cannot_ask_for_is_refused() {
    let rows = Observable::new(vec![(2, "a"), (1, "b")]);
    let live = endpoint();
    let (page, html) = open(&live, Table::new(&rows, columns())).await;
    assert!(!html.contains("<th scope=\"col\"><button"));
    for bad in
        [json!({ "sort": 0 }), json!({ "turn": "up" }), json!({ "turn": 3 }), json!(null), json!("sort")]
    {
        assert_eq!(ask(&page, bad.clone()).await, None, "{bad}");
    }
    let (page, _) = open(&live, Table::new(&rows, columns()).sortable()).await;
    for bad in [json!({ "sort": 2 }), json!({ "sort": -1 }), json!({ "sort": 1e30 })] {
        assert_eq!(ask(&page, bad.clone()).await, None, "{bad}");
    }
    assert!(ask(&page, json!({ "sort": 1 })).await.is_some());
}

#[tokio::test]
async fn a_column_that_panics_is_alone_with_it() {
    let fails = Arc::new(AtomicBool::new(false));
    let fail = fails.clone();
    let rows = Observable::new(vec![1]);
    let live = endpoint();
    let column_of = Column::new("n", move |n: &i32| {
        assert!(!fail.load(Ordering::Relaxed), "on purpose");
        *n
    });
    let (page, _) = open(&live, Table::new(&rows, [column_of]).sortable()).await;
    fails.store(true, Ordering::Relaxed);
    assert_eq!(ask(&page, json!({ "sort": 0 })).await, None);
    fails.store(false, Ordering::Relaxed);
    rows.set(vec![2]);
    assert_eq!(column(&told(&page).await.unwrap(), 0), ["2"]);
}

#[tokio::test]
async fn a_column_may_change_the_rows_and_the_last_rows_are_shown() {
    let rows = Observable::new(vec![1, 2]);
    let live = endpoint();
    let (armed, inner) = (Arc::new(AtomicBool::new(false)), rows.clone());
    let arm = armed.clone();
    let restless = Column::new("n", move |n: &i32| {
        if arm.swap(false, Ordering::Relaxed) {
            inner.set(vec![7, 8, 9]);
        }
        *n
    });
    let (page, _) = open(&live, Table::new(&rows, [restless]).sortable()).await;
    armed.store(true, Ordering::Relaxed);
    let view = ask(&page, json!({ "sort": 0 })).await.unwrap();
    assert_eq!(column(&view, 0), ["7", "8", "9"]);
}
