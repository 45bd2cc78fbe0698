//! State of each released format: every later build must read it, and go on from it.
//!
//! `tests/golden/N/` is a state directory as release format N left it. It is never changed. A new format gets a
//! new directory; `2-outcomes` is of a build that called statuses 190, 196 and 200 failures, and told no clients
//! apart, `2-details` of the first one with details of jobs. Nobody listens where its server was, so that what is
//! shown is what was read.

use std::fs;
use std::path::PathBuf;

use crate::process::{self, Desk, Signal};
use crate::support::endpoint::Endpoint;
use crate::support::totals::is_total;

const FORMATS: [&str; 3] = ["2", "2-outcomes", "2-details"];

/// Series that come from the state alone, beside the totals.
const KEPT: [&str; 11] = [
    "nbu_client_",
    "nbu_policy_",
    "nbu_workload_",
    "nbu_job_queue_wait_",
    "nbu_job_active_duration_",
    "nbu_storage_unit_transferred_",
    "nbu_media_server_transferred_",
    "nbu_jobs_moved_",
    "nbu_jobs_failures_",
    "nbu_false_green_",
    "nbu_catalog_backup_",
];

fn golden(format: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format)
}

/// A desk with a copy of the state in `kept`.
fn desk(format: &str) -> Desk {
    let desk = Desk::new();
    fs::create_dir(desk.path("kept")).expect("a directory");
    for entry in fs::read_dir(golden(format)).expect("the state") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_str().expect("text");
        if !name.starts_with("expected") {
            fs::copy(&path, desk.path("kept").join(name)).expect("a copy");
        }
    }
    desk
}

fn expected(format: &str, name: &str) -> String {
    fs::read_to_string(golden(format).join(name)).expect("what is expected")
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_each_release_is_inspected_as_it_was() {
    for format in FORMATS {
        let desk = desk(format);
        let ended = desk.run(&["state", "inspect", "--directory", "kept", "--json"]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert_eq!(ended.stdout, expected(format, "expected.json"), "format {format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_and_last_results_of_each_release_go_on() {
    for format in FORMATS {
        let desk = desk(format);
        let port = process::port();
        desk.write(
            "config.yaml",
            &format!(
                "server: {{ host: 127.0.0.1, port: {port}, scrapingInterval: 6h }}\n\
                 nbuservers:\n  - {{ site: paris, scheme: http, host: 127.0.0.1, port: 9, apiKey: k }}\n\
                 collectors: {{ perClient: {{ enabled: true, allowlist: ['*'] }}, \
                 perPolicy: {{ enabled: true, allowlist: ['*'] }} }}\n\
                 state: {{ directory: kept }}\n"
            ),
        );
        let mut agent = desk.start(&["--config", "config.yaml"]);
        let has_totals = |page: &crate::support::Page| !page.of_site("paris", is_total).is_empty();
        let page = Endpoint::on(port).until(&mut agent, "totals", has_totals).await;
        let shown = page.of_site("paris", |name| {
            is_total(name) || KEPT.iter().any(|begin| name.starts_with(begin))
        });
        let lines: String = shown
            .iter()
            .map(|(series, value)| format!("{series:?} {value}\n"))
            .collect::<Vec<_>>()
            .concat();
        if std::env::var_os("NBU_NEW_GOLDEN").is_some() {
            let kept = lines.split_inclusive('\n').filter(|line| !line.contains("_bucket"));
            let kept: String = kept.collect();
            fs::write(golden(format).join("expected.txt"), kept).expect("it is written");
        }
        let expected = expected(format, "expected.txt");
        for line in expected.lines() {
            assert!(lines.lines().any(|shown| shown == line), "format {format}: {line}");
        }
        // A total that the release did not know begins at zero.
        let totals = lines.lines().filter(|line| line.starts_with("(\"nbu_job"));
        let totals = totals.filter(|line| !line.contains("_bucket"));
        for line in totals.filter(|shown| !expected.lines().any(|line| line == *shown)) {
            assert!(line.ends_with(" 0"), "format {format}: {line}");
        }
        agent.end_by(Signal::TERM).await;
    }
}
