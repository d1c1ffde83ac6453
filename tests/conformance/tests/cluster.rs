//! The broker in this process does what brokers must do.

use std::sync::{Arc, LazyLock};

use bonito_core::ClusterBackend;
use bonito_testkit::LocalCluster;

async fn connect() -> Arc<dyn ClusterBackend> {
    static CLUSTER: LazyLock<LocalCluster> = LazyLock::new(LocalCluster::new);
    CLUSTER.node()
}

bonito_testkit::cluster_conformance!(connect, paused);

#[test]
fn the_book_has_every_case() {
    let chapter = include_str!("../../../docs/src/cluster.md");
    for (case, why) in bonito_testkit::CLUSTER_CASES {
        let row = format!("| {} | {} |", case.replace('_', " "), why.trim());
        assert!(chapter.contains(&row), "docs/src/cluster.md misses:\n{row}");
    }
}
