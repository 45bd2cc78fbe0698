//! Every series is the truth, in each release and as time goes by.

use std::collections::BTreeSet;
use std::time::Duration;

use nbu_sim::{Fault, Release, Settings};

use crate::support::expected::{assert_same, differences};
use crate::support::slp::{self, backlog};
use crate::support::{Agent, Page, at_once, simulate};
use crate::{busy, config, is_of_backlog, is_of_configuration};

#[tokio::test(flavor = "multi_thread")]
async fn backlog_is_the_truth_in_each_release_over_time() {
    let releases = Release::ALL.into_iter().map(|release| async move {
        let simulator = simulate(Settings { release, ..busy(5) }).await;
        let agent = Agent::start(&config(&simulator)).await;
        let mut known = BTreeSet::new();
        for _ in 0..6 {
            let truth = simulator.truth();
            known.extend(slp::busy(&truth));
            let expected = backlog(&truth, "paris", &known, |image| image.cataloged);
            let shown = |page: &Page| page.of_site("paris", is_of_backlog);
            let same = |page: &Page| differences(&shown(page), &expected).is_empty();
            let page = agent.scrape_until("the backlog of the new time", same).await;
            assert_same(&shown(&page), &expected);
            let shown = page.of_site("paris", is_of_configuration);
            assert_same(&shown, &slp::configuration(&truth, "paris"));
            simulator.clock().advance(Duration::from_secs(97 * 60));
        }
        agent.stop().await;
    });
    at_once(releases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn world_has_every_kind_of_backlog() {
    let simulator = simulate(busy(5)).await;
    let images = slp::incomplete(&simulator.truth());
    let copies: BTreeSet<_> = images.iter().flat_map(slp::waiting).collect();
    for state in ["NOT_STARTED", "IN_PROCESS", "NOT_STARTED|INACTIVE", "DEFERRED", "CANT_PROCESS"] {
        assert!(copies.iter().any(|(_, found, _)| *found == state), "{state}: {copies:?}");
    }
    assert!(copies.iter().any(|(operation, _, _)| *operation == "UNPLANNED"), "{copies:?}");
    assert!(copies.iter().any(|(_, _, retried)| *retried), "{copies:?}");
    let now = simulator.truth().server_time();
    assert!(images.iter().any(|image| image.expires_ms.is_some_and(|at| at < now)));
    assert!(images.iter().any(|image| !image.cataloged), "a backup that runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn release_without_configuration_has_the_backlog_alone() {
    let simulator = simulate(busy(5)).await;
    simulator.faults().add(Fault::on("/config/slps").status(404));
    let agent = Agent::start(&config(&simulator)).await;
    let unsupported = |page: &Page| {
        let about = |name| {
            let labels = [("site", "paris"), ("collector", name)];
            page.value("nbu_agent_collector_supported", &labels)
        };
        about("slps") == Some(0.0) && about("slp_images") == Some(1.0)
    };
    let page = agent.scrape_until("the configuration is missing", unsupported).await;
    assert!(page.of_site("paris", is_of_configuration).is_empty());
    assert!(!page.of_site("paris", |name| name == "nbu_slp_backlog_copies").is_empty());
    let page = crate::read_again(&agent).await;
    let errors = page.of_site("paris", |name| name == "nbu_agent_collector_errors_total");
    assert!(errors.is_empty(), "{errors:?}");
    let asked =
        simulator.requests().iter().filter(|request| request.path == "/config/slps").count();
    assert_eq!(asked, 1, "it is said once");
    agent.stop().await;
}
