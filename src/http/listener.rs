//! Listeners: bound while preparing, served at the commit, and taken over from the old endpoint if it
//! has the same port.
//!
//! A port can be bound at another address of the machine while the old listener still has it only
//! where both share it (SO_REUSEPORT). They do so from the binding to the listening, not longer. A
//! second agent, which binds plainly when it starts, fails before, meanwhile and after.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::config::Address;
use super::connections::Connections;
use super::origin::Hosts;
use super::routes;
use super::serve::{self, BACKLOG};
use super::state::State;

/// Longest time that a listener of this process takes to close, once nothing holds it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

type Listeners = Arc<Vec<TcpListener>>;

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{hint}")]
pub struct BindError {
    address: String,
    source: io::Error,
    hint: &'static str,
}

/// Address that is bound but not served yet. Connections wait in its backlog, or go to the old
/// endpoint while that still serves the address.
#[derive(Debug)]
pub struct Bound {
    hosts: Hosts,
    address: SocketAddr,
    listeners: Vec<TcpListener>,
    /// Bound beside an old listener, and not listening yet: it would take connections from that one,
    /// which are lost if the reload fails.
    beside: Option<Beside>,
}

#[derive(Debug)]
struct Beside {
    socket: TcpSocket,
    shared: Shared,
}

impl Bound {
    /// Binds an address. Resolves names, so it can block for as long as the resolver.
    pub fn bind(wanted: &Address) -> Result<Self, BindError> {
        first(wanted, |address| Self::plain(wanted, address))
    }

