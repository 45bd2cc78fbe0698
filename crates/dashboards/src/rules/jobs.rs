//! Alerts on jobs.

use super::causes;
use super::recording::{GOOD, MISSED, PROTECTING};
use super::rule::{Alert, Severity, m};
use crate::declared::SITE;
use crate::query::Query;

const GROUP: &str = "jobs";

/// Alerts that look at a day and more.
const DAY: &str = super::yaml::RARE;

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = outcomes();
    all.extend(ledger());
    all.extend(live());
    all.extend(of_a_day());
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
    let failed = || m("site:nbu_backups_failed:increase6h").now();
    let completed = || m("site:nbu_backups_completed:increase6h").now();
    // Three more than a tenth: neither one failure of ten, nor one machine of four streams, is a low rate.
    let many = failed().with("-", completed().divided_by(10)).compared(">", 3);
    let rate = m("site:nbu_backup_success:ratio6h").now().compared("<", 0.9).and(&SITE, many);
    vec![
        causes::alert(GROUP),
        Alert {
            name: "NetBackupSuccessRateLow",
            group: GROUP,
            severity: Severity::Warning,
            when: rate.unless(&SITE, causes::explained("6h")),
            hold: "15m",
            summary: "{{ $labels.site }}: too many backups fail",
            description: "Only {{ $value | humanizePercentage }} of the backups of the last six hours succeeded, and no cause is common to most of the failures.",
            runbook: "The jobs dashboard shows the failures by family and by status.",
        },
        Alert {
            name: "NetBackupRestoreFailed",
            group: GROUP,
            severity: Severity::Info,
            when: restores(),
            hold: "0s",
            summary: "{{ $labels.site }}: a restore failed",
            description: "Within the last quarter of an hour. Somebody waits for it.",
            runbook: "Read the job's details in the web UI; the table of families says what to check first.",
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

fn of_a_day() -> Vec<Alert> {
    vec![
        no_success(),
        Alert {
            name: "NetBackupWindowsMissed",
            group: DAY,
            severity: Severity::Warning,
            when: missed(),
            hold: "0s",
            summary: "{{ $labels.site }}: jobs did not run in their window",
            description: "{{ $value | humanize }} jobs of the last day ended because their window closed (status 196) or a limit was reached (134, 199, 1000).",
            runbook: "The jobs dashboard shows what jobs wait for: add streams, jobs per storage unit or drives, or widen the window.",
        },
        copies(),
        Alert {
            name: "NetBackupFalseGreens",
            group: DAY,
            severity: Severity::Info,
            when: m("nbu_false_green_total")
                .increase("1d")
                .sum(&["job", "site", "kind"])
                .compared(">", 0),
            hold: "0s",
            summary: "{{ $labels.site }}: backups with status 0 deserve a look ({{ $labels.kind }})",
            description: "{{ $value | humanize }} within the last day.",
            runbook: "Look for backups of the last day without files, or of an unusual size, in the activity monitor.",
        },
    ]
}

/// Returns the alert on a site without any good backup. Something was to be expected if something failed or missed its
/// window, or if there were good ones in the same hours of the two weeks before: one week alone might be that of a monthly
/// backup. All look at the hours from the 24th to the sixth before now: so that neither the first failure of the first night
/// after a weekend, nor a job that ends some hours earlier or later than a week ago, raises an alarm. That is the last 15
/// days, which Prometheus keeps by default. The catalogue, which is backed up at weekends too, is no sign of anything else.
fn no_success() -> Alert {
    let ended = || {
        let leaves = m("nbu_jobs_completed_total").is("role", "leaf").like("action", PROTECTING);
        leaves.unlike("policy_type", "(?i:nbu.?catalog)")
    };
    let good = || ended().like("outcome", GOOD);
    let bad = |before| ended().like("outcome", "failure|missed").before(before).total().sum(&SITE);
    // The series of a status begins with its first job: a difference sees that one, an increase does not.
    let bad_ones = bad("6h").with("-", bad("24h").or(&SITE, bad("6h").times(0)));
    let some = |query: Query| query.sum(&SITE).compared(">", 0);
    // A week is 168 hours.
    let weekly = some(good().before("174h").increase("18h"))
        .and(&SITE, some(good().before("342h").increase("18h")));
    let expected = bad_ones.compared(">", 0).or(&SITE, weekly);
    let known = m("nbu_up").before("26h").over("max_over_time", "1h").max(&SITE);
    let when = expected
        .unless(&SITE, some(good().increase("26h")))
        .and(&SITE, known.compared("==", 1))
        .unless(&SITE, super::sites::unreachable());
    Alert {
        name: "NetBackupNoSuccess",
        group: DAY,
        severity: Severity::Critical,
        when,
        hold: "1h",
        summary: "{{ $labels.site }}: no backup succeeded for 26 hours",
        description: "None ended with status 0 or 1, though some failed, or some succeeded in the same hours of the last two weeks.",
        runbook: "Check whether jobs are not started (nbpem, schedules, windows), queued, or failing.",
    }
}

fn missed() -> Query {
    let missed = m("nbu_jobs_failures_total").is("family", MISSED).increase("1d").sum(&SITE);
    let cluster = || m("nbu_failure_cluster");
    let explained = cluster().is("family", MISSED).over("last_over_time", "1d").group(&SITE);
    missed.compared(">", 4).unless(&SITE, explained.exercised_as(&cluster().now()))
}

/// Returns the alert on failing copies, by job type. `actionNames` may have renamed them.
fn copies() -> Alert {
    const COPIES: &str = "DUPLICAT.*|REPLICAT.*|REPLICA_IMPORT|IMPORT|SNAPREPLICAT.*|VAULT";
    let by = ["job", "site", "action"];
    let failed = || m("nbu_jobs_failures_total").like("action", COPIES).increase("12h").sum(&by);
    let good = m("nbu_jobs_completed_total").is("role", "leaf").like("action", COPIES);
    let good = good.like("outcome", GOOD).increase("12h").sum(&by);
    let all = failed().with("+", good.or(&by, failed().times(0)));
    let share = failed().with("/", all.compared(">", 0)).compared(">", 0.2);
    Alert {
        name: "NetBackupCopiesFailing",
        group: DAY,
        severity: Severity::Warning,
        // Four or more: a growth is not always a whole number.
        when: share.and(&by, failed().compared(">", 3)).unless(&SITE, causes::explained("12h")),
        hold: "15m",
        summary: "{{ $labels.site }}: jobs of type {{ $labels.action }} fail",
        description: "{{ $value | humanizePercentage }} of those of the last twelve hours failed: second copies are missing, and images stay on disk for them.",
        runbook: "The jobs dashboard shows their status codes. Check the target storage and, for replication, the other server.",
    }
}

/// Returns the sites on which a restore failed just now. Restores are rare: the first one that fails may be the one with
/// which the series begins.
fn restores() -> Query {
    let failed = || m("nbu_jobs_failures_total").is("action", "RESTORE");
    let grown = failed().increase("15m").sum(&SITE).compared(">", 0);
    grown.or(&SITE, failed().begun("15m").sum(&SITE).compared(">", 0))
}

fn live() -> Vec<Alert> {
    let by_action = ["job", "site", "action"];
    let queued = m("nbu_jobs_queued_count").now().sum(&SITE);
    let waited = m("nbu_job_queue_wait_seconds_count").increase("2h").sum(&by_action);
    let waited = waited.compared(">", 9);
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
            name: "NetBackupQueueWaitLong",
            group: GROUP,
            severity: Severity::Warning,
            when: m("site:nbu_job_queue_wait_seconds:p95_2h")
                .now()
                .compared(">", 3600)
                .and(&by_action, waited),
            hold: "30m",
            summary: "{{ $labels.site }}: jobs of type {{ $labels.action }} wait long in the queue",
            description: "One in twenty of those that ended in the last two hours had waited for {{ $value | humanizeDuration }} or longer.",
            runbook: "The jobs dashboard shows the queue by reason, and which storage units are saturated.",
        },
        Alert {
            name: "NetBackupJobsStalled",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_jobs_stalled").now().max(&by_action).compared(">", 0),
            hold: "30m",
            summary: "{{ $labels.site }}: jobs of type {{ $labels.action }} do not get on",
            description: "{{ $value }} active jobs have moved neither bytes nor files for longer than collectors.jobs.stalledAfter.",
            runbook: "Find them in the activity monitor; check client and media server, then cancel what hangs.",
        },
        Alert {
            name: "NetBackupJobsUnfinished",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_jobs_oldest_age_seconds")
                .like("state", "INCOMPLETE|REQUEUED|SUSPENDED")
                .now()
                .max(&["job", "site", "action", "state"])
                .compared(">", 7200),
            hold: "1h",
            summary: "{{ $labels.site }}: jobs of type {{ $labels.action }} stay in the state {{ $labels.state }}",
            description: "The oldest was started {{ $value | humanizeDuration }} ago. If nobody resumes it, it ends as a failure.",
            runbook: "Resume it or restart it in the activity monitor, or cancel it.",
        },
    ]
}
