//! Every number that is exported is the simulator's truth, for each release.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use nbu_sim::{Batch, Cause, Release, Settings};
use support::details;
use support::expected::{self, assert_same, differences};
use support::exposition::Series;
use support::{Agent, Config, NOON, Page, http_client, simulate, world};

const DAY: i64 = 24 * 3_600_000;

fn is_of_jobs(name: &str) -> bool {
    expected::WINDOWED.contains(&name)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_of_a_site_is_the_truth() {
    for release in Release::ALL {
        let simulator = simulate(Settings { release, ..world(7) }).await;
        let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
        let page = agent.first_samples("paris").await;
        let truth = simulator.truth();
        assert_same(
            &page.of_site("paris", is_of_jobs),
            &expected::jobs(&truth, "paris", NOON - DAY, NOON),
        );
        assert_same(
            &page.of_site("paris", expected::is_of_storage),
            &expected::storage(&truth, "paris"),
        );
        let info = page.of_site("paris", |name| name == "nbu_storage_info");
        assert_eq!(info.len(), truth.storage_units().len());
        assert!(info.values().all(|value| (value - 1.0).abs() < f64::EPSILON));
        let version = [("site", "paris"), ("version", release.api_version())];
        assert_eq!(page.value("nbu_api_version", &version), Some(1.0));
        assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0));
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_follow_the_world_over_time() {
    let simulator = simulate(Settings { jobs_per_hour: 240.0, ..world(11) }).await;
    let config = Config::new()
        .server("scrapingInterval: 2h, collectionInterval: 200ms, cacheTTL: 200ms")
        .site("paris", &simulator);
    let agent = Agent::start(&config).await;
    agent.first_samples("paris").await;
    for _ in 0..5 {
        simulator.clock().advance(Duration::from_secs(40 * 60));
        let truth = simulator.truth();
        let now = truth.server_time();
        let expected = expected::jobs(&truth, "paris", now - 2 * 3_600_000, now);
        let same =
            |page: &Page| differences(&page.of_site("paris", is_of_jobs), &expected).is_empty();
        let page = agent.scrape_until("the world of the new time", same).await;
        assert_same(&page.of_site("paris", is_of_jobs), &expected);
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn window_is_of_the_servers_time_despite_skew() {
    for skew in [-3_600_000, 3_600_000] {
        let simulator = simulate(world(5)).await;
        simulator.clock().set_skew_ms(skew);
        let config = Config::new()
            .server("scrapingInterval: 6h, collectionInterval: 300s")
            .site("paris", &simulator);
        let agent = Agent::start(&config).await;
        let page = agent.first_samples("paris").await;
        let truth = simulator.truth();
        let now = truth.server_time();
        let expected = expected::jobs(&truth, "paris", now - 6 * 3_600_000, now);
        assert_same(&page.of_site("paris", is_of_jobs), &expected);
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_world_exports_zeros_only_for_closed_sets() {
    let simulator = simulate(Settings {
        jobs_in_history: 0,
        jobs_per_hour: 0.0,
        live_jobs: 0,
        storage_units: 0,
        ..world(3)
    })
    .await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    let page = agent.first_samples("paris").await;
    let expected = expected::jobs(&simulator.truth(), "paris", NOON - DAY, NOON);
    assert_same(&page.of_site("paris", is_of_jobs), &expected);
    assert!(page.of_site("paris", expected::is_of_storage).is_empty());
    let permitted = [("site", "paris"), ("collector", "jobs")];
    assert_eq!(page.value("nbu_agent_collector_permitted", &permitted), Some(1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_types_are_renamed_where_the_configuration_says_so() {
    let simulator = simulate(world(7)).await;
    let config = Config::new()
        .site("paris", &simulator)
        .with("collectors: { jobs: { actionNames: { DUPLICATE: DUPLICATION } } }");
    let agent = Agent::start(&config).await;
    let page = agent.first_samples("paris").await;
    assert!(page.has_label("action", "DUPLICATION"));
    assert!(!page.has_label("action", "DUPLICATE"));
    agent.stop().await;
}

/// Returns the series that are not zero, of those that `wanted` takes.
fn present(page: &Page, wanted: impl Fn(&str) -> bool) -> BTreeMap<Series, f64> {
    let mut all = page.of_site("paris", wanted);
    all.retain(|_, value| *value != 0.0);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn details_of_jobs_are_the_truth_in_each_release() {
    support::at_once(Release::ALL.map(details_of_jobs_are_the_truth)).await;
}

async fn details_of_jobs_are_the_truth(release: Release) {
    let settings = Settings {
        release,
        jobs_per_hour: 500.0,
        false_greens: 0.05,
        stalled_jobs: 3,
        long_lived_jobs: 4,
        ..world(17)
    };
    let simulator = simulate(settings).await;
    let config = Config::new()
        .server("scrapingInterval: 24h, collectionInterval: 200ms, cacheTTL: 200ms")
        .site("paris", &simulator)
        .with(
            "collectors: { perPolicy: { enabled: true, allowlist: ['*'] }, \
             perWorkload: { enabled: true, allowlist: ['*'], limit: 100000 } }",
        );
    let agent = Agent::start(&config).await;
    agent.first_samples("paris").await;
    let (begun, first) = (simulator.clock().world_ms(), simulator.truth().server_time());
    for _ in 0..3 {
        simulator.clock().advance(Duration::from_secs(25 * 60));
        let truth = simulator.truth();
        let expected = details::counted(&truth, "paris", begun);
        let same = |page: &Page| {
            let shown = present(page, |name| details::COUNTED.contains(&name));
            differences(&shown, &expected).is_empty()
        };
        let page = agent.scrape_until("the counters of the new time", same).await;
        let shown = present(&page, |name| details::LIVE.contains(&name));
        assert_same(&shown, &details::live(&truth, "paris", first));
        let shown = page.of_site("paris", details::is_by_class);
        assert_same(&shown, &details::by_class(&truth, "paris", first - DAY));
        let shown = page.of_site("paris", |name| name.starts_with("nbu_catalog_backup_"));
        assert_same(&shown, &details::catalogue(&truth, "paris", first - DAY));
        for (series, jobs) in details::false_greens(&truth, "paris", begun) {
            assert_eq!(page.series().get(&series), Some(&jobs), "{series:?}");
        }
    }
    // Many backups of several policies fail for one cause, most of them on one media server.
    let servers = ["media2.example.com"; 4].into_iter().chain(["media3.example.com"]);
    for (policy, server) in (0..5).zip(servers) {
        let jobs = if policy == 0 { 200 } else { 60 };
        let down = Batch::of(jobs).cause(Cause::StorageDown).media_server(server);
        simulator.submit(&down.policy(policy).client(u32::from(policy)));
    }
    simulator.clock().advance(Duration::from_secs(25 * 60));
    let truth = simulator.truth();
    let expected = details::clusters(&truth, "paris");
    assert!(!expected.is_empty(), "most of the hour's failures have a cause in common");
    let shown = |page: &Page| page.of_site("paris", |name| name == "nbu_failure_cluster");
    let same = |page: &Page| differences(&shown(page), &expected).is_empty();
    let page = agent.scrape_until("the clusters", same).await;
    assert_same(&shown(&page), &expected);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_each_status_is_asked_for_once() {
    for release in Release::ALL {
        let simulator = simulate(Settings { release, ..world(19) }).await;
        let config = Config::new()
            .server("scrapingInterval: 24h, collectionInterval: 50ms, cacheTTL: 1s")
            .site("paris", &simulator);
        let agent = Agent::start(&config).await;
        let truth = simulator.truth();
        let window: Vec<_> = truth.jobs_ended(NOON - DAY, NOON).collect();
        let codes = details::statuses(&window);
        let asked = |page: &Page| -> f64 {
            let requests = page.of_site("paris", |name| name == "nbu_agent_api_requests_total");
            let of_codes = requests
                .iter()
                .filter(|((_, labels), _)| labels.iter().any(|(_, value)| value == "status_codes"));
            of_codes.map(|(_, count)| count).sum()
        };
        let page = agent.scrape_until("all codes", |page| asked(page) >= codes.len() as f64).await;
        let all_told = |page: &Page| {
            let infos = page.of_site("paris", |name| name == "nbu_status_info");
            infos.len() == codes.len()
        };
        assert!(all_told(&page), "one series for each code");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let page = agent.scrape().await;
        assert!(
            (asked(&page) - codes.len() as f64).abs() < f64::EPSILON,
            "each was asked for once"
        );
        let has_path = matches!(release, Release::R10_5 | Release::R11_0);
        for code in codes {
            let address = format!("http://{}/netbackup/status-codes/{code}", simulator.addr());
            let key = Settings::default().api_key;
            let media = format!("application/vnd.netbackup+json;version={}", release.api_version());
            let request = http_client().get(address).header("Authorization", key);
            let request = request.header("Accept", media);
            let answer = request.send().await.unwrap().text().await.unwrap();
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            let message = answer["data"]["attributes"]["statusMessage"].as_str();
            assert_eq!(message.is_some(), has_path, "{release} {code}: {answer}");
            if let Some(message) = message {
                assert!(page.has_label("text", message), "{release} {code}: {message}");
            }
        }
        agent.stop().await;
    }
}

/// The page with what differs from run to run replaced, so that the rest can be compared whole.
fn stable(page: &Page) -> String {
    let moving = [
        "process_",
        "nbu_agent_api_request_duration_seconds",
        "nbu_agent_build_info",
        "nbu_agent_config_info",
        "nbu_agent_render",
        "nbu_agent_scrapes",
        "nbu_agent_tasks",
        "nbu_exporter_build_info",
        "nbu_response_time_ms",
    ];
    let mut text = String::new();
    for line in page.text().lines() {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        if name.ends_with("_bucket") {
            continue;
        }
        let varies = moving.iter().any(|prefix| name.starts_with(prefix))
            || name.ends_with("_timestamp_seconds")
            || name == "nbu_agent_collector_duration_seconds"
            // A ping more where two collectors negotiate the version at once.
            || line.contains("resource=\"ping\"");
        match line.rsplit_once(' ') {
            // Its labels differ too: versions, hashes.
            Some(_) if name.ends_with("_info") && varies => {
                text.extend([name, "{<varies>} 1\n"]);
            }
            Some((series, _)) if varies => text.extend([series, " <varies>\n"]),
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_page_matches_its_snapshot() {
    for release in Release::ALL {
        let simulator = simulate(Settings {
            release,
            jobs_in_history: 40,
            live_jobs: 6,
            storage_units: 7,
            ..world(42)
        })
        .await;
        let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
        agent.first_samples("paris").await;
        let page = agent.first_samples("paris").await;
        assert!(!page.text().contains("=\"\""), "Prometheus drops an empty label");
        insta::assert_snapshot!(format!("page_{release}"), stable(&page));
        agent.stop().await;
    }
}
