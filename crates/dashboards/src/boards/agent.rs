//! The agent itself: does it see everything, and does what it sees arrive?

use super::common::{NONE_IS_BETTER, NONE_IS_GOOD, SPAN, m};
use crate::grafana::{Board, Panel, Row, Unit};

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-agent",
        title: "NetBackup / Agent",
        description: "The agent itself: collectors, API requests, configuration, state and OTLP push.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Collectors", panels: collectors() },
            Row { title: "API of NetBackup", panels: api() },
            Row { title: "Configuration and state", panels: state() },
            Row { title: "Exports", panels: exports() },
            Row { title: "Process", panels: process() },
        ],
    }
}

fn now() -> Vec<Panel> {
    let good = [(None, "red"), (Some(1.0), "green")];
    vec![
        Panel::stat("Sites", "Number of polled sites.")
            .ask("", m("nbu_agent_sites").now().sum(&[])),
        Panel::stat("Collectors failing", "Collectors whose last run did not succeed completely.")
            .steps(&NONE_IS_GOOD)
            .ask("", m("nbu_agent_collector_up").now().short_of(1).sum(&[])),
        Panel::stat("Configuration", "Shows whether the last saved configuration was applied.")
            .steps(&good)
            .words(&[(1.0, "applied", "green"), (0.0, "rejected", "red")])
            .ask("", m("nbu_agent_config_last_reload_successful").now().min(&[])),
        Panel::stat("Keys rejected", "Sites that reject the API key.")
            .steps(&NONE_IS_GOOD)
            .ask("", m("nbu_agent_api_key_refused").now().sum(&[])),
        Panel::stat("Series", "Of all sites.").ask("", m("nbu_agent_series").now().sum(&[])),
        Panel::stat("Series limit", "Maximum number of series of a metric.")
            .ask("", m("nbu_agent_cardinality_limit").now().min(&[])),
    ]
}

fn collectors() -> Vec<Panel> {
    let by = ["site", "collector"];
    let gauge = |name| m(name).now().max(&by);
    vec![
        Panel::lanes("Collectors", "1 if the last run succeeded completely, else 0.")
            .words(&[(1.0, "well", "green"), (0.0, "failing", "red")])
            .steps(&[(None, "red"), (Some(1.0), "green")])
            .size(12, 11)
            .ask("{{site}} {{collector}}", m("nbu_agent_collector_up").now().min(&by)),
        Panel::table("Collectors now", "supported is 0 if the NetBackup release does not have the resource, permitted is 0 if the key may not read it.")
            .size(12, 11)
            .column("up", Unit::Number, &[(None, "red"), (Some(1.0), "green")], gauge("nbu_agent_collector_up"))
            .column("permitted", Unit::Number, &[(None, "red"), (Some(1.0), "green")], gauge("nbu_agent_collector_permitted"))
            .column("supported", Unit::Number, &[], gauge("nbu_agent_collector_supported"))
            .column("age", Unit::Seconds, &[(None, "green"), (Some(3600.0), "red")], m("nbu_agent_collector_last_success_timestamp_seconds").now().age().max(&by))
            .column("took", Unit::Seconds, &[], gauge("nbu_agent_collector_duration_seconds"))
            .column("series", Unit::Short, &[], gauge("nbu_agent_collector_samples"))
            .column("duplicates", Unit::Number, &NONE_IS_BETTER, gauge("nbu_agent_collector_duplicate_series"))
            .column("unreadable", Unit::Short, &NONE_IS_BETTER, m("nbu_agent_collector_unreadable_records_total").total().max(&by)),
        Panel::lines("Runs", "Runs per minute by result; skipped means that the previous run was still in progress.")
            .ask("{{result}}", m("nbu_agent_collector_runs_total").rate(SPAN).sum(&["result"]).times(60)),
        Panel::lines("Duration of runs", "Last run of each collector.")
            .unit(Unit::Seconds)
            .from_zero()
            .ask("{{site}} {{collector}}", gauge("nbu_agent_collector_duration_seconds")),
        Panel::table("Errors", "Since the agent started, by kind; see docs/troubleshooting.md.")
            .size(24, 7)
            .column("errors", Unit::Short, &[], m("nbu_agent_collector_errors_total").total().sum(&["site", "collector", "kind"]).sorted()),
    ]
}

fn api() -> Vec<Panel> {
    let requests = || m("nbu_agent_api_requests_total").rate(SPAN);
    let buckets = m("nbu_agent_api_request_duration_seconds_bucket").rate(SPAN);
    vec![
        Panel::lines(
            "Requests",
            "Per second, by HTTP status, or by kind of failure if there was no response.",
        )
        .unit(Unit::PerSecond)
        .ask("{{site}} {{status}}", requests().per_site(&["status"])),
        Panel::lines("Requests by resource", "Per second.")
            .unit(Unit::PerSecond)
            .ask("{{site}} {{resource}}", requests().per_site(&["resource"])),
        Panel::lines("Duration of requests", "95th percentile.")
            .unit(Unit::Seconds)
            .from_zero()
            .ask("{{site}} {{resource}}", buckets.sum(&["site", "resource", "le"]).quantile(0.95)),
        Panel::lines("Retried requests", "Retries per second.")
            .unit(Unit::PerSecond)
            .ask("{{site}}", m("nbu_agent_api_retries_total").rate(SPAN).per_site(&[])),
    ]
}

