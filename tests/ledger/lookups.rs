//! Successful backups beyond the window: what is asked for, how often, and what is made of answers that
//! fail, come late, or lie in the future.

use std::collections::BTreeSet;
use std::time::Duration;

use nbu_sim::{Fault, Settings, Simulator};

use crate::scene::{HOUR, MINUTE, SITE, config, is_whole};
use crate::support::{Agent, Page, eventually, simulate, world};

const DAY: Duration = Duration::from_secs(86_400);

/// A server that is quiet, so that most clients have their last backup beyond the window.
fn quiet(seed: u64) -> Settings {
    Settings {
        jobs_per_hour: 6.0,
        live_jobs: 1,
        jobs_in_history: 12_000,
        clients: 250,
        policies: 6,
        ..world(seed)
    }
}

/// Clients with a successful backup that ended before the present by more than `age`, and none since.
fn clients_with_old_backups(simulator: &Simulator, age: Duration) -> BTreeSet<String> {
    let truth = simulator.truth();
    let since = truth.server_time() - i64::try_from(age.as_millis()).unwrap();
    let backups = || {
        truth
            .all_jobs()
            .filter(|job| job.job_type == "BACKUP" && job.status == 0 && !job.client.is_empty())
    };
    let recent: BTreeSet<_> = backups()
        .filter(|job| job.end_ms.is_none_or(|end| end > since))
        .map(|job| job.client)
        .collect();
    backups()
        .map(|job| job.client)
        .filter(|name| !recent.contains(name))
        .map(|name| name.to_string())
        .collect()
}

fn per_client(simulator: &Simulator, names: &[String]) -> crate::support::Config {
    config(simulator, HOUR).with(&format!(
        "collectors: {{ perClient: {{ enabled: true, allowlist: [{}] }} }}",
        names.join(", ")
    ))
}

fn never(page: &Page, client: &str) -> Option<f64> {
    page.value("nbu_client_never_succeeded", &[("site", SITE), ("client", client)])
}

/// Returns the number of look-ups of a client.
fn asked_for(simulator: &Simulator, client: &str) -> usize {
    let quoted = format!("clientName eq '{client}'");
    let requests = simulator.requests();
    let asks = |filter: &str| filter.contains(&quoted);
    requests.iter().filter(|request| request.parameter("filter").is_some_and(asks)).count()
}

async fn until(agent: &Agent, what: &str, done: impl Fn(&Page) -> bool) -> Page {
    eventually(what, || async {
        let page = Page::parse(&agent.fresh_text().await);
        done(&page).then_some(page)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_and_slow_names_starve_no_other() {
    for fault in [
        |fault: Fault| fault.status(500),
        |fault: Fault| fault.close_connection(),
        |fault: Fault| fault.hang(),
    ] {
        let simulator = simulate(quiet(71)).await;
        let names: Vec<_> = clients_with_old_backups(&simulator, 2 * HOUR).into_iter().collect();
        assert!(names.len() >= 25, "{}", names.len());
        // The first ones in the order of names: they are asked for first.
        for name in &names[..3] {
            simulator.faults().add(fault(Fault::on("/admin/jobs").filter(&format!("'{name}'"))));
        }
        let agent = Agent::start(&per_client(&simulator, &names)).await;
        let others = |page: &Page| names[3..].iter().all(|name| never(page, name) == Some(0.0));
        let page = until(&agent, "all others are known", others).await;
        assert!(names[..3].iter().all(|name| never(&page, name).is_none()));
        simulator.faults().clear();
        let all = |page: &Page| names.iter().all(|name| never(page, name) == Some(0.0));
        until(&agent, "those that failed are asked again", all).await;
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_is_found_in_any_spelling_of_allowlist() {
    let simulator = simulate(quiet(72)).await;
    let listed: Vec<_> =
        clients_with_old_backups(&simulator, 2 * HOUR).into_iter().take(5).collect();
    let spelt: Vec<_> = listed.iter().map(|name| name.to_ascii_uppercase()).collect();
    assert_ne!(listed, spelt);
    let agent = Agent::start(&per_client(&simulator, &spelt)).await;
    let known = |page: &Page| spelt.iter().all(|name| never(page, name).is_some());
    let page = until(&agent, "the answers", known).await;
    for name in &spelt {
        assert_eq!(never(&page, name), Some(0.0), "{name} has a backup");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fruitless_lookup_is_repeated_a_day_later() {
    let kept = tempfile::tempdir().unwrap();
    let simulator = simulate(quiet(73)).await;
    let name = "nobody.example.com";
    let config = per_client(&simulator, &[name.to_owned()])
        .with(&format!("state: {{ directory: \"{}\" }}", kept.path().display()));
    let agent = Agent::start(&config).await;
    until(&agent, "the answer", |page| never(page, name) == Some(1.0)).await;
    assert_eq!(asked_for(&simulator, name), 1);
    simulator.clock().advance(DAY.saturating_sub(MINUTE));
    let now = simulator.truth().server_time();
    let whole = || async { is_whole(&agent.fresh_text().await, now).then_some(()) };
    eventually("a poll just before", whole).await;
    assert_eq!(asked_for(&simulator, name), 1);
    agent.stop().await;
    let agent = Agent::start(&config).await;
    until(&agent, "it is remembered", |page| never(page, name) == Some(1.0)).await;
    simulator.clock().advance(2 * MINUTE);
    let again = || async { (asked_for(&simulator, name) == 2).then_some(()) };
    eventually("it is asked again", again).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_lookup_exports_nothing() {
    let simulator = simulate(quiet(74)).await;
    let names: Vec<_> =
        clients_with_old_backups(&simulator, 2 * HOUR).into_iter().take(4).collect();
    simulator
        .faults()
        .add(Fault::on("/admin/jobs").filter(&format!("'{}'", names[0])).bad_filter());
    let agent = Agent::start(&per_client(&simulator, &names)).await;
    let others = |page: &Page| names[1..].iter().all(|name| never(page, name) == Some(0.0));
    let page = until(&agent, "the others are known", others).await;
    assert_eq!(never(&page, &names[0]), None, "a refusal is not a no");
    // The run that audits what was filled ends later than the samples show.
    let of_jobs = [("site", SITE), ("collector", "jobs")];
    let is_up = |page: &Page| page.value("nbu_agent_collector_up", &of_jobs) == Some(1.0);
    let page = until(&agent, "the run has ended well", is_up).await;
    assert_eq!(never(&page, &names[0]), None, "a refusal is not a no");
    agent.stop().await;
}
