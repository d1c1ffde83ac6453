//! The way in: a page like any other, without a session.

use askama::Template;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::response::Response;

use crate::layout::{self, Layout};
use crate::snippet;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    layout: Layout,
    /// Where the browser found the app.
    origin: String,
}

pub(crate) async fn page(headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    layout::page(&Home {
        origin: format!("http://{host}"),
        layout: Layout {
            title: "Live pages in an axum app",
            path: "/",
            source: snippet::shown(include_str!("../main.rs")),
            file: "src/main.rs",
        },
    })
}
