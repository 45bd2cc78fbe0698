//! `doctor`: everything that polling and pushing need, tried one by one, and what to mend.

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tokio::time::Instant;

use super::check::load;
use super::role;
use super::run::block_on;
use crate::collectors::{Row, Settings, TABLE};
use crate::config::Config;
use crate::netbackup::{self, Client, Error, ErrorKind, RetryPolicy};
use crate::slp::Links;
use crate::telemetry::otlp::{Signal, Transport};

/// A name or a connection that takes longer than this has failed.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Beyond the timeout of a request, so that it is that which is told.
const GRACE: Duration = Duration::from_secs(1);

/// A clock that is off by more is worth a word, though the agent keeps to the server's.
const SKEW: f64 = 60.0;

pub(super) fn run(path: &Path, role: bool) -> ExitCode {
    match load(path) {
        Some(config) if role => super::output::print(&role::script(&config)),
        Some(config) => block_on(examine(&config)),
        None => ExitCode::FAILURE,
    }
}

async fn examine(config: &Config) -> ExitCode {
    let (text, failures) = report(config).await;
    let printed = super::output::print(&text);
    if failures == 0 { printed } else { ExitCode::FAILURE }
}

/// Tries everything. Returns what there is to say of it, and how many checks failed.
pub(super) async fn report(config: &Config) -> (String, usize) {
    let sites = config.servers.iter().map(|server| site(config, server));
    let reports = futures_util::future::join_all(sites).await;
    let others = [election(config).await, Some(otlp(config).await)];
    let mut text = String::new();
    let (mut failures, mut doubts) = (0, 0);
    for report in reports.iter().chain(others.iter().flatten()) {
        text.push_str(&report.text);
        failures += report.failures;
        doubts += report.doubts;
    }
    let verdict = match (failures, doubts) {
        (0, 0) => "all checks passed\n".to_owned(),
        (0, _) => "passed with warnings: see the lines that begin with warn\n".to_owned(),
        (1, _) => "1 check failed: see the lines that begin with FAIL\n".to_owned(),
        _ => format!("{failures} checks failed: see the lines that begin with FAIL\n"),
    };
    text.push_str(&verdict);
    (text, failures)
}

/// Lines about one site or about OTLP, printed together.
struct Report {
    text: String,
    failures: usize,
    doubts: usize,
}

impl Report {
    fn new(title: &str) -> Self {
        Self { text: format!("{title}\n"), failures: 0, doubts: 0 }
    }

    fn line(&mut self, verdict: &str, step: &str, detail: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "  {verdict:<5} {step:<24} {detail}");
    }

    fn ok(&mut self, step: &str, detail: impl Display) {
        self.line("ok", step, detail);
    }

    fn warn(&mut self, step: &str, detail: impl Display) {
        self.doubts += 1;
        self.line("warn", step, detail);
    }

    fn fail(&mut self, step: &str, detail: impl Display) {
        self.failures += 1;
        self.line("FAIL", step, detail);
    }

    /// Reports a step that failed; returns the result of one that did not.
    fn check<T>(&mut self, step: &str, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|error| self.fail(step, error)).ok()
    }
}

async fn site(config: &Config, server: &netbackup::Config) -> Report {
    let mut report = Report::new(&format!("site {} ({})", server.site, server.base_url));
    // One attempt a step: a doctor reports what it sees.
    let once = RetryPolicy { max_attempts: 1, ..RetryPolicy::default() };
    let client = Client::builder(server.clone()).retry_policy(once).build();
    if let Some(client) = report.check("settings", client) {
        // Reported inside; what comes after a failed step has nothing to stand on.
        let _ = steps(config, server, &client, &mut report).await;
    }
    report
}

async fn steps(
    config: &Config,
    server: &netbackup::Config,
    client: &Client,
    report: &mut Report,
) -> Option<()> {
    if let Some(proxy) = &server.proxy {
        report.line("-", "network", format!("through {}", proxy.described()));
    } else {
        network(client, report).await?;
    }
    let ping = client.ping().await;
    let is_tls = matches!(&ping, Err(error) if error.kind() == ErrorKind::Tls);
    if client.sends_key_in_clear_text() {
        report.warn("clear text", "anybody on the way can read the API key: use https");
    }
    if let Some(fingerprint) = client.shown_certificate() {
        report.line("-", "certificate", fingerprint);
    }
    let ping = report.check(if is_tls { "tls" } else { "ping" }, ping)?;
    if server.base_url.scheme() == "https" {
        let trust = match (server.insecure_skip_verify, server.fingerprints.is_empty()) {
            (false, true) => "verified",
            (false, false) => "verified, and its fingerprint is configured",
            (true, true) => "NOT verified (insecureSkipVerify)",
            (true, false) => "not verified (insecureSkipVerify), but its fingerprint is configured",
        };
        report.ok("tls", format!("certificate {trust}"));
    }
    report.ok("ping", format!("answered in {} ms", ping.round_trip.as_millis()));
    let skew = ping.clock_skew().as_secs_f64();
    let clock = format!(
        "the server's clock is {skew:+.1} s off the agent's; job windows use the server's clock"
    );
    if skew.abs() > SKEW {
        report.warn("clock", clock);
    } else {
        report.ok("clock", clock);
    }
    if let (Some(wanted), Some(newest)) = (server.api_version, ping.version)
        && wanted > newest
    {
        report.fail("version", format!("apiVersion is {wanted}, but the server supports {newest} at most: remove apiVersion"));
        return None;
    }
    let session = client.with_deadline(Instant::now() + server.timeout + GRACE);
    let version = report.check("version", session.version().await)?;
    report.ok("version", version);
    permissions(config, server, client, report).await;
    Some(())
}

