//! A list of storage that hangs, is missing, forbidden or wrong: nothing else is delayed, hidden or falsified.

use std::collections::BTreeMap;

use nbu_sim::{Fault, Rows, Settings, Simulator};

use crate::support::expected::{assert_same, differences};
use crate::support::exposition::Series;
use crate::support::resources::expected;
use crate::support::{Agent, Page, at_once, simulate};
use crate::{POOLS, SERVERS, about, further_runs, is_of_pools, is_of_servers, often, quiet, runs};

fn truth(simulator: &Simulator, is_wanted: fn(&str) -> bool) -> BTreeMap<Series, f64> {
    let mut all = expected(&simulator.truth(), "paris", simulator.release());
    all.retain(|(name, _), _| is_wanted(name));
    all
}

/// Tells whether a metric is one of a list.
type IsOf = fn(&str) -> bool;

/// The list that is disturbed, its collector and metrics, and those of the other one.
type List = (&'static str, [&'static str; 2], [IsOf; 2]);
const LISTS: [List; 2] = [
    (POOLS, ["disk_pools", "storage_servers"], [is_of_pools, is_of_servers]),
    (SERVERS, ["storage_servers", "disk_pools"], [is_of_servers, is_of_pools]),
];

#[tokio::test(flavor = "multi_thread")]
async fn list_that_hangs_delays_no_other_collector() {
    for (path, [hangs, other], [is_hidden, is_shown]) in LISTS {
        let simulator = simulate(quiet()).await;
        simulator.faults().add(Fault::on(path).hang());
        let agent = Agent::start(&often(&simulator)).await;
        agent.first_samples("paris").await;
        for collector in ["jobs", "storage", other] {
            further_runs(&agent, collector).await;
        }
        let page = agent.scrape().await;
        assert_same(&page.of_site("paris", is_shown), &truth(&simulator, is_shown));
        assert!(page.of_site("paris", is_hidden).is_empty(), "{path}");
        assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0));
        assert!(runs(&page, hangs) < 1.0);
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_falsify_nothing() {
    at_once(LISTS.map(wrong_answers_of)).await;
}

/// Answers a list wrongly in each way.
async fn wrong_answers_of((path, [fails_now, other], [is_kept, is_shown]): List) {
    let rows = Rows::default().with("disk-pools", 24);
    let simulator = simulate(Settings { rows, ..quiet() }).await;
    // Those that fail the list, and those that it survives.
    let fails: [fn(Fault) -> Fault; 7] = [
        |fault| fault.status(404),
        |fault| fault.status(500),
        Fault::html,
        Fault::cut_body,
        Fault::invalid_json,
        Fault::empty_body,
        |fault| fault.json(r#"{"data":7}"#),
    ];
    let agent = Agent::start(&often(&simulator)).await;
    for collector in ["disk_pools", "storage_servers"] {
        further_runs(&agent, collector).await;
    }
    for fault in fails {
        simulator.faults().add(fault(Fault::on(path)));
        let down = |page: &Page| about(page, "nbu_agent_collector_up", fails_now) == Some(0.0);
        let page = agent.scrape_until(&format!("{fails_now} fails"), down).await;
        // The last good samples stay until they are stale.
        assert_eq!(
            differences(&page.of_site("paris", is_kept), &truth(&simulator, is_kept)),
            [""; 0]
        );
        assert_same(&page.of_site("paris", is_shown), &truth(&simulator, is_shown));
        assert_eq!(about(&page, "nbu_agent_collector_up", other), Some(1.0));
        assert_eq!(about(&page, "nbu_agent_collector_up", "storage"), Some(1.0));
        simulator.faults().clear();
        let up = |page: &Page| about(page, "nbu_agent_collector_up", fails_now) == Some(1.0);
        agent.scrape_until(&format!("{fails_now} is well"), up).await;
    }
    // Of rows: one is shown twice, one is no record, one has no attributes or others than it should.
    let survives: [fn(Fault) -> Fault; 4] =
        [Fault::duplicate_rows, Fault::garbage_record, Fault::null_attributes, Fault::wrong_types];
    for fault in survives {
        simulator.faults().add(fault(Fault::on(path)));
        let page = further_runs(&agent, fails_now).await;
        let page = if runs(&page, fails_now) > 0.0 { agent.scrape().await } else { page };
        let (shown, all) = (page.of_site("paris", is_kept), truth(&simulator, is_kept));
        for (series, value) in &shown {
            // Counts of volumes lose what cannot be read.
            let known = all.get(series);
            let is_less = series.0 == "nbu_disk_pool_volume_count" || known.is_none();
            assert!(is_less || known == Some(value), "{series:?} is {value}, not {known:?}");
        }
        assert!(shown.len() * 2 > all.len(), "{} of {}", shown.len(), all.len());
        simulator.faults().clear();
    }
    further_runs(&agent, fails_now).await;
    agent.stop().await;
}
