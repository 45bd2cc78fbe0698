//! The landing page: the state of the agent, its sites and its push, for people.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::state::State;
use crate::snapshot::{CollectorState, Snapshot};
use crate::telemetry::otlp::stats::SignalStats;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;\
padding:0 1rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;\
border-bottom:1px solid #ccc;vertical-align:top}.bad{color:#a00}.good{color:#060}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}.bad{color:#f88}.good{color:#8d8}\
a{color:#8bf}}";

pub(super) fn render(state: &State) -> String {
    let mut page = String::new();
    let path = escape(&state.metrics_path());
    let config = state.agent.config();
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>nbu-otel-agent</title>\
         <style>{STYLE}</style></head><body><h1>nbu-otel-agent {}</h1>\
         <p><a href=\"{path}\">Metrics</a> · <a href=\"/-/healthy\">liveness</a> · \
         <a href=\"/-/ready\">readiness</a> · <a href=\"/health\">NetBackup reachable</a></p>\
         <p>Configuration: <code>{}</code></p>",
        env!("CARGO_PKG_VERSION"),
        config.sha256.get(..12).unwrap_or("none"),
    );
    for (problem, error) in [
        ("The last reload failed", &config.last_error),
        ("A background task died and cannot be restarted", &config.recovery_error),
    ] {
        if let Some(error) = error {
            let _ = write!(page, "<p class=\"bad\">{problem}: {}</p>", escape(error));
        }
    }
    if let Some((leads, numbers)) = state.agent.election() {
        let role = if leads { "the leader" } else { "a standby" };
        let holder = numbers.holder.as_deref().map_or("nobody", |holder| holder);
        let _ = write!(
            page,
            "<p>This agent is {role}. The Lease is held by <code>{}</code>.</p>",
            escape(holder)
        );
        if let Some(error) = numbers.error {
            let _ = write!(page, "<p class=\"bad\">{}</p>", escape(&error));
        }
    }
    for (signal, stats) in state.agent.otlp().snapshot() {
        if let Some(text) = push(&stats) {
            let _ = write!(page, "<p>OTLP {}: {text}</p>", signal.as_str());
        }
    }
    page.push_str(
        "<table><thead><tr><th>Site</th><th>Server</th><th>API</th><th>Collector</th>\
         <th>State</th><th>Last success</th></tr></thead><tbody>",
    );
    for snapshot in state.store.snapshots() {
        site_rows(&mut page, &snapshot);
    }
    page.push_str("</tbody></table></body></html>\n");
    page
}

/// Returns the state of the push of a signal, if it was tried.
fn push(stats: &SignalStats) -> Option<String> {
    let failed: u64 = stats
        .exports
        .iter()
        .filter(|(result, _)| !matches!(**result, "success" | "partial"))
        .map(|(_, count)| count)
        .sum();
    (stats.requests > 0).then(|| match stats.last_success {
        None => format!("no successful export yet, {failed} exports failed"),
        Some(time) => format!("last success {}, {failed} exports failed", ago(time)),
    })
}

fn site_rows(page: &mut String, snapshot: &Snapshot) {
    for status in &snapshot.collectors {
        let (class, text) = match &status.state {
            CollectorState::Unsupported => {
                ("", "not supported by this NetBackup release".to_owned())
            }
            CollectorState::LeftOut => ("", "not permitted, left out".to_owned()),
            CollectorState::Failing(error) => ("bad", escape(error)),
            CollectorState::Up => ("good", "up".to_owned()),
            CollectorState::Pending => ("", "first poll in progress".to_owned()),
        };
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{text}</td>\
             <td>{}</td></tr>",
            escape(&snapshot.site),
            escape(&snapshot.server),
            snapshot.api_version.as_deref().unwrap_or("unknown"),
            status.collector,
            status.last_success.map_or_else(|| "never".to_owned(), ago),
        );
    }
}

fn ago(time: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(time).unwrap_or_default().as_secs();
    format!("{seconds} s ago")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
