//! `cargo run -p chat`, then open the address it prints. `--port N` chooses the port. With `--nats URL` first, the rooms are those
//! of all processes at that broker.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use app_parts::People;
use axum::serve::ListenerExt;
use bonito_nats::{NatsBackend, NatsOptions};
use chat::{Rooms, endpoint, router};
use tokio::net::TcpListener;

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
    let nats = (words.len() >= 2 && words[0] == "--nats").then(|| words.drain(..2).nth(1)).flatten();
    let port = app_parts::port(words)?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    announce(&format!("http://{}", listener.local_addr()?));
    // Without this, small answers wait for the acknowledgement of the ones before.
    let listener = listener.tap_io(|tcp| _ = tcp.set_nodelay(true));
    let people = People::default();
    let rooms = match nats {
        None => Rooms::open(),
        Some(url) => Rooms::join(Arc::new(NatsBackend::connect(&url, NatsOptions::new()).await?)).await?,
    };
    let live = endpoint(&people, &rooms);
    let app = router(people, &live);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            interrupted().await;
            live.drain(GRACE).await;
            rooms.leave().await;
        })
        .await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
fn announce(address: &str) {
    println!("{address}");
}

async fn interrupted() {
    // Where there is no Ctrl-C to wait for, the app just runs on.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
