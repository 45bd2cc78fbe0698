//! Sites beside each other: which one is different?

use super::common::{FILLED, MISSED, SPAN, SUCCESS, filled, free, m, used};
use crate::grafana::{Board, Panel, Row, Unit};

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-sites",
        title: "NetBackup / Sites",
        description: "Comparison of sites: unreachable, slow, behind, or different.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Reach", panels: reach() },
            Row { title: "Backups", panels: backups() },
            Row { title: "Storage", panels: storage() },
        ],
    }
}

/// Seconds.
const DAY: f64 = 86_400.0;

fn reach() -> Vec<Panel> {
    let expiry = m("nbu_api_key_expiry_timestamp_seconds").now().max(&["site"]);
    let p95 = || m("site:nbu_agent_api_request_duration_seconds:p95_10m").now().max(&["site"]);
    vec![
        Panel::lanes("Reachable", "1 if jobs or storage units could be read, else 0.")
            .words(&[(1.0, "reachable", "green"), (0.0, "unreachable", "red")])
            .steps(&[(None, "red"), (Some(1.0), "green")])
            .ask("{{site}}", m("nbu_up").now().min(&["site"])),
        Panel::table("Versions", "API version of each site.").size(6, 8).column(
            "",
            Unit::Number,
            &[],
            m("nbu_api_version").now().group(&["site", "version"]),
        ),
        Panel::bars("Age of data", "Time since jobs and storage units were last read.")
            .unit(Unit::Seconds)
            .size(6, 8)
            .steps(&[(None, "green"), (Some(900.0), "orange"), (Some(3600.0), "red")])
            .ask(
                "{{site}} {{source}}",
                m("nbu_last_scrape_timestamp_seconds").now().age().max(&["site", "source"]),
            ),
        Panel::lines("API, 95th percentile", "Duration of 95 % of the requests.")
            .unit(Unit::Seconds)
            .from_zero()
            .size(8, 8)
            .ask("{{site}}", p95()),
        Panel::lines("API, last response", "Duration of the last response.")
            .unit(Unit::Milliseconds)
            .from_zero()
            .size(8, 8)
            .ask("{{site}}", m("nbu_response_time_ms").now().max(&["site"])),
        Panel::bars("API key", "Time until the API key of the agent expires.")
            .unit(Unit::Seconds)
            .size(8, 8)
            .steps(&[(None, "red"), (Some(7.0 * DAY), "orange"), (Some(30.0 * DAY), "green")])
            .ask("{{site}}", expiry.age().negated()),
    ]
}

fn backups() -> Vec<Panel> {
    vec![
        Panel::bars(
            "Success",
            "Share of the backups of the last six hours that ended with status 0 or 1.",
        )
        .unit(Unit::Ratio)
        .range(0.0, 1.0)
        .steps(&SUCCESS)
        .ask("{{site}}", m("site:nbu_backup_success:ratio6h").now().min(&["site"])),
        Panel::lines(
            "Behind the median",
            "Success rate below the median of all sites; negative is above it.",
        )
        .unit(Unit::Ratio)
        .ask("{{site}}", m("site:nbu_backup_success:ratio6h_behind").now().max(&["site"])),
        Panel::lines(
            "Backups in six hours",
            "Backups without child jobs that succeeded or failed.",
        )
        .from_zero()
        .ask("{{site}}", m("site:nbu_backups_completed:increase6h").now().max(&["site"])),
        Panel::lines(
            "Failures",
            "Failed jobs without child jobs per minute, without missed windows.",
        )
        .from_zero()
        .ask(
            "{{site}}",
            m("nbu_jobs_failures_total")
                .is_not("family", MISSED)
                .rate(SPAN)
                .per_site(&[])
                .times(60),
        ),
        Panel::lines("Data transferred", "Bytes per second of jobs that ended.")
            .unit(Unit::BytesPerSecond)
            .from_zero()
            .ask("{{site}}", m("nbu_jobs_transferred_bytes_total").rate(SPAN).per_site(&[])),
        Panel::lines("Current jobs", "Queued and active jobs.").from_zero().ask(
            "{{site}} {{state}}",
            m("nbu_jobs_state_count").like("state", "QUEUED|ACTIVE").now().per_site(&["state"]),
        ),
    ]
}

fn storage() -> Vec<Panel> {
    vec![
        Panel::bars(
            "Fullest storage",
            "Used share of each site's fullest disk pool, or storage unit without a pool.",
        )
        .unit(Unit::Ratio)
        .range(0.0, 1.0)
        .steps(&FILLED)
        .size(8, 8)
        .ask("{{site}}", filled().max(&["site"])),
        Panel::lines(
            "Used bytes",
            "Of all disk pools of a site, and of storage units without one.",
        )
        .unit(Unit::Bytes)
        .from_zero()
        .size(8, 8)
        .ask("{{site}}", used(&["site"])),
        Panel::lines(
            "Free bytes",
            "Of all disk pools of a site with a limit, and of storage units without a pool.",
        )
        .unit(Unit::Bytes)
        .from_zero()
        .size(8, 8)
        .ask("{{site}}", free(&["site"])),
    ]
}
