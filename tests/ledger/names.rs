//! Single clients and policies: what is known of their last jobs, and what of it outlives the window,
//! failures and restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use nbu_sim::{Fault, Settings, Simulator};

use crate::scene::{HOUR, MINUTE, SITE, config, is_whole};
use crate::support::expected::{assert_same, differences};
use crate::support::exposition::Series;
use crate::support::names::{Kind, client_counts, is_of_names, lasts};
use crate::support::{Agent, Page, eventually, simulate, world};

const WINDOW: Duration = Duration::from_secs(2 * 3600);

fn busy(seed: u64) -> Settings {
    Settings {
        jobs_per_hour: 120.0,
        live_jobs: 20,
        jobs_in_history: 1_200,
        clients: 12,
        policies: 6,
        ..world(seed)
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

/// Everything of names that a page must have.
fn expected(
    simulator: &Simulator,
    since: i64,
    clients: impl Fn(&str) -> bool + Copy,
    literal: &[&str],
    policies: impl Fn(&str) -> bool,
    literal_policies: &[&str],
) -> BTreeMap<Series, f64> {
    let truth = simulator.truth();
    let now = truth.server_time();
    let mut all = lasts(&truth, SITE, Kind::Client, since, clients, literal);
    all.extend(lasts(&truth, SITE, Kind::Policy, since, policies, literal_policies));
    all.extend(client_counts(&truth, SITE, (now - ms(WINDOW), now), clients));
    all
}

/// Names of which nothing is known within what was read are still to be asked for, a few a poll.
async fn shows(agent: &Agent, simulator: &Simulator, expected: impl Fn() -> BTreeMap<Series, f64>) {
    let now = simulator.truth().server_time();
    let shown = || async {
        let text = agent.fresh_text().await;
        if !is_whole(&text, now) {
            return None;
        }
        let page = Page::parse(&text);
        differences(&page.of_site(SITE, is_of_names), &expected()).is_empty().then_some(())
    };
    let known =
        tokio::time::timeout(Duration::from_secs(10), eventually("what is known", shown)).await;
    if known.is_err() {
        let page = Page::parse(&agent.fresh_text().await);
        assert_same(&page.of_site(SITE, is_of_names), &expected());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn last_results_of_clients_and_policies_match_the_truth() {
    let simulator = simulate(busy(91)).await;
    let truth = simulator.truth();
    let since = truth.server_time() - ms(WINDOW + HOUR);
    let (denied, policy) = {
        let job = truth.all_jobs().find(|job| !job.client.is_empty()).unwrap();
        (job.client.to_string(), job.policy.to_string())
    };
    let collectors = format!(
        "collectors: {{ perClient: {{ enabled: true, allowlist: [\"*\", nobody.example.com], \
         denylist: [{denied}] }}, perPolicy: {{ enabled: true, allowlist: [{policy}, no-such-policy] }} }}"
    );
    let agent = Agent::start(&config(&simulator, WINDOW).with(&collectors)).await;
    let clients = |name: &str| name != denied;
    let must = || {
        // A policy that is spelt out is asked for; a client that only the glob admits as well, once it
        // was seen.
        let seen: Vec<String> = {
            let jobs = simulator.truth().all_jobs();
            let ended = jobs.filter(|job| job.end_ms.is_some_and(|end| end > since));
            ended.map(|job| job.client.to_string()).filter(|name| clients(name)).collect()
        };
        let mut literal: Vec<&str> =
            seen.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        literal.push("nobody.example.com");
        expected(
            &simulator,
            since,
            clients,
            &literal,
            |name| name == policy,
            &[&policy, "no-such-policy"],
        )
    };
    shows(&agent, &simulator, must).await;
    for minutes in [10, 35, 60] {
        simulator.clock().advance(minutes * MINUTE);
        shows(&agent, &simulator, must).await;
    }
    let page = Page::parse(&agent.fresh_text().await);
    let never = |label, name| {
        page.value(&format!("nbu_{label}_never_succeeded"), &[("site", SITE), (label, name)])
    };
    assert_eq!(
        never("client", "nobody.example.com"),
        Some(1.0),
        "an alert has something to fire on"
    );
    assert_eq!(never("policy", "no-such-policy"), Some(1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_fills_newly_selected_names_and_removes_denied_ones() {
    let simulator = simulate(busy(92)).await;
    let mut agent = Agent::start(&config(&simulator, WINDOW)).await;
    let now = simulator.truth().server_time();
    let whole = || async { is_whole(&agent.fresh_text().await, now).then_some(()) };
    eventually("the first window", whole).await;
    simulator.clock().advance(20 * MINUTE);
    // What is known of a name begins with the reading for the reload that selects it.
    let since = simulator.truth().server_time() - ms(WINDOW + HOUR);
    let names: Vec<String> = {
        let jobs = simulator.truth().all_jobs();
        let backups = jobs.filter(|job| job.job_type == "BACKUP" && !job.client.is_empty());
        let mut names: Vec<String> = backups.map(|job| job.client.to_string()).collect();
        names.sort();
        names.dedup();
        names.truncate(3);
        names
    };
    for chosen in [&names[..2], &names[1..], &[][..]] {
        let list = chosen.join(", ");
        let mut config = config(&simulator, WINDOW).with(&format!(
            "collectors: {{ perClient: {{ enabled: true, allowlist: [{list}] }} }}"
        ));
        config.port = agent.config().port;
        agent.reload(&config).await;
        let literal: Vec<&str> = chosen.iter().map(String::as_str).collect();
        let is_chosen = |name: &str| literal.contains(&name);
        let must = || expected(&simulator, since, is_chosen, &literal, |_| false, &[]);
        shows(&agent, &simulator, must).await;
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_beyond_the_limit_count_under_other() {
    let simulator = simulate(busy(93)).await;
    let collectors = "collectors: { perClient: { enabled: true, allowlist: [\"*\"], limit: 4 } }";
    let agent = Agent::start(&config(&simulator, WINDOW).with(collectors)).await;
    let now = simulator.truth().server_time();
    let page = || async {
        let text = agent.fresh_text().await;
        is_whole(&text, now).then(|| Page::parse(&text))
    };
    let page = eventually("the first window", page).await;
    let counts = page.of_site(SITE, |name| name == "nbu_client_jobs_count");
    let mut names: Vec<_> = counts
        .keys()
        .map(|(_, labels)| labels.iter().find(|(key, _)| key == "client").unwrap())
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5, "four, and the others: {names:?}");
    assert!(names.iter().any(|(_, name)| name == "other"));
    let truth = simulator.truth();
    let all = client_counts(&truth, SITE, (now - ms(WINDOW), now), |_| true);
    let (shown, expected): (f64, f64) = (counts.values().sum(), all.values().sum());
    assert!((shown - expected).abs() < 1e-9, "{shown} of {expected}: none is lost");
    let folded = page.value("nbu_agent_names_folded_total", &[("site", SITE), ("label", "client")]);
    assert!(folded.is_some_and(|folded| folded > 0.0), "{folded:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_result_survives_failures_and_restarts() {
    let kept = tempfile::tempdir().unwrap();
    let simulator =
        simulate(Settings { jobs_per_hour: 1.0, live_jobs: 1, clients: 100, ..busy(94) }).await;
    let truth = simulator.truth();
    let since = truth.server_time() - ms(WINDOW + HOUR);
    // One whose newest backup is older than what the ledger reads.
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for job in truth.all_jobs().filter(|job| job.job_type == "BACKUP" && job.status == 0) {
        let end = newest.entry(job.client.to_string()).or_default();
        *end = job.end_ms.unwrap_or(i64::MAX).max(*end);
    }
    let client = newest.into_iter().find(|(_, end)| *end < since).expect("a quiet client").0;
    let collectors = format!(
        "state: {{ directory: \"{}\" }}\ncollectors: {{ perClient: {{ enabled: true, allowlist: [{client}, \
         nobody.example.com] }} }}",
        kept.path().display()
    );
    let config = config(&simulator, WINDOW).with(&collectors);
    let literal = [client.as_str(), "nobody.example.com"];
    let must = || expected(&simulator, since, |name| name == client, &literal, |_| false, &[]);
    let agent = Agent::start(&config).await;
    shows(&agent, &simulator, must).await;
    agent.stop().await;

    // The server is away at the start: what is known is known.
    simulator.faults().add(Fault::on("/").status(503));
    let agent = Agent::start(&config).await;
    let last = || async {
        let page = Page::parse(&agent.fresh_text().await);
        let labels = [("site", SITE), ("client", client.as_str())];
        page.value("nbu_client_last_successful_backup_timestamp_seconds", &labels)
    };
    assert!(eventually("what is known by heart", last).await > 0.0);
    simulator.faults().clear();
    shows(&agent, &simulator, must).await;
    let asked = simulator.requests();
    let lookups = asked.iter().filter(|request| {
        request.parameter("filter").is_some_and(|filter| filter.contains("clientName"))
    });
    assert_eq!(lookups.count(), 2, "each name is asked for once, whatever restarts");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_in_future_hide_no_later_result() {
    let kept = tempfile::tempdir().unwrap();
    let busy = Settings { jobs_per_hour: 600.0, clients: 3, policies: 2, ..busy(95) };
    let simulator = simulate(busy).await;
    let collectors = format!(
        "state: {{ directory: \"{}\" }}\ncollectors: {{ perClient: {{ enabled: true, allowlist: [\"*\"] }}, \
         perPolicy: {{ enabled: true, allowlist: [\"*\"] }} }}",
        kept.path().display()
    );
    let config = config(&simulator, WINDOW).with(&collectors);
    let agent = Agent::start(&config).await;
    shows_newest(&agent, &simulator, simulator.truth().server_time() - ms(HOUR)).await;
    // Half an hour of jobs ends a day ahead, then the clock is right again.
    simulator.clock().set_skew_ms(24 * 3_600_000);
    let since = simulator.truth().server_time();
    simulator.clock().advance(30 * MINUTE);
    shows_newest(&agent, &simulator, since).await;
    simulator.clock().set_skew_ms(0);
    let since = simulator.truth().server_time();
    for minutes in [1, 20, 40] {
        simulator.clock().advance(minutes * MINUTE);
        shows_newest(&agent, &simulator, since).await;
    }
    agent.stop().await;
    let agent = Agent::start(&config).await;
    simulator.clock().advance(MINUTE);
    shows_newest(&agent, &simulator, since).await;
    agent.stop().await;
}

/// Waits until the newest results are those of the jobs that ended after `since`, and none lies in the
/// future.
async fn shows_newest(agent: &Agent, simulator: &Simulator, since: i64) {
    let now = simulator.truth().server_time();
    let is_newest = |name: &str| {
        ["_last_status", "_last_success_timestamp_seconds", "_last_failure_timestamp_seconds"]
            .iter()
            .any(|end| is_of_names(name) && name.ends_with(end))
    };
    let mut expected = lasts(&simulator.truth(), SITE, Kind::Client, since, |_| true, &[]);
    expected.extend(lasts(&simulator.truth(), SITE, Kind::Policy, since, |_| true, &[]));
    expected.retain(|(name, _), _| is_newest(name));
    let newest = || async {
        let text = agent.fresh_text().await;
        let mut page = Page::parse(&text).of_site(SITE, is_newest);
        let in_future = |((name, _), seconds): (&Series, &f64)| {
            name.ends_with("_seconds") && *seconds > (now + 60_000) as f64 / 1000.0
        };
        assert!(!is_whole(&text, now) || !page.iter().any(in_future), "{page:?}");
        // Older results of other types of jobs may be there still.
        page.retain(|series, _| expected.contains_key(series));
        (is_whole(&text, now) && differences(&page, &expected).is_empty()).then_some(())
    };
    eventually("the newest results", newest).await;
}
