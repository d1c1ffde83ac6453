//! What all pages have in common.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{Html, IntoResponse, Response};

/// What `templates/layout.html` asks for.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) title: &'static str,
    /// The page's own path, which the navigation marks.
    pub(crate) path: &'static str,
    /// Lines of the page's own source.
    pub(crate) source: String,
    /// Where they stand.
    pub(crate) file: &'static str,
}

impl Layout {
    pub(crate) fn pages(&self) -> [(&'static str, &'static str); 4] {
        [("/counter", "Counter"), ("/progress", "Progress"), ("/chart", "Chart"), ("/slider", "Slider")]
    }
}

pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            eprintln!("a page cannot be rendered: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page with a session. One from a cache would ask for a session that is no more.
pub(crate) fn live_page(template: &impl Template) -> Response {
    ([(CACHE_CONTROL, "no-store")], page(template)).into_response()
}
