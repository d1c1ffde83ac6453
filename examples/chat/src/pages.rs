//! The pages: a login, and the chat, which is a file and lives by its script.

use app_parts::{COOKIE, FAVICON};
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE as COOKIES, HeaderMap, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

use crate::App;

const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(async || Redirect::to("/rooms/lobby")))
        .route("/rooms/{room}", get(room))
        .route("/login", get(login).post(log_in))
        .route("/logout", post(log_out))
        .route("/chat.css", get(async || file("text/css; charset=utf-8", include_str!("../static/chat.css"))))
        .route(
            "/chat.js",
            get(async || file("text/javascript; charset=utf-8", include_str!("../static/chat.js"))),
        )
        .route("/favicon.svg", get(async || file("image/svg+xml", FAVICON)))
        .layer(from_fn(secure))
}

async fn room(State(app): State<App>, Path(room): Path<String>, headers: HeaderMap) -> Response {
    match token(&headers).and_then(|token| app.people.find(token)) {
        // Its page would try to enter for ever.
        Some(_) if app.rooms.find(&room).is_none() => {
            (StatusCode::NOT_FOUND, "there is no such room").into_response()
        }
        Some(_) => ([(CACHE_CONTROL, "no-store")], Html(include_str!("../static/chat.html"))).into_response(),
        None => Redirect::to("/login").into_response(),
    }
}

async fn login() -> Html<String> {
    login_page("")
}

fn login_page(problem: &str) -> Html<String> {
    Html(include_str!("../static/login.html").replace("{problem}", problem))
}

#[derive(Debug, Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

async fn log_in(State(app): State<App>, Form(form): Form<Credentials>) -> Response {
    match app.people.log_in(&form.name, &form.password) {
        Some(cookie) => ([(SET_COOKIE, cookie)], Redirect::to("/rooms/lobby")).into_response(),
        None => (StatusCode::FORBIDDEN, login_page("This name and password do not fit.")).into_response(),
    }
}

async fn log_out(State(app): State<App>, headers: HeaderMap) -> Response {
    let cookie = app.people.log_out(token(&headers).unwrap_or_default());
    ([(SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIES).iter().filter_map(|cookies| cookies.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text).into_response()
}

async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
