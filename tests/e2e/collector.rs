//! A real Collector, run with the repository's own configuration; only its addresses are replaced, and
//! what a test says it replaces.

use std::process::Command;

use crate::parts::{Program, part, repository};
use crate::process::port;
use crate::support::{Page, http_client};

/// The agent's section for a push in plain text.
pub fn push(authority: &str, protocol: &str, more: &str) -> String {
    format!(
        "opentelemetry: {{ enabled: true, endpoint: \"http://{authority}\", protocol: {protocol}, {more} }}"
    )
}

/// A Collector on ports of its own, which it keeps when it is started again.
pub struct Collector {
    program: Option<Program>,
    grpc: u16,
    http: u16,
    prometheus: u16,
    health: u16,
    replaced: Vec<String>,
}

impl Collector {
    /// Starts one as the repository configures it.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts one with settings replaced, each as `path::to::key: value`.
    pub async fn with(replaced: &[&str]) -> Self {
        let mut collector = Self::stopped();
        collector.start_again(replaced).await;
        collector
    }

    /// Ports for one that does not run yet.
    pub fn stopped() -> Self {
        Self {
            program: None,
            grpc: port(),
            http: port(),
            prometheus: port(),
            health: port(),
            replaced: Vec::new(),
        }
    }

    /// Starts it on its ports; it must not run.
    pub async fn start_again(&mut self, replaced: &[&str]) {
        assert!(self.program.is_none(), "it runs");
        self.replaced = replaced.iter().map(ToString::to_string).collect();
        let mut program = Program::start("the Collector", |_| self.command());
        program.answers(&format!("http://127.0.0.1:{}", self.health)).await;
        self.program = Some(program);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(part("otelcol"));
        command.arg("--config").arg(repository("otel-collector-config.yaml"));
        let addresses = [
            ("receivers::otlp::protocols::grpc::endpoint", self.grpc),
            ("receivers::otlp::protocols::http::endpoint", self.http),
            ("exporters::prometheus::endpoint", self.prometheus),
            ("extensions::health_check::endpoint", self.health),
        ];
        for (key, port) in addresses {
            command.arg(format!("--config=yaml:{key}: 127.0.0.1:{port}"));
        }
        // Its own metrics have a port of their own, which no test asks.
        command.arg("--config=yaml:service::telemetry::metrics::level: none");
        for setting in &self.replaced {
            command.arg(format!("--config=yaml:{setting}"));
        }
        command
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.end().await;
        }
    }

    /// Ends it at once, with all that it has not handed on.
    pub fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill();
        }
    }

    /// Returns its output.
    pub fn said(&self) -> String {
        self.program.as_ref().map(Program::said).unwrap_or_default()
    }

    /// The most memory that it had, MiB.
    pub fn peak_mib(&self) -> f64 {
        self.program.as_ref().map_or(f64::NAN, Program::peak_mib)
    }

    /// Host and port for `grpc` or `http/protobuf`.
    pub fn authority(&self, protocol: &str) -> String {
        format!("127.0.0.1:{}", if protocol == "grpc" { self.grpc } else { self.http })
    }

    /// The agent's section for a push to it.
    pub fn push(&self, protocol: &str, more: &str) -> String {
        push(&self.authority(protocol), protocol, more)
    }

    /// Port of its Prometheus exporter.
    pub fn prometheus_port(&self) -> u16 {
        self.prometheus
    }

    /// Returns the received metrics, as it offers them to Prometheus.
    pub async fn page(&self) -> Page {
        let url = format!("http://127.0.0.1:{}/metrics", self.prometheus);
        match http_client().get(url).send().await {
            Ok(answer) => Page::parse(&answer.text().await.unwrap_or_default()),
            Err(_) => Page::parse(""),
        }
    }
}
