//! Who may poll.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::sync::Arc;

use app_parts::Sessions;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bonito_core::{Endpoint, Limits, Session};
use long_poll::batch;
use long_poll::connection::LongPoll;
use tower_service::Service;

fn app(live: &Endpoint) -> (Router, Session) {
    let sessions = Sessions::default();
    let session = live.session_with(Arc::new(LongPoll::new(&sessions, false)));
    let _html = session.page("", "");
    (long_poll::routes::routes(live, &sessions), session)
}

async fn status(router: &Router, request: Request<Body>) -> u16 {
    router.clone().call(request).await.unwrap().status().as_u16()
}

fn open(session: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request =
        Request::get(format!("/poll/{session}?poll=1&from=0&open=true")).header("host", "app.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn another_origin_may_neither_poll_nor_send() {
    let live = Endpoint::builder("/live").build();
    let (router, session) = app(&live);
    let id = session.id().to_string();
    for header in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(status(&router, open(&id, &[header])).await, 403, "{header:?}");
        let request = Request::post(format!("/poll/{id}")).header("host", "app.example");
        let request = request.header(header.0, header.1).body(batch::encode(0, []).into());
        assert_eq!(status(&router, request.unwrap()).await, 403, "{header:?}");
    }
    for headers in [&[("sec-fetch-site", "same-origin")][..], &[("origin", "https://app.example")]] {
        let mut request = open(&id, headers);
        // Each poll has a number of its own.
        let uri = format!("/poll/{id}?poll={}&from=0&open=true", headers.len() + 1);
        *request.uri_mut() = uri.parse().unwrap();
        assert_eq!(status(&router, request).await, 204, "{headers:?}");
    }
}

#[tokio::test]
async fn an_unknown_session_is_not_found_and_one_that_is_over_neither() {
    let live = Endpoint::builder("/live").build();
    let (router, session) = app(&live);
    assert_eq!(status(&router, open("0", &[])).await, 404);
    assert_eq!(status(&router, open(&"0".repeat(32), &[])).await, 404);
    let id = session.id().to_string();
    session.close();
    assert_eq!(status(&router, open(&id, &[])).await, 404);
}

#[tokio::test]
async fn a_session_is_for_its_owner() {
    let who = |request: &axum::http::request::Parts| {
        request.headers.get("x-user").and_then(|user| user.to_str().ok()).map(str::to_owned)
    };
    let live = Endpoint::builder("/live").identity(who).build();
    let (router, session) = app(&live);
    session.set_identity(Some("ann"));
    let id = session.id().to_string();
    assert_eq!(status(&router, open(&id, &[("x-user", "bob")])).await, 403);
    assert_eq!(status(&router, open(&id, &[])).await, 403);
    assert_eq!(status(&router, open(&id, &[("x-user", "ann")])).await, 204);
}

#[tokio::test]
async fn a_request_that_is_too_long_or_no_batch_is_refused() {
    let mut limits = Limits::default();
    limits.message_bytes = 100_000;
    let live = Endpoint::builder("/live").limits(limits).build();
    let (router, session) = app(&live);
    let post = |body: Vec<u8>| {
        let request = Request::post(format!("/poll/{}", session.id())).header("host", "app.example");
        status(&router, request.body(body.into()).unwrap())
    };
    assert_eq!(post(vec![0; 100_100]).await, StatusCode::PAYLOAD_TOO_LARGE.as_u16());
    assert_eq!(post(vec![0; 7]).await, 400);
    assert_eq!(post(batch::encode(1, []).to_vec()).await, 400, "a gap");
    assert_eq!(post(batch::encode(0, []).to_vec()).await, 200);
}
