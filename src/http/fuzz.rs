//! Fuzz targets of the endpoint.

#![allow(clippy::expect_used, reason = "a fuzz target may panic")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, HeaderValue, header};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::encoding::accepts_gzip;
use super::{Address, Bound, Config, Guard, Server, Settings, State, Token, Users, Web};
use crate::snapshot::Store;
use crate::telemetry::otlp::OtlpStats;
use crate::telemetry::prometheus::renderer::Renderer;
use crate::telemetry::self_metrics::SelfMetrics;

/// Time in which a request is answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// Rules with a user and a token, so that credentials are read; health is for everyone.
static WEB: LazyLock<Arc<Web>> = LazyLock::new(|| {
    let mut users = Users::default();
    let hash = "$2y$04$abcdefghijklmnopqrstuu5yW0vKX3hTrsTJ5yV9kWZ0YkV1nXQ8G";
    users.add("prometheus", hash).expect("a hash");
    let tokens = vec![Token::new("token")];
    Arc::new(Web { users, tokens, open_health: true, ..Web::default() })
});

#[derive(Debug)]
struct Fixed;

impl Settings for Fixed {
    fn endpoint(&self) -> Option<Config> {
        Some(Config {
            enabled: true,
            address: Address { host: "127.0.0.1".to_owned(), port: 0 },
            metrics_path: "/metrics".to_owned(),
            lifecycle: true,
            web: Arc::clone(&WEB),
            health: None,
        })
    }
}

/// An endpoint on loopback, without sites, that nobody reloads.
struct Endpoint {
    address: SocketAddr,
    _runtime: Runtime,
    _server: Server,
}

static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(Endpoint::start);

impl Endpoint {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let entered = runtime.enter();
        let store = Arc::<Store>::default();
        let agent = SelfMetrics::new(Arc::new(OtlpStats::default()));
        let renderer = Renderer::new(Arc::clone(&store), Arc::clone(&agent));
        renderer.render();
        let (reload, _) = mpsc::channel(1);
        let (ready, settings) = (AtomicBool::new(true), Arc::new(Fixed));
        let guard = Guard::default();
        let tenure = ArcSwap::default();
        let state = State { renderer, store, agent, settings, ready, tenure, reload, guard };
        let address = Fixed.endpoint().expect("settings").address;
        let bound = Bound::bind(&address).expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, bound.address().port()));
        let server = bound.serve(Arc::new(state));
        drop(entered);
        Self { address, _runtime: runtime, _server: server }
    }

    /// Sends bytes and the end of them, and returns all that comes back until the connection ends.
    fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("a timeout");
        let mut answer = Vec::new();
        if stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
            match stream.read_to_end(&mut answer) {
                // A reset is an answer too: not all of the request was read.
                Ok(_) => {}
                Err(error) => assert!(
                    !matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ),
                    "no end of the answer"
                ),
            }
        }
        answer
    }
}

/// Sends the input to an endpoint. It ends the connection, answers HTTP or nothing, never with a fault of its own, and
/// serves the next client.
pub(crate) fn head(data: &[u8]) {
    let endpoint = &*ENDPOINT;
    let answer = endpoint.exchange(data);
    if !answer.is_empty() {
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 ") || text.starts_with("HTTP/1.0 "), "{text}");
        assert!(!text.starts_with("HTTP/1.1 500"), "{text}");
    }
    let healthy =
        endpoint.exchange(b"GET /-/healthy HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(healthy.starts_with(b"HTTP/1.1 200") && healthy.ends_with(b"OK\n"));
}

/// Reads lines of `Accept-Encoding`. Gzip is never forced on a client that does not name it or refuses it.
pub(crate) fn accept_encoding(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::ACCEPT_ENCODING, value);
        }
    }
    if accepts_gzip(&headers) {
        let text = String::from_utf8_lossy(data).to_ascii_lowercase();
        assert!(text.contains("gzip") || text.contains('*'), "{text}");
    }
    headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0"));
    assert!(!accepts_gzip(&headers));
}
