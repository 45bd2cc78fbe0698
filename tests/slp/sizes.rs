//! Sizes of backups: from jobs, from the catalogue within its budget, and across a restart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nbu_sim::{Fault, Rows, Settings, Simulator};

use crate::support::disk::Disk;
use crate::support::endpoint::Endpoint;
use crate::support::expected::{assert_same, differences};
use crate::support::exposition::Series;
use crate::support::process::{self, Desk, Signal};
use crate::support::slp::{self, backlog};
use crate::support::{Agent, Config, Page, simulate};
use crate::{OFTEN, ON, busy, config, is_of_backlog, read_again};

const IMAGES: &str = "/catalog/images";

fn asked(simulator: &Simulator, path: &str) -> usize {
    simulator.requests().iter().filter(|request| request.path == path).count()
}

fn runs(page: &Page) -> f64 {
    let runs = page.of_site("paris", |name| name == "nbu_agent_collector_runs_total");
    let of_it = |(name, value): &(String, String)| name == "collector" && value == "slp_images";
    let runs = runs.iter().filter(|((_, labels), _)| labels.iter().any(of_it));
    runs.map(|(_, count)| count).sum()
}

/// Waits until the backlog is the truth, with the sizes of these images.
async fn shows(
    agent: &Agent,
    simulator: &Simulator,
    sized: impl Fn(&nbu_sim::SlpImageView) -> bool,
) -> Page {
    let truth = simulator.truth();
    let expected = backlog(&truth, "paris", &slp::busy(&truth), sized);
    let shown = |page: &Page| page.of_site("paris", is_of_backlog);
    let same = |page: &Page| differences(&shown(page), &expected).is_empty();
    let page = agent.scrape_until("the backlog", same).await;
    assert_same(&shown(&page), &expected);
    page
}

