//! Each framework with a route on the low road, which serves its sockets with a fault.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use axum::serve::ListenerExt;
use bonito_core::{Endpoint, Outcome};
use bytes::Bytes;
use http::request::Parts;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use warp::Filter;

use super::{Fault, run};

async fn listen() -> (TcpListener, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_nodelay(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What the three frameworks on hyper share.
async fn answer(live: Endpoint, fault: Fault, mut request: Parts) -> http::Response<Bytes> {
    let accepted = match live.handle(&request).await {
        Outcome::Respond(response) => return response,
        Outcome::Upgrade(accepted) => accepted,
    };
    let (response, connection) = bonito_hyper::upgrade(&mut request).unwrap();
    tokio::spawn(async move { run(accepted, fault, connection.await.unwrap()).await });
    response
}

pub(crate) async fn hyper(live: Endpoint, fault: Fault) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tcp.set_nodelay(fault != Fault::Nagle).unwrap();
            let live = live.clone();
            let service = hyper::service::service_fn(move |request: http::Request<_>| {
                let answer = answer(live.clone(), fault, request.into_parts().0);
                async { Ok::<_, Infallible>(answer.await.map(Full::new)) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(tcp), service).with_upgrades());
        }
    });
    address
}

pub(crate) async fn axum(live: Endpoint, fault: Fault) -> SocketAddr {
    let (listener, address) = listen().await;
    let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).unwrap());
    let socket = async move |request: axum::extract::Request| {
        answer(live, fault, request.into_parts().0).await.map(axum::body::Body::from)
    };
    let app = axum::Router::new().route("/live/{*path}", axum::routing::any(socket));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

pub(crate) async fn warp(live: Endpoint, fault: Fault) -> SocketAddr {
    let (listener, address) = listen().await;
    let app = bonito_warp::parts().then(move |request| answer(live.clone(), fault, request));
    tokio::spawn(warp::serve(app).incoming(listener).run());
    address
}

pub(crate) async fn actix(live: Endpoint, fault: Fault) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = move || {
        let live = live.clone();
        let socket = move |request: HttpRequest, payload| actix_answer(live.clone(), fault, request, payload);
        actix_web::App::new().default_service(web::to(socket))
    };
    let server = actix_web::HttpServer::new(app).workers(1).tcp_nodelay(true).disable_signals();
    let server = server.client_disconnect_timeout(Duration::from_millis(600));
    tokio::spawn(server.listen(listener).unwrap().run());
    address
}

async fn actix_answer(
    live: Endpoint,
    fault: Fault,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let parts = bonito_actix::to_parts(&request).unwrap();
    let accepted = match live.handle(&parts).await {
        Outcome::Respond(response) => return bonito_actix::respond(response),
        Outcome::Upgrade(accepted) => accepted,
    };
    let (response, connection) = bonito_actix::upgrade(&parts, payload);
    actix_web::rt::spawn(run(accepted, fault, connection));
    response
}
