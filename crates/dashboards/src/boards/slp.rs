//! Storage lifecycle policies: are second copies and replications behind, since when, and by how much?

use super::common::{NONE_IS_BETTER, NONE_IS_GOOD, SPAN, m};
use crate::grafana::{Board, Panel, Row, Step, Unit, Variable};
use crate::query::Selector;

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-slp",
        title: "NetBackup / Second copies",
        description: "Backlog of storage lifecycle policies: copies that wait or run, their age and bytes, and what somebody has suspended. Needs the collector slp.",
        variables: vec![Variable {
            label: "slp",
            title: "SLP",
            metric: "nbu_slp_incomplete_images",
        }],
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Backlog", panels: backlog() },
            Row { title: "By SLP", panels: slps() },
            Row { title: "Replication between sites", panels: replication() },
        ],
    }
}

/// Seconds since the backup of the oldest copy that waits.
const OLD: [Step; 3] = [(None, "green"), (Some(86_400.0), "orange"), (Some(259_200.0), "red")];

/// Shares of copies whose size is known.
const SIZED: [Step; 3] = [(None, "red"), (Some(0.5), "orange"), (Some(0.95), "green")];

/// Types of jobs that make copies under an SLP.
const COPY_JOBS: &str = "DUPLICATE|DUPLICATION|REPLICATE|REPLICATION";

fn s(name: &'static str) -> Selector {
    m(name).like("slp", "$slp")
}

fn now() -> Vec<Panel> {
    vec![
        Panel::stat("Copies that wait or run", "Without those that are deferred by design.")
            .ask("", s("nbu_slp_backlog_copies").now().sum(&[])),
        Panel::stat("Backlog", "Front-end bytes of these copies, as far as they are known.")
            .unit(Unit::Bytes)
            .ask("", s("nbu_slp_backlog_bytes").now().sum(&[])),
        Panel::stat("Oldest", "Age of the backup whose copy has waited longest.")
            .unit(Unit::Seconds)
            .steps(&OLD)
            .ask("", s("nbu_slp_backlog_oldest_age_seconds").now().max(&[])),
        Panel::stat("Time to drain", "At the rate of the last six hours, of the slowest site.")
            .unit(Unit::Seconds)
            .steps(&[(None, "green"), (Some(86_400.0), "orange"), (Some(172_800.0), "red")])
            .ask("", m("site:nbu_slp_backlog_drain_seconds:rate6h").now().max(&[])),
        Panel::stat("Copies that failed", "CANT_PROCESS and IMPORT_FAILED: not tried again.")
            .steps(&NONE_IS_GOOD)
            .ask(
                "",
                s("nbu_slp_backlog_copies")
                    .like("state", "CANT_PROCESS|IMPORT_FAILED")
                    .now()
                    .sum(&[]),
            ),
        Panel::stat("SLPs inactive", "Somebody has suspended them.")
            .steps(&NONE_IS_BETTER)
            .ask("", s("nbu_slp_active").now().compared("==", 0).count(&[])),
    ]
}

fn backlog() -> Vec<Panel> {
    vec![
        Panel::stack("Copies by operation", "Copies that wait or run.").ask(
            "{{site}} {{operation}}",
            s("nbu_slp_backlog_copies").now().per_site(&["operation"]),
        ),
        Panel::stack("Copies by state", "Copies that wait or run.")
            .ask("{{site}} {{state}}", s("nbu_slp_backlog_copies").now().per_site(&["state"])),
        Panel::stack("Bytes by operation", "As far as the sizes are known.").unit(Unit::Bytes).ask(
            "{{site}} {{operation}}",
            s("nbu_slp_backlog_bytes").now().per_site(&["operation"]),
        ),
        Panel::lines("Copied", "Bytes per second of duplications and replications that ended.")
            .unit(Unit::BytesPerSecond)
            .from_zero()
            .ask(
                "{{site}} {{action}}",
                m("nbu_jobs_transferred_bytes_total")
                    .like("action", COPY_JOBS)
                    .rate(SPAN)
                    .per_site(&["action"]),
            ),
        Panel::lines("Oldest copy", "The twenty oldest; a straight rise is one that stands still.")
            .unit(Unit::Seconds)
            .from_zero()
            .ask(
                "{{site}} {{slp}} {{operation}}",
                s("nbu_slp_backlog_oldest_age_seconds")
                    .now()
                    .max(&["site", "slp", "operation"])
                    .top(20),
            ),
        Panel::lines(
            "Time to drain by site",
            "At the rate of the last six hours; 30 days is never.",
        )
        .unit(Unit::Seconds)
        .from_zero()
        .ask("{{site}}", m("site:nbu_slp_backlog_drain_seconds:rate6h").now().max(&["site"])),
    ]
}

fn slps() -> Vec<Panel> {
    let by = ["site", "slp"];
    vec![
        Panel::table("SLPs", "Bytes are a lower bound where the known share is below 1.")
            .size(24, 12)
            .column(
                "incomplete images",
                Unit::Short,
                &[],
                s("nbu_slp_incomplete_images").now().max(&by),
            )
            .column("copies", Unit::Short, &[], s("nbu_slp_backlog_copies").now().sum(&by))
            .column("bytes", Unit::Bytes, &[], s("nbu_slp_backlog_bytes").now().sum(&by))
            .column(
                "known share",
                Unit::Ratio,
                &SIZED,
                s("nbu_slp_backlog_sized_ratio").now().min(&by),
            )
            .column(
                "oldest",
                Unit::Seconds,
                &OLD,
                s("nbu_slp_backlog_oldest_age_seconds").now().max(&by),
            )
            .column(
                "tried again",
                Unit::Short,
                &NONE_IS_BETTER,
                s("nbu_slp_retrying_copies").now().sum(&by),
            )
            .column("deferred", Unit::Short, &[], s("nbu_slp_deferred_copies").now().sum(&by))
            .column(
                "expired",
                Unit::Short,
                &NONE_IS_BETTER,
                s("nbu_slp_expired_incomplete_images").now().max(&by),
            )
            .column("active", Unit::Number, &[], s("nbu_slp_active").now().max(&by)),
        Panel::table("Suspended operations", "Operations that somebody has suspended.")
            .size(12, 9)
            .column(
                "suspended",
                Unit::Number,
                &NONE_IS_BETTER,
                s("nbu_slp_operation_suspended")
                    .now()
                    .max(&["site", "slp", "operation_index", "operation"])
                    .compared("==", 1),
            ),
        Panel::lines(
            "Deferred copies",
            "They wait by design until the source copy is about to expire.",
        )
        .size(12, 9)
        .ask("{{site}} {{slp}}", s("nbu_slp_deferred_copies").now().per_site(&["slp"])),
    ]
}

fn replication() -> Vec<Panel> {
    vec![
        Panel::stack(
            "Replicated but not imported",
            "Images that another site of this agent has replicated here, by what became of them.",
        )
        .ask(
            "{{origin}} to {{site}}: {{state}}",
            m("nbu_air_pending_images").now().max(&["site", "origin", "state"]),
        ),
        Panel::lines("Longest wait for an import", "Since the replication was complete.")
            .unit(Unit::Seconds)
            .from_zero()
            .ask(
                "{{origin}} to {{site}}",
                m("nbu_air_longest_wait_seconds").now().max(&["site", "origin"]),
            ),
    ]
}
