//! The app's static files.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/app.css", get(async || file("text/css; charset=utf-8", include_str!("../static/app.css"))))
        .route(
            "/chart.js",
            get(async || file("text/javascript; charset=utf-8", include_str!("../static/chart.js"))),
        )
        .route("/favicon.svg", get(async || file("image/svg+xml", include_str!("../static/favicon.svg"))))
}

fn file(content_type: &'static str, content: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")], content)
}
