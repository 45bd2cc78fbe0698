//! Alerts on jobs, and on single clients and policies where perClient and perPolicy select them.

use super::recording::GOOD;
use super::rule::{Alert, Severity, m};
use crate::declared::SITE;
use crate::query::Query;

const GROUP: &str = "jobs";

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = outcomes();
    all.extend(ledger());
    all.extend(live());
    all
}

/// Alerts on the numbers themselves: are they complete?
fn ledger() -> Vec<Alert> {
    let incomplete = m("nbu_jobs_window_incomplete_seconds").now();
    let lengths = incomplete.with("/", m("nbu_jobs_window_seconds").now());
    vec![
        Alert {
            name: "NetBackupJobsAuditDifference",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_jobs_audit_difference").now().compared(">", 0),
            // Two audits, an hour apart: the second one has the jobs read again.
            hold: "90m",
            summary: "{{ $labels.site }}: the server lists jobs that the agent has not counted",
            description: "Two hourly audits found {{ $value }} finished jobs in the server's list that the agent did not count.",
            runbook: "The agent reads them again each hour. If the alert stays, report it with the agent's log.",
        },
        Alert {
            name: "NetBackupJobsWindowIncomplete",
            group: GROUP,
            severity: Severity::Warning,
            when: lengths.compared(">", 2),
            hold: "5m",
            summary: "{{ $labels.site }}: metrics of finished jobs are missing",
            description: "The job window has been incomplete for {{ $value | humanize }} times its length, so its metrics are absent.",
            runbook: "Check nbu_agent_collector_up and the agent's log for the reason, or for the progress of the backfill.",
        },
    ]
}

fn outcomes() -> Vec<Alert> {
    let enough = m("site:nbu_backups_completed:increase6h").now().compared(">=", 10);
    let rate = m("site:nbu_backup_success:ratio6h").now();
    let good = m("nbu_jobs_outcomes_total").is("action", "BACKUP").like("outcome", GOOD);
    vec![
        Alert {
            name: "NetBackupSuccessRateLow",
            group: GROUP,
            severity: Severity::Warning,
            when: rate.compared("<", 0.9).and(&SITE, enough),
            hold: "15m",
            summary: "{{ $labels.site }}: too many backups fail",
            description: "Only {{ $value | humanizePercentage }} of the backups of the last six hours succeeded (of ten or more).",
            runbook: "The jobs dashboard shows the status codes by policy type.",
        },
        Alert {
            name: "NetBackupNoSuccess",
            group: GROUP,
            severity: Severity::Critical,
            when: good.increase("1h").sum(&SITE).compared("==", 0),
            hold: "11h",
            summary: "{{ $labels.site }}: no backup succeeded for twelve hours",
            description: "No backup of the site ended with status 0 or 1: backups fail, are queued, or are not started.",
            runbook: "Check whether jobs are not started (nbpem, schedules, windows), queued, or failing.",
        },
        Alert {
            name: "NetBackupJobsUncounted",
            group: GROUP,
            severity: Severity::Info,
            when: m("nbu_jobs_gap_seconds_total").increase("1h").compared(">", 0),
            hold: "0s",
            summary: "{{ $labels.site }}: jobs may have ended uncounted",
            description: "The server purged jobs of a period of {{ $value | humanizeDuration }} before the agent could read them; they are missing in the totals.",
            runbook: "No action needed. Keep the agent running, or keep jobs longer on the server.",
        },
    ]
}

