//! The browser client, served under names that change with its content.

use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response};

use crate::client;

/// The two modules of the client.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) library: Asset,
    pub(super) websocket: Asset,
}

#[derive(Debug)]
pub(super) struct Asset {
    /// Name of the file, with a hash of its content in it.
    pub(super) name: String,
    plain: Bytes,
    gzip: Bytes,
}

impl Assets {
    pub(super) fn get() -> &'static Self {
        static ASSETS: OnceLock<Assets> = OnceLock::new();
        ASSETS.get_or_init(|| Self {
            library: Asset::new("bonito", client::LIBRARY),
            websocket: Asset::new("websocket", client::WEBSOCKET),
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Asset> {
        [&self.library, &self.websocket].into_iter().find(|asset| asset.name == name)
    }
}

impl Asset {
    fn new(stem: &str, content: &'static str) -> Self {
        let content = content.as_bytes();
        let mut hasher = foldhash::quality::FixedState::default().build_hasher();
        hasher.write(content);
        let name = format!("{stem}.{:016x}.js", hasher.finish());
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = gzip.write_all(content).and_then(|()| gzip.finish()).unwrap_or_default();
        Self { name, plain: Bytes::from_static(content), gzip: gzip.into() }
    }

    pub(super) fn response(&self, request: &HeaderMap, head: bool) -> Response<Bytes> {
        let zipped = !self.gzip.is_empty() && accepts_gzip(request);
        let body = if zipped { &self.gzip } else { &self.plain };
        let mut response = Response::new(if head { Bytes::new() } else { body.clone() });
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if zipped {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default();
            let refused = parts.any(
                |p| matches!(p.strip_prefix("q="), Some(q) if q.trim_end_matches(['0', '.']).is_empty()),
            );
            coding.eq_ignore_ascii_case("gzip") && !refused
        })
}
