//! Whom `healthcheck` asks, even if the configuration file changed since: over a
//! socket in Linux's abstract namespace, which needs no file, has a name derived from the path of the
//! configuration, and is gone with the process.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as SocketName, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustix::process::Uid;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::http::{Address, Probe};

const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Delay before the name is bound again; an agent that is shutting down may still have it.
const BIND_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The words of an agent without an endpoint.
const PUSH_ONLY: &str = "push-only";

/// The way to learn whether an agent lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HealthCheck {
    /// Ask there.
    At(Probe),
    /// Nothing listens: that this was told is the sign of life.
    PushOnly,
}

/// Server of the address and its protocol. Dropping it ends it.
pub(super) struct AddressServer {
    check: Arc<ArcSwapOption<HealthCheck>>,
    task: JoinHandle<()>,
}

impl AddressServer {
    /// Starts to answer for the agent with the configuration at `path`. Needs a runtime.
    pub(super) fn spawn(path: &Path) -> Self {
        let check = Arc::new(ArcSwapOption::empty());
        let task = tokio::spawn(serve(name(path), Arc::clone(&check)));
        Self { check, task }
    }

    pub(super) fn set(&self, check: Option<HealthCheck>) {
        self.check.store(check.map(Arc::new));
    }

    pub(super) fn is_dead(&self) -> bool {
        self.task.is_finished()
    }

    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.task.abort();
    }
}

impl Drop for AddressServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks the agent that runs with the configuration at `path` whom to ask for its health. Returns `None` if none
/// runs, or it is another user's. Blocks for a second at most.
pub(crate) fn health_check_in_force(path: &Path) -> Option<HealthCheck> {
    ask(&name(path), |own, other| own.is_root() || own == other).ok().flatten()
}

/// Asks like [`health_check_in_force`], and believes an agent of the same user alone, root or not: one that may have secrets.
pub(crate) fn own_health_check_in_force(path: &Path) -> Option<HealthCheck> {
    ask(&name(path), |own, other| own == other).ok().flatten()
}

/// Asks who has the name, if its user is one whom this user believes.
fn ask(name: &str, believes: fn(Uid, Uid) -> bool) -> io::Result<Option<HealthCheck>> {
    let stream = UnixStream::connect_addr(&SocketName::from_abstract_name(name)?)?;
    stream.set_read_timeout(Some(EXCHANGE_TIMEOUT))?;
    // Anybody may bind any such name.
    let (own, other) =
        (rustix::process::geteuid(), rustix::net::sockopt::socket_peercred(&stream)?);
    if !believes(own, other.uid) {
        return Ok(None);
    }
    let mut text = String::new();
    stream.take(64).read_to_string(&mut text)?;
    Ok(read(&text))
}

/// Writes a protocol and an address, or that there is none.
fn written(check: &HealthCheck) -> String {
    match check {
        HealthCheck::PushOnly => PUSH_ONLY.to_owned(),
        HealthCheck::At(Probe { address, is_tls: true }) => format!("https {address}"),
        HealthCheck::At(Probe { address, is_tls: false }) => format!("http {address}"),
    }
}

fn read(text: &str) -> Option<HealthCheck> {
    if text.trim() == PUSH_ONLY {
        return Some(HealthCheck::PushOnly);
    }
    let (scheme, address) = text.trim().split_once(' ')?;
    let address: SocketAddr = address.parse().ok()?;
    let address = Address { host: address.ip().to_string(), port: address.port() };
    Some(HealthCheck::At(Probe { address, is_tls: scheme == "https" }))
}

/// Returns the name for a configuration. Containers can share this namespace and have the same
/// paths, so the namespace of the processes is part of it.
fn name(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // Not the file's own: a link to it may be swapped.
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let path = match (folder, path.file_name()) {
        (Some(folder), Some(file)) => folder.join(file),
        _ => path,
    };
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digest = Sha256::new()
        .chain_update(namespace.as_os_str().as_encoded_bytes())
        .chain_update([0])
        .chain_update(path.as_os_str().as_encoded_bytes())
        .finalize();
    let mut name = "nbu-otel-agent-".to_owned();
    for byte in &digest[..16] {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

async fn serve(name: String, check: Arc<ArcSwapOption<HealthCheck>>) {
    loop {
        match bind(&name) {
            Ok(listener) => answer(&listener, &check).await,
            Err(error) => {
                tracing::debug!(%error, "cannot record the listening address for healthcheck");
                sleep(BIND_RETRY_DELAY).await;
            }
        }
    }
}

fn bind(name: &str) -> io::Result<tokio::net::UnixListener> {
    let listener = UnixListener::bind_addr(&SocketName::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

/// Answers one after the other; returns when the socket fails.
async fn answer(listener: &tokio::net::UnixListener, check: &ArcSwapOption<HealthCheck>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            sleep(BIND_RETRY_DELAY).await;
            return;
        };
        let text = check.load().as_ref().map_or_else(String::new, |check| written(check));
        let _ = timeout(EXCHANGE_TIMEOUT, stream.write_all(text.as_bytes())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(port: u16) -> HealthCheck {
        let host = "127.0.0.1".to_owned();
        let is_tls = port.is_multiple_of(2);
        HealthCheck::At(Probe { address: Address { host, port }, is_tls })
    }

    async fn told(path: &Path) -> Option<HealthCheck> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || health_check_in_force(&path)).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn address_is_found_by_any_path_to_the_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config.yaml");
        assert_eq!(told(&path).await, None);
        let server = AddressServer::spawn(&path);
        for check in [check(9440), HealthCheck::PushOnly, check(9441)] {
            server.set(Some(check.clone()));
            while told(&path).await.as_ref() != Some(&check) {
                tokio::task::yield_now().await;
            }
        }
        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        assert!(told(&link.join("config.yaml")).await.is_some());
        assert_eq!(told(&place.path().join("other.yaml")).await, None);
        // A swapped file is the same configuration.
        fs::write(place.path().join("v2"), "").unwrap();
        std::os::unix::fs::symlink("v2", &path).unwrap();
        assert!(told(&path).await.is_some());
        drop(server);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn name_in_use_is_bound_once_free() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config.yaml");
        let taken = bind(&name(&path)).unwrap();
        let server = AddressServer::spawn(&path);
        server.set(Some(check(1)));
        drop(taken);
        let found = async {
            while told(&path).await.is_none() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(timeout(Duration::from_secs(30), found).await.is_ok());
        assert!(!server.is_dead());
    }
}