fn live() -> Vec<Alert> {
    let by_action = ["job", "site", "action"];
    let queued = m("nbu_jobs_queued_count").now().sum(&SITE);
    vec![
        Alert {
            name: "NetBackupQueueOld",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_jobs_oldest_queued_age_seconds")
                .now()
                .max(&by_action)
                .compared(">", 14_400),
            hold: "15m",
            summary: "{{ $labels.site }}: jobs of type {{ $labels.action }} have been queued for hours",
            description: "The oldest has been queued for {{ $value | humanizeDuration }}.",
            runbook: "nbu_jobs_queued_count by reason shows what they wait for: drives, media, or a job limit.",
        },
        Alert {
            name: "NetBackupQueueLong",
            group: GROUP,
            severity: Severity::Warning,
            when: queued.compared(">", 100),
            hold: "1h",
            summary: "{{ $labels.site }}: the queue is long",
            description: "{{ $value }} jobs have been queued for an hour.",
            runbook: "Compare with the concurrent jobs limits of the storage units. Raise this threshold if such queues are normal.",
        },
        Alert {
            name: "NetBackupJobsStuck",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_jobs_long_running").now().sum(&by_action).compared(">", 0),
            hold: "30m",
            summary: "{{ $labels.site }}: jobs of type {{ $labels.action }} run very long",
            description: "{{ $value }} jobs have been active for longer than collectors.jobs.longRunningAfter.",
            runbook: "Check whether their bytes still grow; cancel jobs that hang in the web UI.",
        },
    ]
}

/// Clients and policies.
pub(super) fn names() -> Vec<Alert> {
    const GROUP: &str = "lifecycle";
    let old = |name| m(name).now().age().compared(">", 172_800);
    let never = |name| m(name).now().compared("==", 1);
    let failing =
        |name: &'static str| -> Query { m(name).is("action", "BACKUP").now().compared(">=", 3) };
    vec![
        Alert {
            name: "NetBackupClientBackupOld",
            group: GROUP,
            severity: Severity::Warning,
            when: old("nbu_client_last_successful_backup_timestamp_seconds"),
            hold: "15m",
            summary: "{{ $labels.site }}: no successful backup of {{ $labels.client }} for two days",
            description: "The last one ended {{ $value | humanizeDuration }} ago.",
            runbook: "Check its last status on the clients and policies dashboard, and whether a policy still contains it.",
        },
        Alert {
            name: "NetBackupClientNeverBackedUp",
            group: GROUP,
            severity: Severity::Critical,
            when: never("nbu_client_never_succeeded"),
            hold: "1h",
            summary: "{{ $labels.site }}: {{ $labels.client }} has no successful backup at all",
            description: "The server has no backup of this client with status 0, as far back as it keeps jobs.",
            runbook: "Check that a policy contains it under this name. Remove names that are no longer used from the allowlist.",
        },
        Alert {
            name: "NetBackupClientFailsRepeatedly",
            group: GROUP,
            severity: Severity::Warning,
            when: failing("nbu_client_consecutive_failures"),
            hold: "0s",
            summary: "{{ $labels.site }}: backups of {{ $labels.client }} fail repeatedly",
            description: "{{ $value }} failures in a row.",
            runbook: "nbu_client_last_status has the status code; check the client's services, network and disk.",
        },
        Alert {
            name: "NetBackupPolicyBackupOld",
            group: GROUP,
            severity: Severity::Warning,
            when: old("nbu_policy_last_successful_backup_timestamp_seconds"),
            hold: "15m",
            summary: "{{ $labels.site }}: no successful backup of the policy {{ $labels.policy }} for two days",
            description: "The last one ended {{ $value | humanizeDuration }} ago.",
            runbook: "Check that the policy is active and its schedule has a window. Use a longer threshold for weekly policies.",
        },
        Alert {
            name: "NetBackupPolicyNeverSucceeded",
            group: GROUP,
            severity: Severity::Critical,
            when: never("nbu_policy_never_succeeded"),
            hold: "1h",
            summary: "{{ $labels.site }}: the policy {{ $labels.policy }} has no successful backup at all",
            description: "The server has no backup of this policy with status 0, as far back as it keeps jobs.",
            runbook: "Check whether it is new or inactive, and its spelling. Remove policies that are no longer used from the allowlist.",
        },
        Alert {
            name: "NetBackupPolicyFailsRepeatedly",
            group: GROUP,
            severity: Severity::Warning,
            when: failing("nbu_policy_consecutive_failures"),
            hold: "0s",
            summary: "{{ $labels.site }}: backups of the policy {{ $labels.policy }} fail repeatedly",
            description: "{{ $value }} failures in a row.",
            runbook: "The same status code for all clients points to storage or the policy; different codes point to the clients.",
        },
    ]
}
