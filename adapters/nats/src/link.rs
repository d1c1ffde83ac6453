//! The connection to the broker, and the subscriptions that outlive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, Event, Subscriber};
use bonito_core::{ClusterError, Incoming};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::NatsOptions;
use crate::queue::{Queue, queue};

pub(crate) struct Link {
    client: Client,
    /// How often messages may have been lost. Every subscription says so in its own order.
    holes: watch::Receiver<u64>,
    watching: JoinHandle<()>,
    timeout: Duration,
    queued_messages: usize,
    queued_bytes: usize,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Link {
    pub(crate) async fn connect(url: &str, options: &NatsOptions) -> Result<Self, ClusterError> {
        let torn = Arc::new(Notify::new());
        let callback = {
            let (torn, before) = (torn.clone(), Arc::new(AtomicBool::new(false)));
            move |event: Event| {
                let again = matches!(event, Event::Connected) && before.swap(true, Ordering::Relaxed);
                // Its messages are dropped by the client, which has many times the room of the queue behind it.
                if again || matches!(event, Event::SlowConsumer(_)) {
                    torn.notify_one();
                }
                log(&event);
                std::future::ready(())
            }
        };
        let client = options
            .client
            .clone()
            .request_timeout(Some(options.timeout))
            .event_callback(callback)
            .connect(url)
            .await
            .map_err(|error| match error.kind() {
                ConnectErrorKind::ServerParse => ClusterError::refused("the URL is none of a NATS broker"),
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    ClusterError::refused("the NATS broker refuses the login").with_source(error)
                }
                ConnectErrorKind::Tls => {
                    ClusterError::refused("no TLS connection to the NATS broker").with_source(error)
                }
                _ => ClusterError::unreachable("the NATS broker does not answer").with_source(error),
            })?;
        let (found, holes) = watch::channel(0);
        let watching = tokio::spawn(watch_holes(client.clone(), torn, found));
        Ok(Self {
            client,
            holes,
            watching,
            timeout: options.timeout,
            queued_messages: options.queued_messages,
            queued_bytes: options.queued_bytes,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    pub(crate) async fn subscribe(&self, subject: String) -> Result<Incoming, ClusterError> {
        let holes = self.holes.clone();
        let subscriber = self.client.subscribe(subject).await.map_err(|error| {
            ClusterError::unreachable("the NATS client takes no subscription").with_source(error)
        })?;
        in_force(&self.client, self.timeout).await?;
        let (queue, reader) = queue(self.queued_messages, self.queued_bytes);
        tokio::spawn(pump(subscriber, holes, queue));
        Ok(Box::pin(reader))
    }
}

/// Moves messages as they come, so that those that wait are bounded in bytes and a hole is found in its place.
async fn pump(mut subscriber: Subscriber, mut holes: watch::Receiver<u64>, queue: Queue) {
    loop {
        tokio::select! {
            biased;
            () = queue.left() => return,
            message = subscriber.next() => match message {
                Some(message) => queue.message(message.payload),
                None => return,
            },
            changed = holes.changed() => {
                // What has come belongs before the hole: told too early, the reader would look for what it missed too early.
                while let Some(Some(message)) = subscriber.next().now_or_never() {
                    queue.message(message.payload);
                }
                if changed.is_err() {
                    return;
                }
                queue.gap();
            }
        }
    }
}

/// Tells of holes once all subscriptions are in force again: who then asks for what it missed misses nothing more.
async fn watch_holes(client: Client, torn: Arc<Notify>, found: watch::Sender<u64>) {
    loop {
        torn.notified().await;
        while in_force(&client, ATTEMPT).await.is_err() {
            // A client that has ended for good fails at once.
            sleep(PAUSE).await;
        }
        found.send_modify(|holes| *holes += 1);
    }
}

const ATTEMPT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until the broker has done all that this client has asked for: it does so in order, so a message to oneself comes
/// back after it.
async fn in_force(client: &Client, within: Duration) -> Result<(), ClusterError> {
    let lost = || ClusterError::unreachable("the NATS client has ended");
    let round_trip = async {
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await.map_err(|error| lost().with_source(error))?;
        loop {
            let sent = client.publish(inbox.clone(), bytes::Bytes::new()).await;
            sent.map_err(|error| lost().with_source(error))?;
            // The message is lost with a connection that breaks now.
            match timeout(ATTEMPT, echo.next()).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => return Err(lost()),
                Err(_) => {}
            }
        }
    };
    let slow =
        |_| Err(ClusterError::unreachable(format!("the NATS broker did not answer within {within:?}")));
    timeout(within, round_trip).await.unwrap_or_else(slow)
}

fn log(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to the NATS broker"),
        Event::Disconnected => tracing::warn!("the connection to the NATS broker is lost"),
        Event::SlowConsumer(_) => {
            tracing::warn!("messages of the NATS broker came faster than this process took them")
        }
        Event::ServerError(error) => tracing::warn!(%error, "the NATS broker complains"),
        Event::ClientError(error) => tracing::debug!(%error, "the NATS client complains"),
        event => tracing::debug!(%event, "the NATS client tells"),
    }
}