async fn network(client: &Client, report: &mut Report) -> Option<()> {
    let addresses = report.check("name", client.resolve(STEP_TIMEOUT).await)?;
    let list: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    report.ok("name", list.join(", "));
    let mut last = None;
    for address in addresses {
        match client.tcp_connect(address, STEP_TIMEOUT).await {
            Ok(took) => {
                report.ok("tcp", format!("{address} in {} ms", took.as_millis()));
                return Some(());
            }
            Err(error) => last = Some(error),
        }
    }
    if let Some(error) = last {
        report.fail("tcp", error);
    }
    None
}

/// Asks each enabled resource. When all answer 401, it is the key.
async fn permissions(
    config: &Config,
    server: &netbackup::Config,
    client: &Client,
    report: &mut Report,
) {
    // Without state: it belongs to the agent that may be running.
    let (collectors, window) = (&config.collectors, config.polling.window);
    let links = Links::default();
    let settings = Settings { collectors, window, state: None, links: &links };
    let (mut verdicts, mut lacking) = (Vec::new(), Vec::new());
    let is_asked = |row: &&Row| row.is_enabled(collectors) && client.can_ask(row.resource);
    for row in TABLE.iter().filter(is_asked) {
        let session = client.with_deadline(Instant::now() + server.timeout + GRACE);
        let mut collector = (row.build)(&settings);
        let old = client.version().zip(collector.since()).is_some_and(|(has, since)| has < since);
        if old {
            lacking.push(row.name);
            continue;
        }
        match collector.permitted(&session, row.resource).await {
            Err(error) if !row.core && error.kind() == ErrorKind::NotFound => {
                lacking.push(row.name);
            }
            verdict => verdicts.push((row, verdict)),
        }
    }
    let refused = |verdict: &Result<_, Error>| matches!(verdict, Err(error) if error.kind() == ErrorKind::Unauthorized);
    if !verdicts.is_empty() && verdicts.iter().all(|(_, verdict)| refused(verdict)) {
        report.fail("key", "401 for every resource: apiKey is wrong, expired or deleted");
        return;
    }
    for name in lacking {
        report.line("-", &format!("read {name}"), "not supported by this NetBackup release");
    }
    if verdicts.iter().any(|(_, verdict)| verdict.is_ok()) {
        report.ok("key", "accepted");
    }
    for (row, verdict) in verdicts {
        let name = row.name;
        let permission = format!("permission {name}");
        match verdict {
            Ok(Some(true)) => report.ok(&permission, "granted"),
            Ok(_) => report.warn(
                &permission,
                "the list is empty; the server does not say whether a permission is missing",
            ),
            Err(error) if error.is_denial() && row.is_tried(&config.collectors) => {
                report.line("-", &permission, format!("not granted, so left out: {error}"));
            }
            Err(error) if error.is_denial() => report.fail(&permission, error),
            Err(error) => report.fail(&format!("read {name}"), error),
        }
    }
}

/// Tries to read and renew the Lease, where there is one.
async fn election(config: &Config) -> Option<Report> {
    let election = config.election.as_ref()?;
    let mut report = Report::new(&format!("election (Lease {})", election.lease));
    let tried = tokio::time::timeout(STEP_TIMEOUT, crate::election::examine(election)).await;
    let result = tried.unwrap_or_else(|_| Err("the API server does not answer".to_owned()));
    if let Some(said) = report.check("lease", result) {
        report.ok("lease", said);
    }
    Some(report)
}

/// Sends an empty export of each signal.
async fn otlp(config: &Config) -> Report {
    let mut report = Report::new("opentelemetry");
    let Some(otlp) = &config.otlp else {
        report.line("-", "push", "not enabled");
        return report;
    };
    let Some(transport) = report.check("settings", Transport::new(otlp)) else { return report };
    let signals = [
        (Signal::Metrics, otlp.metrics, otlp.metrics_to.timeout),
        (Signal::Traces, otlp.traces, otlp.traces_to.timeout),
    ];
    let mut unsupported = Vec::new();
    for (signal, wanted, timeout) in signals {
        if !wanted {
            continue;
        }
        // An empty request has the same form for both signals: no bytes.
        let empty = prost::Message::encode_to_vec(&ExportMetricsServiceRequest::default());
        let step = format!("push {}", signal.as_str());
        let endpoint = transport.endpoint(signal);
        match transport.send(signal, empty.into(), Instant::now() + timeout).await {
            Ok(_) => report.ok(&step, format!("{endpoint} accepts")),
            Err(error) if error.kind.is_unsupported() => {
                unsupported.push((step, format!("{endpoint} does not accept it: {error}")));
            }
            Err(error) => report.fail(&step, format!("{endpoint}: {error}")),
        }
    }
    let advice = "if that is intended, leave the signal out of opentelemetry.signals";
    for (step, message) in &unsupported {
        // One of two signals may be left out; a receiver that takes nothing is the wrong one.
        if unsupported.len() < usize::from(otlp.metrics) + usize::from(otlp.traces) {
            report.warn(step, format!("{message}; {advice}"));
        } else {
            report.fail(step, message);
        }
    }
    report
}
