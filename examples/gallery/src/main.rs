//! All widgets on one page, in an ordinary axum app.
//!
//! `cargo run -p gallery`, then open the address it prints. `--port N` chooses the port.

mod greenhouse;
mod page;
mod readings;

use std::process::ExitCode;

use app_parts::{GRACE, told_to_stop};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use bonito_core::Endpoint;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gallery: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let port = port(&std::env::args().skip(1).collect::<Vec<_>>())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    announce(&format!("http://{}", listener.local_addr()?));
    // Without this, small answers wait for the acknowledgement of the ones before.
    let listener = listener.tap_io(|tcp| _ = tcp.set_nodelay(true));
    let live = Endpoint::builder("/live").build();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router(&live)).with_graceful_shutdown(async { _ = stopped.await });
    let server = tokio::spawn(server.into_future());
    told_to_stop().await;
    drop(stop);
    // axum waits for requests and knows nothing of sockets.
    let (served, _) = tokio::join!(timeout(GRACE, server), live.drain(GRACE));
    if let Ok(served) = served {
        served??;
    }
    Ok(())
}

fn port(words: &[String]) -> Result<u16, String> {
    match words {
        [] => Ok(0),
        [name, port] if name == "--port" => port.parse().map_err(|_| format!("{port:?} is no port")),
        _ => Err("usage: gallery [--port N]".to_owned()),
    }
}

fn router(live: &Endpoint) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/health", get(async || "ok"))
        .route(
            "/gallery.css",
            get(async || ([(CONTENT_TYPE, "text/css")], include_str!("../static/gallery.css"))),
        )
        .merge(bonito_axum::routes(live))
        .with_state(live.clone())
}

async fn index(State(live): State<Endpoint>) -> Response {
    let Some(nonce) = app_parts::random() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'nonce-{nonce}'; \
         connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    let html = Html(page::render(&live.session(), &nonce));
    ([(CONTENT_SECURITY_POLICY, policy), (CACHE_CONTROL, "no-store".to_owned())], html).into_response()
}

#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
fn announce(address: &str) {
    println!("{address}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_a_number_or_free() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(port(&words("")), Ok(0));
        assert_eq!(port(&words("--port 80")), Ok(80));
        assert!(port(&words("--port x")).is_err() && port(&words("80")).is_err());
    }
}
