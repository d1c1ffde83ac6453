//! What may be chosen when an endpoint is built.

use std::sync::Arc;

use http::request::Parts;

use super::Endpoint;
use super::assets::Assets;
use super::cluster::Relay;
use super::identity::Identity;
use super::inner::Inner;
use super::origin::{Origin, Origins};
use super::socket::Sockets;
use crate::cluster::ClusterBackend;
use crate::host::{Resumption, Urls};
use crate::limits::Limits;
use crate::proto::compress::Container;
use crate::proto::policy::{CleanupPolicy, DefaultCleanupPolicy};
use crate::proto::resume::Takeover;
use crate::runtime::relay::RelayOptions;

/// Builds an [`Endpoint`]; made by [`Endpoint::builder`]. Every choice has a safe default.
#[derive(Debug)]
#[must_use = "build() makes the endpoint"]
pub struct EndpointBuilder {
    path: String,
    external_url: Option<String>,
    client_urls: Option<(String, String)>,
    allowed_origins: Vec<Origin>,
    limits: Limits,
    policy: Arc<dyn CleanupPolicy>,
    compression: Option<Container>,
    resumption: Resumption,
    identity: Identity,
    pub(super) sockets: Sockets,
    pub(super) cluster: Option<(Arc<dyn ClusterBackend>, RelayOptions)>,
}

impl EndpointBuilder {
    pub(super) fn new(path: &str) -> Self {
        let path = path.trim_end_matches('/').to_owned();
        let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b));
        assert!(
            path.is_empty() || path.starts_with('/') && plain,
            "expected the path of an endpoint to look like \"/live\", got {path:?}"
        );
        Self {
            path,
            external_url: None,
            client_urls: None,
            allowed_origins: Vec::new(),
            limits: Limits::default(),
            policy: Arc::new(DefaultCleanupPolicy::default()),
            compression: None,
            resumption: Resumption::default(),
            identity: Identity::default(),
            sockets: Sockets::default(),
            cluster: None,
        }
    }

    /// Where browsers find the endpoint, if that is not its path on the page's own host: behind a proxy that rewrites
    /// paths, or nested in another router. A path (`/apps/mine/live`) or absolute (`https://example.com/live`); from an
    /// absolute one, the host's own origin is known exactly, scheme included, and the `Host` header is not asked.
    ///
    /// # Panics
    ///
    /// If it is neither.
    pub fn external_url(mut self, url: impl Into<String>) -> Self {
        let url = url.into().trim_end_matches('/').to_owned();
        assert!(
            url.is_empty()
                || url.starts_with('/') && !url.starts_with("//")
                || Origin::of_url(&url).is_some(),
            "expected an external URL like \"/apps/live\" or \"https://example.com/live\", got {url:?}"
        );
        self.external_url = Some(url);
        self
    }

    /// Lets pages load another copy of the client: the library, and the module whose `setup_connection` opens a WebSocket.
    /// For copies on another host, and for apps that bring the existing Bonito bundles.
    pub fn client_urls(mut self, library: impl Into<String>, websocket_module: impl Into<String>) -> Self {
        self.client_urls = Some((library.into(), websocket_module.into()));
        self
    }

    /// Lets pages of another origin connect, besides those of the host itself: `https://example.com`, with the port if it
    /// is not the scheme's own.
    ///
    /// # Panics
    ///
    /// If it is not an origin. `null` is none: it stands for pages that hide theirs.
    pub fn allow_origin(mut self, origin: &str) -> Self {
        match Origin::parse(origin) {
            Some(origin) => self.allowed_origins.push(origin),
            None => panic!("expected an origin like \"https://example.com\", got {origin:?}"),
        }
        self
    }

    /// Sets the bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the policy by which sessions are cleaned up.
    pub fn cleanup_policy(mut self, policy: impl CleanupPolicy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Says who sends a request, so that a session is connected to by nobody but its owner: of the request for the page, with
    /// [`Endpoint::session_for`], and of the one for the socket, each time that it connects, this must say the same.
    /// Anything that the app's middleware has left in the request will do, the headers or the extensions.
    ///
    /// | the session belongs to | the socket's request is by | |
    /// |---|---|---|
    /// | `ada` | `ada` | connects |
    /// | `ada` | `bob`, or nobody | 403, before the upgrade; the session and its page are left alone |
    /// | nobody | nobody | connects |
    /// | nobody | `ada` | 403: log in first, then load the page |
    ///
    /// Without this hook every request is by nobody. A session made by [`Endpoint::session`] belongs to nobody, until
    /// [`Session::set_identity`](crate::Session::set_identity) says otherwise.
    ///
    /// The hook must answer at once: look logins up in the middleware. One that panics refuses the connection.
    ///
    /// ```
    /// use bonito_core::Endpoint;
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let live = Endpoint::builder("/live")
    ///     .identity(|request| request.extensions.get::<User>().map(|user| user.0.clone()))
    ///     .build();
    /// # drop(live);
    /// ```
    pub fn identity(mut self, identify: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.identity = Identity::new(identify);
        self
    }

    /// What becomes of a page that was loaded twice, as by duplicating its tab. Default [`Takeover::Fork`]: the second loads
    /// afresh.
    ///
    /// This is for pages that resume. Of two that cannot, the newest has the session.
    pub fn takeover(mut self, takeover: Takeover) -> Self {
        self.resumption.takeover = takeover;
        self
    }

    /// Whether sockets are let in that cannot resume: those of another client than the endpoint's own, and of connections
    /// like [`DualWebSocketConnection`](crate::DualWebSocketConnection), which has no way to. Default `true`, as long as nobody
    /// has ever resumed the session: from then on they are closed with 4003 in any case.
    ///
    /// Who may connect without resuming needs nothing but the session's id, which stands in URLs and in the logs of proxies.
    /// With `false` it needs the key from the page as well, from the first connection on.
    pub fn plain_clients(mut self, on: bool) -> Self {
        self.resumption.plain_clients = on;
        self
    }

    /// Compresses all messages, both ways. Off by default: it costs more than it saves for small ones.
    pub fn compression(mut self, on: bool) -> Self {
        self.compression = on.then_some(Container::Zlib);
        self
    }

    /// The endpoint.
    pub fn build(self) -> Endpoint {
        let external = self.external_url.unwrap_or_else(|| self.path.clone());
        let own = Origin::of_url(&external);
        let assets = Assets::get();
        let (library, websocket_module) = self.client_urls.unwrap_or_else(|| {
            let url = |name: &str| format!("{external}/assets/{name}");
            (url(&assets.library.name), url(&assets.websocket.name))
        });
        let relay = self.cluster.map(|cluster| Relay::new(cluster, self.limits.close_timeout));
        let sessions = match &relay {
            Some(relay) => format!("{external}/{}/", relay.segment()),
            None => format!("{external}/"),
        };
        let urls = Urls { library, websocket_module, sessions };
        let origins = Origins { own, allowed: self.allowed_origins };
        let endpoint = Endpoint(Inner::new(
            self.path,
            urls,
            origins,
            self.limits,
            self.policy,
            self.compression,
            self.resumption,
            self.identity,
            self.sockets,
            relay,
        ));
        if endpoint.0.relay.is_some() {
            // Others ask for its sessions from the first one on.
            endpoint.0.start_sweeper();
        }
        endpoint
    }
}
