//! What may be chosen when connecting.

use std::time::Duration;

use async_nats::ConnectOptions;

/// How a [`NatsBackend`](crate::NatsBackend) connects, and what it keeps.
#[derive(Debug)]
#[must_use = "the options are for NatsBackend::connect"]
pub struct NatsOptions {
    pub(crate) client: ConnectOptions,
    pub(crate) prefix: String,
    pub(crate) bucket: String,
    pub(crate) lease: Duration,
    pub(crate) replicas: usize,
    pub(crate) timeout: Duration,
    pub(crate) queued_messages: usize,
    pub(crate) queued_bytes: usize,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl NatsOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            client: ConnectOptions::new().name("bonito").ping_interval(Duration::from_secs(5)),
            prefix: "bonito".to_owned(),
            bucket: "bonito-leases".to_owned(),
            lease: Duration::from_secs(15),
            replicas: 1,
            timeout: Duration::from_secs(5),
            queued_messages: 16 * 1024,
            queued_bytes: 64 << 20,
        }
    }

    /// How the client connects: login, TLS, how long it waits between attempts. Its event callback is the backend's own. By
    /// default it pings every 5 s, so that a broker that is gone without a word is noticed.
    pub fn client(mut self, client: ConnectOptions) -> Self {
        self.client = client;
        self
    }

    /// What stands before all subjects. Apps that share a broker need one each. Default `bonito`.
    ///
    /// # Panics
    ///
    /// If it is not ASCII letters, digits, `-`, `_` and single dots inside.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        let token = |token: &str| !token.is_empty() && token.bytes().all(plain);
        assert!(
            prefix.is_empty() || prefix.split('.').all(token),
            "expected a prefix of subjects like \"shop.live\", got {prefix:?}"
        );
        self.prefix = prefix;
        self
    }

    /// The key-value bucket of leases. Apps that share a broker need one each. Default `bonito-leases`.
    ///
    /// # Panics
    ///
    /// If it is not ASCII letters, digits, `-` and `_`.
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        let bucket = bucket.into();
        assert!(
            !bucket.is_empty() && bucket.bytes().all(plain),
            "expected the name of a bucket like \"shop-leases\", got {bucket:?}"
        );
        self.bucket = bucket;
        self
    }

    /// How long leases live without renewal: the bucket's `max_age` when it is made here, and the longest `ttl` that may be
    /// asked for. Default 15 s. A bucket that is there keeps its own, which must not be shorter.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// On how many brokers the bucket is kept when it is made here; 3 so that one may be lost. Default 1.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// How long the broker may take for one answer. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Messages that may wait for one subscriber; those beyond become a gap. Default 16,384.
    pub fn queued_messages(mut self, messages: usize) -> Self {
        self.queued_messages = messages;
        self
    }

    /// Bytes that may wait for one subscriber; messages beyond become a gap. Default 64 MiB.
    pub fn queued_bytes(mut self, bytes: usize) -> Self {
        self.queued_bytes = bytes;
        self
    }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
