//! `cargo run -p two-process --bin front -- PATH`: the process with the browsers' sockets, then open the address it prints.
//! `--port N` after the path chooses the port, 0 is any free one.

use std::process::ExitCode;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("front: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: front PATH [--port N]")?;
    let port = app_parts::port(std::env::args().skip(2))?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    announce(&format!("http://{}", listener.local_addr()?));
    // Without this, small answers wait for the acknowledgement of the ones before.
    let listener = listener.tap_io(|tcp| _ = tcp.set_nodelay(true));
    let (router, keeping) = two_process::front::front(path.into());
    tokio::spawn(keeping);
    axum::serve(listener, router).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
fn announce(address: &str) {
    println!("{address}");
}
