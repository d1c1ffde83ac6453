//! The app's own check of who may come in.

use std::convert::Infallible;
use std::future::ready;

use app_parts::{People, Person};
use warp::http::header::{COOKIE, HeaderMap, HeaderValue, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use warp::http::{Response, StatusCode};
use warp::path::FullPath;
use warp::reject::Reject;
use warp::{Filter, Rejection, Reply};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Visitor(pub(crate) Person);

/// Somebody who is not logged in asks for what is not for strangers.
#[derive(Clone, Copy, Debug)]
enum Stranger {
    /// Who gets the form.
    ToPage,
    /// A socket has no use for a form.
    ToSocket,
}

impl Reject for Stranger {}

/// Lets in who is logged in.
pub(crate) fn visitor(
    people: People,
) -> impl Filter<Extract = (Visitor,), Error = Rejection> + Clone + use<> {
    warp::path::full().and(warp::header::headers_cloned()).and_then(
        move |path: FullPath, headers: HeaderMap| {
            let socket = path.as_str().starts_with("/live/");
            let stranger = if socket { Stranger::ToSocket } else { Stranger::ToPage };
            let person = token(&headers).and_then(|token| people.find(&token));
            ready(person.map(Visitor).ok_or_else(|| warp::reject::custom(stranger)))
        },
    )
}

/// What the login cookie says.
pub(crate) fn token(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == app_parts::COOKIE).map(|(_, value)| value.to_owned())
}

/// The answer to who is not let in, and to what is not there.
pub(crate) async fn refuse(rejection: Rejection) -> Result<impl Reply, Infallible> {
    let mut response = Response::new("");
    *response.status_mut() = match rejection.find::<Stranger>() {
        Some(Stranger::ToPage) => {
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/login"));
            StatusCode::SEE_OTHER
        }
        Some(Stranger::ToSocket) => StatusCode::UNAUTHORIZED,
        None if rejection.is_not_found() => StatusCode::NOT_FOUND,
        None if rejection.find::<warp::reject::MethodNotAllowed>().is_some() => {
            StatusCode::METHOD_NOT_ALLOWED
        }
        None => StatusCode::BAD_REQUEST,
    };
    Ok(response)
}

/// What every answer has.
pub(crate) fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ])
}

/// The policy of pages without a session.
pub(crate) const NO_SCRIPTS: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                                     base-uri 'none'; frame-ancestors 'none'";

/// Marks the scripts that a page means to run; and the policy that says so.
pub(crate) fn nonce() -> Option<(String, HeaderValue)> {
    let nonce = app_parts::random()?;
    let policy = HeaderValue::from_str(&app_parts::policy(&nonce)).ok()?;
    Some((nonce, policy))
}
