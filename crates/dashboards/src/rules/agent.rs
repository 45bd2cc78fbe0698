//! Alerts on the agent itself: is it there, is its configuration in force, does it lose anything?

use super::{Alert, Severity, m};

const GROUP: &str = "agent";

/// One agent.
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
    let failing = failed.sum(&signal).compared(">", 0);
    vec![
        Alert {
            name: "NetBackupAgentDown",
            group: GROUP,
            severity: Severity::Critical,
            when: m("up").is("job", "netbackup").now().compared("==", 0),
            hold: "5m",
            summary: "The agent at {{ $labels.instance }} cannot be scraped",
            description: "Prometheus gets no answer from {{ $labels.instance }}: nothing is known of any of its sites.",
            runbook: "Is the process there, and does /-/healthy answer from where Prometheus runs?",
        },
        Alert {
            name: "NetBackupAgentSilent",
            group: GROUP,
            severity: Severity::Critical,
            when: gone.unless(&AGENT, m("nbu_agent_sites").now().group(&AGENT)),
            hold: "5m",
            summary: "The agent {{ $labels.instance }} ({{ $labels.job }}) went silent",
            description: "It was there within the last hour and is not any more: it ended, its push does not arrive, or its target was removed.",
            runbook: "Look whether the agent runs and whether the Collector receives; an agent that was retired is silent for an hour, then forgotten.",
        },
        Alert {
            name: "NetBackupConfigReloadFailed",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_config_last_reload_successful").now().compared("==", 0),
            hold: "5m",
            summary: "The agent at {{ $labels.instance }} rejected its configuration",
            description: "What was saved last is not in force; the agent runs on with what it had, and will not start with this file.",
            runbook: "Run `nbu-otel-agent check --config FILE`: it names file, line and key.",
        },
        Alert {
            name: "NetBackupCardinalityOverflow",
            group: GROUP,
            severity: Severity::Warning,
            when: overflow.compared(">", 0),
            hold: "10m",
            summary: "{{ $labels.metric }} has more series than the agent at {{ $labels.instance }} may export",
            description: "{{ $value }} series of {{ $labels.metric }} are dropped to keep metrics.cardinalityLimit.",
            runbook: "Raise metrics.cardinalityLimit, or narrow what the collectors perClient and perPolicy select.",
        },
        Alert {
            name: "NetBackupAgentTaskRestarted",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_task_restarts_total").increase("1h").compared(">", 0),
            hold: "0s",
            summary: "A part of the agent at {{ $labels.instance }} ended and was started again",
            description: "The task {{ $labels.task }} ended unexpectedly {{ $value | humanize }} times within an hour. What it does was interrupted for that time.",
            runbook: "The log names the place and the reason: it is a mistake of the agent, so report it.",
        },
        Alert {
            name: "NetBackupLogLinesDropped",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_log_lines_dropped_total").increase("15m").compared(">", 0),
            hold: "0s",
            summary: "The agent at {{ $labels.instance }} drops lines of its log",
            description: "{{ $value | humanize }} lines were lost within a quarter of an hour: the log cannot be written, or not fast enough.",
            runbook: "Is the disk of the log full or slow, or does whoever reads standard output not keep up?",
        },
        Alert {
            name: "NetBackupOtlpFailing",
            group: GROUP,
            severity: Severity::Warning,
            when: failing.unless(&signal, arrived.sum(&signal).compared(">", 0)),
            hold: "10m",
            summary: "The push of {{ $labels.signal }} from {{ $labels.instance }} does not arrive",
            description: "{{ $value | humanize }} exports failed within ten minutes and none arrived whole.",
            runbook: "See nbu_agent_otlp_exports_total by result, and run `nbu-otel-agent doctor`.",
        },
    ]
}
