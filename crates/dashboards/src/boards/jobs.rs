//! Jobs: what failed and why, what waits, what runs, how much and how fast.

use super::common::{MISSED, NONE_IS_BETTER, NONE_IS_GOOD, RANGE, SPAN, SUCCESS, m};
use crate::grafana::{Board, Panel, Row, Unit, Variable};
use crate::query::{Query, Selector};

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-jobs",
        title: "NetBackup / Jobs",
        description: "Causes of failures, waits, active jobs and throughput. Jobs with child jobs are counted in the last rows only.",
        variables: vec![
            Variable { label: "action", title: "Job type", metric: "nbu_jobs_count" },
            Variable { label: "policy_type", title: "Policy type", metric: "nbu_jobs_count" },
        ],
        rows: vec![
            Row { title: "Outcome", panels: outcome() },
            Row { title: "Failures", panels: failures() },
            Row { title: "Queue", panels: queue() },
            Row { title: "Live", panels: live() },
            Row { title: "Throughput", panels: throughput() },
            Row { title: "With parent jobs, as in nbu_exporter", panels: with_parents() },
            Row { title: "Reading", panels: reading() },
        ],
    }
}

/// With the chosen job types.
fn j(name: &'static str) -> Selector {
    m(name).like("action", "$action")
}

/// With the chosen job types and policy types.
fn p(name: &'static str) -> Selector {
    j(name).like("policy_type", "$policy_type")
}

/// Ended jobs without child jobs.
fn leaves() -> Selector {
    p("nbu_jobs_completed_total").is("role", "leaf")
}

/// Outcomes that tell of success or failure: not what was cancelled, missed its window or had nothing to do.
const COUNTED: &str = "success|partial|failure";

/// Adds the text of the status to series that have one, by site.
fn with_text(query: Query) -> Query {
    let by = ["site", "status"];
    let texts = m("nbu_status_info").now().max(&["site", "status", "family", "text"]);
    query.labelled(&by, &["family", "text"], texts)
}

fn outcome() -> Vec<Panel> {
    let ended = |outcome| leaves().is("outcome", outcome).increase(RANGE).sum(&[]);
    let share = |outcomes| leaves().like("outcome", outcomes).increase(RANGE).sum(&[]);
    let failures = || j("nbu_jobs_failures_total");
    vec![
        Panel::stat(
            "Success rate",
            "Of the jobs without child jobs that ended in the selected time range. Those that were cancelled, missed their window or had nothing to do are not counted.",
        )
        .unit(Unit::Ratio)
        .steps(&SUCCESS)
        .ask("", share("success|partial").with("/", share(COUNTED))),
        Panel::stat("Successful", "Status 0.").steps(&[(None, "green")]).ask("", ended("success")),
        Panel::stat("Partial", "Status 1: some files could not be read. It can be restored.")
            .steps(&NONE_IS_BETTER)
            .ask("", ended("partial")),
        Panel::stat("Failed", "Of all policy types.").steps(&NONE_IS_BETTER).ask(
            "",
            failures().is_not("family", MISSED).increase(RANGE).sum(&[]),
        ),
        Panel::stat("Missed", "The window closed (196), or a limit was reached (134, 199, 1000).")
            .steps(&NONE_IS_BETTER)
            .ask("", failures().is("family", MISSED).increase(RANGE).sum(&[])),
        Panel::stat("Retries", "Retries of jobs that ended in the selected time range.")
            .ask("", p("nbu_jobs_retries_total").increase(RANGE).sum(&[])),
        Panel::stack("Completions", "Jobs without child jobs that ended per minute, by outcome.")
            .ask("{{outcome}}", leaves().rate(SPAN).sum(&["outcome"]).times(60)),
        Panel::stack("Completions by type", "Jobs without child jobs that ended per minute.")
            .ask("{{action}}", leaves().rate(SPAN).sum(&["action"]).times(60)),
    ]
}

