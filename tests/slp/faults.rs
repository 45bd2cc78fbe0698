//! A server that is slow to list, lies or refuses: a backlog is shown whole or not at all, and hides nothing else.

use std::time::Duration;

use nbu_sim::{Fault, Rows, Settings, Simulator};

use crate::support::expected::{assert_same, differences};
use crate::support::slp::{self, backlog};
use crate::support::{Agent, Page, simulate};
use crate::{OFTEN, busy, config, is_of_backlog, read_again};

const LIST: &str = "/catalog/slp-images";

fn about(page: &Page, metric: &str) -> Option<f64> {
    page.value(metric, &[("site", "paris"), ("collector", "slp_images")])
}

fn shown(page: &Page) -> std::collections::BTreeMap<crate::support::exposition::Series, f64> {
    page.of_site("paris", is_of_backlog)
}

fn expected(
    simulator: &Simulator,
) -> std::collections::BTreeMap<crate::support::exposition::Series, f64> {
    let truth = simulator.truth();
    backlog(&truth, "paris", &slp::busy(&truth), |image| image.cataloged)
}

async fn is_true(agent: &Agent, simulator: &Simulator) -> Page {
    let expected = expected(simulator);
    let same = |page: &Page| differences(&shown(page), &expected).is_empty();
    let page = agent.scrape_until("the backlog", same).await;
    assert_same(&shown(&page), &expected);
    page
}

