//! Workloads, clients and policies one by one: when was the last good backup of this one?

use super::common::{AGE, NONE_IS_BETTER, NONE_IS_GOOD, RANGE, RESTORABLE, SPAN, m};
use crate::grafana::{Board, Panel, Row, Step, Unit, Variable};
use crate::query::Selector;

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-lifecycle",
        title: "NetBackup / Clients and policies",
        description: "Age of the last restorable backup of each workload and policy, and status of the last one of each client. Needs the collectors perClient, perWorkload and perPolicy.",
        variables: vec![
            Variable {
                label: "workload",
                title: "Workload",
                metric: "nbu_workload_failing_seconds",
            },
            Variable {
                label: "client",
                title: "Client",
                metric: "nbu_client_last_success_timestamp_seconds",
            },
            Variable {
                label: "policy",
                title: "Policy",
                metric: "nbu_policy_last_success_timestamp_seconds",
            },
        ],
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Workloads", panels: workloads() },
            Row { title: "Clients", panels: clients() },
            Row { title: "Policies", panels: policies() },
        ],
    }
}

const STREAK: [Step; 3] = [(None, "green"), (Some(1.0), "orange"), (Some(3.0), "red")];

/// Seconds between the first and the newest failure: more than twelve hours are two nights.
const FAILING: [Step; 3] = [(None, "green"), (Some(1.0), "orange"), (Some(43_200.0), "red")];

fn w(name: &'static str) -> Selector {
    m(name).like("workload", "$workload")
}

fn c(name: &'static str) -> Selector {
    m(name).like("client", "$client")
}

fn p(name: &'static str) -> Selector {
    m(name).like("policy", "$policy")
}

fn now() -> Vec<Panel> {
    vec![
        Panel::stat("Workloads failing", "For at least two nights, of all classes of schedules.")
            .steps(&NONE_IS_GOOD)
            .ask("", w("nbu_workload_failing_seconds").now().above(43_200).sum(&[])),
        Panel::stat("Oldest restorable backup of a workload", "The newest one of any class of schedule.")
            .unit(Unit::Seconds)
            .steps(&RESTORABLE)
            .ask(
                "",
                w("nbu_workload_last_restorable_backup_timestamp_seconds")
                    .now()
                    .max(&["site", "workload"])
                    .age()
                    .max(&[]),
            ),
        Panel::stat("Failures in a row, clients", "The worst client.")
            .steps(&STREAK)
            .ask("", c("nbu_client_consecutive_failures").is("action", "BACKUP").now().max(&[])),
        Panel::stat("Policies failing", "For at least two nights, of all classes of schedules.")
            .steps(&NONE_IS_GOOD)
            .ask("", p("nbu_policy_failing_seconds").now().above(43_200).sum(&[])),
        Panel::stat("Oldest restorable backup of a policy", "The newest one of any class of schedule.")
            .unit(Unit::Seconds)
            .steps(&RESTORABLE)
            .ask(
                "",
                p("nbu_policy_last_restorable_backup_timestamp_seconds")
                    .now()
                    .max(&["site", "policy"])
                    .age()
                    .max(&[]),
            ),
        Panel::stat("Jobs beyond the limit of names", "Jobs of clients, workloads or policies without metrics of their own, in the selected time range: raise perClient.limit, perWorkload.limit or perPolicy.limit.")
            .steps(&NONE_IS_BETTER)
            .ask("", m("nbu_agent_names_folded_total").increase(RANGE).sum(&[])),
    ]
}

/// Returns the columns by class of schedule of a table of workloads, or of policies.
fn by_class(panel: Panel, by: [&str; 3], [last, interval, failing]: [Selector; 3]) -> Panel {
    panel
        .size(24, 12)
        .column(
            "age of the last restorable backup",
            Unit::Seconds,
            &RESTORABLE,
            last.now().max(&by).age(),
        )
        .column("usual interval", Unit::Seconds, &[], interval.now().max(&by))
        .column("failing for", Unit::Seconds, &FAILING, failing.now().max(&by))
}

fn workloads() -> Vec<Panel> {
    let by = ["site", "workload", "schedule_class"];
    vec![
        by_class(
            Panel::table(
                "Restorable backups of workloads",
                "Last backup with status 0 or 1 of each machine by class of schedule; the interval is the longest time between two of the last 16 days with one.",
            ),
            by,
            [
                w("nbu_workload_last_restorable_backup_timestamp_seconds"),
                w("nbu_workload_backup_interval_seconds"),
                w("nbu_workload_failing_seconds"),
            ],
        ),
        Panel::bars(
            "Oldest restorable backups",
            "The twenty workloads and classes that are the oldest.",
        )
        .unit(Unit::Seconds)
        .steps(&RESTORABLE)
        .size(12, 10)
        .ask(
            "{{site}} {{workload}} {{schedule_class}}",
            w("nbu_workload_last_restorable_backup_timestamp_seconds").now().max(&by).age().top(20),
        ),
        Panel::lanes("Failing workloads", "Red is at least two nights.")
            .steps(&FAILING)
            .size(12, 10)
            .ask(
                "{{site}} {{workload}}",
                w("nbu_workload_failing_seconds").now().max(&["site", "workload"]).top(25),
            ),
    ]
}

