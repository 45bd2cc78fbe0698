//! The first look: is anything wrong, and where?

use super::common::{
    AGE, FILLED, MISSED, NONE_IS_BETTER, NONE_IS_GOOD, RANGE, SPAN, SUCCESS, capacity, filled, m,
    used,
};
use crate::grafana::{Board, Panel, Row, Unit};
use crate::query::Selector;

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-overview",
        title: "NetBackup / Overview",
        description: "All sites at a glance, with links to the other dashboards.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Site by site", panels: vec![alerts(), table()] },
            Row { title: "Course", panels: course() },
        ],
    }
}

fn now() -> Vec<Panel> {
    let failed = m("nbu_jobs_failures_total").is_not("family", MISSED).increase(RANGE);
    vec![
        Panel::stat("Sites unreachable", "Sites of which neither jobs nor storage units can be read.")
            .steps(&NONE_IS_GOOD)
            .ask("", m("nbu_up").now().short_of(1).sum(&[]))
            .leads_to("nbu-sites"),
        Panel::stat(
            "Backups successful",
            "Share of the backups of the last six hours that ended with status 0 or 1; the worst site.",
        )
        .unit(Unit::Ratio)
        .steps(&SUCCESS)
        .ask("", m("site:nbu_backup_success:ratio6h").now().min(&[]))
        .leads_to("nbu-jobs"),
        Panel::stat("Jobs failed", "Jobs without child jobs that failed in the selected time range, without missed windows.")
            .steps(&NONE_IS_BETTER)
            .ask("", failed.sum(&[]))
            .leads_to("nbu-jobs"),
        Panel::stat("Jobs active", "Jobs that are active now.")
            .ask("", m("nbu_jobs_state_count").is("state", "ACTIVE").now().sum(&[]))
            .leads_to("nbu-jobs"),
        Panel::stat("Jobs queued", "Jobs that are queued now.")
            .steps(&[(None, "green"), (Some(50.0), "orange"), (Some(200.0), "red")])
            .ask("", m("nbu_jobs_queued_count").now().sum(&[]))
            .leads_to("nbu-jobs"),
        Panel::stat("Fullest storage", "Used share of the fullest disk pool, or storage unit without a pool.")
            .unit(Unit::Ratio)
            .steps(&FILLED)
            .ask("", filled().max(&[]))
            .leads_to("nbu-storage"),
    ]
}

fn alerts() -> Panel {
    let firing = Selector::every("ALERTS").is("alertstate", "firing").like("site", "$site|");
    Panel::table("Alerts", "Alerts that fire now; see docs/runbook.md.").size(8, 10).column(
        "count",
        Unit::Number,
        &[],
        firing.now().count(&["severity", "alertname", "site"]),
    )
}

fn table() -> Panel {
    let bad = &NONE_IS_GOOD;
    let at = |state| m("nbu_jobs_state_count").is("state", state).now().per_site(&[]);
    let failed = m("nbu_jobs_failures_total").is_not("family", MISSED).increase(RANGE);
    let missed = m("nbu_jobs_failures_total").is("family", MISSED).increase(RANGE);
    let catalogue = m("nbu_catalog_backup_last_success_timestamp_seconds").now().age();
    Panel::table(
        "Sites",
        "One row for each site. Empty cells are unknown: the collector is off or fails, or the site has no data.",
    )
    .size(16, 10)
    .column("up", Unit::Number, &[(None, "red"), (Some(1.0), "green")], m("nbu_up").now().min(&["site"]))
    .column("success", Unit::Ratio, &SUCCESS, m("site:nbu_backup_success:ratio6h").now().min(&["site"]))
    .column("failed", Unit::Short, &[], failed.per_site(&[]))
    .column("missed", Unit::Short, &[], missed.per_site(&[]))
    .column("catalogue backup", Unit::Seconds, &AGE, catalogue.max(&["site"]))
    .column("stalled", Unit::Number, &NONE_IS_BETTER, m("nbu_jobs_stalled").now().per_site(&[]))
    .column("active", Unit::Number, &[], at("ACTIVE"))
    .column("queued", Unit::Number, &[], at("QUEUED"))
    .column("fullest storage", Unit::Ratio, &FILLED, filled().max(&["site"]))
    .column(
        "volumes down",
        Unit::Number,
        bad,
        m("nbu_disk_pool_volume_count").is("state", "DOWN").now().per_site(&[]),
    )
    .column(
        "drives down",
        Unit::Number,
        &NONE_IS_BETTER,
        m("nbu_tape_drives_count").is("status", "DRIVE_STATUS_DOWN").now().per_site(&[]),
    )
    .column("infected files", Unit::Number, bad, m("nbu_malware_files_infected").now().per_site(&[]))
    .column(
        "age",
        Unit::Seconds,
        &[(None, "green"), (Some(900.0), "orange"), (Some(3600.0), "red")],
        m("nbu_last_scrape_timestamp_seconds").now().age().max(&["site"]),
    )
}

fn course() -> Vec<Panel> {
    vec![
        Panel::stack("Jobs that ended", "Jobs without child jobs per minute, by outcome.").ask(
            "{{outcome}}",
            m("nbu_jobs_completed_total").is("role", "leaf").rate(SPAN).sum(&["outcome"]).times(60),
        ),
        Panel::lines("Success by site", "Success rate of the backups of the previous six hours.")
            .unit(Unit::Ratio)
            .range(0.0, 1.0)
            .ask("{{site}}", m("site:nbu_backup_success:ratio6h").now().min(&["site"])),
        Panel::stack("Data transferred", "Bytes per second of jobs that ended, by site.")
            .unit(Unit::BytesPerSecond)
            .ask("{{site}}", m("nbu_jobs_transferred_bytes_total").rate(SPAN).per_site(&[])),
        Panel::lines(
            "Space used",
            "Used share of all disk pools of a site, and of storage units without one.",
        )
        .unit(Unit::Ratio)
        .range(0.0, 1.0)
        .ask("{{site}}", used(&["site"]).with("/", capacity(&["site"]))),
    ]
}
