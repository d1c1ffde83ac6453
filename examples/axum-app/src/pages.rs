//! The pages, a file each.

mod api;
mod chart;
mod counter;
mod home;
mod progress;
pub(crate) mod slider;

use axum::Router;
use axum::routing::get;

use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home::page))
        .route("/counter", get(counter::page))
        .route("/progress", get(progress::page))
        .route("/chart", get(chart::page))
        .route("/slider", get(slider::page))
        .route("/api/health", get(api::health))
        .route("/api/level", get(api::level).put(api::set_level))
}
