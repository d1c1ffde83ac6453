//! The code of the chapter on shutting down that is in none of the examples: bare hyper.

use std::pin::pin;
use std::time::Duration;

use bonito_core::Endpoint;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// How long those who are there have to go.
pub const GRACE: Duration = Duration::from_secs(3);

/// Pause after a connection that could not be accepted: no file handle was left, or the peer had gone already.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, and lets all go who are there.
pub async fn serve(listener: TcpListener, live: &Endpoint, stop: impl Future<Output = ()>) {
    let (http, graceful) = (Builder::new(TokioExecutor::new()), GracefulShutdown::new());
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                eprintln!("cannot accept: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let _ = tcp.set_nodelay(true);
        let service = bonito_hyper::service(live);
        let connection = http.serve_connection_with_upgrades(TokioIo::new(tcp), service);
        tokio::spawn(graceful.watch(connection.into_owned()));
    }
    drop(listener);
    // hyper waits for requests and knows nothing of sockets.
    let _ = tokio::join!(timeout(GRACE, graceful.shutdown()), live.drain(GRACE));
}
