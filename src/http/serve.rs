//! Serves a listener: bounded connections, none that can be held open for nothing.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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

/// Connections that wait to be accepted.
pub(super) const BACKLOG: u32 = 1024;

/// How long connections are accepted once another listener has taken over: who is about to be
/// connected here gets an answer here.
const LINGER: Duration = Duration::from_millis(50);

/// How long who is connected may take for the first byte of a request once the listener closes.
const FIRST: Duration = Duration::from_secs(1);

/// Serves until `stop`, then lets requests in flight end for a short while.
pub(super) async fn serve(
    listeners: Arc<Vec<TcpListener>>,
    router: Router,
    stop: CancellationToken,
) {
    if listeners.is_empty() {
        return;
    }
    let mut connections = Connections::new(router, stop.clone());
    tokio::select! {
        () = stop.cancelled() => {}
        () = connections.accept(&listeners) => {}
    }
    let _ = tokio::time::timeout(LINGER, connections.accept(&listeners)).await;
    connections.drain(&listeners);
    drop(listeners);
    let drained = async { while connections.tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    // What is left is dropped with the set.
}

struct Connections {
    tasks: JoinSet<()>,
    places: Arc<Semaphore>,
    router: Router,
    stop: CancellationToken,
}

impl Connections {
    fn new(router: Router, stop: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), places: Arc::new(Semaphore::new(MOST)), router, stop }
    }

    async fn accept(&mut self, listeners: &[TcpListener]) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match next(listeners).await {
                Ok(stream) => self.spawn(stream, Some(place)),
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Accepts what waits, without waiting itself: it would be reset with the listener.
    fn drain(&mut self, listeners: &[TcpListener]) {
        for listener in listeners {
            // The system is asked itself: the runtime may not have heard of the latest yet.
            for _ in 0..BACKLOG {
                let stream = match SockRef::from(listener).accept() {
                    Ok((socket, _)) => std::net::TcpStream::from(socket),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // That one is gone; the next may be there.
                    Err(_) => continue,
                };
                let stream =
                    stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let Ok(stream) = stream {
                    self.spawn(stream, None);
                }
            }
        }
    }

    fn spawn(&mut self, stream: TcpStream, place: Option<OwnedSemaphorePermit>) {
        let served = connection(stream, self.router.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            served.await;
            drop(place);
        });
    }
}

/// The next connection to any of them.
async fn next(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|context| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// Waits until a client sends something; `false` where it takes too long. A connection that is shut
/// down before is closed without an answer, though its request may be on the way.
async fn begins(stream: &TcpStream, stop: &CancellationToken) -> bool {
    let ended = async {
        stop.cancelled().await;
        tokio::time::sleep(FIRST).await;
    };
    let mut first = [0];
    tokio::select! {
        biased;
        sent = stream.peek(&mut first) => sent.is_ok(),
        () = ended => false,
        () = tokio::time::sleep(HEAD) => false,
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    if !begins(&stream, &stop).await {
        return;
    }
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        // A client may close its side once it has asked (`nc -N`, some probes).
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    // How a connection ends is its client's affair. What it sent is read before it is shut down.
    tokio::select! {
        biased;
        _ = served.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(LIFE) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST, served).await;
}
