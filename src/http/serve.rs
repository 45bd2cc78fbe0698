//! Serves a listener: a bounded number of connections, none of which keeps others out.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::connection;
use super::connections::{Connections, MAX_CONNECTIONS};
use crate::process;

/// Time between two checks for connections that take too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Time for requests in flight once the listener closes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Delay after an accept that failed: the next one would fail too.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Connections that are closed where descriptors run out.
const ROOM_AT_ONCE: usize = 8;

/// Time between two log lines about connections that cannot be accepted.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Connections that wait to be accepted.
pub(super) const BACKLOG: u32 = 1024;

/// Time for which connections are still accepted after another listener has taken over: a client that
/// is about to be connected here is answered here.
const HANDOVER_ACCEPT_TIME: Duration = Duration::from_millis(50);

/// Serves until `stop`, then lets requests in flight end for a short while.
pub(super) async fn serve(
    listeners: Arc<Vec<TcpListener>>,
    access: Access,
    list: Arc<Connections>,
    stop: CancellationToken,
) {
    if listeners.is_empty() {
        return;
    }
    let mut acceptor = Acceptor::new(Arc::clone(&list), access, stop.clone());
    tokio::select! {
        () = stop.cancelled() => {}
        () = sweep(&list) => {}
        () = acceptor.accept(&listeners) => {}
    }
    let _ = timeout(HANDOVER_ACCEPT_TIME, acceptor.accept(&listeners)).await;
    acceptor.drain(&listeners);
    drop(listeners);
    let drained = async { while acceptor.tasks.join_next().await.is_some() {} };
    let _ = timeout(DRAIN_TIMEOUT, drained).await;
    // What is left is dropped with the set.
}

async fn sweep(list: &Connections) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        list.sweep();
    }
}

struct Acceptor {
    list: Arc<Connections>,
    tasks: JoinSet<()>,
    places: Arc<Semaphore>,
    access: Access,
    stop: CancellationToken,
    warned: Option<Instant>,
}

impl Acceptor {
    fn new(list: Arc<Connections>, access: Access, stop: CancellationToken) -> Self {
        // The other half is for sites, files and the push.
        let places = MAX_CONNECTIONS.min(process::file_limit() / 2);
        let places = Arc::new(Semaphore::new(places));
        Self { list, tasks: JoinSet::new(), places, access, stop, warned: None }
    }

    async fn accept(&mut self, listeners: &[TcpListener]) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            match next(listeners).await {
                Ok((stream, peer)) => {
                    let place = self.place().await;
                    self.spawn(stream, peer.ip(), place);
                }
                Err(error) => {
                    self.warn(&error);
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    /// Waits for a place, and closes the connections that are needed least.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Some(place);
            }
            self.list.make_room();
            let place = Arc::clone(&self.places).acquire_owned();
            if let Ok(place) = timeout(ACCEPT_RETRY_DELAY, place).await {
                return place.ok();
            }
        }
    }

    fn warn(&mut self, error: &io::Error) {
        let errno = Errno::from_io_error(error);
        if !matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) {
            tracing::debug!(%error, "cannot accept a connection");
            return;
        }
        // Their descriptors serve the next connections.
        (0..ROOM_AT_ONCE).for_each(|_| self.list.make_room());
        if self.warned.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            self.warned = Some(Instant::now());
            tracing::error!(
                %error,
                "cannot accept connections: raise the limit of open files (LimitNOFILE in the \
                 unit, ulimit -n), or poll fewer sites; compare process_open_fds with \
                 process_max_fds"
            );
        }
    }

    /// Accepts the connections in the backlog, which would be reset with the listener.
    fn drain(&mut self, listeners: &[TcpListener]) {
        for listener in listeners {
            // By the system call: the runtime may not know of the latest yet.
            for _ in 0..BACKLOG {
                let (socket, peer) = match SockRef::from(listener).accept() {
                    Ok(accepted) => accepted,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // That one is gone; the next may be there.
                    Err(_) => continue,
                };
                let stream = std::net::TcpStream::from(socket);
                let stream =
                    stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let (Ok(stream), Some(peer)) = (stream, peer.as_socket()) {
                    self.spawn(stream, peer.ip(), None);
                }
            }
        }
    }

    fn spawn(&mut self, stream: TcpStream, peer: IpAddr, place: Option<OwnedSemaphorePermit>) {
        let entry = self.list.add(peer);
        let served = connection::serve(stream, entry, self.access.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            served.await;
            drop(place);
        });
    }
}

/// Waits for the next connection to any of the listeners.
async fn next(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}
