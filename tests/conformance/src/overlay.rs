//! Buttons in the page that break its connection.

use bonito_core::Endpoint;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use crate::Faults;

#[cfg(not(debug_assertions))]
compile_error!(
    "the feature `overlay` of bonito-testkit is for development, and this is a build without debug assertions: \
     leave the feature out of releases"
);

const SCRIPT: &str = include_str!("overlay.js");

/// A panel for developers in the corner of a page, with buttons that break its connection: drop, half-open, latency, restart.
///
/// The first three break nothing but the page's own socket, and live in the page alone: its script takes the place of
/// `WebSocket`. *Restart* asks the server to [`cut`](Faults::cut) all connections of the [`Faults`]; only pages of the
/// endpoint's own origins may ask.
///
/// It cannot get into a release by accident: with the feature `overlay` this crate does not compile without debug assertions.
/// Nothing of it is in `bonito-core`.
///
/// ```
/// use bonito_core::{Endpoint, Page};
/// use bonito_testkit::{DevOverlay, Faults};
///
/// let live = Endpoint::builder("/live").build();
/// let overlay = DevOverlay::new(&live, "/dev/faults", &Faults::new());
/// let html = Page::new("Home").head(overlay.head()).render(&live.session(), "<h1>Hello</h1>");
/// // And every request under /dev/faults is answered by overlay.handle(&parts).
/// # assert!(html.find("/dev/faults/overlay.js").unwrap() < html.find("<script type=\"module\"").unwrap());
/// ```
#[derive(Clone, Debug)]
pub struct DevOverlay {
    endpoint: Endpoint,
    path: String,
    faults: Faults,
}

impl DevOverlay {
    /// A panel for pages of this endpoint. Requests under the path are for [`handle`](Self::handle); the path is the one that
    /// browsers see.
    ///
    /// # Panics
    ///
    /// If the path does not begin with a slash, or contains anything but letters, digits and `/-._~`.
    pub fn new(endpoint: &Endpoint, path: &str, faults: &Faults) -> Self {
        let path = path.trim_end_matches('/');
        assert!(
            path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b)),
            "expected the path of an overlay to look like \"/dev/faults\", got {path:?}"
        );
        Self { endpoint: endpoint.clone(), path: path.to_owned(), faults: faults.clone() }
    }

    /// What shows the panel, for the page's `<head>`: before the session's own, as [`Page::head`](bonito_core::Page::head) puts
    /// it. Under a Content-Security-Policy it needs `script-src 'self'`.
    pub fn head(&self) -> String {
        format!("<script src=\"{}/overlay.js\"></script>", self.path)
    }

    /// Answers a request to any path under the overlay's.
    ///
    /// | request | answer |
    /// |---|---|
    /// | `GET …/overlay.js` | the script |
    /// | `POST …/restart` | 204, and all connections of the faults are cut |
    /// | that from a page of another origin | 403 |
    /// | another method | 405 |
    /// | anything else | 404 |
    pub fn handle(&self, request: &Parts) -> Response<Bytes> {
        let last = request.uri.path().rsplit('/').next();
        match (last, &request.method) {
            (Some("overlay.js"), &Method::GET) => {
                let mut response = Response::new(Bytes::from_static(SCRIPT.as_bytes()));
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                response
            }
            (Some("restart"), &Method::POST) => {
                if let Some(refusal) = self.endpoint.origin_refusal(request) {
                    return refusal;
                }
                tracing::warn!(
                    connections = self.faults.connections(),
                    "all connections are cut, on purpose"
                );
                self.faults.cut();
                empty(StatusCode::NO_CONTENT)
            }
            (Some("overlay.js"), _) => allow("GET"),
            (Some("restart"), _) => allow("POST"),
            _ => empty(StatusCode::NOT_FOUND),
        }
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn allow(method: &'static str) -> Response<Bytes> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    response
}
