//! The adapter.

use bonito_core::{Endpoint, Outcome};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use crate::framework::{Answer, BoxFuture, Request, Response};

/// What answers under the endpoint's path.
pub fn handler(live: &Endpoint) -> impl Fn(Request) -> BoxFuture<Answer> + Send + Sync + use<> {
    let live = live.clone();
    move |request| {
        let live = live.clone();
        Box::pin(async move { answer(&live, &request).await })
    }
}

/// Copies the request there and the answer back.
pub async fn answer(live: &Endpoint, request: &Request) -> Answer {
    let Some(parts) = to_parts(request) else {
        return Answer::Respond(Response::new(400));
    };
    match live.handle(&parts).await {
        Outcome::Respond(response) => Answer::Respond(from_http(response)),
        Outcome::Upgrade(accepted) => {
            let handshake = from_http(bonito_websocket::answer(&accepted, &parts));
            Answer::upgrade(handshake, async |connection| {
                let _disconnect = bonito_websocket::serve(accepted, connection).await;
            })
        }
    }
}

/// All headers go along, and repeated ones as often as they came.
fn to_parts(request: &Request) -> Option<Parts> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = request.method.parse().ok()?;
    parts.uri = request.target.parse().ok()?;
    for (name, value) in &request.headers {
        let name: HeaderName = name.parse().ok()?;
        parts.headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(parts)
}

fn from_http(response: http::Response<Bytes>) -> Response {
    let (parts, body) = response.into_parts();
    let mut response = Response::new(parts.status.as_u16());
    for (name, value) in &parts.headers {
        response = response.header(name.as_str(), value.as_bytes());
    }
    response.body(body)
}
