//! Connections: accepted, bounded in number and time, and let go when the server stops.

use super::linger::Lingering;
use super::listen::Listeners;
use super::signals::Signals;
use super::stall::{self, Outgoing};
use axum::Router;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Open connections; further ones wait in the backlog.
const CONNECTIONS: usize = 16 * 1024;
/// A request's head has to come within this time, and so has the next one on an open connection.
const HEAD: Duration = Duration::from_secs(30);
/// Buffer of a connection, and so the most a request's head may be. A proof and a token take about 12 KiB.
const BUFFER: usize = 64 * 1024;
/// How long requests in flight may take once the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// Pause when the process has no descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves until a signal comes, then finishes what is in flight. A second signal ends that too. `stopping` is called at the
/// first: connections that have become something else than HTTP are not waited for here.
pub(super) async fn serve(
    listeners: Listeners,
    router: Router,
    mut signals: Signals,
    stopping: impl FnOnce(),
) {
    // Each connection has a receiver, so that those that are left can be counted and waited for.
    let (stop, stopped) = watch::channel(false);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listeners, &places) => accepted,
            () = signals.next() => break,
        };
        match accepted {
            Ok((stream, place)) => {
                let service = TowerToHyperService::new(router.clone());
                let stream = Lingering::new(Outgoing::new(stream, stall::LIMIT));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .max_buf_size(BUFFER)
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::spawn(run(connection, stopped.clone(), place));
            }
            Err(error) if of_the_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                sleep(EXHAUSTED).await;
            }
        }
    }
    drop(listeners);
    stopping();
    drop(stopped);
    stop.send_replace(true);
    tracing::info!(connections = stop.receiver_count(), "stopping");
    tokio::select! {
        finished = timeout(GRACE, stop.closed()) => if finished.is_err() {
            tracing::warn!("requests were still in flight after {} s", GRACE.as_secs());
        },
        () = signals.next() => tracing::warn!("a second signal: not waiting for requests in flight"),
    }
}

/// Serves one connection, until it ends or has become something else. Once the server stops, the request that is in
/// flight is its last.
async fn run(
    connection: UpgradeableConnection<TokioIo<Lingering<Outgoing<TcpStream>>>, TowerToHyperService<Router>>,
    mut stopped: watch::Receiver<bool>,
    place: Option<OwnedSemaphorePermit>,
) {
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
    drop(place);
}

async fn accept(
    listeners: &Listeners,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Option<OwnedSemaphorePermit>)> {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    Ok((listeners.accept().await?, place))
}

/// Trouble of a single connection, over before it was accepted.
fn of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}
