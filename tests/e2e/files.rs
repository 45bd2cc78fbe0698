//! The files that we ship, held by the programs that they are for.

use std::fs::{self, File};
use std::process::Command;

use crate::endpoint::Endpoint;
use crate::parts::{part, repository, run, succeed};
use crate::process::{Desk, Signal, config};
use crate::support::{simulate, world};

/// Names that promtool would report: they are those of nbu_exporter, and its users' dashboards ask
/// for them.
const INHERITED: [&str; 9] = [
    "nbu_client_jobs_count",
    "nbu_jobs_count",
    "nbu_jobs_files_count",
    "nbu_jobs_queued_count",
    "nbu_jobs_state_count",
    "nbu_response_time_ms",
    "nbu_status_count",
    "nbu_disk_pool_volume_count",
    "nbu_malware_scan_count",
];

#[test]
fn collector_accepts_its_configuration_and_suggested_exporters() {
    let file = repository("otel-collector-config.yaml");
    succeed(Command::new(part("otelcol")).arg("validate").arg("--config").arg(&file));

    let text = fs::read_to_string(file).expect("a file");
    let (head, rest) = text.split_once("  # OTLP over gRPC:\n").expect("a back end over gRPC");
    let (back_ends, tail) = rest.split_once("\nservice:").expect("pipelines");
    let back_ends: String =
        back_ends.lines().map(|line| line.replacen("  # ", "  ", 1) + "\n").collect();
    let filled = format!("{head}{back_ends}\nservice:{tail}")
        .replace("OTLP over HTTP:", "")
        .replace("[prometheus, debug]", "[prometheus, otlp]")
        .replace("exporters: [debug]", "exporters: [otlphttp]");
    assert!(filled.contains("\n  otlphttp:") && filled.contains("[otlphttp]"), "{filled}");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.yaml");
    fs::write(&path, &filled).expect("it is written");
    let mut validate = Command::new(part("otelcol"));
    validate.arg("validate").arg("--config").arg(path).env("OTLP_TOKEN", "x");
    succeed(&mut validate);
}

#[test]
fn prometheus_accepts_its_configuration() {
    let file = repository("deploy/prometheus/prometheus.yml");
    let said = succeed(Command::new(part("promtool")).args(["check", "config"]).arg(file));
    assert!(said.contains("SUCCESS"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_only_inherited_names_in_the_exposition() {
    let paris = simulate(world(1)).await;
    let config = config().site("paris", &paris).with(
        // Refused, so that the metrics of a push that fails are there too.
        "opentelemetry: { enabled: true, endpoint: \"http://127.0.0.1:1\", interval: 200ms }",
    );
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    endpoint.complete(&mut agent, "paris").await;
    let page = endpoint
        .until(&mut agent, "a push that failed", |page| {
            page.text().contains("nbu_agent_otlp_exports_total{result=\"refused\"")
        })
        .await;
    desk.write("page", page.text());
    let promtool = |arguments: &[&str]| {
        let page = File::open(desk.path("page")).expect("it was written");
        let mut command = Command::new(part("promtool"));
        command.args(["check", "metrics"]).args(arguments).stdin(page).output().expect("it runs")
    };
    let strict = promtool(&["--lint=all"]);
    let said = String::from_utf8_lossy(&strict.stdout) + String::from_utf8_lossy(&strict.stderr);
    let unexpected: Vec<&str> = said
        .lines()
        .filter(|line| !INHERITED.iter().any(|name| line.starts_with(&format!("{name} "))))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(said.contains("nbu_jobs_count "), "it looked: {said}");
    let read = promtool(&["--extended", "--lint=none"]);
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    agent.end_by(Signal::TERM).await;
}

#[test]
fn promtool_finds_invalid_exposition() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("page");
    fs::write(&path, "nbu_up{site=\"a\"} 1\nnbu_up{site=\"a\" 1\n").expect("it is written");
    let mut promtool = Command::new(part("promtool"));
    promtool.args(["check", "metrics"]).stdin(File::open(&path).expect("it was written"));
    assert!(!promtool.output().expect("promtool runs").status.success());
    let bad = directory.path().join("prometheus.yml");
    fs::write(&bad, "scrape_configs: [{ job_name: a }, { job_name: a }]\n").expect("written");
    assert!(
        !run(Command::new(part("promtool")).args(["check", "config"]).arg(bad)).status.success()
    );
}
