//! A cluster's [backend](ClusterBackend) by [NATS](https://nats.io): messages by subject over core NATS, leases in a
//! JetStream key-value bucket.
//!
//! ```no_run
//! use bonito_nats::{NatsBackend, NatsOptions};
//!
//! # async fn connect() -> Result<(), bonito_core::ClusterError> {
//! let backend = NatsBackend::connect("nats://127.0.0.1:4222", NatsOptions::new()).await?;
//! # drop(backend); Ok(()) }
//! ```
//!
//! The broker is nats-server 2.9 or later, with JetStream on.
//!
//! # What can go wrong
//!
//! * **The broker is away.** What is asked for fails as [unreachable](ClusterError::is_unreachable), at once where that is
//!   known. The client connects again by itself for as long as the backend lives. Subscriptions survive, and say
//!   [`Received::Gap`](bonito_core::Received::Gap) once they are in force again.
//! * **A subscriber is slow.** What waits for it is bounded by [`NatsOptions::queued_messages`] and
//!   [`NatsOptions::queued_bytes`]. Messages beyond are dropped, and in their place it gets a gap.
//! * **Several brokers in a cluster.** A subscription is in force at the broker that this process is connected to when
//!   `subscribe` returns, and at the others shortly after.
//!
//! # How leases are kept
//!
//! A lease is the last message of its key in the bucket's stream. Each write names the position that it expects the last one
//! at, so of two writes at a time one is refused. Its position in the stream is the epoch of a claim; a renewal writes the
//! epoch beside the value. Positions only grow, for deleted keys and after a restart as well.
//!
//! The broker expires leases: the bucket's `max_age`, counted from the last claim or renewal on the broker's wall clock. It is
//! one for all keys, and a longer `ttl` is [refused](ClusterError::is_refused).
//!
//! So unique names are as safe as the bucket:
//!
//! * **One replica** on disk: a broker that ends, also by `kill -9`, has all that it acknowledged when it is back. One whose
//!   *machine* loses power may lose its last writes, and then grant a key a second time while the first holder still acts,
//!   for at most that lease's `ttl`. While it is away nobody can claim or renew.
//! * **Three replicas** ([`NatsOptions::replicas`]) outlive the loss of one. If that led, nothing is claimed or renewed for the
//!   4 to 9 s until another does: a lease of the default 15 s may expire, one of 30 s is kept. Keep the brokers' clocks in
//!   step, to far less than a quarter of the `ttl`: after one has gone, another one's clock decides.
//! * **In memory** only, or with the bucket deleted while processes run: epochs begin again, so fencing is lost. Neither is
//!   done here; do not do it by hand. A broker's clock that is set forward ends leases early.

mod bucket;
mod lease;
mod link;
mod options;
mod queue;

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, PublishErrorKind};
use bonito_core::{Acquired, BackendFuture, ClusterBackend, ClusterError, Held, Incoming, Renewed};
use bytes::Bytes;

use lease::Leases;
use link::Link;
pub use options::NatsOptions;

pub use async_nats;

/// A process's connection to the broker.
///
/// Dropping it ends its subscriptions, and leases that are not released run out.
pub struct NatsBackend {
    link: Link,
    leases: Leases,
    prefix: String,
}

impl fmt::Debug for NatsBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBackend")
            .field("prefix", &self.prefix)
            .field("connected", &self.link.is_connected())
            .finish_non_exhaustive()
    }
}

impl NatsBackend {
    /// Connects to a broker, such as `nats://127.0.0.1:4222`, or to one of several with commas between them, and makes the
    /// bucket of leases if there is none. To be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// [Unreachable](ClusterError::is_unreachable): no broker answers. [Refused](ClusterError::is_refused): it refuses the
    /// login, has no JetStream, or has a bucket of that name whose leases are shorter than [`NatsOptions::lease`] or never end.
    pub async fn connect(url: &str, options: NatsOptions) -> Result<Self, ClusterError> {
        let link = Link::connect(url, &options).await?;
        let jetstream = ContextBuilder::new()
            .timeout(options.timeout)
            .ack_timeout(options.timeout)
            .build(link.client().clone());
        let bucket = bucket::bucket(&jetstream, &options).await?;
        Ok(Self { link, leases: Leases::new(bucket, options.lease), prefix: options.prefix })
    }

    fn subject(&self, subject: &str) -> String {
        if self.prefix.is_empty() { subject.to_owned() } else { format!("{}.{subject}", self.prefix) }
    }

    /// Fails at once where waiting would be for a broker that is known to be away: what waits would be sent late.
    fn reachable(&self) -> Result<&Client, ClusterError> {
        if !self.link.is_connected() {
            return Err(ClusterError::unreachable("there is no connection to the NATS broker at the moment"));
        }
        Ok(self.link.client())
    }
}

impl ClusterBackend for NatsBackend {
    fn publish<'a>(&'a self, subject: &'a str, message: Bytes) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            let client = self.reachable()?;
            client.publish(self.subject(subject), message).await.map_err(|error| match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => {
                    ClusterError::refused("the message is longer than the NATS broker's max_payload")
                        .with_source(error)
                }
                PublishErrorKind::InvalidSubject => {
                    ClusterError::refused("the subject is none that NATS takes").with_source(error)
                }
                PublishErrorKind::Send => {
                    ClusterError::unreachable("the NATS client has ended").with_source(error)
                }
            })
        })
    }

    fn subscribe<'a>(&'a self, subject: &'a str) -> BackendFuture<'a, Incoming> {
        Box::pin(async move {
            self.reachable()?;
            self.link.subscribe(self.subject(subject)).await
        })
    }

    fn acquire<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> BackendFuture<'a, Acquired> {
        Box::pin(async move {
            self.leases.keeps(ttl)?;
            self.reachable()?;
            self.leases.acquire(key, value).await
        })
    }

    fn renew<'a>(&'a self, key: &'a str, epoch: u64, ttl: Duration) -> BackendFuture<'a, Renewed> {
        Box::pin(async move {
            self.leases.keeps(ttl)?;
            self.reachable()?;
            self.leases.renew(key, epoch).await
        })
    }

    fn release<'a>(&'a self, key: &'a str, epoch: u64) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            // Nobody asks for it again, also if the broker cannot be told.
            let revision = self.leases.take(key, epoch);
            self.reachable()?;
            self.leases.release(key, epoch, revision).await
        })
    }

    fn read<'a>(&'a self, key: &'a str) -> BackendFuture<'a, Option<Held>> {
        Box::pin(async move {
            self.reachable()?;
            self.leases.read(key).await
        })
    }
}
