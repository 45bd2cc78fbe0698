//! A resource that a release lacks is logged once, and rechecked when there is a reason to.

use nbu_sim::{Fault, Release, Rows, Settings, Simulator};

use crate::support::resources::{ALL_ON, RESOURCES, expected, is_of_resources, since_10_5};
use crate::support::{Agent, Config, Page, simulate};
use crate::{OFTEN, about, everything, settled, small};

/// Returns the number of requests for a path.
fn asked(simulator: &Simulator, path: &str) -> usize {
    simulator.requests().iter().filter(|request| request.path == path).count()
}

/// Waits for `more` further polls of the jobs, which are polled in each cycle.
async fn cycles(agent: &Agent, more: f64) {
    let runs = [("site", "paris"), ("collector", "jobs"), ("result", "success")];
    let count = |page: &Page| page.value("nbu_agent_collector_runs_total", &runs).unwrap_or(0.0);
    let now = count(&agent.scrape().await);
    agent.scrape_until("more cycles", |page| count(page) >= now + more).await;
}

fn errors(page: &Page) -> Vec<String> {
    let errors = page.of_site("paris", |name| name == "nbu_agent_collector_errors_total");
    errors.keys().map(|series| format!("{series:?}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn resource_of_later_release_is_not_requested() {
    let simulator = simulate(Settings { release: Release::R10_3, ..small() }).await;
    let agent = Agent::start(&everything(&simulator).server(OFTEN)).await;
    let page = settled(&agent).await;
    for collector in since_10_5() {
        let of_it = |labels: &[(String, String)]| {
            labels.contains(&("collector".to_owned(), collector.to_owned()))
        };
        let about: Vec<_> = page.series().keys().filter(|(_, labels)| of_it(labels)).collect();
        assert_eq!(about.len(), 1, "{about:?}");
        assert_eq!(about[0].0, "nbu_agent_collector_supported");
    }
    cycles(&agent, 3.0).await;
    for collector in since_10_5() {
        let resource = RESOURCES.iter().find(|resource| resource.collector == collector).unwrap();
        assert_eq!(asked(&simulator, resource.path), 0, "{collector}");
    }
    assert_eq!(errors(&agent.scrape().await), [""; 0]);
    assert_eq!(agent.get("/-/ready").await.status(), 200);
    let landing = agent.get("/").await.text().await.unwrap();
    assert_eq!(
        landing.matches("not supported by this NetBackup release").count(),
        since_10_5().len()
    );
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_adds_resources_the_old_release_lacked() {
    let simulator = simulate(Settings { release: Release::R10_3, ..small() }).await;
    let agent = Agent::start(&everything(&simulator).server(OFTEN)).await;
    settled(&agent).await;
    simulator.upgrade(Release::R11_2);
    let expected = expected(&simulator.truth(), "paris", Release::R11_2);
    let same = |page: &Page| page.of_site("paris", is_of_resources) == expected;
    let page = agent.scrape_until("everything of 11.2", same).await;
    for collector in since_10_5() {
        assert_eq!(about(&page, "nbu_agent_collector_supported", collector), Some(1.0));
    }
    agent.stop().await;
}

const SLOS: &str = "/servicecatalog/slos";

/// A server that does not have the protection plans, though its version would say so.
async fn without_slos() -> (Simulator, Config, Agent) {
    let simulator = simulate(small()).await;
    simulator.faults().add(Fault::on(SLOS).status(404));
    let config = everything(&simulator).server(OFTEN);
    let agent = Agent::start(&config).await;
    let page = settled(&agent).await;
    assert_eq!(about(&page, "nbu_agent_collector_supported", "slo"), Some(0.0));
    assert_eq!(page.value("nbu_slo_count", &[("site", "paris")]), None);
    (simulator, config, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_resource_is_logged_once_without_error() {
    let (simulator, _, agent) = without_slos().await;
    cycles(&agent, 4.0).await;
    assert_eq!(asked(&simulator, SLOS), 1);
    let page = agent.scrape().await;
    assert_eq!(errors(&page), [""; 0]);
    assert_eq!(about(&page, "nbu_agent_collector_up", "slo"), None);
    assert_eq!(about(&page, "nbu_agent_collector_up", "malware"), Some(1.0));
    assert_eq!(agent.get("/-/ready").await.status(), 200);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_asks_again() {
    let (simulator, _, agent) = without_slos().await;
    simulator.faults().clear();
    cycles(&agent, 3.0).await;
    assert_eq!(asked(&simulator, SLOS), 1, "nothing was said of a change");
    simulator.upgrade(Release::R11_2);
    let there = |page: &Page| about(page, "nbu_agent_collector_supported", "slo") == Some(1.0);
    agent.scrape_until("the plans are there", there).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_that_changes_the_site_rechecks_unsupported_resources() {
    let (simulator, config, mut agent) = without_slos().await;
    agent.reload(&config).await;
    cycles(&agent, 3.0).await;
    assert_eq!(asked(&simulator, SLOS), 1, "nothing changed");
    agent.reload(&config.clone().server(&OFTEN.replace("10m", "9m"))).await;
    cycles(&agent, 3.0).await;
    assert_eq!(asked(&simulator, SLOS), 2, "and still nothing there");
    simulator.faults().clear();
    let key = "apiKey: nbu-sim-key, maxConcurrentRequests: 2";
    let other = agent.config().server(OFTEN).site_at("paris", simulator.addr(), key).with(&ALL_ON);
    agent.reload(&other).await;
    let there = |page: &Page| about(page, "nbu_agent_collector_supported", "slo") == Some(1.0);
    agent.scrape_until("another connection finds it", there).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_found_for_known_resource_keeps_samples() {
    let simulator = simulate(small()).await;
    let agent = Agent::start(&everything(&simulator).server(OFTEN)).await;
    let before = settled(&agent).await;
    simulator.faults().add(Fault::on(SLOS).status(404));
    let down = |page: &Page| about(page, "nbu_agent_collector_up", "slo") == Some(0.0);
    let page = agent.scrape_until("it fails", down).await;
    let count = |page: &Page| page.value("nbu_slo_count", &[("site", "paris")]);
    assert_eq!(count(&page), count(&before));
    assert_eq!(about(&page, "nbu_agent_collector_supported", "slo"), Some(1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_with_only_404_is_down_not_old() {
    let simulator = simulate(small()).await;
    simulator.faults().add(Fault::on("/").status(404));
    let agent = Agent::start(&everything(&simulator).server(OFTEN)).await;
    let down = |page: &Page| about(page, "nbu_agent_collector_up", "slo") == Some(0.0);
    let page = agent.scrape_until("it fails", down).await;
    assert_eq!(about(&page, "nbu_agent_collector_supported", "slo"), None);
    simulator.faults().clear();
    settled(&agent).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_filtered_by_attributes_of_the_release() {
    let filters = [
        (Release::R10_3, "malwareScanResult eq 'IMPACTED'", 4),
        (Release::R10_5, "malwareScanResult eq 'IMPACTED' and anomalyStatus eq 'IGNORED'", 28),
        (
            Release::R11_0,
            "malwareStatus eq 'INFECTION_DETECTED_BY_FILE_HASH_SEARCH' and anomalyStatus eq 'IGNORED'",
            42,
        ),
    ];
    for (release, filter, most) in filters {
        let simulator =
            simulate(Settings { release, rows: Rows::default().with("images", 600), ..small() })
                .await;
        let agent = Agent::start(&everything(&simulator)).await;
        settled(&agent).await;
        let requests = simulator.requests();
        // Those for the sizes of images under an SLP are about spans of backupTime.
        let is_count =
            |(name, value): &(String, String)| name == "filter" && !value.starts_with("backupTime");
        let images = requests.iter().filter(|request| request.path == "/catalog/images");
        let images: Vec<_> = images.filter(|request| request.query.iter().any(is_count)).collect();
        assert!(images.iter().all(|request| request.status == 200), "{release}");
        assert!(images.len() <= most, "{release}: {} requests", images.len());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert!(images.iter().any(|request| request.query.contains(&pair("filter", filter))));
        assert!(images.iter().all(|request| request.query.contains(&pair("page[limit]", "1"))));
        agent.stop().await;
    }
}