fn state() -> Vec<Panel> {
    vec![
        Panel::table(
            "Current configuration",
            "SHA-256 of the configuration, as printed by sha256sum.",
        )
        .size(12, 6)
        .column(
            "",
            Unit::Number,
            &[],
            m("nbu_agent_config_info").now().group(&["instance", "sha256"]),
        ),
        Panel::table("Builds", "Version of the agent.").size(12, 6).column(
            "",
            Unit::Number,
            &[],
            m("nbu_agent_build_info").now().group(&["instance", "version", "rustc", "target"]),
        ),
        Panel::table("Reloads", "Since the agent started, by trigger and result.")
            .size(12, 7)
            .column(
                "reloads",
                Unit::Short,
                &[],
                m("nbu_agent_config_reloads_total").total().sum(&["trigger", "result"]),
            ),
        Panel::lines("Configuration age", "Time since the configuration was applied.")
            .unit(Unit::Seconds)
            .size(12, 7)
            .ask(
                "{{instance}}",
                m("nbu_agent_config_last_reload_success_timestamp_seconds")
                    .now()
                    .age()
                    .max(&["instance"]),
            ),
        Panel::lanes(
            "State on disk",
            "Shows whether the exported totals are saved; absent without a state directory.",
        )
        .words(&[(1.0, "saved", "green"), (0.0, "not saved", "red")])
        .steps(&[(None, "red"), (Some(1.0), "green")])
        .size(8, 7)
        .ask("{{site}}", m("nbu_agent_state_saved").now().min(&["site"])),
        Panel::lines("State size", "On disk.")
            .unit(Unit::Bytes)
            .size(8, 7)
            .ask("{{site}}", m("nbu_agent_state_size_bytes").now().max(&["site"])),
        Panel::lines(
            "Jobs in the ledger",
            "Finished jobs that the agent remembers so that it counts each one once.",
        )
        .size(8, 7)
        .ask("{{site}}", m("nbu_jobs_remembered").now().max(&["site"])),
        Panel::stat("State errors", "State that could not be saved or was set aside.")
            .steps(&NONE_IS_GOOD)
            .ask("", m("nbu_agent_state_errors_total").total().sum(&[])),
    ]
}

fn exports() -> Vec<Panel> {
    vec![
        Panel::lines("Pushes", "OTLP exports per minute by result.").ask(
            "{{signal}} {{result}}",
            m("nbu_agent_otlp_exports_total").rate(SPAN).sum(&["signal", "result"]).times(60),
        ),
        Panel::lines("Points", "Data points and spans per second by result.")
            .unit(Unit::PerSecond)
            .ask(
                "{{signal}} {{result}}",
                m("nbu_agent_otlp_points_total").rate(SPAN).sum(&["signal", "result"]),
            ),
        Panel::lines("Last successful push", "Time since then.")
            .unit(Unit::Seconds)
            .size(8, 7)
            .ask(
                "{{instance}} {{signal}}",
                m("nbu_agent_otlp_last_success_timestamp_seconds")
                    .now()
                    .age()
                    .max(&["instance", "signal"]),
            ),
        Panel::lines("Duration of exports", "Including collection.")
            .unit(Unit::Seconds)
            .size(8, 7)
            .ask(
                "{{instance}} {{signal}}",
                m("nbu_agent_otlp_export_duration_seconds").now().max(&["instance", "signal"]),
            ),
        Panel::lines("Sent", "Bytes per second before compression.")
            .unit(Unit::BytesPerSecond)
            .size(8, 7)
            .ask("{{signal}}", m("nbu_agent_otlp_sent_bytes_total").rate(SPAN).sum(&["signal"])),
        Panel::lines("OTLP requests", "Per second, including failed attempts.")
            .unit(Unit::PerSecond)
            .size(8, 7)
            .ask("{{signal}}", m("nbu_agent_otlp_requests_total").rate(SPAN).sum(&["signal"])),
        Panel::lines("Scrapes", "Of the Prometheus endpoint, per minute.")
            .size(8, 7)
            .ask(
                "{{encoding}}",
                m("nbu_agent_scrapes_total").rate(SPAN).sum(&["encoding"]).times(60),
            )
            .ask("rendered", m("nbu_agent_renders_total").rate(SPAN).sum(&[]).times(60)),
        Panel::lines("Rendering time", "For the whole metrics page.")
            .unit(Unit::Seconds)
            .size(8, 7)
            .ask("{{instance}}", m("nbu_agent_render_duration_seconds").now().max(&["instance"])),
    ]
}

fn process() -> Vec<Panel> {
    let of = |name| m(name).now().max(&["instance"]);
    vec![
        Panel::lines("CPU", "Share of one core.")
            .unit(Unit::Ratio)
            .size(8, 7)
            .ask("{{instance}}", m("process_cpu_seconds_total").rate(SPAN).sum(&["instance"])),
        Panel::lines("Memory", "Resident.")
            .unit(Unit::Bytes)
            .from_zero()
            .size(8, 7)
            .ask("{{instance}}", of("process_resident_memory_bytes")),
        Panel::lines("Open files", "With their limit.")
            .size(8, 7)
            .ask("{{instance}}", of("process_open_fds"))
            .ask("{{instance}} limit", of("process_max_fds")),
        Panel::lines(
            "Threads and tasks",
            "Of the process. Tasks come and go with requests and connections.",
        )
        .size(8, 7)
        .ask("{{instance}} threads", of("process_threads"))
        .ask("{{instance}} tasks", of("nbu_agent_tasks")),
        Panel::lines("Uptime", "Time since the start.")
            .unit(Unit::Seconds)
            .size(8, 7)
            .ask("{{instance}}", m("process_start_time_seconds").now().age().max(&["instance"])),
    ]
}
