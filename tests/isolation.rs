//! Isolation: a site, a collector or a record that is wrong never delays, hides or falsifies another.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nbu_sim::{Authorization, ErrorBody, Fault, Permissions, Settings, Simulator};
use support::expected::{self, assert_same};
use support::{Agent, Config, NOON, Page, eventually, simulate, world};

const DAY: i64 = 24 * 3_600_000;

/// Every way in which a server was seen to misbehave.
fn misbehaviours() -> Vec<(&'static str, Vec<Fault>)> {
    vec![
        ("hangs", vec![Fault::on("/").hang()]),
        ("closes", vec![Fault::on("/").close_connection()]),
        ("busy", vec![Fault::on("/").status(503)]),
        ("broken", vec![Fault::on("/").status(500).error_body(ErrorBody::Html)]),
        ("refuses", vec![Fault::on("/admin").status(401), Fault::on("/storage").status(401)]),
        ("lacks", vec![Fault::on("/storage").status(404)]),
        ("html", vec![Fault::on("/").html()]),
        ("empty", vec![Fault::on("/").empty_body()]),
        ("cuts", vec![Fault::on("/").cut_body()]),
        ("garbles", vec![Fault::on("/").invalid_json()]),
        ("mistypes", vec![Fault::on("/").wrong_content_type()]),
        ("repeats", vec![Fault::on("/admin/jobs").repeated_cursor()]),
        ("endless", vec![Fault::on("/admin/jobs").endless_pages()]),
        ("midway", vec![Fault::on("/admin/jobs").from_page(2).status(500)]),
    ]
}

fn is_of_jobs(name: &str) -> bool {
    expected::WINDOWED.contains(&name)
}

