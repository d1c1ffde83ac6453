//! The adapter does what every adapter must, in hyper and in a framework that takes tower services.

#![allow(clippy::unwrap_used, reason = "tests expect")]

mod hyper_server {
    use std::convert::Infallible;
    use std::net::SocketAddr;

    use bonito_core::Endpoint;
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::service::{Service, service_fn};
    use hyper::{Request, Response, StatusCode};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto::Builder;
    use tokio::net::TcpListener;

    async fn app(live: Endpoint, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path();
        if path.starts_with("/live/") || path.starts_with("/app/live/") {
            return bonito_hyper::service(&live).call(request).await;
        }
        let mut response = Response::new(Full::from("home"));
        if path != "/" {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        Ok(response)
    }

    async fn serve(live: Endpoint) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let live = live.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| app(live.clone(), request));
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection_with_upgrades(TokioIo::new(tcp), service).await;
                });
            }
        });
        address
    }

    bonito_testkit::conformance!(serve);
    bonito_testkit::behaviours!(serve);
}

mod tower_framework {
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
            .nest_service("/app", bonito_hyper::service(&live))
            .fallback_service(bonito_hyper::service(&live));
        let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    bonito_testkit::conformance!(serve, "tower");
    bonito_testkit::behaviours!(serve, "tower");
}
