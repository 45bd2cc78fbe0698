//! Alerts on what the agent can see of a site, and on sites that differ from each other.

use super::recording::SITE;
use super::{Alert, Severity, m};
use crate::query::Query;

const GROUP: &str = "sites";

fn unreachable() -> Query {
    m("nbu_up").now().compared("==", 0)
}

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = reach();
    all.extend(collectors());
    all.extend(differences());
    all
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
            description: "Nothing is known of {{ $labels.site }} since its last samples; its other alerts are blind.",
            runbook: "The landing page of the agent has the error; `nbu-otel-agent doctor` tries network, TLS, key and permissions one by one.",
        },
        Alert {
            name: "NetBackupApiKeyRefused",
            group: GROUP,
            severity: Severity::Critical,
            when: m("nbu_agent_api_key_refused").now().compared("==", 1),
            hold: "5m",
            summary: "{{ $labels.site }} refuses the API key",
            description: "Every resource answers 401: the key expired, was revoked, or is another server's. It is presented again only after a back-off.",
            runbook: "Make a new key in the web UI and save it as apiKey or in apiKeyFile; a changed key is tried at once.",
        },
        Alert {
            name: "NetBackupApiSlow",
            group: GROUP,
            severity: Severity::Warning,
            when: m("site:nbu_agent_api_request_duration_seconds:p95_10m").now().compared(">", 10),
            hold: "30m",
            summary: "{{ $labels.site }}: the API is slow",
            description: "5 of 100 requests take more than {{ $value | humanizeDuration }}.",
            runbook: "Look at the load of the primary server and its web service; lower maxConcurrentRequests, lengthen collectionInterval.",
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
            description: "The site answers, {{ $labels.collector }} does not: its numbers stand still, and vanish once they are stale.",
            runbook: "nbu_agent_collector_errors_total by kind says why; the table of kinds says what each asks for.",
        },
        Alert {
            name: "NetBackupCollectorStale",
            group: GROUP,
            severity: Severity::Warning,
            when: age.compared(">", 3600).unless(&SITE, unreachable()),
            hold: "5m",
            summary: "{{ $labels.site }}: nothing new from the collector {{ $labels.collector }}",
            description: "It last succeeded {{ $value | humanizeDuration }} ago.",
            runbook: "See whether its runs fail or are skipped; raise this threshold where collectionInterval or cacheTTL is longer than half an hour.",
        },
        Alert {
            name: "NetBackupPermissionMissing",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_collector_permitted").now().compared("==", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: the API key may not read what {{ $labels.collector }} reads",
            description: "The role of the key lacks a permission, so {{ $labels.collector }} is blind, and an empty list means nothing.",
            runbook: "Give the role VIEW on the namespace that docs/operations.md lists for the collector.",
        },
        Alert {
            name: "NetBackupPollsSkipped",
            group: GROUP,
            severity: Severity::Warning,
            when: skipped.sum(&["job", "site", "collector"]).compared(">", 3),
            hold: "15m",
            summary: "{{ $labels.site }}: polls of {{ $labels.collector }} take longer than their interval",
            description: "{{ $value | humanize }} runs were skipped within an hour, since the one before was still running.",
            runbook: "Lengthen collectionInterval, or find out why the server is slow.",
        },
        Alert {
            name: "NetBackupRecordsUnreadable",
            group: GROUP,
            severity: Severity::Info,
            when: unreadable.sum(&["job", "site", "collector"]).compared(">", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: records of {{ $labels.collector }} cannot be read",
            description: "{{ $value | humanize }} records within an hour were skipped: the numbers are short by them.",
            runbook: "The log names what is wrong with the first of them; report it with the release of NetBackup.",
        },
        Alert {
            name: "NetBackupStateSetAside",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_state_set_aside").now().compared(">", 0),
            hold: "0s",
            summary: "{{ $labels.site }}: saved state could not be used, and was set aside",
            description: "{{ $value }} files of this site were set aside since the agent started: its totals began at 0 when that happened.",
            runbook: "`nbu-otel-agent state inspect` says what is wrong with them; the alert ends with the next start of the agent.",
        },
        Alert {
            name: "NetBackupStateNotSaved",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_agent_state_saved").now().compared("==", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: totals are not on disk",
            description: "The state directory cannot be written: a restart of the agent would go back to what was saved last.",
            runbook: "Check space and rights of the state directory; it is written as soon as it can be.",
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
            when: behind.compared(">", 0.15),
            hold: "1h",
            summary: "{{ $labels.site }} fails more often than the other sites",
            description: "Its share of successful backups is {{ $value | humanizePercentage }} below the median of all sites.",
            runbook: "Compare the status codes on the dashboard of sites: what is particular to this one?",
        },
        Alert {
            name: "NetBackupVersionsDiffer",
            group: GROUP,
            severity: Severity::Info,
            when: versions.compared(">", 1),
            hold: "1d",
            summary: "The sites speak {{ $value }} versions of the API",
            description: "Sites run different releases of NetBackup: not all have the same metrics.",
            runbook: "nbu_api_version says which site speaks which; silence this where it is meant to be so.",
        },
    ]
}
