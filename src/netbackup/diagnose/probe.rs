//! The first steps of a diagnosis: does the name resolve, does the port take connections. The TLS
//! handshake and the clock are seen by a ping.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::hints::{DNS, REFUSED, UNREACHABLE};
use crate::netbackup::client::Client;
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::ping::PING;

impl Client {
    /// Resolves the server's name. With a proxy, it is the proxy that resolves it in earnest.
    pub async fn resolve(&self, within: Duration) -> Result<Vec<SocketAddr>, Error> {
        let connection = self.connection();
        let url = &connection.config.base_url;
        let port = url.port_or_known_default().unwrap_or(443);
        // An IPv6 address has brackets in an address and none in a lookup.
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let found = match timeout(within, lookup_host((host.as_str(), port))).await {
            Ok(Ok(found)) => found.collect::<Vec<_>>(),
            Ok(Err(error)) => return Err(self.failed(ErrorKind::Dns, &error.to_string(), DNS)),
            Err(_) => {
                return Err(self.failed(
                    ErrorKind::Dns,
                    &format!("no answer within {within:?}"),
                    DNS,
                ));
            }
        };
        if found.is_empty() {
            return Err(self.failed(ErrorKind::Dns, "the name has no addresses", DNS));
        }
        Ok(found)
    }

    /// Connects to `address` and hangs up; how long that took.
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
                let hint = if refused { REFUSED } else { UNREACHABLE };
                Err(self.failed(ErrorKind::Connect, &format!("{address}: {error}"), hint))
            }
            Err(_) => {
                let detail = format!("{address}: no connection within {within:?}");
                Err(self.failed(ErrorKind::Timeout, &detail, UNREACHABLE))
            }
        }
    }

    /// No proxy of the configuration has a part in what these steps try.
    fn failed(&self, kind: ErrorKind, detail: &str, hint: &'static str) -> Error {
        let hint = self.connection().route.beside(hint);
        Error::new(&self.0.server, &PING, kind, detail).with_hint(hint)
    }
}