fn dead_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], support::process::port()))
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_site_is_complete_at_once_beside_failing_ones() {
    let healthy = simulate(world(1)).await;
    let mut others: Vec<Simulator> = Vec::new();
    let mut config = Config::new().site("healthy", &healthy);
    for (name, faults) in misbehaviours() {
        let simulator = simulate(world(2)).await;
        for fault in faults {
            simulator.faults().add(fault);
        }
        config = config.site(name, &simulator);
        others.push(simulator);
    }
    let config = config.site_at("dead", dead_address(), "apiKey: k");
    let started = Instant::now();
    let agent = Agent::start(&config).await;
    let page = agent.first_samples("healthy").await;
    // A liveness bound: the hanging ones would take 30 s each.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let expected = expected::jobs(&healthy.truth(), "healthy", NOON - DAY, NOON);
    assert_same(&page.of_site("healthy", is_of_jobs), &expected);
    assert_eq!(agent.get("/health").await.status(), 200);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn misbehaviour_is_an_error_of_its_kind_never_a_number() {
    let expected = [
        ("closes", "jobs", "connect"),
        ("broken", "jobs", "server_error"),
        ("refuses", "jobs", "unauthorized"),
        ("refuses", "storage", "unauthorized"),
        ("lacks", "storage", "not_found"),
        ("html", "storage", "body"),
        ("empty", "jobs", "body"),
        ("garbles", "storage", "body"),
        ("mistypes", "storage", "body"),
        ("repeats", "jobs", "paging"),
        ("midway", "jobs", "server_error"),
    ];
    let mut simulators = Vec::new();
    let mut config = Config::new();
    let wanted = |name: &str| expected.iter().any(|(site, ..)| *site == name);
    for (name, faults) in misbehaviours().into_iter().filter(|(name, _)| wanted(name)) {
        let simulator = simulate(world(2)).await;
        for fault in faults {
            simulator.faults().add(fault);
        }
        config = config.site(name, &simulator);
        simulators.push(simulator);
    }
    let agent = Agent::start(&config).await;
    for (site, collector, kind) in expected {
        let error = [("site", site), ("collector", collector), ("kind", kind)];
        let page = agent
            .scrape_until(&format!("{error:?}"), |page| {
                page.value("nbu_agent_collector_errors_total", &error).is_some_and(|n| n >= 1.0)
            })
            .await;
        let up = page.value("nbu_agent_collector_up", &error[..2]);
        assert_eq!(up, Some(0.0), "{site} {collector}");
    }
    let page = agent.scrape().await;
    for site in ["repeats", "midway"] {
        let finished = page.of_site(site, |name| name == "nbu_jobs_count");
        assert!(finished.is_empty(), "{site}: half a window is no window: {finished:?}");
    }
    let landing = agent.get("/").await.text().await.unwrap();
    assert!(landing.contains("check apiKey"), "the landing page says what to mend");
    assert!(!landing.contains("nbu-sim-key"), "no secret on the landing page");
    assert!(!page.text().contains("nbu-sim-key"), "no secret in the metrics");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_and_finished_job_walks_fail_separately() {
    let simulator = simulate(world(9)).await;
    // The third request for jobs and later: by then the live jobs, of one page, are read.
    simulator.faults().add(Fault::on("/admin/jobs").from_page(2).status(500));
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    let failed = [("site", "paris"), ("collector", "jobs")];
    let page = agent
        .scrape_until("the jobs failed", |page| {
            page.value("nbu_agent_collector_up", &failed) == Some(0.0)
        })
        .await;
    assert!(page.of_site("paris", |name| name == "nbu_jobs_count").is_empty());
    let live = page.of_site("paris", |name| name == "nbu_jobs_queued_count");
    assert!(!live.is_empty(), "the live jobs are there");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_collector_keeps_samples_until_stale() {
    let simulator = simulate(world(9)).await;
    let config = Config::new()
        .server("collectionInterval: 150ms, cacheTTL: 150ms, staleAfter: 2s, scrapingInterval: 24h")
        .site("paris", &simulator);
    let agent = Agent::start(&config).await;
    let before = agent.first_samples("paris").await;
    simulator.faults().add(Fault::on("/").status(500));
    let down = |page: &Page| page.value("nbu_up", &[("site", "paris")]) == Some(0.0);
    let failing = agent.scrape_until("the site is down", down).await;
    assert_eq!(failing.of_site("paris", is_of_jobs), before.of_site("paris", is_of_jobs));
    let success = [("site", "paris"), ("source", "jobs")];
    let since = |page: &Page| page.value("nbu_last_scrape_timestamp_seconds", &success);
    assert!(since(&failing).is_some());
    let gone = |page: &Page| page.of_site("paris", is_of_jobs).is_empty();
    let stale = agent.scrape_until("the stale samples are gone", gone).await;
    assert_eq!(since(&stale), since(&failing), "its age can be alerted on");
    let of_server = |page: &Page| {
        page.of_site("paris", |name| matches!(name, "nbu_api_version" | "nbu_response_time_ms"))
    };
    assert_eq!(of_server(&failing).len(), 2);
    agent.scrape_until("the server is not told of any more", |p| of_server(p).is_empty()).await;
    assert_eq!(agent.get("/health").await.status(), 503);
    assert_eq!(agent.get("/-/healthy").await.status(), 200);
    assert_eq!(agent.get("/-/ready").await.status(), 200);
    simulator.faults().clear();
    let back = agent.first_samples("paris").await;
    assert_eq!(back.of_site("paris", is_of_jobs), before.of_site("paris", is_of_jobs));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_job_list_is_distinguished_from_an_empty_one() {
    let simulator = simulate(world(9)).await;
    simulator.set_permissions(Permissions { jobs: false, job_counts: false, ..Permissions::ALL });
    let config = Config::new()
        .server("collectionInterval: 150ms, scrapingInterval: 24h")
        .site("paris", &simulator);
    let agent = Agent::start(&config).await;
    let permitted = [("site", "paris"), ("collector", "jobs")];
    let page = agent
        .scrape_until("the permission is known to miss", |page| {
            page.value("nbu_agent_collector_permitted", &permitted) == Some(0.0)
        })
        .await;
    assert!(page.of_site("paris", is_of_jobs).is_empty(), "no zeros that lie");
    assert_eq!(page.value("nbu_agent_collector_up", &permitted), Some(0.0));
    let landing = agent.get("/").await.text().await.unwrap();
    assert!(landing.contains("|MANAGE|JOBS|"), "{landing}");
    simulator.set_permissions(Permissions::ALL);
    let page = agent.first_samples("paris").await;
    assert_eq!(page.value("nbu_agent_collector_permitted", &permitted), Some(1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_rejected_everywhere_is_not_sent_again() {
    let simulator = simulate(world(9)).await;
    simulator.set_api_key("another");
    let config = Config::new()
        .server("collectionInterval: 100ms, cacheTTL: 100ms, scrapingInterval: 24h")
        .site_at("paris", simulator.addr(), "apiKey: nbu-sim-key");
    let agent = Agent::start(&config).await;
    let refused =
        |page: &Page| page.value("nbu_agent_api_key_refused", &[("site", "paris")]) == Some(1.0);
    agent.scrape_until("the key is refused", refused).await;
    let presented = || {
        let requests = simulator.requests();
        requests.iter().filter(|request| request.authorization != Authorization::Absent).count()
    };
    let before = presented();
    let runs = [("site", "paris"), ("collector", "jobs"), ("result", "failure")];
    let cycles = |page: &Page| page.value("nbu_agent_collector_runs_total", &runs).unwrap_or(0.0);
    let now = cycles(&agent.scrape().await);
    agent.scrape_until("more cycles", |page| cycles(page) > now + 5.0).await;
    assert_eq!(presented(), before, "the key stays at home");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_records_are_counted_and_skipped() {
    let simulator = simulate(world(9)).await;
    simulator.faults().add(Fault::on("/admin/jobs").garbage_record());
    simulator.faults().add(Fault::on("/storage").null_attributes());
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    let page = agent.first_samples("paris").await;
    for collector in ["jobs", "storage"] {
        let labels = [("site", "paris"), ("collector", collector)];
        let skipped = page.value("nbu_agent_collector_unreadable_records_total", &labels);
        assert!(skipped.is_some_and(|count| count >= 1.0), "{collector}: {skipped:?}");
    }
    assert!(!page.of_site("paris", |name| name == "nbu_jobs_count").is_empty());
    assert!(!page.of_site("paris", |name| name == "nbu_disk_bytes").is_empty());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_on_two_pages_is_counted_once() {
    let simulator = simulate(world(9)).await;
    simulator.faults().add(Fault::on("/admin/jobs").duplicate_rows());
    simulator.faults().add(Fault::on("/storage").duplicate_rows());
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    let page = agent.first_samples("paris").await;
    let expected = expected::jobs(&simulator.truth(), "paris", NOON - DAY, NOON);
    assert_same(&page.of_site("paris", is_of_jobs), &expected);
    let duplicates = [("site", "paris"), ("collector", "storage")];
    let count = page.value("nbu_agent_collector_duplicate_series", &duplicates);
    assert!(count.is_some_and(|count| count >= 1.0), "{count:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_state_is_exported_as_is() {
    let simulator = simulate(world(9)).await;
    simulator.faults().add(Fault::on("/admin/jobs").unknown_enum());
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    let page = agent.first_samples("paris").await;
    let known = expected::jobs(&simulator.truth(), "paris", NOON - DAY, NOON);
    let shown = page.of_site("paris", is_of_jobs);
    assert!(shown.keys().any(|series| !known.contains_key(series)), "the new value is shown");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_sites_are_polled_beside_one_that_hangs() {
    let simulator = simulate(Settings { jobs_in_history: 50, ..world(4) }).await;
    let hanging = simulate(world(5)).await;
    hanging.faults().add(Fault::on("/").hang());
    let mut config = Config::new().site("hanging", &hanging);
    for i in 0..100 {
        config = config.site(&format!("site{i:03}"), &simulator);
    }
    let agent = Agent::start(&config).await;
    let up = |page: &Page| {
        (0..100).all(|i| page.value("nbu_up", &[("site", &format!("site{i:03}"))]) == Some(1.0))
    };
    let page = agent.scrape_until("a hundred sites up", up).await;
    assert_eq!(page.value("nbu_up", &[("site", "hanging")]), None, "nothing is known of it yet");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgraded_server_gets_its_new_version() {
    let simulator = simulate(Settings { release: nbu_sim::Release::R10_3, ..world(9) }).await;
    let config = Config::new()
        .server("collectionInterval: 150ms, cacheTTL: 150ms, scrapingInterval: 24h")
        .site("paris", &simulator);
    let agent = Agent::start(&config).await;
    let speaks = |version: &'static str| {
        move |page: &Page| {
            let labels = [("site", "paris"), ("version", version)];
            page.value("nbu_api_version", &labels) == Some(1.0)
        }
    };
    agent.scrape_until("10.0", speaks("10.0")).await;
    simulator.upgrade(nbu_sim::Release::R11_2);
    let page = agent.scrape_until("14.0", speaks("14.0")).await;
    assert!(!page.has_label("version", "10.0"));
    let polls = eventually("a poll in the new version", || async {
        let requests = simulator.requests();
        requests.iter().rev().find(|request| request.path.ends_with("/admin/jobs")).cloned()
    });
    assert_eq!(polls.await.status, 200);
    agent.stop().await;
}