fn clients() -> Vec<Panel> {
    let by = ["site", "client"];
    let backup = |name| c(name).is("action", "BACKUP").now().max(&by);
    vec![
        Panel::table("Clients", "Last backup of each client, and the last one with status 0. Never: no success in the jobs that the server keeps.")
            .size(24, 12)
            .column(
                "age of the last successful backup",
                Unit::Seconds,
                &AGE,
                c("nbu_client_last_successful_backup_timestamp_seconds").now().age().max(&by),
            )
            .column(
                "never",
                Unit::Number,
                &NONE_IS_GOOD,
                c("nbu_client_never_succeeded").now().max(&by),
            )
            .column(
                "failures in a row",
                Unit::Number,
                &STREAK,
                backup("nbu_client_consecutive_failures"),
            )
            .column("last status", Unit::Number, &[], backup("nbu_client_last_status"))
            .column(
                "age of the last failure",
                Unit::Seconds,
                &[],
                c("nbu_client_last_failure_timestamp_seconds")
                    .is("action", "BACKUP")
                    .now()
                    .age()
                    .min(&by),
            )
            .column("size", Unit::Bytes, &[], backup("nbu_client_last_transferred_bytes"))
            .column("took", Unit::Seconds, &[], backup("nbu_client_last_duration_seconds"))
            .column(
                "jobs in the window",
                Unit::Short,
                &[],
                c("nbu_client_jobs_count").now().sum(&by),
            ),
        Panel::bars(
            "Oldest last backups of clients",
            "The twenty clients with the oldest last successful backup.",
        )
        .unit(Unit::Seconds)
        .steps(&AGE)
        .size(12, 10)
        .ask(
            "{{site}} {{client}}",
            c("nbu_client_last_successful_backup_timestamp_seconds").now().age().max(&by).top(20),
        ),
        Panel::lines("Size of the last backup", "The twenty largest. Check sudden changes.")
            .unit(Unit::Bytes)
            .size(12, 10)
            .ask("{{site}} {{client}}", backup("nbu_client_last_transferred_bytes").top(20)),
        Panel::lanes("Failures in a row over time", "Clients with recent failures; green is none.")
            .steps(&STREAK)
            .size(24, 10)
            .ask("{{site}} {{client}}", backup("nbu_client_consecutive_failures").top(25)),
        Panel::table("Last success by job type", "By client, policy and job type.").column(
            "age",
            Unit::Seconds,
            &AGE,
            c("nbu_client_last_job_success_seconds")
                .now()
                .age()
                .max(&["site", "client", "policy", "action"]),
        ),
    ]
}

fn policies() -> Vec<Panel> {
    let by = ["site", "policy"];
    let backup = |name| p(name).is("action", "BACKUP").now().max(&by);
    vec![
        by_class(
            Panel::table(
                "Restorable backups of policies",
                "Last backup with status 0 or 1 of each policy by class of schedule, of any of its clients.",
            ),
            ["site", "policy", "schedule_class"],
            [
                p("nbu_policy_last_restorable_backup_timestamp_seconds"),
                p("nbu_policy_backup_interval_seconds"),
                p("nbu_policy_failing_seconds"),
            ],
        ),
        Panel::lanes("Failing policies", "Red is at least two nights.")
            .steps(&FAILING)
            .size(24, 8)
            .ask(
                "{{site}} {{policy}}",
                p("nbu_policy_failing_seconds").now().max(&["site", "policy"]).top(25),
            ),
        Panel::table("Policies", "Last backup of each policy, and the last one with status 0. Never: no success in the jobs that the server keeps.")
            .size(24, 12)
            .column(
                "age of the last successful backup",
                Unit::Seconds,
                &AGE,
                p("nbu_policy_last_successful_backup_timestamp_seconds").now().age().max(&by),
            )
            .column(
                "never",
                Unit::Number,
                &NONE_IS_GOOD,
                p("nbu_policy_never_succeeded").now().max(&by),
            )
            .column(
                "failures in a row",
                Unit::Number,
                &STREAK,
                backup("nbu_policy_consecutive_failures"),
            )
            .column("last status", Unit::Number, &[], backup("nbu_policy_last_status"))
            .column(
                "age of the last failure",
                Unit::Seconds,
                &[],
                p("nbu_policy_last_failure_timestamp_seconds")
                    .is("action", "BACKUP")
                    .now()
                    .age()
                    .min(&by),
            )
            .column("size", Unit::Bytes, &[], backup("nbu_policy_last_transferred_bytes"))
            .column("took", Unit::Seconds, &[], backup("nbu_policy_last_duration_seconds")),
        Panel::lines(
            "Age of the last success",
            "The twenty policies with the oldest last success, by job type.",
        )
        .unit(Unit::Seconds)
        .from_zero()
        .ask(
            "{{site}} {{policy}} {{action}}",
            p("nbu_policy_last_success_timestamp_seconds")
                .now()
                .age()
                .max(&["site", "policy", "action"])
                .top(20),
        ),
        Panel::lines("Names beyond the limit", "Jobs per second that are counted as other.")
            .unit(Unit::PerSecond)
            .ask(
                "{{site}} {{label}}",
                m("nbu_agent_names_folded_total").rate(SPAN).per_site(&["label"]),
            ),
    ]
}
