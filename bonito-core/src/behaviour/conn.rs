//! The request that a connection began with.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Uri, header};

/// The request that a connection began with, as the callbacks see it.
pub struct Conn {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    params: Vec<(Arc<str>, String)>,
    identity: Option<String>,
    state: States,
}

/// Values of the application by their type, given when a behaviour is mounted.
#[derive(Clone, Default)]
pub(crate) struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, state: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(state));
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("States").field(&self.0.len()).finish()
    }
}

/// The address of the client, which a server's accept loop or a middleware may leave in the request's extensions for
/// [`Conn::peer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an address with a name")]
pub struct Peer(pub SocketAddr);

impl Conn {
    pub(crate) fn new(
        parts: &Parts,
        params: Vec<(Arc<str>, String)>,
        identity: Option<String>,
        state: States,
    ) -> Self {
        Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            extensions: parts.extensions.clone(),
            params,
            identity,
            state,
        }
    }

    /// The method: `GET`, and over HTTP/2 `CONNECT`.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, as the framework handed it on and not decoded.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// What the pattern's `{name}` stands for in this path, decoded.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(param, _)| &**param == name).map(|(_, value)| value.as_str())
    }

    /// All parameters of the path, in its order.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (&**name, value.as_str()))
    }

    /// The query as it came, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The first value of this name in the query, decoded. Others may read the URL, in logs above all: a long-lived secret
    /// belongs in a cookie or a header.
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query()?.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first cookie of this name, as it came.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|cookies| cookies.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The client's address, where the extensions hold a [`Peer`] or a [`SocketAddr`]. Behind a proxy it is the proxy's.
    pub fn peer(&self) -> Option<SocketAddr> {
        let peer = self.extensions.get::<Peer>().map(|peer| peer.0);
        peer.or_else(|| self.extensions.get().copied())
    }

    /// Who the client is, as [`EndpointBuilder::identity`](crate::EndpointBuilder::identity) says.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// What the server and its middleware have left in the request, as far as the adapter can pass it on.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// A value that the behaviour was [mounted](crate::SocketOptions::state) with.
    ///
    /// # Panics
    ///
    /// If it was mounted without one of this type: a mistake that the first connection shows, as a logged 500.
    pub fn state<T: Send + Sync + 'static>(&self) -> &T {
        match self.try_state() {
            Some(state) => state,
            None => panic!(
                "there is no state of type {0}: mount the behaviour with SocketOptions::new().state(a {0})",
                type_name::<T>()
            ),
        }
    }

    /// The same, or `None`.
    pub fn try_state<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.state.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

/// Neither headers nor query: they hold secrets.
impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}
