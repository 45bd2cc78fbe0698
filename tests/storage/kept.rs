//! The nights outlive restarts, reloads, and disks that are full or damaged.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::disk::Disk;
use crate::support::endpoint::Endpoint;
use crate::support::process::{self, Desk};
use crate::support::{Agent, Page, simulate};
use crate::walk::{Walk, site};
use crate::{OFTEN, further_runs, is_of_pools, often, runs};

/// Minutes between the polls of a day, from 21:00 on, when the clock of Tokyo starts: at the end of the night, after
/// noon, after the decision, and in the evening.
const POLLS: [u64; 4] = [570, 345, 150, 375];

fn saved(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut documents = entries.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.contains("disk_pools") && name.ends_with(".saved")
    });
    documents.next().expect("a document of the pools")
}

#[tokio::test]
async fn restart_at_any_hour_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut walk = Walk::begin(site("Asia/Tokyo"), Some(folder.path())).await;
    walk.days(4, 120).await;
    for _ in 0..60 {
        walk.restart();
        walk.step(30).await;
    }
    // And between the decision and its end, while nobody polls.
    walk.days(1, 60).await;
    walk.restart();
    walk.step(18 * 60).await;
}

#[tokio::test]
async fn damaged_document_is_set_aside_and_nights_start_over() {
    for damage in
        [|bytes: &mut Vec<u8>| bytes[40] ^= 0x10, |bytes: &mut Vec<u8>| bytes.truncate(50)]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut walk = Walk::begin(site("Asia/Tokyo"), Some(folder.path())).await;
        walk.days(4, 120).await;
        let document = saved(folder.path());
        let mut bytes = fs::read(&document).unwrap();
        damage(&mut bytes);
        fs::write(&document, &bytes).unwrap();
        walk.restart();
        walk.oracle.forget();
        walk.step(60).await;
        let aside = fs::read_dir(folder.path())
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().contains(".aside"));
        assert!(aside, "the damaged document is there for who wants it");
        walk.days(4, 120).await;
        walk.restart();
        walk.step(60).await;
    }
}

#[tokio::test]
async fn nights_move_to_another_directory() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut walk = Walk::begin(site("Asia/Tokyo"), Some(folders[0].path())).await;
    walk.days(4, 120).await;
    walk.keep_in(Some(folders[1].path()));
    walk.step(60).await;
    walk.restart();
    walk.days(2, 120).await;
    // And back, where older nights are.
    walk.keep_in(Some(folders[0].path()));
    walk.step(60).await;
    walk.restart();
    walk.days(1, 120).await;
}

#[tokio::test]
async fn nights_on_disk_join_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut walk = Walk::begin(site("Asia/Tokyo"), Some(folder.path())).await;
    walk.days(9, 120).await;
    // Started without a state directory by mistake, which a reload mends after a while.
    let before = walk.oracle.clone();
    walk.keep_in(None);
    walk.restart();
    walk.oracle.forget();
    for _ in 0..4 {
        walk.step(60).await;
    }
    let since = std::mem::replace(&mut walk.oracle, before);
    walk.oracle.join(since);
    walk.keep_in(Some(folder.path()));
    walk.days(3, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_that_changes_the_directory_keeps_the_forecast() {
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| format!("state: {{ directory: {:?} }}", folder.path().join(name));
    let simulator = simulate(site("Asia/Tokyo")).await;
    let mut agent = Agent::start(&often(&simulator).with(&state("one"))).await;
    further_runs(&agent, "disk_pools").await;
    for minutes in POLLS.iter().cycle().take(16) {
        simulator.clock().advance(std::time::Duration::from_secs(60 * minutes));
        further_runs(&agent, "disk_pools").await;
    }
    let shown = |page: &Page| page.of_site("paris", is_of_pools);
    let before = shown(&further_runs(&agent, "disk_pools").await);
    assert!(before.keys().any(|(name, _)| name == "nbu_disk_pool_night_growth_bytes"));
    let config = agent.config().server(OFTEN).site("paris", &simulator);
    agent.reload(&config.clone().with(&state("two"))).await;
    assert_eq!(shown(&further_runs(&agent, "disk_pools").await), before);
    agent.stop().await;
    let agent = Agent::start(&often(&simulator).with(&state("two"))).await;
    assert_eq!(shown(&further_runs(&agent, "disk_pools").await), before);
    agent.stop().await;
}

/// Lets time pass in an agent that is a process, until its pools were read again.
async fn step(agent: &mut process::Process, endpoint: &Endpoint) -> Page {
    let before = endpoint.scrape().await.map_or(0.0, |page| runs(&page, "disk_pools"));
    let done = |page: &Page| runs(page, "disk_pools") >= before + 2.0;
    endpoint.until(agent, "two runs", done).await
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_keeps_the_forecast_in_memory() {
    let simulator = simulate(site("Asia/Tokyo")).await;
    let mut config = often(&simulator).with("state: { directory: kept }");
    config.port = process::port();
    let (desk, endpoint) = (Desk::with(&config.yaml()), Endpoint::on(config.port));
    let disk = Disk::new(&desk, "kept");
    let environment = disk.environment();
    let environment: Vec<_> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let mut agent = desk.start_in(&["--config", "config.yaml"], &environment);
    step(&mut agent, &endpoint).await;
    disk.disturb(&["write=28"]);
    for minutes in POLLS.iter().cycle().take(15) {
        simulator.clock().advance(std::time::Duration::from_secs(60 * minutes));
        step(&mut agent, &endpoint).await;
    }
    agent.says("cannot save the nights of the disk pools").await;
    let shown = |page: &Page| page.of_site("paris", is_of_pools);
    let before = shown(&step(&mut agent, &endpoint).await);
    assert!(before.keys().any(|(name, _)| name == "nbu_disk_pool_tonight_fits"), "{before:?}");
    disk.heal();
    agent.says("the nights of the disk pools are saved again").await;
    agent.signal(process::Signal::KILL);
    agent.end(process::PROMISED_END).await;
    let mut agent = desk.start_in(&["--config", "config.yaml"], &environment);
    assert_eq!(shown(&step(&mut agent, &endpoint).await), before);
    agent.end_by(process::Signal::TERM).await;
}
