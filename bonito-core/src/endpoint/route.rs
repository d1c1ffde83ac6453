//! Which answer a request gets. Every refusal of design.md §8 that happens before an upgrade is here.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_KEY};
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use percent_encoding::percent_decode_str;

use super::assets::Assets;
use super::pattern::Params;
use super::socket::Mount;
use super::stats::Count;
use super::{Accepted, Endpoint, Outcome, Permit, Served};
use crate::host::Host;
use crate::id::SessionId;
use crate::session::Session;
use crate::sync::guard;

/// Routes by the end of the path, so that an endpoint works under any prefix that a router or proxy adds or takes away.
pub(super) fn answer(endpoint: &Endpoint, parts: &Parts) -> Outcome {
    let path = parts.uri.path();
    let Some((before, last)) = path.rsplit_once('/') else { return not_found() };
    if before.ends_with("/assets") {
        return asset(last, parts);
    }
    match last.parse() {
        Ok(id) => socket(endpoint, id, parts),
        Err(_) => not_found(),
    }
}

fn asset(name: &str, parts: &Parts) -> Outcome {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Outcome::Respond(method_not_allowed("GET, HEAD"));
    }
    match Assets::get().find(name) {
        Some(asset) => Outcome::Respond(asset.response(&parts.headers, parts.method == Method::HEAD)),
        None => not_found(),
    }
}

fn socket(endpoint: &Endpoint, id: SessionId, parts: &Parts) -> Outcome {
    if let Some(refusal) = wrong_method(parts) {
        return Outcome::Respond(refusal);
    }
    if let Some(refusal) = draining(endpoint, id.fraction()) {
        return Outcome::Respond(refusal);
    }
    let Some(session) = endpoint.find(id) else { return not_found() };
    if let Some(refusal) = stranger(endpoint, &session, parts) {
        return Outcome::Respond(refusal);
    }
    let query = parts.uri.query().unwrap_or_default();
    let Some(handler) = session.0.socket_handler(query) else { return not_found() };
    if let Some(refusal) = unfit(endpoint, Some(id.fraction()), parts) {
        return Outcome::Respond(refusal);
    }
    if session.0.would_crowd() {
        return over_capacity(endpoint);
    }
    match endpoint.accept(session, handler, parts) {
        Some(accepted) => Outcome::Upgrade(accepted),
        None => over_capacity(endpoint),
    }
}

