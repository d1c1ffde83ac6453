//! `cargo run -p chat`, then open the address it prints. `--port N` chooses the port. With `--nats URL`, the rooms are those of all
//! processes at that broker; with `--lease SECONDS` too, a process that dies is forgotten after so long.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use app_parts::{People, told_to_stop};
use axum::serve::ListenerExt;
use bonito_core::ClusterOptions;
use bonito_nats::{NatsBackend, NatsOptions};
use chat::{Rooms, endpoint, router};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long clients have to go when the app stops.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let nats = option(&mut words, "--nats");
    let lease =
        option(&mut words, "--lease").map(|lease| lease.parse().map(Duration::from_secs)).transpose()?;
    let port = app_parts::port(words)?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    announce(&format!("http://{}", listener.local_addr()?));
    // Without this, small answers wait for the acknowledgement of the ones before.
    let listener = listener.tap_io(|tcp| _ = tcp.set_nodelay(true));
    let people = People::default();
    let rooms = match nats {
        None => Rooms::open(),
        Some(url) => join(&url, lease).await?,
    };
    let live = endpoint(&people, &rooms);
    let app = router(people, rooms.clone(), &live);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async { _ = stopped.await });
    let server = tokio::spawn(server.into_future());
    told_to_stop().await;
    drop(stop);
    // axum waits for requests, however long they take, and knows nothing of sockets.
    let (served, _) = tokio::join!(timeout(GRACE, server), live.drain(GRACE));
    rooms.leave().await;
    if let Ok(served) = served {
        served??;
    }
    Ok(())
}

/// The rooms of all processes at the broker.
async fn join(url: &str, lease: Option<Duration>) -> Result<Rooms, bonito_core::ClusterError> {
    let (mut broker, mut options) = (NatsOptions::new(), ClusterOptions::new("chat"));
    if let Some(lease) = lease {
        broker = broker.lease(lease);
        options.lease_ttl = lease;
    }
    Rooms::join_with(Arc::new(NatsBackend::connect(url, broker).await?), options).await
}

/// Takes `name VALUE` out of what the command line says.
fn option(words: &mut Vec<String>, name: &str) -> Option<String> {
    let at = words.iter().position(|word| word == name).filter(|at| at + 1 < words.len())?;
    words.drain(at..at + 2).nth(1)
}

#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
fn announce(address: &str) {
    println!("{address}");
}
