//! `demo`: two simulated primary servers, the agent, and a receiver for what it pushes.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use nbu_sim::{Release, Settings, Simulator};
use otlp_sink::{ExportSummary, Sink};

use super::run::{block_on, serve};
use crate::log::Log;
use crate::supervisor::Source;

/// Options of the demo.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Address of the Prometheus endpoint.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port of the Prometheus endpoint.
    #[arg(long, default_value_t = 9440)]
    port: u16,
    /// Push OTLP over gRPC to this Collector instead of the demo's own receiver.
    #[arg(long, value_name = "URL")]
    otlp: Option<url::Url>,
    /// Number of jobs that ended in the last 24 hours on each server.
    #[arg(long, default_value_t = 2_000)]
    jobs: usize,
    /// Polling interval in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
}

pub(super) fn run(options: Options, log: Log) -> ExitCode {
    block_on(demo(options, log))
}

async fn demo(options: Options, log: Log) -> ExitCode {
    let servers = match tokio::try_join!(
        simulator("paris", Release::R10_5, 1, options.jobs),
        simulator("tokyo", Release::R11_2, 2, options.jobs),
    ) {
        Ok((paris, tokyo)) => [("paris", paris), ("tokyo", tokyo)],
        Err(error) => {
            super::output::print_error(&format!("cannot start the simulated servers: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let mut own_receiver = None;
    let endpoint = match &options.otlp {
        Some(endpoint) => endpoint.to_string(),
        None => match receiver() {
            Ok(sink) => own_receiver.insert(sink).grpc_endpoint(),
            Err(error) => {
                super::output::print_error(&format!("cannot start the OTLP receiver: {error}\n"));
                return ExitCode::FAILURE;
            }
        },
    };
    let base = format!("http://{}", crate::http::display(&options.host, options.port));
    let welcome = welcome(&base, &servers, &endpoint);
    // For as long as the demo runs: what is told of state is on show, too.
    let state = std::env::temp_dir().join(format!("nbu-otel-agent-demo-{}", std::process::id()));
    let config = config(&options, &servers, &endpoint, &state);
    let serving = serve(Source::Text(config), log, || _ = super::output::print(&welcome));
    let code = Box::pin(serving).await;
    if code != ExitCode::SUCCESS {
        super::output::print_error("set the demo's address with --host and --port\n");
    }
    for (_, server) in servers {
        server.stop().await;
    }
    // It may not have come to be.
    let _ = std::fs::remove_dir_all(&state);
    code
}

async fn simulator(
    site: &str,
    release: Release,
    seed: u64,
    jobs: usize,
) -> std::io::Result<Simulator> {
    Simulator::start(Settings {
        seed,
        release,
        api_key: nbu_sim::API_KEY.to_owned(),
        name: format!("nbu-{site}.example.com"),
        jobs_in_history: jobs,
        jobs_per_hour: 1_200.0,
        live_jobs: 60,
        ..Settings::default()
    })
    .await
}

/// Says what arrives, so that a newcomer sees both ways out.
fn receiver() -> std::io::Result<Sink> {
    Sink::start(otlp_sink::Options {
        keep: 1,
        on_export: Some(Box::new(|export: &ExportSummary| {
            let _ = super::output::print(&format!(
                "OTLP receiver: received {} points\n",
                export.points
            ));
        })),
        ..otlp_sink::Options::default()
    })
}

fn welcome(base: &str, servers: &[(&str, Simulator)], endpoint: &str) -> String {
    let mut text = String::from("nbu-otel-agent demo (press Ctrl-C to stop)\n\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  metrics    {base}/metrics\n  sites      {base}/");
    for (site, server) in servers {
        let _ = writeln!(
            text,
            "  {site:<10} {} (simulated NetBackup {})",
            server.base_url(),
            server.release()
        );
    }
    let _ = writeln!(text, "  OTLP       {endpoint} (gRPC, every 5 s)\n");
    text
}

/// The keys beside the switches. Two names that no server knows: somebody forgot to back them up.
const COLLECTORS: &str = "\
collectors:
  perClient: { enabled: true, allowlist: [\"*\", forgotten.example.com] }
  perPolicy: { enabled: true, allowlist: [\"*\", Forgotten] }
  jobs: { actionNames: { DUPLICATE: DUPLICATION } }
";

fn config(
    options: &Options,
    servers: &[(&str, Simulator)],
    endpoint: &str,
    state: &Path,
) -> String {
    let interval = options.interval;
    let mut text = COLLECTORS.to_owned();
    for switch in crate::config::switches() {
        let _ = writeln!(text, "  {switch}: {{ enabled: true }}");
    }
    let _ = write!(
        text,
        "server: {{ host: \"{}\", port: {}, scrapingInterval: 24h, \
         collectionInterval: {interval}s, cacheTTL: {interval}s }}\n\
         state: {{ directory: {} }}\n\
         opentelemetry: {{ enabled: true, endpoint: \"{endpoint}\", interval: 5s }}\n\
         nbuservers:\n",
        options.host,
        options.port,
        // As YAML quotes it, a dollar sign being no variable.
        serde_json::Value::from(state.to_string_lossy().replace('$', "$$")),
    );
    for (site, server) in servers {
        let address = server.addr();
        let key = &server.settings().api_key;
        let _ = writeln!(
            text,
            "  - {{ site: {site}, scheme: http, host: \"{}\", port: {}, apiKey: \"{key}\" }}",
            address.ip(),
            address.port(),
        );
    }
    text
}
