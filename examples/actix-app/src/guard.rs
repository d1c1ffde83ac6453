//! The app's own middleware: who may come in, and which scripts may run.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, REFERRER_POLICY};
use actix_web::http::header::{COOKIE, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};

use crate::State;

/// Marks the scripts that a page means to run. A handler takes it as `ReqData<Nonce>`.
#[derive(Clone, Debug)]
pub(crate) struct Nonce(pub(crate) String);

/// Adds the headers that every answer has.
pub(crate) async fn headers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some((nonce, policy)) = nonce() else {
        return Ok(request.into_response(HttpResponse::InternalServerError().finish()).map_into_right_body());
    };
    request.extensions_mut().insert(nonce);
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response.map_into_left_body())
}

fn nonce() -> Option<(Nonce, HeaderValue)> {
    let nonce = app_parts::random()?;
    let policy = HeaderValue::from_str(&app_parts::policy(&nonce)).ok()?;
    Some((Nonce(nonce), policy))
}

/// Lets in who is logged in. A handler takes who it is as `ReqData<Person>`.
pub(crate) async fn login<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let state = request.app_data::<Data<State>>().cloned();
    let person = state.zip(token(request.request())).and_then(|(state, token)| state.people.find(&token));
    if let Some(person) = person {
        bonito_actix::extend(&request, person.clone());
        request.extensions_mut().insert(person);
        return Ok(next.call(request).await?.map_into_left_body());
    }
    // A socket has no use for a form.
    let refusal = if request.path().starts_with("/live/") {
        HttpResponse::Unauthorized().finish()
    } else {
        HttpResponse::SeeOther().insert_header((LOCATION, "/login")).finish()
    };
    Ok(request.into_response(refusal).map_into_right_body())
}

/// What the login cookie says.
pub(crate) fn token(request: &HttpRequest) -> Option<String> {
    let cookies = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == app_parts::COOKIE).map(|(_, value)| value.to_owned())
}
