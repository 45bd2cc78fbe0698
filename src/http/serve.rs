//! Serves a listener: bounded connections, none that can be held open for nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections at once; more wait in the listener's backlog.
const MOST: usize = 512;

/// How long a client may take for the head of a request, and a connection may idle: longer than the
/// minute between two scrapes, so that scrapers keep theirs.
const HEAD: Duration = Duration::from_secs(75);

/// How long a connection may live; a response that is under way then may end.
const LIFE: Duration = Duration::from_secs(600);

/// How long that response may take: a client that does not read cannot hold a page for ever.
const LAST: Duration = Duration::from_secs(30);

/// How long requests in flight may take once the listener closes.
const DRAIN: Duration = Duration::from_secs(2);

/// Pause after an accept that failed (no descriptors left): the next one would fail too.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets requests in flight end for a short while.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept(&listener, &router, &stop, &mut connections) => {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    // What is left is dropped with the set.
}

async fn accept(
    listener: &TcpListener,
    router: &Router,
    stop: &CancellationToken,
    connections: &mut JoinSet<()>,
) {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let served = connection(stream, router.clone(), stop.clone());
                connections.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        // A client may close its side once it has asked (`nc -N`, some probes).
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    // How a connection ends is its client's affair.
    tokio::select! {
        _ = served.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(LIFE) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST, served).await;
}