/// Backup ids of all backups that jobs made.
fn of_jobs(simulator: &Simulator) -> BTreeSet<String> {
    simulator.truth().completions().map(|job| job.backup_id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn backlog_without_permission_for_images_lacks_only_bytes() {
    let simulator = simulate(busy(7)).await;
    simulator.deny("|MANAGE|IMAGES|");
    let agent = Agent::start(&config(&simulator)).await;
    // Jobs tell the sizes of their own backups.
    let told = of_jobs(&simulator);
    let page = shows(&agent, &simulator, |image| told.contains(&image.backup_id)).await;
    let up = [("site", "paris"), ("collector", "slp_images")];
    assert_eq!(page.value("nbu_agent_collector_up", &up), Some(1.0));
    assert_eq!(page.value("nbu_agent_collector_permitted", &up), Some(1.0));
    read_again(&agent).await;
    assert_eq!(asked(&simulator, IMAGES), 1, "it is asked again after an hour");
    let text = page.text();
    let bytes = |operation: &str| {
        text.contains(&format!("nbu_slp_backlog_bytes{{operation=\"{operation}\""))
    };
    assert!(bytes("DUPLICATE"), "those of jobs are there");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_tell_sizes_without_a_question() {
    let simulator = simulate(busy(9)).await;
    let agent = Agent::start(&config(&simulator)).await;
    shows(&agent, &simulator, |image| image.cataloged).await;
    // Backups that end from now on are told by their jobs: the jobs are read more often than the backlog.
    simulator.faults().add(Fault::on(IMAGES).status(500));
    let known: BTreeSet<String> = simulator
        .truth()
        .slp_images()
        .into_iter()
        .filter(|image| image.cataloged)
        .map(|image| image.backup_id)
        .collect();
    simulator.clock().advance(Duration::from_secs(3 * 3600));
    let told = of_jobs(&simulator);
    let fresh = slp::incomplete(&simulator.truth());
    let fresh = fresh
        .iter()
        .filter(|image| told.contains(&image.backup_id) && !known.contains(&image.backup_id));
    assert!(fresh.count() > 10, "backups of the last three hours wait for copies");
    let truth = simulator.truth();
    let expected = backlog(&truth, "paris", &slp::busy(&truth), |image| {
        told.contains(&image.backup_id) || known.contains(&image.backup_id)
    });
    let bytes = |name: &str| name == "nbu_slp_backlog_bytes";
    let expected: std::collections::BTreeMap<Series, f64> =
        expected.into_iter().filter(|((name, _), _)| bytes(name)).collect();
    let same = |page: &Page| differences(&page.of_site("paris", bytes), &expected).is_empty();
    agent.scrape_until("the bytes of the new backups", same).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn catalogue_is_read_within_its_budget_to_the_end() {
    let rows = Rows::default().with("images", 900).with("slp-images", 300);
    let simulator = simulate(Settings { rows, ..busy(11) }).await;
    // More pages than two runs may read.
    simulator.faults().add(Fault::on(IMAGES).short_pages(15));
    let agent = Agent::start(&config(&simulator)).await;
    let page = shows(&agent, &simulator, |image| image.cataloged).await;
    let (requests, runs) = (asked(&simulator, IMAGES) as f64, runs(&page));
    assert!(requests > 50.0, "{requests} requests: it takes several runs");
    // A run that was under way has asked, and is not counted yet.
    assert!(requests <= 25.0 * (runs + 1.0), "{requests} requests in {runs} runs");
    let known = asked(&simulator, IMAGES);
    read_again(&agent).await;
    assert_eq!(asked(&simulator, IMAGES), known, "what is known is not asked for again");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_old_images_cost_a_few_requests() {
    // The catalogue has thousands of images in the span of the backlog, which has a handful.
    let rows = Rows::default().with("images", 6_000).with("slp-images", 8);
    let simulator =
        simulate(Settings { rows, jobs_in_history: 1, jobs_per_hour: 0.0, ..busy(13) }).await;
    let agent = Agent::start(&config(&simulator)).await;
    shows(&agent, &simulator, |image| image.cataloged).await;
    let requests = asked(&simulator, IMAGES);
    assert!(requests <= 3 * 8, "{requests} requests");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn image_that_the_catalogue_lacks_is_not_looked_for_forever() {
    let simulator = simulate(busy(15)).await;
    // It answers, and has nothing.
    simulator
        .faults()
        .add(Fault::on(IMAGES).json(r#"{"data":[],"meta":{"pagination":{"count":0}}}"#));
    let agent = Agent::start(&config(&simulator)).await;
    let told = of_jobs(&simulator);
    shows(&agent, &simulator, |image| told.contains(&image.backup_id)).await;
    for _ in 0..4 {
        read_again(&agent).await;
    }
    let requests = asked(&simulator, IMAGES);
    assert!(requests <= 6, "{requests} requests for what is not there");
    read_again(&agent).await;
    assert_eq!(asked(&simulator, IMAGES), requests);
    agent.stop().await;
}

fn kept(simulator: &Simulator, folder: &Path) -> Config {
    config(simulator).with(&format!("state: {{ directory: \"{}\" }}", folder.display()))
}

/// The file of the sizes.
fn file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = entries.filter(|path| path.to_string_lossy().ends_with(".slp.saved"));
    found.next().expect("a file of sizes")
}

fn saved(page: &Page) -> Option<f64> {
    page.value("nbu_slp_state_saved", &[("site", "paris")])
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_keeps_sizes_without_a_question() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = simulate(busy(17)).await;
    let agent = Agent::start(&kept(&simulator, folder.path())).await;
    let page = shows(&agent, &simulator, |image| image.cataloged).await;
    assert_eq!(saved(&page), Some(1.0));
    agent.stop().await;
    let known: BTreeSet<String> = simulator
        .truth()
        .slp_images()
        .into_iter()
        .filter(|image| image.cataloged)
        .map(|image| image.backup_id)
        .collect();
    simulator.clock().advance(Duration::from_secs(1800));
    let before = asked(&simulator, IMAGES);
    simulator.faults().add(Fault::on(IMAGES).status(500));
    let agent = Agent::start(&kept(&simulator, folder.path())).await;
    let told = of_jobs(&simulator);
    shows(&agent, &simulator, |image| {
        told.contains(&image.backup_id) || known.contains(&image.backup_id)
    })
    .await;
    // At most for the backups that ended while nobody looked, and those that the list shows for the first time.
    assert!(asked(&simulator, IMAGES) - before <= 40, "{}", asked(&simulator, IMAGES) - before);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_file_of_sizes_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = simulate(busy(19)).await;
    let agent = Agent::start(&kept(&simulator, folder.path())).await;
    shows(&agent, &simulator, |image| image.cataloged).await;
    agent.stop().await;
    let path = file(folder.path());
    let intact = fs::read(&path).unwrap();
    let mut newer = intact.clone();
    // The first byte of the content is its version.
    newer[20] = 9;
    let sum = crc32fast::hash(&newer[20..]).to_le_bytes();
    newer[16..20].copy_from_slice(&sum);
    for (content, aside) in
        [(&b"nonsense"[..], true), (&intact[..intact.len() / 2], true), (&newer, false)]
    {
        fs::write(&path, content).unwrap();
        let agent = Agent::start(&kept(&simulator, folder.path())).await;
        let page = shows(&agent, &simulator, |image| image.cataloged).await;
        assert_eq!(saved(&page), Some(1.0));
        agent.stop().await;
        let found = fs::read_dir(folder.path()).unwrap().any(|entry| {
            let path = entry.unwrap().path();
            path.to_string_lossy().contains("aside") && fs::read(&path).unwrap() == content
        });
        assert_eq!(found, aside);
        assert_ne!(fs::read(&path).unwrap(), content, "it is written again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_costs_no_number_of_the_backlog() {
    let simulator = simulate(busy(21)).await;
    let config = process::config().server(OFTEN).site("paris", &simulator).with(ON);
    let config = config.with("state: { directory: kept }");
    let desk = Desk::with(&config.yaml());
    let disk = Disk::new(&desk, "kept");
    let environment = disk.environment();
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // No space left on the device.
    disk.disturb(&["write=28"]);
    let mut agent = desk.start_in(&["--config", "config.yaml"], &environment);
    let endpoint = Endpoint::on(config.port);
    let truth = simulator.truth();
    let expected = backlog(&truth, "paris", &slp::busy(&truth), |image| image.cataloged);
    let shown = |page: &Page| page.of_site("paris", is_of_backlog);
    let same =
        |page: &Page| saved(page) == Some(0.0) && differences(&shown(page), &expected).is_empty();
    let page = endpoint.until(&mut agent, "the backlog, not saved", same).await;
    assert_same(&shown(&page), &expected);
    disk.heal();
    endpoint.until(&mut agent, "sizes are saved", |page| saved(page) == Some(1.0)).await;
    assert!(fs::metadata(file(&desk.path("kept"))).unwrap().len() > 100);
    let said = agent.end_by(Signal::TERM).await.all();
    let cannot = said.matches("cannot read or save the sizes").count();
    assert_eq!(cannot, 1, "it is said once: {said}");
}
