//! `cargo run -p two-process --bin app -- PATH`: the process with the sessions, which listens at a Unix socket.

use std::path::Path;
use std::process::ExitCode;

use two_process::app::{App, listen};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("app: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: app PATH")?;
    let listener = listen(Path::new(&path))?;
    announce(&path);
    match App::default().serve(listener).await {}
}

#[expect(clippy::print_stdout, reason = "that it listens is what this program has to say")]
fn announce(path: &str) {
    println!("listening at {path}");
}