fn asked(simulator: &Simulator) -> usize {
    simulator.requests().iter().filter(|request| request.path == LIST).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_backlog_is_read_in_turns_of_45_requests() {
    let rows = Rows::default().with("slp-images", 2_000);
    let settings = Settings { rows, jobs_in_history: 1, jobs_per_hour: 0.0, ..busy(31) };
    let simulator = simulate(settings).await;
    // As many pages as 60,000 images have at 500 rows.
    simulator.faults().add(Fault::on(LIST).short_pages(16));
    let agent = Agent::start(&config(&simulator)).await;
    let page = is_true(&agent, &simulator).await;
    let runs = page.of_site("paris", |name| name == "nbu_agent_collector_runs_total");
    let of_it = |(name, value): &(String, String)| name == "collector" && value == "slp_images";
    let runs = runs.iter().filter(|((_, labels), _)| labels.iter().any(of_it));
    let runs: f64 = runs.map(|(_, count)| count).sum();
    assert!(runs >= 2.0, "{runs} runs");
    let requests = asked(&simulator) as f64;
    assert!(requests > 100.0 && requests <= 45.0 * (runs + 1.0), "{requests} in {runs} runs");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_images_take_one_run_of_45_requests() {
    let rows = Rows::default().with("slp-images", 2_000);
    let settings = Settings { rows, jobs_in_history: 1, jobs_per_hour: 0.0, ..busy(33) };
    let simulator = simulate(settings).await;
    // As many pages as 20,000 images have at 500 rows.
    simulator.faults().add(Fault::on(LIST).short_pages(50));
    // The next run comes after 15 minutes.
    let often = OFTEN.replace("cacheTTL: 50ms", "cacheTTL: 5m");
    let agent = Agent::start(&config(&simulator).server(&often)).await;
    let done = |page: &Page| about(page, "nbu_agent_collector_up") == Some(1.0);
    let page = agent.scrape_until("one run", done).await;
    let copies = |name: &str| name == "nbu_slp_backlog_copies";
    let mut all = expected(&simulator);
    all.retain(|(name, _), _| copies(name));
    assert_same(&page.of_site("paris", copies), &all);
    // The ping of the run is the 45th.
    let requests = asked(&simulator);
    assert!((40..=44).contains(&requests), "{requests} requests");
    assert!(slp::incomplete(&simulator.truth()).len() > 1_900);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_backlog_is_never_shown() {
    let rows = Rows::default().with("slp-images", 400);
    let simulator = simulate(Settings { rows, ..busy(35) }).await;
    simulator.faults().add(Fault::on(LIST).short_pages(20));
    simulator.faults().add(Fault::on(LIST).filter("'IN_PROCESS'").from_page(3).status(500));
    let agent = Agent::start(&config(&simulator)).await;
    let down = |page: &Page| about(page, "nbu_agent_collector_up") == Some(0.0);
    let page = agent.scrape_until("it fails", down).await;
    assert!(shown(&page).is_empty());
    // It goes on where it stopped.
    simulator.faults().clear();
    is_true(&agent, &simulator).await;
    // A later failure keeps what was known.
    let before = expected(&simulator);
    simulator.faults().add(Fault::on(LIST).status(500));
    simulator.clock().advance(Duration::from_secs(3600));
    let page = agent.scrape_until("it fails again", down).await;
    assert_same(&shown(&page), &before);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_cursor_ends_the_round_with_an_error() {
    let rows = Rows::default().with("slp-images", 400);
    let simulator = simulate(Settings { rows, ..busy(37) }).await;
    simulator.faults().add(Fault::on(LIST).short_pages(20));
    simulator.faults().add(Fault::on(LIST).repeated_cursor());
    let agent = Agent::start(&config(&simulator)).await;
    let failed = |page: &Page| {
        let labels = [("site", "paris"), ("collector", "slp_images"), ("kind", "paging")];
        page.value("nbu_agent_collector_errors_total", &labels) >= Some(1.0)
    };
    let page = agent.scrape_until("a paging error", failed).await;
    assert!(shown(&page).is_empty());
    simulator.faults().clear();
    is_true(&agent, &simulator).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_that_the_server_forgot_begins_the_round_anew() {
    let rows = Rows::default().with("slp-images", 2_000);
    let settings = Settings { rows, jobs_in_history: 1, jobs_per_hour: 0.0, ..busy(39) };
    let simulator = simulate(settings).await;
    simulator.faults().add(Fault::on(LIST).short_pages(40));
    // The first request of the second run.
    simulator.faults().add(Fault::on(LIST).from_request(45).times(1).status(400));
    let agent = Agent::start(&config(&simulator)).await;
    let page = is_true(&agent, &simulator).await;
    assert!(simulator.faults().struck() > 0);
    assert_eq!(about(&page, "nbu_agent_collector_up"), Some(1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_inactive_state_costs_only_its_images() {
    let simulator = simulate(busy(41)).await;
    simulator.faults().add(Fault::on(LIST).filter("INACTIVE").bad_filter());
    let agent = Agent::start(&config(&simulator)).await;
    let truth = simulator.truth();
    let copies = |name: &str| name == "nbu_slp_backlog_copies";
    let mut all = expected(&simulator);
    all.retain(|(name, _), _| copies(name));
    let active =
        slp::incomplete(&truth).into_iter().filter(|image| !image.state.ends_with("INACTIVE"));
    let active: usize = active
        .map(|image| {
            slp::waiting(&image).iter().filter(|(_, state, _)| *state != "DEFERRED").count()
        })
        .sum();
    let whole = |page: &Page| about(page, "nbu_agent_collector_up") == Some(1.0);
    let page = agent.scrape_until("the others", whole).await;
    let found = page.of_site("paris", copies);
    let sum: f64 = found.values().sum();
    assert!((sum - active as f64).abs() < f64::EPSILON, "{sum} of {active}");
    assert!(found.iter().all(|(series, value)| all.get(series).is_some_and(|all| value <= all)));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_rows_fail_nothing_and_falsify_nothing() {
    for fault in [Fault::duplicate_rows, Fault::empty_next] {
        let simulator = simulate(busy(43)).await;
        simulator.faults().add(fault(Fault::on(LIST)));
        let agent = Agent::start(&config(&simulator)).await;
        is_true(&agent, &simulator).await;
        agent.stop().await;
    }
    for fault in
        [Fault::null_attributes, Fault::wrong_types, Fault::unknown_enum, Fault::garbage_record]
    {
        let simulator = simulate(busy(45)).await;
        simulator.faults().add(fault(Fault::on(LIST)));
        let agent = Agent::start(&config(&simulator)).await;
        let up = |page: &Page| about(page, "nbu_agent_collector_up") == Some(1.0);
        agent.scrape_until("it is up", up).await;
        let page = read_again(&agent).await;
        let images = |name: &str| name == "nbu_slp_incomplete_images";
        let found: f64 = page.of_site("paris", images).values().sum();
        let all = slp::incomplete(&simulator.truth()).len() as f64;
        // The first row of each of the lists is odd.
        assert!(found >= all - 4.0 && found <= all, "{found} of {all}");
        agent.stop().await;
    }
}
