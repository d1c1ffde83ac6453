//! The end of a program that is told to stop.

use std::future::pending;
use std::time::Duration;

/// How long those who are there have to go. What starts the process must wait longer than that before it kills it.
pub const GRACE: Duration = Duration::from_secs(3);

/// Waits for Ctrl-C or, as supervisors send it, SIGTERM. Where there are no signals to wait for, the app just runs on.
pub async fn told_to_stop() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending().await
}
