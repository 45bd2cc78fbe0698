//! Alerts on what the agent can see of a site, and on sites that differ from each other.

use super::causes;
use super::rule::{Alert, Severity, m};
use crate::declared::SITE;
use crate::query::Query;

const GROUP: &str = "sites";

pub(super) fn unreachable() -> Query {
    m("nbu_up").now().compared("==", 0)
}

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = reach();
    all.extend(collectors());
    all.extend(differences());
    all
}

/// Returns the sites whose API key expires within so many days.
fn key_expires_in(days: u32) -> Query {
    const DAY: u32 = 86_400;
    let expiry = m("nbu_api_key_expiry_timestamp_seconds").now();
    expiry.max(&SITE).age().negated().compared("<", days * DAY)
}

fn reach() -> Vec<Alert> {
    vec![
        Alert {
            name: "NetBackupSiteUnreachable",
            group: GROUP,
            severity: Severity::Critical,
            when: unreachable(),
            hold: "10m",
            summary: "{{ $labels.site }}: neither jobs nor storage can be read",
            description: "There are no new metrics of {{ $labels.site }}, so its other alerts do not work.",
            runbook: "Read the error on the agent's status page, or run `nbu-otel-agent doctor`, which tests network, TLS, key and permissions.",
        },
        Alert {
            name: "NetBackupApiKeyRefused",
            group: GROUP,
            severity: Severity::Critical,
            when: m("nbu_agent_api_key_refused").now().compared("==", 1),
            hold: "5m",
            summary: "{{ $labels.site }} rejects the API key",
            description: "Every resource returns 401: the key expired, was revoked, or belongs to another server. The agent waits before it sends the key again.",
            runbook: "Create a new key in the web UI and save it as apiKey or in apiKeyFile; a changed key is tried at once.",
        },
        Alert {
            name: "NetBackupApiKeyExpires",
            group: GROUP,
            severity: Severity::Warning,
            when: key_expires_in(30).unless(&SITE, key_expires_in(7)),
            hold: "15m",
            summary: "{{ $labels.site }}: the API key expires in {{ $value | humanizeDuration }}",
            description: "Without a new key, the agent sees nothing of {{ $labels.site }} from then on.",
            runbook: "Extend the key in the web UI, or create a new one and save it as apiKey or in apiKeyFile; a changed key is used at once.",
        },
        Alert {
            name: "NetBackupApiKeyExpiresSoon",
            group: GROUP,
            severity: Severity::Critical,
            when: key_expires_in(7),
            hold: "15m",
            summary: "{{ $labels.site }}: the API key expires within a week",
            description: "In {{ $value | humanizeDuration }} the agent loses sight of {{ $labels.site }}.",
            runbook: "Extend the key in the web UI today, or create a new one and save it as apiKey or in apiKeyFile; a changed key is used at once.",
        },
        Alert {
            name: "NetBackupApiSlow",
            group: GROUP,
            severity: Severity::Warning,
            when: m("site:nbu_agent_api_request_duration_seconds:p95_10m").now().compared(">", 10),
            hold: "30m",
            summary: "{{ $labels.site }}: the API is slow",
            description: "5 % of the requests take more than {{ $value | humanizeDuration }}.",
            runbook: "Check the load of the primary server and its web service; lower maxConcurrentRequests, or increase collectionInterval.",
        },
    ]
}

