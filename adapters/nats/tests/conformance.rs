//! The backend does what every backend must.

mod support;

use std::sync::{Arc, LazyLock};

use bonito_core::ClusterBackend;
use bonito_nats::NatsBackend;
use support::{Broker, options};

async fn connect() -> Arc<dyn ClusterBackend> {
    static BROKER: LazyLock<Broker> = LazyLock::new(Broker::start);
    let options = options().lease(bonito_testkit::cluster_cases::TTL);
    Arc::new(NatsBackend::connect(&BROKER.url(), options).await.expect("the broker runs"))
}

bonito_testkit::cluster_conformance!(connect);
