//! `once`: the numbers on standard output, what is wrong on standard error.

use nbu_sim::{Fault, Simulator};

use crate::process::{Desk, Ended, Refusing, config};
use crate::support::expected::{self, assert_same};
use crate::support::{NOON, Page, simulate, world};

const DAY: i64 = 24 * 3_600_000;

fn is_of_jobs(name: &str) -> bool {
    expected::WINDOWED.contains(&name)
}

/// Holds what is printed of a site's jobs against what is true.
fn assert_jobs(page: &Page, simulator: &Simulator, site: &str) {
    let expected = expected::jobs(&simulator.truth(), site, NOON - DAY, NOON);
    assert!(expected.keys().any(|(name, _)| name == "nbu_jobs_count"));
    assert_same(&page.of_site(site, is_of_jobs), &expected);
}

/// Reads what was printed; anything but an exposition, a line of a log say, fails.
fn page(ended: &Ended) -> Page {
    assert!(!ended.stdout.contains("nbu_otel_agent::"), "{}", ended.stdout);
    Page::parse(&ended.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn once_prints_the_truth_of_a_healthy_site() {
    let paris = simulate(world(7)).await;
    let desk = Desk::with(&config().site("paris", &paris).yaml());
    let ended = desk.run(&["once", "--config", "config.yaml"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let page = page(&ended);
    assert_jobs(&page, &paris, "paris");
    assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0));
    assert!(!ended.all().contains(&paris.settings().api_key));
}

#[tokio::test(flavor = "multi_thread")]
async fn once_fails_for_one_site_and_prints_the_other() {
    let (paris, tokyo) = (simulate(world(7)).await, simulate(world(8)).await);
    tokyo.faults().add(Fault::on("/storage").status(404));
    let lima = Refusing::new();
    let config = config()
        .site("paris", &paris)
        .site("tokyo", &tokyo)
        .site_at("lima", lima.address(), "apiKey: Zx9PlantedKey")
        .yaml();
    let ended = Desk::with(&config).run(&["--debug", "once", "--config", "config.yaml"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert!(ended.stderr.contains("DEBUG"), "{}", ended.stderr);
    for (complaint, hint) in [
        ("tokyo/storage: ", "404 Not Found"),
        ("tokyo/storage: ", "this NetBackup release may not have this resource; check uri, too"),
        ("lima/jobs: ", "check host and port"),
        ("lima/storage: ", "check host and port"),
    ] {
        let told = |line: &str| line.starts_with(complaint) && line.contains(hint);
        assert!(ended.stderr.lines().any(told), "{complaint}{hint} in\n{}", ended.stderr);
    }
    assert!(!ended.stderr.lines().any(|line| line.starts_with("paris/")), "{}", ended.stderr);
    let page = page(&ended);
    assert_jobs(&page, &paris, "paris");
    assert_jobs(&page, &tokyo, "tokyo");
    assert_eq!(page.value("nbu_up", &[("site", "lima")]), Some(0.0));
    assert!(page.of_site("lima", is_of_jobs).is_empty());
    assert!(!ended.all().contains("Zx9PlantedKey"));
}