fn collectors() -> Vec<Alert> {
    let failing = m("nbu_agent_collector_up").now().compared("==", 0);
    let age = m("nbu_agent_collector_last_success_timestamp_seconds").now().age();
    let skipped = m("nbu_agent_collector_runs_total").is("result", "skipped").increase("1h");
    let unreadable = m("nbu_agent_collector_unreadable_records_total").increase("1h");
    vec![
        Alert {
            name: "NetBackupCollectorFailing",
            group: GROUP,
            severity: Severity::Warning,
            when: failing.unless(&SITE, unreachable()),
            hold: "30m",
            summary: "{{ $labels.site }}: the collector {{ $labels.collector }} fails",
            description: "The site responds, but {{ $labels.collector }} fails: its values do not change, and disappear once they are stale.",
            runbook: "Check nbu_agent_collector_errors_total by kind; docs/troubleshooting.md explains each kind.",
        },
        Alert {
            name: "NetBackupCollectorStale",
            group: GROUP,
            severity: Severity::Warning,
            when: age.compared(">", 3600).unless(&SITE, unreachable()),
            hold: "5m",
            summary: "{{ $labels.site }}: no new data from the collector {{ $labels.collector }}",
            description: "It last succeeded {{ $value | humanizeDuration }} ago.",
            runbook: "Check whether its runs fail or are skipped. Raise this threshold if collectionInterval or cacheTTL is longer than half an hour.",
        },
        Alert {
            name: "NetBackupPermissionMissing",
            group: GROUP,
            severity: Severity::Warning,
            // One that nobody asked for, and that was never permitted, has no `up`.
            when: m("nbu_agent_collector_permitted")
                .now()
                .compared("==", 0)
                .and(&["job", "site", "collector"], m("nbu_agent_collector_up").now()),
            hold: "15m",
            summary: "{{ $labels.site }}: the API key lacks the permission for {{ $labels.collector }}",
            description: "The key's role lacks a permission. Metrics of {{ $labels.collector }} are missing or empty.",
            runbook: "Grant the role VIEW on the namespace that docs/operations.md lists for the collector.",
        },
        Alert {
            name: "NetBackupPollsSkipped",
            group: GROUP,
            severity: Severity::Warning,
            when: skipped.sum(&["job", "site", "collector"]).compared(">", 3),
            hold: "15m",
            summary: "{{ $labels.site }}: polls of {{ $labels.collector }} take longer than their interval",
            description: "{{ $value | humanize }} runs were skipped within an hour, because the previous run was still in progress.",
            runbook: "Increase collectionInterval, or find out why the server is slow.",
        },
        Alert {
            name: "NetBackupRecordsUnreadable",
            group: GROUP,
            severity: Severity::Info,
            when: unreadable.sum(&["job", "site", "collector"]).compared(">", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: records of {{ $labels.collector }} cannot be decoded",
            description: "{{ $value | humanize }} records were skipped within an hour; they are missing in the metrics.",
            runbook: "The log describes the first of them; report it with the NetBackup release.",
        },
        Alert {
            name: "NetBackupStateSetAside",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_state_set_aside").now().compared(">", 0),
            hold: "0s",
            summary: "{{ $labels.site }}: saved state was unusable and was set aside",
            description: "{{ $value }} files of this site were set aside since the agent started; its totals started at 0.",
            runbook: "Run `nbu-otel-agent state inspect` to see the problem. The alert ends with the next start of the agent.",
        },
        Alert {
            name: "NetBackupStateNotSaved",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_state_saved").now().compared("==", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: totals are not saved",
            description: "The agent cannot write to the state directory; a restart would return to the last saved totals.",
            runbook: "Check free space and permissions of the state directory; the agent saves as soon as it can.",
        },
    ]
}

fn differences() -> Vec<Alert> {
    let behind = m("site:nbu_backup_success:ratio6h_behind").now();
    let versions = m("nbu_api_version").now().group(&["job", "version"]).count(&["job"]);
    vec![
        Alert {
            name: "NetBackupSiteDiverges",
            group: GROUP,
            severity: Severity::Warning,
            when: behind.compared(">", 0.15).unless(&SITE, causes::explained("6h")),
            hold: "1h",
            summary: "{{ $labels.site }} fails more often than the other sites",
            description: "Its success rate is {{ $value | humanizePercentage }} below the median of all sites.",
            runbook: "Compare the status codes with those of other sites on the sites dashboard.",
        },
        Alert {
            name: "NetBackupVersionsDiffer",
            group: GROUP,
            severity: Severity::Info,
            when: versions.compared(">", 1),
            hold: "1d",
            summary: "The sites use {{ $value }} versions of the API",
            description: "Sites run different NetBackup releases, so not all have the same metrics.",
            runbook: "nbu_api_version shows the version of each site. Silence this alert if the difference is intended.",
        },
    ]
}