fn failures() -> Vec<Panel> {
    let failed = || leaves().like("outcome", "failure|missed").increase(RANGE);
    let families = || j("nbu_jobs_failures_total");
    let cluster = ["site", "dimension", "value", "family", "status"];
    vec![
        Panel::table(
            "Common causes",
            "A place and a family that most of the failures of the last hour have in common, where there were ten or more. All rows of a site are views of the same failures.",
        )
        .size(16, 6)
        .column(
            "failures",
            Unit::Number,
            &NONE_IS_GOOD,
            m("nbu_failure_cluster").now().max(&cluster).sorted(),
        ),
        Panel::bars("Failed in the last hour", "Failures of the last 60 minutes, by site.")
            .size(8, 6)
            .steps(&[(None, "green"), (Some(3.0), "orange"), (Some(10.0), "red")])
            .ask("{{site}}", m("nbu_jobs_failed_recently").now().max(&["site"])),
        Panel::bars(
            "Failures by family",
            "In the selected time range. docs/runbook.md says what to check first for each family.",
        )
        .ask("{{family}}", families().increase(RANGE).sum(&["family"]).top(13)),
        Panel::bars(
            "Status codes",
            "The ten most frequent status codes of failed jobs in the selected time range.",
        )
        .ask(
            "{{site}} {{status}} {{text}}",
            with_text(failed().sum(&["site", "status"]).top(10)),
        ),
        Panel::table("Failed jobs", "By site, type and status, for the selected time range.")
            .column(
                "failed",
                Unit::Short,
                &[],
                with_text(failed().sum(&["site", "action", "policy_type", "status"])).sorted(),
            ),
        Panel::lines("Failures by site", "Failed jobs per minute, without missed ones.").ask(
            "{{site}}",
            families().is_not("family", MISSED).rate(SPAN).per_site(&[]).times(60),
        ),
        Panel::lines("Missed windows", "Jobs of the previous 24 hours that missed their window or met a limit.")
            .from_zero()
            .ask("{{site}}", families().is("family", MISSED).increase("1d").per_site(&[])),
        Panel::lines("Failing copies", "Failed duplications, replications and imports of the previous 24 hours.")
            .from_zero()
            .ask(
                "{{site}} {{action}}",
                m("nbu_jobs_failures_total")
                    .like("action", "DUPLICAT.*|REPLICAT.*|REPLICA_IMPORT|IMPORT|SNAPREPLICAT.*|VAULT")
                    .increase("1d")
                    .per_site(&["action"]),
            ),
        Panel::bars(
            "False greens",
            "Backups with status 0 of the selected time range without an image, without files, or of an odd size.",
        )
        .steps(&NONE_IS_BETTER)
        .ask("{{site}} {{kind}}", m("nbu_false_green_total").increase(RANGE).per_site(&["kind"])),
    ]
}

fn queue() -> Vec<Panel> {
    let waits = || j("nbu_job_queue_wait_seconds_bucket").rate("2h").sum(&["action", "le"]);
    let by = ["site", "reason"];
    let reasons = m("nbu_queue_reason_info").now().max(&["site", "reason", "text"]);
    vec![
        Panel::lines(
            "Wait in the queue",
            "Median and 95th percentile of the jobs of the previous two hours that needed one try.",
        )
        .unit(Unit::Seconds)
        .from_zero()
        .ask("{{action}} median", waits().quantile(0.5))
        .ask("{{action}} 95 of 100", waits().quantile(0.95)),
        Panel::stack("Queued by reason", "Queued jobs by what they wait for.").ask(
            "{{site}} {{reason}}: {{text}}",
            j("nbu_jobs_queued_count").now().sum(&by).labelled(&by, &["text"], reasons),
        ),
        Panel::lines(
            "Oldest job by state",
            "Age of the oldest job without child jobs. One that is INCOMPLETE fails in the end unless somebody resumes it.",
        )
        .unit(Unit::Seconds)
        .from_zero()
        .ask(
            "{{site}} {{action}} {{state}}",
            j("nbu_jobs_oldest_age_seconds").now().max(&["site", "action", "state"]),
        ),
        Panel::stack("Jobs by state", "Current jobs, without finished ones.").ask(
            "{{state}}",
            j("nbu_jobs_state_count").is_not("state", "DONE").now().sum(&["state"]),
        ),
    ]
}

fn live() -> Vec<Panel> {
    vec![
        Panel::lines(
            "Stalled jobs",
            "Active jobs that moved neither bytes nor files for collectors.jobs.stalledAfter.",
        )
        .from_zero()
        .ask("{{site}} {{action}}", j("nbu_jobs_stalled").now().max(&["site", "action"])),
        Panel::stack("Data in flight", "Bytes that active jobs have transferred so far.")
            .unit(Unit::Bytes)
            .ask("{{site}} {{action}}", j("nbu_jobs_active_bytes").now().sum(&["site", "action"])),
        Panel::lines(
            "Progress of active jobs",
            "Mean progress in percent, if the server reports it.",
        )
        .unit(Unit::Percent)
        .range(0.0, 100.0)
        .ask(
            "{{site}} {{action}}",
            j("nbu_jobs_active_percent_complete").now().mean(&["site", "action"]),
        ),
    ]
}

