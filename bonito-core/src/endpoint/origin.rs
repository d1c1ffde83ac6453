//! Which pages may open a socket. Compared are scheme, host and port, each as a whole: matching by suffix or prefix has
//! opened doors elsewhere.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

/// Scheme, host and port of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

/// The origins that an endpoint lets in.
#[derive(Debug)]
pub(crate) struct Origins {
    /// The host's own, where the endpoint knows it; the `Host` header says it otherwise.
    pub(super) own: Option<Origin>,
    pub(super) allowed: Vec<Origin>,
}

impl Origin {
    /// Reads what stands in an `Origin` header.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
            return None;
        }
        Self::new(scheme, authority)
    }

    /// The origin of an absolute URL.
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?;
        Self::new(uri.scheme_str()?, authority.as_str())
    }

    fn new(scheme: &str, authority: &str) -> Option<Self> {
        let secure = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return None,
        };
        let (host, port) = host_and_port(authority, secure)?;
        Some(Self { secure, host, port })
    }
}

/// Host in lower case and port, with the scheme's own where none is given.
fn host_and_port(authority: &str, secure: bool) -> Option<(String, u16)> {
    let authority: Authority = authority.parse().ok()?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let after_host = &authority.as_str()[authority.host().len()..];
    let port = match after_host.strip_prefix(':') {
        Some(digits) => digits.parse().ok()?,
        None if after_host.is_empty() => default_port(secure),
        None => return None,
    };
    Some((authority.host().to_ascii_lowercase(), port))
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

impl Origins {
    /// Whether this request comes from a page that may connect. A request without an origin is none of a browser's, so it
    /// carries nobody's cookies but its sender's own.
    pub(super) fn allow(&self, parts: &Parts) -> bool {
        let mut headers = parts.headers.get_all(ORIGIN).iter();
        let Some(header) = headers.next() else { return true };
        if headers.next().is_some() {
            return false;
        }
        let Some(origin) = header.to_str().ok().and_then(Origin::parse) else { return false };
        if self.allowed.contains(&origin) {
            return true;
        }
        match &self.own {
            Some(own) => origin == *own,
            None => is_same_host(&origin, parts),
        }
    }

    /// The same for a request that is no upgrade. Browsers leave the origin out of some of those, but then say
    /// whether the page is of the same one.
    pub(super) fn allow_plain(&self, parts: &Parts) -> bool {
        let mut sites = parts.headers.get_all("sec-fetch-site").iter();
        let foreign = !parts.headers.contains_key(ORIGIN) && sites.any(|site| site != "same-origin");
        !foreign && self.allow(parts)
    }
}

fn is_same_host(origin: &Origin, parts: &Parts) -> bool {
    // Over HTTP/2 the scheme is known; over HTTP/1 it is the origin's word, since a proxy may have ended the TLS.
    let scheme_fits = match parts.uri.scheme() {
        Some(scheme) => (*scheme == Scheme::HTTPS) == origin.secure,
        None => true,
    };
    let named = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => single_host(parts).and_then(|host| host.to_str().ok()),
    };
    let Some((host, port)) = named.and_then(|host| host_and_port(host, origin.secure)) else { return false };
    scheme_fits && host == origin.host && port == origin.port
}

fn single_host(parts: &Parts) -> Option<&HeaderValue> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next()?;
    hosts.next().is_none().then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(own: Option<&str>, allowed: &[&str], host: &str, origins: &[&str]) -> bool {
        let mut request = http::Request::get("/live/0").header(HOST, host);
        for origin in origins {
            request = request.header(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let origins = Origins {
            own: own.map(|url| Origin::of_url(url).unwrap()),
            allowed: allowed.iter().map(|origin| Origin::parse(origin).unwrap()).collect(),
        };
        origins.allow(&parts)
    }

    #[test]
    fn without_an_origin_the_site_of_a_plain_request_counts() {
        let allows = |headers: &[(&str, &str)]| {
            let mut request = http::Request::get("/poll/0").header(HOST, "a.example");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            Origins { own: None, allowed: Vec::new() }.allow_plain(&parts)
        };
        assert!(allows(&[]));
        assert!(allows(&[("sec-fetch-site", "same-origin")]));
        for site in ["same-site", "cross-site", "none", "", "same-origin, cross-site"] {
            assert!(!allows(&[("sec-fetch-site", site)]), "{site}");
        }
        assert!(!allows(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
        // An origin says more, and has its own rules.
        assert!(allows(&[("origin", "https://a.example"), ("sec-fetch-site", "cross-site")]));
        assert!(!allows(&[("origin", "https://b.example"), ("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn the_same_host_may_connect() {
        for (host, origin) in [
            ("app.example", "http://app.example"),
            ("app.example", "https://app.example"),
            ("app.example:8080", "http://app.example:8080"),
            ("app.example:443", "https://app.example"),
            ("App.Example", "https://app.example"),
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("[::1]:3000", "http://[::1]:3000"),
            ("xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ] {
            assert!(allows(None, &[], host, &[origin]), "{origin} at {host}");
        }
    }

    #[test]
    fn look_alikes_may_not() {
        for origin in [
            "https://app.example.evil.example",
            "https://evilapp.example",
            "https://evil.app.example",
            "https://app.exampl",
            "https://app.example:8443",
            "http://app.example:443",
            "https://app.example.",
            "https://app.example@evil.example",
            "https://user@app.example",
            "https://app.example/",
            "https://app.example#",
            "https://app.example:",
            "https://app.example:99999",
            "https://xn--pp-eka.example",
            "https://äpp.example",
            "ftp://app.example",
            "file://",
            "null",
            "",
            "app.example",
        ] {
            assert!(!allows(None, &[], "app.example", &[origin]), "{origin:?}");
        }
        assert!(!allows(None, &[], "app.example", &["https://app.example", "https://evil.example"]));
        assert!(!allows(None, &["https://partner.example"], "app.example", &["null"]));
    }

    #[test]
    fn a_request_of_no_page_may() {
        assert!(allows(None, &[], "app.example", &[]));
    }

    #[test]
    fn a_known_own_origin_is_exact() {
        let own = Some("https://public.example/apps/live");
        assert!(allows(own, &[], "internal:8080", &["https://public.example"]));
        assert!(!allows(own, &[], "internal:8080", &["http://public.example"]));
        assert!(!allows(own, &[], "internal:8080", &["http://internal:8080"]));
    }

    #[test]
    fn the_list_widens_by_whole_origins() {
        let list = ["https://partner.example"];
        assert!(allows(None, &list, "app.example", &["https://partner.example"]));
        assert!(allows(None, &list, "app.example", &["https://partner.example:443"]));
        assert!(!allows(None, &list, "app.example", &["http://partner.example"]));
        assert!(!allows(None, &list, "app.example", &["https://sub.partner.example"]));
    }
}
