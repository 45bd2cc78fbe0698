//! First steps of a diagnosis: name resolution and a TCP connection. A ping covers TLS and the clock.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::hints::{Failure, hint_without_proxy};
use crate::netbackup::client::Client;
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::resource::PING;

impl Client {
    /// Resolves the server's name. With a proxy, requests leave that to the proxy.
    pub async fn resolve(&self, within: Duration) -> Result<Vec<SocketAddr>, Error> {
        let connection = self.0.connection();
        let url = &connection.config.base_url;
        let port = url.port_or_known_default().unwrap_or(443);
        // An IPv6 address has brackets in a URL and none in a lookup.
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let failed = |detail: &str| self.probe_error(ErrorKind::Dns, detail, Failure::Dns);
        let found = match timeout(within, lookup_host((host.as_str(), port))).await {
            Ok(Ok(found)) => found.collect::<Vec<_>>(),
            Ok(Err(error)) => return Err(failed(&error.to_string())),
            Err(_) => return Err(failed(&format!("no answer within {within:?}"))),
        };
        if found.is_empty() { Err(failed("the name has no addresses")) } else { Ok(found) }
    }

    /// Connects to `address`, closes the connection, and returns the time that it took.
    pub async fn tcp_connect(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> Result<Duration, Error> {
        let started = Instant::now();
        match timeout(within, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(started.elapsed()),
            Ok(Err(error)) => {
                let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                let failure = if refused { Failure::Refused } else { Failure::Unreachable };
                Err(self.probe_error(ErrorKind::Connect, &format!("{address}: {error}"), failure))
            }
            Err(_) => {
                let detail = format!("{address}: no connection within {within:?}");
                Err(self.probe_error(ErrorKind::Timeout, &detail, Failure::Unreachable))
            }
        }
    }

    fn probe_error(&self, kind: ErrorKind, detail: &str, failure: Failure<'_>) -> Error {
        let hint = hint_without_proxy(&self.0.connection().config, failure);
        self.0.error(&PING, kind, detail).with_hint(hint)
    }
}
