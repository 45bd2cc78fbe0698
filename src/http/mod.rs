//! The HTTP endpoint: bytes that were rendered before the request came.

mod routes;
mod serve;
mod status_page;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::snapshot::Store;
use crate::telemetry::agent::AgentState;
use crate::telemetry::renderer::Renderer;

/// Where the endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port, 1 to 65535.
    pub port: u16,
    /// Path of the exposition; begins with `/` and is none of the other routes.
    pub metrics_path: String,
}

impl Config {
    /// Whether both listen at the same address; the path needs no new listener.
    pub fn same_address(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

/// Paths that the endpoint serves beside the exposition; `server.uri` can be none of them.
pub const RESERVED_PATHS: [&str; 5] = ["/", "/health", "/-/healthy", "/-/ready", "/-/reload"];

/// What the handlers read.
#[derive(Debug)]
pub struct State {
    /// Makes the exposition.
    pub renderer: Arc<Renderer>,
    /// What the sites look like.
    pub store: Arc<Store>,
    /// How the process fares.
    pub agent: Arc<AgentState>,
    /// Path of the exposition; changes without a new listener.
    pub metrics_path: ArcSwap<String>,
    /// Whether a configuration is in force; not ready before.
    pub ready: std::sync::atomic::AtomicBool,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{hint}")]
pub struct BindError {
    address: String,
    source: io::Error,
    hint: &'static str,
}

/// A listener that is bound but not served yet. Connections wait in its backlog.
#[derive(Debug)]
pub struct Bound(TcpListener);

impl Bound {
    /// Binds the address of `config`. Resolves names, so it can block for as long as the resolver.
    ///
    /// # Errors
    ///
    /// Where the name has no address, the port is taken or not permitted.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let fail = |source: io::Error| {
            let hint = match source.kind() {
                io::ErrorKind::AddrInUse => {
                    ": another process has the port; stop it or change server.port"
                }
                io::ErrorKind::PermissionDenied => ": ports below 1024 need a privilege",
                io::ErrorKind::AddrNotAvailable => ": server.host is no address of this machine",
                _ => ": server.host must be an address or a name of this machine",
            };
            BindError { address: display(&config.host, config.port), source, hint }
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let found = (config.host.as_str(), config.port).to_socket_addrs().map_err(fail)?;
        let mut addresses: Vec<SocketAddr> = found.collect();
        // Of a name with both (localhost), the one that scrapers tried with the old exporter.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        for address in addresses {
            match listen(address) {
                Ok(listener) => return Ok(Self(listener)),
                Err(error) => last = error,
            }
        }
        Err(fail(last))
    }

    /// The address that is listened on.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// What to say where the address of a bound listener cannot be told.
    pub fn unusable(&self, source: io::Error) -> BindError {
        BindError { address: "the endpoint's address".to_owned(), source, hint: "" }
    }

    /// Serves until [`Server::stop`].
    pub fn serve(self, state: Arc<State>) -> Server {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve::serve(self.0, routes::router(state), stop.clone()));
        Server { stop, task }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections in TIME_WAIT; a second agent still fails.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Host and port as a URL has them.
pub fn display(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A listener that is served.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Closes the listener, lets requests in flight end for a short while, then drops them.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic in it was told by the runtime's hook.
        let _ = self.task.await;
    }
}
