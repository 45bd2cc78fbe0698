//! Alerts on the agent itself: is it there, is its configuration in force, does it lose anything?

use super::rule::{Alert, Severity, m};
use crate::query::Query;

const GROUP: &str = "agent";

/// Returns whether any agent of an election leads, by job.
fn leads() -> Query {
    m("nbu_agent_leader").now().max(&["job"])
}

/// The labels of an agent.
const AGENT: [&str; 2] = ["job", "instance"];

pub(super) fn alerts() -> Vec<Alert> {
    let gone = m("nbu_agent_sites").over("last_over_time", "1h").group(&AGENT);
    let overflow = m("nbu_agent_cardinality_dropped_series").now();
    let signal = ["job", "instance", "signal"];
    let failed = m("nbu_agent_otlp_exports_total")
        .is_not("result", "success")
        .is_not("result", "unsupported")
        .increase("10m");
    let arrived = m("nbu_agent_otlp_exports_total").is("result", "success").increase("10m");
    let took_part = m("nbu_agent_leader").over("last_over_time", "1h").group(&AGENT);
    let followed = took_part.and(&["job"], leads().compared("==", 1));
    let failing = failed.sum(&signal).compared(">", 0);
    vec![
        Alert {
            name: "NetBackupAgentDown",
            group: GROUP,
            severity: Severity::Critical,
            when: m("up").is("job", "netbackup").now().compared("==", 0),
            hold: "5m",
            summary: "The agent at {{ $labels.instance }} cannot be scraped",
            description: "Prometheus cannot scrape {{ $labels.instance }}, so there are no metrics of its sites.",
            runbook: "Check that the process runs, and that /-/healthy responds from the host of Prometheus.",
        },
        Alert {
            name: "NetBackupAgentSilent",
            group: GROUP,
            severity: Severity::Critical,
            // A leader that was followed by another one pushes no more.
            when: gone
                .unless(&AGENT, m("nbu_agent_sites").now().group(&AGENT))
                .unless(&AGENT, followed),
            hold: "5m",
            summary: "The agent {{ $labels.instance }} ({{ $labels.job }}) sends no metrics",
            description: "Its series ended within the last hour: it stopped, its push does not arrive, or its target was removed.",
            runbook: "Check that the agent runs and that the Collector receives. For a retired agent, the alert ends after an hour.",
        },
        Alert {
            name: "NetBackupConfigReloadFailed",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_config_last_reload_successful").now().compared("==", 0),
            hold: "5m",
            summary: "The agent at {{ $labels.instance }} rejected its configuration",
            description: "The last saved configuration was rejected. The agent keeps the current one, but would not start with this file.",
            runbook: "Run `nbu-otel-agent check --config FILE`, which shows file, line and key of each error.",
        },
        Alert {
            name: "NetBackupCardinalityOverflow",
            group: GROUP,
            severity: Severity::Warning,
            when: overflow.compared(">", 0),
            hold: "10m",
            summary: "{{ $labels.metric }} has more series than the agent at {{ $labels.instance }} may export",
            description: "{{ $value }} series of {{ $labels.metric }} are dropped because of metrics.cardinalityLimit.",
            runbook: "Raise metrics.cardinalityLimit, or select fewer names in perClient and perPolicy.",
        },
        Alert {
            name: "NetBackupAgentTaskRestarted",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_task_restarts_total").increase("1h").compared(">", 0),
            hold: "0s",
            summary: "A background task of the agent at {{ $labels.instance }} died and was restarted",
            description: "The task {{ $labels.task }} died {{ $value | humanize }} times within an hour. Its work was interrupted each time.",
            runbook: "This is a bug in the agent: report it with the log, which has the reason and the location.",
        },
        Alert {
            name: "NetBackupLogLinesDropped",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_log_lines_dropped_total").increase("15m").compared(">", 0),
            hold: "0s",
            summary: "The agent at {{ $labels.instance }} drops log lines",
            description: "{{ $value | humanize }} lines were lost within 15 minutes, because the log cannot be written, or not fast enough.",
            runbook: "Check whether the disk of the log is full or slow, or the reader of standard output is too slow.",
        },
        Alert {
            name: "NetBackupOtlpFailing",
            group: GROUP,
            severity: Severity::Warning,
            when: failing.unless(&signal, arrived.sum(&signal).compared(">", 0)),
            hold: "10m",
            summary: "The OTLP push of {{ $labels.signal }} from {{ $labels.instance }} fails",
            description: "{{ $value | humanize }} exports failed within ten minutes, and none succeeded completely.",
            runbook: "Check nbu_agent_otlp_exports_total by result, and run `nbu-otel-agent doctor`.",
        },
    ]
    .into_iter()
    .chain(of_several())
    .collect()
}

/// Returns the alerts on agents that share the sites, or take turns.
fn of_several() -> [Alert; 3] {
    let shards = m("nbu_agent_shards").now().max(&["job"]);
    let present = m("nbu_agent_shard").now().count(&["job"]);
    // Only what is scraped: a standby pushes nothing.
    let scraped = m("nbu_agent_leader").now().and(&AGENT, m("up").now());
    [
        Alert {
            name: "NetBackupShardMissing",
            group: GROUP,
            severity: Severity::Critical,
            when: shards.with("-", present).compared(">", 0),
            hold: "5m",
            summary: "{{ $value }} of the agents of {{ $labels.job }} that share the sites are not there",
            description: "Nobody polls the sites of {{ $value }} shards: fewer agents send metrics than sharding.shards says.",
            runbook: "Start the agents that are missing, or lower sharding.shards so that the others take their sites over.",
        },
        Alert {
            name: "NetBackupNoLeader",
            group: GROUP,
            severity: Severity::Critical,
            when: leads().compared("==", 0),
            hold: "1m",
            summary: "No agent of {{ $labels.job }} polls: none is the leader",
            description: "Agents take turns by a Lease, and none of them holds it, so that no site is polled.",
            runbook: "See in the logs of the agents why they cannot reach the Lease: permissions, or the API server.",
        },
        Alert {
            name: "NetBackupNoStandby",
            group: GROUP,
            severity: Severity::Warning,
            when: scraped.count(&["job"]).compared("==", 1),
            hold: "15m",
            summary: "No agent of {{ $labels.job }} would take over",
            description: "Agents take turns by a Lease, and only one of them can be scraped.",
            runbook: "Start the other agent, or remove election from the configuration of the one that is there.",
        },
    ]
}
