//! Tape over time, and without the types of the pools.

use std::collections::BTreeMap;
use std::time::Duration;

use nbu_sim::{Fault, Release, Rows, Settings, Simulator};

use crate::support::expected::{assert_same, differences};
use crate::support::exposition::Series;
use crate::support::resources::expected;
use crate::support::{Agent, Page, simulate};
use crate::{OFTEN, about, everything, settled, small};

const POOLS: &str = "/storage/tape-volume-pools";

async fn simulate_tapes() -> Simulator {
    simulate(Settings { rows: Rows::default().with("tapes", 120), ..small() }).await
}

fn is_of_tape(name: &str) -> bool {
    name.starts_with("nbu_tape_")
}

fn truth(simulator: &Simulator) -> BTreeMap<Series, f64> {
    let mut series = expected(&simulator.truth(), "paris", Release::R11_0);
    series.retain(|(name, _), _| is_of_tape(name));
    series
}

fn asked(simulator: &Simulator, path: &str) -> usize {
    simulator.requests().iter().filter(|request| request.path == path).count()
}

fn scratch(page: &Page) -> BTreeMap<Series, f64> {
    page.of_site("paris", |name| name.starts_with("nbu_tape_scratch_"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tapes_that_freeze_or_are_taken_show_with_time() {
    let simulator = simulate_tapes().await;
    let agent = Agent::start(&everything(&simulator).server(OFTEN)).await;
    let first = scratch(&settled(&agent).await);
    let mut last = BTreeMap::new();
    for _ in 0..3 {
        simulator.clock().advance(Duration::from_secs(20 * 3600));
        let expected = truth(&simulator);
        let same =
            |page: &Page| differences(&page.of_site("paris", is_of_tape), &expected).is_empty();
        last = scratch(&agent.scrape_until("the tapes as they are", same).await);
    }
    assert!(last.values().sum::<f64>() < first.values().sum());
    assert!(first.keys().all(|series| last.contains_key(series)), "{last:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tapes_are_counted_without_the_types_of_pools() {
    let simulator = simulate_tapes().await;
    simulator.deny("|STORAGE|TAPE-MEDIA|VOLUME-POOLS|");
    // Hourly, beside polls several times a second.
    let seldom = OFTEN.replace("cacheTTL: 150ms", "cacheTTL: 5m");
    let agent = Agent::start(&everything(&simulator).server(&seldom)).await;
    let denied =
        |page: &Page| about(page, "nbu_agent_collector_permitted", "tape_pools") == Some(0.0);
    agent.scrape_until("the pools are forbidden", denied).await;
    let counted = |page: &Page| about(page, "nbu_agent_collector_up", "tape_media").is_some();
    let page = agent.scrape_until("the tapes are counted", counted).await;
    let mut expected = truth(&simulator);
    expected.retain(|(name, _), _| {
        !name.starts_with("nbu_tape_scratch_") && !name.starts_with("nbu_tape_pool_")
    });
    assert_same(&page.of_site("paris", is_of_tape), &expected);
    assert_eq!(about(&page, "nbu_agent_collector_up", "tape_media"), Some(1.0));
    assert_eq!(about(&page, "nbu_agent_collector_permitted", "tape_media"), Some(1.0));
    let runs = |page: &Page| {
        let labels = [("site", "paris"), ("collector", "tape_pools"), ("result", "failure")];
        page.value("nbu_agent_collector_runs_total", &labels).unwrap_or(0.0)
    };
    agent.scrape_until("the pools are asked for again", |page| runs(page) >= 5.0).await;
    assert_eq!(asked(&simulator, "/storage/tape-media"), 2, "the pages of one walk");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_that_fail_leave_the_last_scratch_tapes() {
    let simulator = simulate_tapes().await;
    let agent = Agent::start(&everything(&simulator).server(OFTEN)).await;
    let before = scratch(&settled(&agent).await);
    assert!(!before.is_empty());
    simulator.faults().add(Fault::on(POOLS).status(500));
    let down = |page: &Page| about(page, "nbu_agent_collector_up", "tape_media") == Some(0.0);
    let page = agent.scrape_until("the types of pools are missed", down).await;
    assert_eq!(scratch(&page), before);
    simulator.clock().advance(Duration::from_secs(20 * 3600));
    let counted = |page: &Page| {
        let counts = |name: &str| name.starts_with("nbu_tape_media_");
        let mut expected = truth(&simulator);
        expected.retain(|(name, _), _| counts(name));
        page.of_site("paris", counts) == expected
    };
    let page = agent.scrape_until("the tapes are counted", counted).await;
    assert_eq!(scratch(&page), before, "of a time when the types were known");
    simulator.faults().clear();
    let same = |page: &Page| page.of_site("paris", is_of_tape) == truth(&simulator);
    agent.scrape_until("all is well again", same).await;
    agent.stop().await;
}
