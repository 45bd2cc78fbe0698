//! An OTLP receiver over gRPC and HTTP/protobuf that remembers what it was sent, and that can be told
//! to be slow, broken or silent. It serves the demo and the tests; it prints nothing.
//!
//! It runs in a runtime of its own, on a thread of its own: stopping it ends its connections at once,
//! like a process that was killed, and nothing that its user does on its own runtime can hold it up.

mod grpc;
mod http;
mod server;
mod state;
mod view;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

pub use state::{Behaviour, ExportSummary, ReceivedRequest, Signal, Transport};
pub use view::{Attributes, Point, SeriesKey, Value};

use server::Running;
use state::State;

/// Callback for the demo, called once for each accepted export of metrics.
pub type OnExport = Box<dyn Fn(&ExportSummary) + Send + Sync>;

/// Certificates of a sink that speaks TLS, all PEM.
#[derive(Clone)]
pub struct Tls {
    /// The server's certificate chain.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// Ask for a client certificate signed by this CA, and refuse those without.
    pub client_ca: Option<String>,
}

/// Options of a sink.
pub struct Options {
    /// Serve gRPC.
    pub grpc: bool,
    /// Serve HTTP/protobuf.
    pub http: bool,
    /// Requests above this size, decompressed, are refused. A Collector's default is 4 MiB.
    pub max_message_bytes: usize,
    /// Speak TLS on both.
    pub tls: Option<Tls>,
    /// The address to listen on.
    pub addr: IpAddr,
    /// Port for gRPC; 0 takes a free one.
    pub grpc_port: u16,
    /// Port for HTTP; 0 takes a free one.
    pub http_port: u16,
    /// Number of requests that are remembered with their content; older ones are forgotten.
    pub keep: usize,
    /// Called for each accepted export of metrics.
    pub on_export: Option<OnExport>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            grpc: true,
            http: true,
            max_message_bytes: 4 * 1024 * 1024,
            tls: None,
            addr: IpAddr::V4(Ipv4Addr::LOCALHOST),
            grpc_port: 0,
            http_port: 0,
            keep: 64,
            on_export: None,
        }
    }
}

/// A running sink. Dropping it stops it.
pub struct Sink {
    state: Arc<State>,
    tls: Option<Tls>,
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    running: Mutex<Option<Running>>,
}

impl Sink {
    /// Binds the listeners and serves them.
    pub fn start(options: Options) -> io::Result<Self> {
        let mut sink = Self {
            grpc: options.grpc.then_some(SocketAddr::new(options.addr, options.grpc_port)),
            http: options.http.then_some(SocketAddr::new(options.addr, options.http_port)),
            tls: options.tls,
            state: Arc::new(State::new(options.max_message_bytes, options.keep, options.on_export)),
            running: Mutex::new(None),
        };
        let running = sink.serve()?;
        // Free ports are chosen by the first bind and kept from then on.
        sink.grpc = running.grpc;
        sink.http = running.http;
        sink.running = Mutex::new(Some(running));
        Ok(sink)
    }

    fn serve(&self) -> io::Result<Running> {
        Running::start(self.grpc, self.http, self.tls.as_ref(), &self.state)
    }

    /// Address for OTLP over gRPC, such as `http://127.0.0.1:4317`; empty if it isn't served.
    pub fn grpc_endpoint(&self) -> String {
        self.endpoint(self.grpc)
    }

    /// Base address for OTLP over HTTP, without a path; empty if it isn't served.
    pub fn http_endpoint(&self) -> String {
        self.endpoint(self.http)
    }

    fn endpoint(&self, address: Option<SocketAddr>) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        address.map_or_else(String::new, |address| format!("{scheme}://{address}"))
    }

    /// The accepted requests with metrics that are still remembered, oldest first.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.state.metrics()
    }

    /// The last point of each series in the requests that are still remembered.
    pub fn latest(&self) -> BTreeMap<SeriesKey, Point> {
        view::latest(&self.state.metrics())
    }

    /// The accepted spans that are still remembered, oldest first.
    pub fn spans(&self) -> Vec<Span> {
        self.state.spans()
    }

    /// Every request that arrived, whatever became of it, oldest first; as bounded as the others.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.requests()
    }

    /// Returns the number of requests that arrived since the start, whatever became of them.
    pub fn request_count(&self) -> usize {
        self.state.request_count()
    }

    /// Forgets what was received.
    pub fn clear(&self) {
        self.state.clear();
    }

    /// Sets the answer to all requests from now on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.state.set_behaviour(behaviour, None);
    }

    /// Sets the answer to the next `count` requests; those after them are accepted.
    pub fn set_behaviour_for(&self, count: usize, behaviour: Behaviour) {
        self.state.set_behaviour(behaviour, Some(count));
    }

    /// Ends the listeners and every connection, and returns when the ports are free. What was received
    /// is kept.
    pub async fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            running.stop().await;
        }
    }

    /// Serves again on the same ports after [`Sink::stop`]; no effect while it runs.
    pub fn restart(&self) -> io::Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            *running = Some(self.serve()?);
        }
        Ok(())
    }
}
