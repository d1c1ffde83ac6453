//! The adapter does what every adapter must.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use bonito_core::Endpoint;
use tokio::net::TcpListener;

async fn serve(live: Endpoint) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/", get(async || "home"))
        .merge(bonito_axum::routes(&live))
        .nest("/app", bonito_axum::routes(&live));
    let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

bonito_testkit::conformance!(serve);
bonito_testkit::behaviours!(serve);
