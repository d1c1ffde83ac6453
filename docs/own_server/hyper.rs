//! The app's own route in hyper, whose parts are those of axum and warp too.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};

use super::{App, serve};

/// Upgrades a request to `/sockets/{id}`.
pub fn socket(app: &App, id: &str, mut request: Parts) -> Response<Bytes> {
    let Some(served) = app.sessions.find(id) else {
        return status(StatusCode::NOT_FOUND);
    };
    // Method, headers and origin.
    if let Some(refusal) = app.live.refusal(&request) {
        return refusal;
    }
    let Some((response, connection)) = bonito_hyper::upgrade(&mut request) else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let limits = app.live.limits().clone();
    tokio::spawn(async move {
        if let Ok(connection) = connection.await {
            serve(served, bonito_hyper::transport(connection, &limits).await).await;
        }
    });
    response
}

fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// The whole app, for `service_fn`.
pub async fn answer(app: App, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let response = match path.strip_prefix("/sockets/") {
        Some(id) => socket(&app, id, request.into_parts().0),
        // The browser client.
        None if path.starts_with("/live/assets/") => {
            return bonito_hyper::service(&app.live).call(request).await;
        }
        None if path == "/" => {
            let mut page = Response::new(Bytes::from(app.page()));
            page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            page
        }
        None => status(StatusCode::NOT_FOUND),
    };
    Ok(response.map(Full::new))
}
