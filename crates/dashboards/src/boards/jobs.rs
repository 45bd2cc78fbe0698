//! Jobs: what failed and why, what waits, what runs, how much and how fast.

use super::common::{NONE_IS_BETTER, RANGE, SPAN, SUCCESS, m};
use crate::grafana::{Board, Panel, Row, Unit, Variable};
use crate::query::{Query, Selector};

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-jobs",
        title: "NetBackup / Jobs",
        description: "Failed jobs by status, queued jobs by reason, active jobs and throughput.",
        variables: vec![
            Variable { label: "action", title: "Job type", metric: "nbu_jobs_count" },
            Variable { label: "policy_type", title: "Policy type", metric: "nbu_jobs_count" },
        ],
        rows: vec![
            Row { title: "Outcome", panels: outcome() },
            Row { title: "Failures", panels: failures() },
            Row { title: "Live", panels: live() },
            Row { title: "Throughput", panels: throughput() },
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

fn ended(outcome: &str) -> Query {
    j("nbu_jobs_outcomes_total").is("outcome", outcome).increase(RANGE).sum(&[])
}

fn outcome() -> Vec<Panel> {
    let good = j("nbu_jobs_outcomes_total").like("outcome", "success|partial");
    let counted = j("nbu_jobs_outcomes_total").like("outcome", "success|partial|failure");
    let share = good.increase(RANGE).sum(&[]).with("/", counted.increase(RANGE).sum(&[]));
    vec![
        Panel::stat(
            "Success rate",
            "Of the jobs that ended in the selected time range, without cancelled ones.",
        )
        .unit(Unit::Ratio)
        .steps(&SUCCESS)
        .ask("", share),
        Panel::stat("Successful", "Status 0.").steps(&[(None, "green")]).ask("", ended("success")),
        Panel::stat("Partial", "Status 1: some files could not be read.")
            .steps(&NONE_IS_BETTER)
            .ask("", ended("partial")),
        Panel::stat("Failed", "All other status codes.")
            .steps(&NONE_IS_BETTER)
            .ask("", ended("failure")),
        Panel::stat("Cancelled", "Status 150.").ask("", ended("cancelled")),
        Panel::stat("Retries", "Retries of jobs that ended in the selected time range.")
            .ask("", p("nbu_jobs_retries_total").increase(RANGE).sum(&[])),
        Panel::stack("Completions", "Jobs that ended per minute, by outcome.").ask(
            "{{outcome}}",
            j("nbu_jobs_outcomes_total").rate(SPAN).sum(&["outcome"]).times(60),
        ),
        Panel::stack("Completions by type", "Jobs that ended per minute, by job type.")
            .ask("{{action}}", j("nbu_jobs_outcomes_total").rate(SPAN).sum(&["action"]).times(60)),
    ]
}

fn failures() -> Vec<Panel> {
    let failed = || p("nbu_jobs_completed_total").is("outcome", "failure").increase(RANGE);
    let by = ["site", "action", "policy_type", "status"];
    vec![
        Panel::bars(
            "Status codes",
            "The ten most frequent status codes of failed jobs in the selected time range.",
        )
        .ask("status {{status}}", failed().sum(&["status"]).top(10)),
        Panel::table(
            "Failed jobs",
            "By site, type and status, for the selected time range and the agent's window.",
        )
        .size(12, 8)
        .column("failed", Unit::Short, &[], failed().sum(&by))
        .column(
            "in the window",
            Unit::Short,
            &[],
            p("nbu_jobs_count")
                .is_not("status", "0")
                .is_not("status", "1")
                .is_not("status", "150")
                .now()
                .sum(&by),
        ),
        Panel::stack(
            "Status codes of the window",
            "Jobs that ended in the agent's window, by status.",
        )
        .ask("{{status}}", j("nbu_status_count").now().sum(&["status"])),
        Panel::lines("Failures by site", "Failed jobs per minute.").ask(
            "{{site}}",
            p("nbu_jobs_completed_total")
                .is("outcome", "failure")
                .rate(SPAN)
                .per_site(&[])
                .times(60),
        ),
    ]
}

fn live() -> Vec<Panel> {
    let age = |name| j(name).now().max(&["site", "action"]);
    vec![
        Panel::stack("Jobs by state", "Current jobs, without finished ones.").ask(
            "{{state}}",
            j("nbu_jobs_state_count").is_not("state", "DONE").now().sum(&["state"]),
        ),
        Panel::stack(
            "Queued by reason",
            "Queued jobs by NetBackup's reason number; 0 is no reason given.",
        )
        .ask("reason {{reason}}", j("nbu_jobs_queued_count").now().sum(&["reason"])),
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
            "Active for longer than collectors.jobs.longRunningAfter.",
        )
        .from_zero()
        .ask("{{site}} {{action}}", j("nbu_jobs_long_running").now().sum(&["site", "action"])),
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
    let buckets = || p("nbu_job_duration_seconds_bucket");
    vec![
        Panel::stack(
            "Data transferred by type",
            "Bytes per second of jobs that ended, without parent jobs.",
        )
        .unit(Unit::BytesPerSecond)
        .ask(
            "{{action}} {{policy_type}}",
            p("nbu_jobs_transferred_bytes_total").rate(SPAN).sum(&["action", "policy_type"]),
        ),
        Panel::stack(
            "Files backed up by type",
            "Files per second of jobs that ended, without parent jobs.",
        )
        .unit(Unit::PerSecond)
        .ask(
            "{{action}} {{policy_type}}",
            p("nbu_jobs_files_total").rate(SPAN).sum(&["action", "policy_type"]),
        ),
        Panel::stack("Data in flight", "Bytes that active jobs have transferred so far.")
            .unit(Unit::Bytes)
            .ask("{{site}} {{action}}", j("nbu_jobs_active_bytes").now().sum(&["site", "action"])),
        Panel::lines(
            "Deduplication",
            "Mean ratio of the jobs in the window, as reported by NetBackup.",
        )
        .ask(
            "{{site}} {{policy_type}}",
            p("nbu_jobs_dedup_ratio").now().mean(&["site", "policy_type"]),
        ),
        Panel::heat("Duration of jobs", "Jobs that ended, by their duration.")
            .unit(Unit::Seconds)
            .ask("{{le}}", buckets().increase(SPAN).sum(&["le"])),
        Panel::lines("Durations", "Median and 95th percentile.")
            .unit(Unit::Seconds)
            .from_zero()
            .ask("{{action}} median", buckets().rate(RANGE).sum(&["action", "le"]).quantile(0.5))
            .ask(
                "{{action}} 95 of 100",
                buckets().rate(RANGE).sum(&["action", "le"]).quantile(0.95),
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