/// A request to a behaviour. It counts from before its behaviour is asked, so that many who wait for that are not too many.
pub(super) async fn behaviour(
    endpoint: &Endpoint,
    mount: &Arc<Mount>,
    params: Params,
    parts: &Parts,
) -> Outcome {
    // Whoever asks is told some time of the usual ones.
    let fraction = mount.next_fraction();
    if let Some(refusal) = wrong_method(parts).or_else(|| unfit(endpoint, Some(fraction), parts)) {
        return Outcome::Respond(refusal);
    }
    if endpoint.0.budgets.is_full() {
        mount.count_refused();
        return over_capacity(endpoint);
    }
    let Some(permit) = Permit::take(&endpoint.0) else {
        mount.count_refused();
        return over_capacity(endpoint);
    };
    let Some(seat) = mount.enter(fraction) else {
        mount.count_refused();
        return Outcome::Respond(no_room());
    };
    let Some(identity) = guard("EndpointBuilder::identity", || endpoint.0.identity.of(parts)) else {
        mount.count_refused();
        return Outcome::Respond(response(StatusCode::FORBIDDEN, "nobody knows who you are"));
    };
    let conn = mount.conn(parts, params, identity);
    match mount.connect(&conn).await {
        Ok(Ok(())) => {
            let served = Served::Behaviour(seat, conn);
            Outcome::Upgrade(Accepted { endpoint: endpoint.clone(), served, permit })
        }
        Ok(Err(refusal)) => {
            mount.count_refused();
            Outcome::Respond(refusal)
        }
        Err(()) => {
            mount.count_refused();
            Outcome::Respond(response(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"))
        }
    }
}

pub(super) fn over_capacity(endpoint: &Endpoint) -> Outcome {
    endpoint.0.counters.add(Count::RefusedSockets);
    Outcome::Respond(no_room())
}

fn no_room() -> Response<Bytes> {
    let mut refusal = response(StatusCode::SERVICE_UNAVAILABLE, "there is no room, come back later");
    refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    refusal
}

/// Why a page may not be made for this request.
pub(super) fn capacity_refusal(endpoint: &Endpoint, parts: &Parts) -> Option<Response<Bytes>> {
    if let Some(refusal) = draining(endpoint, 0.0) {
        return Some(refusal);
    }
    let Some(identity) = guard("EndpointBuilder::identity", || endpoint.0.identity.of(parts)) else {
        return Some(response(StatusCode::FORBIDDEN, "nobody knows who you are"));
    };
    if endpoint.0.budgets.has_seat(identity.as_deref()) {
        return None;
    }
    endpoint.0.counters.add(Count::RefusedSessions);
    Some(no_room())
}

/// The process of a session does not answer, or has no room.
pub(super) fn come_back(seconds: u32) -> Outcome {
    let mut refusal =
        response(StatusCode::SERVICE_UNAVAILABLE, "the session cannot be reached, come back later");
    refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    Outcome::Respond(refusal)
}

pub(super) fn draining(endpoint: &Endpoint, fraction: f64) -> Option<Response<Bytes>> {
    let pause = endpoint.0.drain()?.pause(fraction, endpoint.0.now()).as_secs() + 1;
    let mut refusal = response(StatusCode::SERVICE_UNAVAILABLE, "the server restarts, come back later");
    refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(pause));
    Some(refusal)
}

/// Why this request may not become a socket.
pub(super) fn refusal(endpoint: &Endpoint, parts: &Parts) -> Option<Response<Bytes>> {
    let wrong_method = wrong_method(parts);
    if wrong_method.is_some() {
        return wrong_method;
    }
    let ids = named(parts.uri.path());
    let stranger = ids
        .iter()
        .filter_map(|id| endpoint.find(*id))
        .find_map(|session| stranger(endpoint, &session, parts));
    stranger.or_else(|| unfit(endpoint, ids.last().copied().map(SessionId::fraction), parts))
}

/// The sessions that a path names. A framework hands a route its parts decoded, and may not mind a slash at the end: what is
/// the id for the route must be one here.
fn named(path: &str) -> Vec<SessionId> {
    let path = percent_decode_str(path).decode_utf8_lossy();
    path.split('/').filter_map(|part| part.parse().ok()).collect()
}

/// Comes before the upgrade is asked for: a page asks without one whether it should go on trying.
fn stranger(endpoint: &Endpoint, session: &Session, parts: &Parts) -> Option<Response<Bytes>> {
    let stranger = !endpoint.may_connect(session, parts);
    stranger.then(not_yours)
}

pub(super) fn not_yours() -> Response<Bytes> {
    response(StatusCode::FORBIDDEN, "this session is not yours: load the page again")
}

/// Why this request may not become a socket, whatever it is for. The socket would stand at this fraction of all in a drain;
/// `None` for one that takes no part in it.
pub(super) fn unfit(endpoint: &Endpoint, fraction: Option<f64>, parts: &Parts) -> Option<Response<Bytes>> {
    if !upgrades(parts) {
        return Some(upgrade_required());
    }
    if let Some(refusal) = fraction.and_then(|fraction| draining(endpoint, fraction)) {
        return Some(refusal);
    }
    if !endpoint.0.origins.allow(parts) {
        tracing::warn!(origin = ?parts.headers.get(http::header::ORIGIN), "a socket of a foreign origin is refused");
        return Some(response(StatusCode::FORBIDDEN, "this origin may not connect"));
    }
    None
}

/// Why this request may not speak for a page, as far as its origin tells.
pub(super) fn origin_refusal(endpoint: &Endpoint, parts: &Parts) -> Option<Response<Bytes>> {
    if endpoint.0.origins.allow_plain(parts) {
        return None;
    }
    tracing::warn!(origin = ?parts.headers.get(http::header::ORIGIN), "a request of a foreign origin is refused");
    Some(response(StatusCode::FORBIDDEN, "this origin may not connect"))
}

pub(super) fn wrong_method(parts: &Parts) -> Option<Response<Bytes>> {
    (parts.method != Method::GET && !connects(parts)).then(|| method_not_allowed("GET"))
}

/// Whether it asks for a WebSocket.
pub(super) fn upgrades(parts: &Parts) -> bool {
    connects(parts) || is_upgrade(&parts.headers)
}

/// Over HTTP/2 a WebSocket begins with CONNECT, RFC 8441.
fn connects(parts: &Parts) -> bool {
    parts.version >= Version::HTTP_2 && parts.method == Method::CONNECT
}

/// RFC 6455, section 4.2.1.
fn is_upgrade(headers: &HeaderMap) -> bool {
    let lists = |name: HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    };
    lists(UPGRADE, "websocket")
        && lists(CONNECTION, "upgrade")
        && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && headers.contains_key(SEC_WEBSOCKET_KEY)
}

pub(super) fn not_found() -> Outcome {
    Outcome::Respond(response(StatusCode::NOT_FOUND, "there is no such session or file"))
}

fn method_not_allowed(allowed: &'static str) -> Response<Bytes> {
    let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here");
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refusal
}

fn upgrade_required() -> Response<Bytes> {
    let mut refusal = response(StatusCode::UPGRADE_REQUIRED, "this is the address of a WebSocket");
    refusal.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    refusal.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    refusal
}

fn response(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
