//! The adapter does what every adapter must.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::net::SocketAddr;

use bonito_core::Endpoint;
use tokio::net::TcpSocket;
use warp::Filter;

async fn serve(live: Endpoint) -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_nodelay(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let address = listener.local_addr().unwrap();
    let index = warp::path::end().map(|| "home");
    let nested = warp::path("app").and(bonito_warp::routes(&live));
    let app = index.or(bonito_warp::routes(&live)).or(nested);
    tokio::spawn(warp::serve(app).incoming(listener).run());
    address
}

bonito_testkit::conformance!(serve);
bonito_testkit::behaviours!(serve);