fn throughput() -> Vec<Panel> {
    let buckets = || p("nbu_job_active_duration_seconds_bucket");
    let by = ["site", "policy_type"];
    let moved = p("nbu_jobs_moved_bytes_total").increase(RANGE).sum(&by);
    let transferred = p("nbu_jobs_transferred_bytes_total").increase(RANGE).sum(&by);
    vec![
        Panel::stack(
            "Data transferred by type",
            "Bytes per second of jobs that ended, without parent jobs, before deduplication.",
        )
        .unit(Unit::BytesPerSecond)
        .ask(
            "{{action}} {{policy_type}}",
            p("nbu_jobs_transferred_bytes_total").rate(SPAN).sum(&["action", "policy_type"]),
        ),
        Panel::stack(
            "Data moved by type",
            "Bytes per second of the same jobs that really moved, after deduplication and compression.",
        )
        .unit(Unit::BytesPerSecond)
        .ask(
            "{{action}} {{policy_type}}",
            p("nbu_jobs_moved_bytes_total").rate(SPAN).sum(&["action", "policy_type"]),
        ),
        Panel::bars(
            "Saving",
            "Share of the data of the selected time range that did not have to move: 1 - moved / transferred.",
        )
        .unit(Unit::Ratio)
        .ask("{{site}} {{policy_type}}", moved.with("/", transferred.compared(">", 0)).short_of(1)),
        Panel::stack(
            "Files backed up by type",
            "Files per second of jobs that ended, without parent jobs.",
        )
        .unit(Unit::PerSecond)
        .ask(
            "{{action}} {{policy_type}}",
            p("nbu_jobs_files_total").rate(SPAN).sum(&["action", "policy_type"]),
        ),
        Panel::heat("Active time of jobs", "Jobs without child jobs that ended, by the time that they worked.")
            .unit(Unit::Seconds)
            .ask("{{le}}", buckets().increase(SPAN).sum(&["le"])),
        Panel::lines(
            "Active time",
            "Median and 95th percentile of the time that jobs worked, without the wait in the queue.",
        )
        .unit(Unit::Seconds)
        .from_zero()
        .ask("{{action}} median", buckets().rate(RANGE).sum(&["action", "le"]).quantile(0.5))
        .ask("{{action}} 95 of 100", buckets().rate(RANGE).sum(&["action", "le"]).quantile(0.95)),
    ]
}

/// Panels that count a failed machine two or three times, and the queue as work: for comparison with nbu_exporter.
fn with_parents() -> Vec<Panel> {
    let buckets = || p("nbu_job_duration_seconds_bucket").rate(RANGE).sum(&["action", "le"]);
    let age = |name| j(name).now().max(&["site", "action"]);
    vec![
        Panel::stack(
            "Status codes of the window",
            "Jobs that ended in the agent's window, by status.",
        )
        .ask("{{status}}", j("nbu_status_count").now().sum(&["status"])),
        Panel::lines(
            "From start to end",
            "Median and 95th percentile from the start of a job to its end: with parent jobs, and very likely with the wait in the queue.",
        )
        .unit(Unit::Seconds)
        .from_zero()
        .ask("{{action}} median", buckets().quantile(0.5))
        .ask("{{action}} 95 of 100", buckets().quantile(0.95)),
        Panel::lines("Oldest queued job", "Age of the oldest queued job.")
            .unit(Unit::Seconds)
            .from_zero()
            .ask("{{site}} {{action}}", age("nbu_jobs_oldest_queued_age_seconds")),
        Panel::lines("Oldest active job", "Age of the oldest active job.")
            .unit(Unit::Seconds)
            .from_zero()
            .ask("{{site}} {{action}}", age("nbu_jobs_oldest_active_age_seconds")),
        Panel::lines(
            "Long-running jobs",
            "Active for longer than collectors.jobs.longRunningAfter, instant recovery included. Stalled jobs are those that hang.",
        )
        .from_zero()
        .ask("{{site}} {{action}}", j("nbu_jobs_long_running").now().sum(&["site", "action"])),
        Panel::lines(
            "Deduplication rate, as reported",
            "Mean dedupRatio of the jobs in the window: percent that was saved, where a small job counts as much as a large one.",
        )
        .unit(Unit::Percent)
        .ask(
            "{{site}} {{policy_type}}",
            p("nbu_jobs_dedup_ratio").now().mean(&["site", "policy_type"]),
        ),
        Panel::table(
            "The window",
            "Jobs that ended within server.scrapingInterval, by type, as in nbu_exporter.",
        )
        .column(
            "jobs",
            Unit::Short,
            &[],
            p("nbu_jobs_count").now().sum(&["site", "action", "policy_type"]),
        )
        .column(
            "bytes",
            Unit::Bytes,
            &[],
            p("nbu_jobs_bytes").now().sum(&["site", "action", "policy_type"]),
        )
        .column(
            "files",
            Unit::Short,
            &[],
            p("nbu_jobs_files_count").now().sum(&["site", "action", "policy_type"]),
        ),
    ]
}

fn reading() -> Vec<Panel> {
    vec![
        Panel::lines(
            "First window read",
            "1 once all jobs of the window have been read; until then its metrics are absent.",
        )
        .unit(Unit::Ratio)
        .range(0.0, 1.0)
        .size(8, 7)
        .ask("{{site}}", m("nbu_jobs_fill_ratio").now().min(&["site"])),
        Panel::lines("Read up to", "All job changes before this age have been read.")
            .unit(Unit::Seconds)
            .size(8, 7)
            .ask("{{site}}", m("nbu_jobs_watermark_timestamp_seconds").now().age().max(&["site"])),
        Panel::lines(
            "Uncounted time",
            "Time span in which jobs may have ended uncounted, since the agent's totals started.",
        )
        .unit(Unit::Seconds)
        .size(8, 7)
        .ask("{{site}}", m("nbu_jobs_gap_seconds_total").total().per_site(&[])),
    ]
}
