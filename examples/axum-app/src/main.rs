//! An ordinary axum app with its own routes, state, middleware and templates, and live pages in it.
//!
//! `cargo run -p axum-app`, then open the address it prints. `--port N` or `PORT` chooses the port, `--folder PATH` what
//! the progress page hashes.

mod args;
mod assets;
mod bounded;
mod headers;
mod job;
mod layout;
mod pages;
mod presence;
mod signal;
mod snippet;
mod state;

use std::fmt::Debug;
use std::process::ExitCode;

use app_parts::{GRACE, told_to_stop};
use args::Args;
use axum::Router;
use axum::serve::{Listener, ListenerExt};
use bonito_core::Endpoint;
use state::App;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The port when nobody asks for another. If it is taken, any free one will do.
const PORT: u16 = 3000;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum-app: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse(std::env::args().skip(1), std::env::var("PORT").ok())?;
    let listener = listen(args.port).await?;
    announce(&format!("http://{}", listener.local_addr()?));
    // Without this, small answers wait for the acknowledgement of the ones before.
    let listener = listener.tap_io(|tcp| _ = tcp.set_nodelay(true));
    let live = Endpoint::builder("/live").build();
    let app = router(args, &live);
    serve(listener, app, &live).await
}

async fn serve(
    listener: impl Listener<Addr: Debug>,
    app: Router,
    live: &Endpoint,
) -> Result<(), Box<dyn std::error::Error>> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async { _ = stopped.await });
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

// [shown]
fn router(args: Args, live: &Endpoint) -> Router {
    Router::new()
        .merge(pages::routes())
        .merge(assets::routes())
        .merge(bonito_axum::routes(live))
        .layer(axum::middleware::from_fn(headers::secure))
        .with_state(App::new(live.clone(), args.folder))
}
// [/shown]

async fn listen(port: Option<u16>) -> std::io::Result<TcpListener> {
    match TcpListener::bind(("127.0.0.1", port.unwrap_or(PORT))).await {
        Err(error) if port.is_none() && error.kind() == std::io::ErrorKind::AddrInUse => {
            TcpListener::bind(("127.0.0.1", 0)).await
        }
        outcome => outcome,
    }
}

#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
fn announce(address: &str) {
    println!("{address}");
}
