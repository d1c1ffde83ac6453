//! The app's own route in axum.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::{App, hyper};

/// The whole app.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/sockets/{id}", get(socket))
        // The browser client.
        .route_service("/live/assets/{file}", bonito_hyper::service(&app.live))
        .with_state(app)
}

async fn page(State(app): State<App>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Html(app.page()))
}

async fn socket(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    hyper::socket(&app, &id, parts).map(Body::from)
}
