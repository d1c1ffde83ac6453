//! The app's own middleware: a strict Content-Security-Policy with a nonce for each request.

use std::convert::Infallible;
use std::time::Instant;

use axum::extract::{FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Marks the scripts that a page means to run. A handler takes it as an argument.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nonce(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Nonce {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

pub(crate) async fn secure(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let Some((nonce, policy)) = nonce().and_then(|nonce| Some((nonce.clone(), policy(&nonce)?))) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    request.extensions_mut().insert(nonce);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let timing = format!("app;dur={:.3}", started.elapsed().as_secs_f64() * 1e3);
    if let Ok(timing) = HeaderValue::from_str(&timing) {
        headers.insert(HeaderName::from_static("server-timing"), timing);
    }
    response
}

fn nonce() -> Option<Nonce> {
    let random = getrandom::u64().ok().zip(getrandom::u64().ok());
    random.map(|(a, b)| Nonce(format!("{a:016x}{b:016x}")))
}

/// `'unsafe-eval'` is what live pages need besides the nonce: scripts from Rust are compiled in the page.
fn policy(Nonce(nonce): &Nonce) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'unsafe-eval'; connect-src 'self'; style-src 'self'; \
         img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}
