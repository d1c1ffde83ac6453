//! A process's part in a cluster, in the process of the test: what it holds can be asked at any moment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::{Address, ClusterOptions, Endpoint, Membership, Posted, Registration, Registry, Session};
use bonito_nats::{NatsBackend, NatsOptions};

use super::until;

pub(crate) struct Node {
    pub(crate) registry: Registry<String, String>,
    pub(crate) session: Session,
    pub(crate) address: Address<String>,
    heard: Arc<Mutex<Vec<String>>>,
    _member: Membership,
}

impl Node {
    pub(crate) async fn start(url: &str, name: &str, lease: Duration) -> Self {
        Self::start_with(url, name, NatsOptions::new().lease(lease).timeout(lease / 4), lease).await
    }

    pub(crate) async fn start_with(url: &str, name: &str, options: NatsOptions, lease: Duration) -> Self {
        let backend = Arc::new(NatsBackend::connect(url, options).await.unwrap());
        let mut options = ClusterOptions::new("nodes");
        options.lease_ttl = lease;
        let registry = Registry::<String, String>::clustered(backend, options).await.unwrap();
        let session = Endpoint::builder("/live").build().session();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let hearing = heard.clone();
        let address = session.on_message(move |text: String| hearing.lock().unwrap().push(text));
        let member = registry.group().join_as("room", &address, name.to_owned());
        Self { registry, session, address, heard, _member: member }
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) async fn hears(&self, text: &str) {
        until(&format!("{text:?} is heard"), async || {
            self.heard().iter().any(|heard| heard == text).then_some(())
        })
        .await;
    }

    /// Waits until these are in the room, as far as it knows.
    pub(crate) async fn sees(&self, expected: &[&str]) {
        until(&format!("{expected:?} are there"), async || {
            let members = self.registry.group().members("room");
            let mut names: Vec<&str> = members.iter().map(|member| member.meta().as_str()).collect();
            names.sort_unstable();
            (names == expected).then_some(())
        })
        .await;
    }

    /// Claims a name once.
    pub(crate) async fn claim(&self, name: &str) -> Option<Registration> {
        let registration = self.registry.unique().register(name, &self.address).ok()?;
        registration.held().await.is_ok().then_some(registration)
    }

    /// Claims a name until it is free.
    pub(crate) async fn gets(&self, name: &str) -> Registration {
        until(&format!("{name} is free"), async || self.claim(name).await).await
    }

    /// Sends to a name until it is in somebody's mailbox.
    pub(crate) async fn reaches(&self, name: &str, text: &str) {
        until(&format!("{name} is reached"), async || {
            let posted = self.registry.unique().deliver(name, text.to_owned()).await;
            (posted.ok() == Some(Posted::Queued)).then_some(())
        })
        .await;
    }
}
