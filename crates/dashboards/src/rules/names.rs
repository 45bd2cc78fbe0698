//! Alerts on single clients, workloads and policies, where perClient, perWorkload and perPolicy select them.

use super::rule::{Alert, Severity, m};
use crate::query::Query;

const GROUP: &str = "lifecycle";

/// A failure that is so much newer than the first one is of another night, however many streams and tries a night has.
const TWO_NIGHTS: u32 = 43_200;

/// Time for the other streams of the second night to succeed after one that failed.
const OTHER_STREAMS: &str = "1h";

/// The age from which on a backup may be old, seconds: longer than a weekend without backups.
const WEEKEND: u32 = 100 * 3600;

/// Intervals of its own after which a backup may be old.
const LATE: f64 = 1.5;

/// So long that a monthly policy of a new site has run, whatever its day: 31 days, and some for its window and retries.
const A_MONTH: &str = "35d";

/// Returns the names whose backups have been failing for more than a night.
fn failing(metric: &'static str, name: &'static str) -> Query {
    m(metric).now().max(&["job", "site", name]).compared(">", TWO_NIGHTS)
}

/// Returns the ages of last restorable backups that are old by their own interval.
fn old([last, interval, failing_for]: [&'static str; 3], name: &'static str) -> Query {
    let by = ["job", "site", name, "schedule_class"];
    let limit = m(interval).now().max(&by).times(LATE).at_least(WEEKEND);
    let age = m(last).now().max(&by).age().compared_each(">", &by, limit);
    age.unless(&["job", "site", name], failing(failing_for, name))
}

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = workloads();
    all.extend(policies());
    all
}

fn workloads() -> Vec<Alert> {
    vec![
        Alert {
            name: "NetBackupWorkloadFailing",
            group: GROUP,
            severity: Severity::Warning,
            when: failing("nbu_workload_failing_seconds", "workload"),
            hold: OTHER_STREAMS,
            summary: "{{ $labels.site }}: backups of {{ $labels.workload }} have failed for at least two nights",
            description: "The first and the newest failure since its last restorable backup are {{ $value | humanizeDuration }} apart.",
            runbook: "The last status of its client has the code; the table of families says what to check first.",
        },
        Alert {
            name: "NetBackupWorkloadBackupOld",
            group: GROUP,
            severity: Severity::Warning,
            when: old(
                [
                    "nbu_workload_last_restorable_backup_timestamp_seconds",
                    "nbu_workload_backup_interval_seconds",
                    "nbu_workload_failing_seconds",
                ],
                "workload",
            ),
            hold: "15m",
            summary: "{{ $labels.site }}: no {{ $labels.schedule_class }} backup of {{ $labels.workload }} for longer than usual",
            description: "The last one that can be restored ended {{ $value | humanizeDuration }} ago, and none failed since: none was started, or none ended.",
            runbook: "Check whether an active policy still contains it under this name, and whether its window is long enough.",
        },
        Alert {
            name: "NetBackupClientNeverBackedUp",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_client_never_succeeded").now().compared("==", 1),
            hold: A_MONTH,
            summary: "{{ $labels.site }}: {{ $labels.client }} had no success in the jobs that the server keeps",
            description: "For more than a month, no backup of this client with status 0 was among the jobs that the server keeps.",
            runbook: "Check that a policy contains it under this name. Remove names that are no longer used from the allowlist.",
        },
    ]
}

fn policies() -> Vec<Alert> {
    vec![
        Alert {
            name: "NetBackupPolicyFailing",
            group: GROUP,
            severity: Severity::Warning,
            when: failing("nbu_policy_failing_seconds", "policy"),
            hold: OTHER_STREAMS,
            summary: "{{ $labels.site }}: all backups of the policy {{ $labels.policy }} have failed for at least two nights",
            description: "The first and the newest failure since its last restorable backup are {{ $value | humanizeDuration }} apart.",
            runbook: "The same status code for all clients points to storage or the policy; different codes point to the clients.",
        },
        Alert {
            name: "NetBackupPolicyBackupOld",
            group: GROUP,
            severity: Severity::Warning,
            when: old(
                [
                    "nbu_policy_last_restorable_backup_timestamp_seconds",
                    "nbu_policy_backup_interval_seconds",
                    "nbu_policy_failing_seconds",
                ],
                "policy",
            ),
            hold: "15m",
            summary: "{{ $labels.site }}: no {{ $labels.schedule_class }} backup of the policy {{ $labels.policy }} for longer than usual",
            description: "The last one that can be restored ended {{ $value | humanizeDuration }} ago, and none failed since: none was started, or none ended.",
            runbook: "Check that the policy is active, has clients, and that its schedule has an open window.",
        },
        Alert {
            name: "NetBackupPolicyNeverSucceeded",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_policy_never_succeeded").now().compared("==", 1),
            hold: A_MONTH,
            summary: "{{ $labels.site }}: the policy {{ $labels.policy }} had no success in the jobs that the server keeps",
            description: "For more than a month, no backup of this policy with status 0 was among the jobs that the server keeps.",
            runbook: "Check whether it is inactive, and its spelling. Remove policies that are no longer used from the allowlist.",
        },
    ]
}
