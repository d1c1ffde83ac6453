//! Ordinary routes. What they change, live pages show.

use std::num::ParseFloatError;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use crate::pages::slider::Level;
use crate::state::App;

#[derive(Serialize)]
pub(crate) struct Health {
    status: &'static str,
    sessions: usize,
    open: usize,
}

pub(crate) async fn health(State(app): State<App>) -> Json<Health> {
    let stats = app.live.stats();
    Json(Health { status: "ok", sessions: stats.sessions, open: stats.open })
}

pub(crate) async fn level(State(app): State<App>) -> Json<Level> {
    Json(app.level.get())
}

/// `curl -X PUT -d 70 http://…/api/level` moves the slider of every visitor.
pub(crate) async fn set_level(
    State(app): State<App>,
    body: String,
) -> Result<StatusCode, (StatusCode, String)> {
    let refuse = |reason: String| (StatusCode::UNPROCESSABLE_ENTITY, reason);
    let number: f64 = body.trim().parse().map_err(|error: ParseFloatError| refuse(error.to_string()))?;
    app.level.set(Level::try_from(number).map_err(refuse)?);
    app.mover.set("the API".to_owned());
    Ok(StatusCode::NO_CONTENT)
}
