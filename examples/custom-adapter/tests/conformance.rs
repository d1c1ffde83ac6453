//! The adapter does what every adapter must.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::net::SocketAddr;

use bonito_core::Endpoint;
use custom_adapter::adapter;
use custom_adapter::framework::{self, Answer, App, Response};
use tokio::net::TcpListener;

async fn serve(live: Endpoint) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = App::new()
        .at("/", async |_| Answer::Respond(Response::html("home".to_owned())))
        .under("/live/", adapter::handler(&live))
        .under("/app/live/", adapter::handler(&live));
    tokio::spawn(framework::serve(listener, app, std::future::pending()));
    address
}

bonito_testkit::conformance!(serve);
bonito_testkit::behaviours!(serve);
