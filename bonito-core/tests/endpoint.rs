//! Answers to requests, before any upgrade.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use bonito_core::{Endpoint, Outcome, Session};
use bytes::Bytes;
use http::request::Builder;
use http::{Method, Request, Response, StatusCode, header};
use support::{Page, endpoint, endpoint_with, upgrade_request};

async fn answer(live: &Endpoint, request: Builder) -> Option<Response<Bytes>> {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    match live.handle(&parts).await {
        Outcome::Respond(response) => Some(response),
        Outcome::Upgrade(_) => None,
    }
}

async fn status(live: &Endpoint, request: Builder) -> u16 {
    answer(live, request).await.map_or(101, |response| response.status().as_u16())
}

fn library(session: &Session) -> String {
    let page = session.page("t", "");
    page.split("src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_client_is_served_once_and_for_all() {
    let live = endpoint();
    let path = library(&live.session());
    let response = answer(&live, Request::get(&path)).await.unwrap();
    let headers = response.headers();
    assert_eq!(headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::VARY], "accept-encoding");
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
    let plain = response.into_body();
    for (accepted, zipped) in [
        ("gzip, br", true),
        ("br;q=1, GZIP;q=0.5", true),
        ("gzip;q=0", false),
        ("gzip;q=0.0", false),
        ("br", false),
    ] {
        let response =
            answer(&live, Request::get(&path).header(header::ACCEPT_ENCODING, accepted)).await.unwrap();
        assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), zipped, "{accepted}");
        assert_eq!(response.body().len() < plain.len(), zipped);
    }
    let head = answer(&live, Request::head(&path)).await.unwrap();
    assert!(head.body().is_empty());
    assert_eq!(head.headers()[header::CONTENT_LENGTH], plain.len().to_string());
    let post = answer(&live, Request::post(&path)).await.unwrap();
    assert_eq!(
        (post.status(), &post.headers()[header::ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD".parse().unwrap())
    );
    assert_eq!(status(&live, Request::get("/live/assets/bonito.0000000000000000.js")).await, 404);
}

#[tokio::test]
async fn an_upgrade_needs_a_session_and_all_its_headers() {
    let live = endpoint();
    let session = live.session();
    assert_eq!(status(&live, upgrade_request(&session)).await, 101);
    let missing = endpoint().session();
    assert_eq!(status(&live, upgrade_request(&missing)).await, 404);
    let path = format!("/live/{}", session.id());
    let plain = answer(&live, Request::get(&path)).await.unwrap();
    assert_eq!(plain.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(plain.headers()[header::UPGRADE], "websocket");
    assert_eq!(plain.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(status(&live, upgrade_request(&session).method(Method::POST)).await, 405);
    let old = Request::get(&path)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "8")
        .header("sec-websocket-key", "x");
    let old = answer(&live, old).await.unwrap();
    assert_eq!(
        (old.status(), &old.headers()[header::SEC_WEBSOCKET_VERSION]),
        (StatusCode::UPGRADE_REQUIRED, &"13".parse().unwrap())
    );
    session.close();
    assert_eq!(status(&live, upgrade_request(&session)).await, 404, "a closed session is none");
}

#[tokio::test]
async fn the_end_of_the_path_decides_under_any_prefix() {
    let live = endpoint();
    let session = live.session();
    for path in ["/", "/live/", "/a/b/live/", "/live/x/"] {
        let request = Request::get(format!("{path}{}?low_latency", session.id()));
        assert_eq!(status(&live, request).await, 426, "{path}");
    }
    for path in
        ["/live", "/live/", "/live/x", "/live/../x", "/live/assets/", "/live/assets/..%2fx", "/live/%00"]
    {
        assert_eq!(status(&live, Request::get(path)).await, 404, "{path}");
    }
}

#[tokio::test]
async fn foreign_origins_are_refused_before_the_upgrade() {
    let live = Endpoint::builder("/live").allow_origin("https://partner.example").build();
    let session = live.session();
    for (origin, expected) in [
        ("https://app.example", 101),
        ("https://partner.example", 101),
        ("https://evil.example", 403),
        ("https://app.example.evil.example", 403),
        ("null", 403),
    ] {
        assert_eq!(
            status(&live, upgrade_request(&session).header("origin", origin)).await,
            expected,
            "{origin}"
        );
    }
}

#[tokio::test]
async fn over_capacity_the_answer_is_to_come_back() {
    let live = endpoint_with(|limits| limits.sockets = 1);
    let session = live.session();
    let page = Page::connect(&live, &session).await;
    let refused = answer(&live, upgrade_request(&session)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    page.cut();
    page.serving.await.unwrap();
    assert_eq!(status(&live, upgrade_request(&session)).await, 101, "a place is free again");
    assert_eq!(live.stats().sockets, 0, "an upgrade that is not run gives its place back");
}