    /// Binds an address while the listeners of `own` still serve, which may have the same
    /// port, at this address or another. If this fails, they are as before. Blocks as
    /// [`Bound::bind`] does.
    pub fn bind_alongside(wanted: &Address, own: &Listening) -> Result<Self, BindError> {
        first(wanted, |address| {
            let started = Instant::now();
            loop {
                let verdict = Self::plain(wanted, address);
                match &verdict {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                    _ => return verdict,
                }
                let there: Vec<_> = own.0.iter().filter_map(Weak::upgrade).collect();
                if let Some(bound) = Self::taking_over(wanted, address, &there)? {
                    return Ok(bound);
                }
                // A listener of ours may be closing in this moment, or another process has the port.
                if started.elapsed() >= CLOSE_TIMEOUT || there.len() == own.0.len() {
                    return verdict;
                }
                std::thread::park_timeout(CLOSE_TIMEOUT / 20);
            }
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the endpoint until [`Server::stop`].
    pub fn serve(self, state: Arc<State>) -> Server {
        self.start(|hosts, list| {
            Access::guarded(routes::router(Arc::clone(&state), hosts, list), state)
        })
    }

    /// Serves health alone, to everyone, until [`Server::stop`].
    pub fn serve_health(self, state: Arc<State>) -> Server {
        self.start(|_, _| Access::open(routes::health_router(state)))
    }

    fn start(self, access: impl FnOnce(Hosts, Arc<Connections>) -> Access) -> Server {
        let Self { hosts, address, mut listeners, beside } = self;
        if let Some(beside) = beside {
            match beside.listen() {
                Ok(listener) => listeners.push(listener),
                // The port is ours, so the system is out of memory. `is_dead` reports it.
                Err(error) => {
                    tracing::error!(%error, %address, "the listener failed");
                    listeners.clear();
                }
            }
        }
        let stop = CancellationToken::new();
        let listeners = Arc::new(listeners);
        let weak = Arc::downgrade(&listeners);
        let list = Arc::new(Connections::default());
        let access = access(hosts, Arc::clone(&list));
        let task = tokio::spawn(serve::serve(listeners, access, list, stop.clone()));
        Server { stop, task, listeners: weak }
    }

    fn plain(wanted: &Address, address: SocketAddr) -> io::Result<Self> {
        let socket = socket(address)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let hosts = Hosts::new(&wanted.host);
        Ok(Self { hosts, address, listeners: vec![listener], beside: None })
    }

    /// Takes over the listeners that `old` has on the port. Returns `None` if it has none there.
    fn taking_over(
        wanted: &Address,
        address: SocketAddr,
        old: &[Listeners],
    ) -> io::Result<Option<Self>> {
        let mut listeners = Vec::new();
        let mut same_port = false;
        let mut is_there = false;
        for listener in old.iter().flat_map(|listeners| listeners.iter()) {
            let at = listener.local_addr()?;
            same_port |= at.port() == address.port();
            is_there |= at == address;
            // Closing and binding again would lose connections in between.
            let is_new = |taken: &TcpListener| taken.local_addr().ok() != Some(at);
            if covers(address, at) && listeners.iter().all(is_new) {
                listeners.push(duplicate(listener)?);
            }
        }
        if !same_port {
            return Ok(None);
        }
        let beside = if is_there { None } else { Some(Beside::bind(address, old)?) };
        Ok(Some(Self { hosts: Hosts::new(&wanted.host), address, listeners, beside }))
    }
}

impl Beside {
    fn bind(address: SocketAddr, old: &[Listeners]) -> io::Result<Self> {
        let shared = Shared::new(old)?;
        let socket = socket(address)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        Ok(Self { socket, shared })
    }

    fn listen(self) -> io::Result<TcpListener> {
        let listener = self.socket.listen(BACKLOG)?;
        SockRef::from(&listener).set_reuse_port(false)?;
        drop(self.shared);
        Ok(listener)
    }
}

/// Listeners that let others of this process bind beside them, until this is dropped.
#[derive(Debug)]
struct Shared(Vec<Weak<Vec<TcpListener>>>);

impl Shared {
    fn new(listeners: &[Listeners]) -> io::Result<Self> {
        let shared = Self(listeners.iter().map(Arc::downgrade).collect());
        for listener in listeners.iter().flat_map(|listeners| listeners.iter()) {
            SockRef::from(listener).set_reuse_port(true)?;
        }
        Ok(shared)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for listeners in self.0.iter().filter_map(Weak::upgrade) {
            for listener in listeners.iter() {
                // What could be set can be cleared; and a listener that is shared works too.
                let _ = SockRef::from(listener).set_reuse_port(false);
            }
        }
    }
}

/// Binds the first address of the host that can be had.
fn first(
    wanted: &Address,
    bind: impl Fn(SocketAddr) -> io::Result<Bound>,
) -> Result<Bound, BindError> {
    let fail = |source: io::Error| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                ": another process uses the port; stop it or change server.port"
            }
            io::ErrorKind::PermissionDenied => ": ports below 1024 require privileges",
            io::ErrorKind::AddrNotAvailable => ": server.host is not an address of this machine",
            _ => ": server.host must be an address or a name of this machine",
        };
        BindError { address: wanted.to_string(), source, hint }
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let found = (wanted.host.as_str(), wanted.port).to_socket_addrs().map_err(fail)?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    // Of a name with both (localhost), the one that scrapers tried with the old exporter.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    for address in addresses {
        match bind(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(fail(last))
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections in TIME_WAIT; a second agent still fails to bind.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// Returns whether a listener at `new` also receives connections to `old`. `::` receives IPv4, too,
/// unless the system forbids it; then it does not collide with an address of IPv4 in the first place.
fn covers(new: SocketAddr, old: SocketAddr) -> bool {
    let everything = match new.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && old.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    new.port() == old.port() && (everything || new.ip() == old.ip())
}

/// Returns a second handle on the same socket.
fn duplicate(listener: &TcpListener) -> io::Result<TcpListener> {
    let handle = listener.as_fd().try_clone_to_owned()?;
    TcpListener::from_std(std::net::TcpListener::from(handle))
}

/// Listeners of one [`Server`] or of several, until they are closed.
#[derive(Debug, Clone, Default)]
pub struct Listening(Vec<Weak<Vec<TcpListener>>>);

impl Listening {
    /// Adds the listeners of another server, and drops those that are closed.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.retain(|listeners| listeners.strong_count() > 0);
    }
}

/// Endpoint that serves its listeners.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// The task owns them.
    listeners: Weak<Vec<TcpListener>>,
}

impl Server {
    /// Returns the listeners, for [`Bound::bind_alongside`].
    pub fn listening(&self) -> Listening {
        Listening(vec![Weak::clone(&self.listeners)])
    }

    /// Returns whether it ended without being stopped.
    pub fn is_dead(&self) -> bool {
        self.task.is_finished()
    }

    /// Closes the listener, lets requests in flight end for a short while, then drops them.
    pub async fn stop(self) {
        self.stop.cancel();
        // The panic hook has logged a panic in it.
        let _ = self.task.await;
    }
}
