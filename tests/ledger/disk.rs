//! The disk below the state directory hangs, fails for a while, or is meddled with: numbers go on, and nothing
//! is lost or counted twice.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nbu_sim::Settings;

use crate::kills::Mortal;
use crate::scene::{HOUR, MINUTE, SITE, own};
use crate::support::disk::Disk;
use crate::support::endpoint::Endpoint;
use crate::support::process::{self, Desk, Signal};
use crate::support::totals::is_total;
use crate::support::{Config, Page, eventually, simulate, world};

/// The time that a disk hangs: `NBU_DISK_HANG`, in seconds, makes it longer.
fn hang() -> Duration {
    let asked = std::env::var("NBU_DISK_HANG").ok();
    Duration::from_secs(asked.map_or(12, |seconds| seconds.parse().expect("seconds")))
}

fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 240.0, live_jobs: 30, policies: 2, ..world(seed) }
}

/// An agent whose state directory is on a disk that can be disturbed.
async fn agent(seed: u64) -> (Mortal, Disk) {
    let mut agent = Mortal::new(busy(seed), 2 * HOUR).await;
    let disk = Disk::new(&agent.desk, "kept");
    agent.environment = disk.environment();
    (agent, disk)
}

/// Waits for a page that says whether state is saved.
async fn saved_is(agent: &mut Mortal, saved: f64) -> Page {
    let endpoint = Endpoint::on(agent.port());
    let what = format!("state saved {saved}");
    endpoint
        .until(agent.process(), &what, |page| own(page, "nbu_agent_state_saved") == Some(saved))
        .await
}

/// Lets time pass, and holds the numbers against the truth.
async fn step(agent: &mut Mortal) {
    agent.simulator.clock().advance(MINUTE);
    agent.check().await;
}

/// Kills the agent and starts it again: what is on disk goes on.
async fn restart(agent: &mut Mortal) {
    agent.kill().await;
    agent.simulator.clock().advance(MINUTE);
    agent.start();
    agent.check().await;
    step(agent).await;
}

fn files(agent: &Mortal, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(agent.desk.path("kept")).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.to_string_lossy().ends_with(extension)).collect()
}

/// The file of the site; one that it was for a while may have left another.
fn state_file(agent: &Mortal) -> PathBuf {
    let is_own = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SITE))
    };
    files(agent, ".state").into_iter().find(is_own).expect("a state file")
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_go_on_while_the_disk_hangs() {
    let (mut agent, disk) = agent(181).await;
    agent.start();
    agent.check().await;
    for operations in [&["sync"][..], &["write"], &["stat"], &[]] {
        disk.disturb(operations);
        let until = Instant::now() + hang() / 4;
        agent.simulator.clock().advance(MINUTE);
        saved_is(&mut agent, 0.0).await;
        while Instant::now() < until {
            step(&mut agent).await;
        }
        disk.heal();
        saved_is(&mut agent, 1.0).await;
        step(&mut agent).await;
    }
    restart(&mut agent).await;
    assert!(files(&agent, ".aside").is_empty());
    assert!(agent.watched.counted(&agent.simulator.truth()) > 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_disk_blocks_no_endpoint() {
    let simulator = simulate(busy(182)).await;
    let sites = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let config = sites.iter().fold(Config::new(), |config, site| config.site(site, &simulator));
    let mut config = config
        .server("scrapingInterval: 1h, collectionInterval: 100ms")
        .with("state: { directory: kept }");
    config.port = process::port();
    let (desk, endpoint) = (Desk::with(&config.yaml()), Endpoint::on(config.port));
    let disk = Disk::new(&desk, "kept");
    let environment = disk.environment();
    let environment: Vec<_> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let mut agent = desk.start_in(&["--config", "config.yaml"], &environment);
    let all = |value: f64| {
        move |page: &Page| {
            let saved = |site| page.value("nbu_agent_state_saved", &[("site", site)]);
            sites.iter().all(|site| saved(site) == Some(value))
        }
    };
    endpoint.until(&mut agent, "all saved", all(1.0)).await;
    disk.disturb(&[]);
    let until = Instant::now() + hang() / 2;
    endpoint.until(&mut agent, "none saved", all(0.0)).await;
    while Instant::now() < until {
        assert!(endpoint.get("/-/healthy").await.contains("ok") || agent.is_alive());
        assert!(endpoint.scrape().await.is_some(), "{}", agent.said());
        let (status, body) = endpoint.post_reload().await;
        assert_eq!(status, 200, "{body}");
    }
    // The disk hangs still.
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_disk_at_start_delays_only_totals() {
    let (mut agent, disk) = agent(183).await;
    agent.start();
    agent.check().await;
    for operations in [&["lock"][..], &["open@instance"], &["open@.state"], &["read@.state"], &[]] {
        agent.kill().await;
        disk.disturb(operations);
        agent.simulator.clock().advance(MINUTE);
        agent.start();
        let endpoint = Endpoint::on(agent.port());
        let page = endpoint
            .until(agent.process(), "gauges", |page| {
                let of_jobs = [("site", SITE), ("collector", "jobs")];
                page.value("nbu_agent_collector_up", &of_jobs) == Some(1.0)
                    && page.text().contains("nbu_jobs_count{")
            })
            .await;
        assert_eq!(own(&page, "nbu_agent_state_saved"), Some(0.0), "{operations:?}");
        assert!(page.of_site(SITE, is_total).is_empty(), "{operations:?}\n{}", page.text());
        disk.heal();
        agent.check().await;
        saved_is(&mut agent, 1.0).await;
        step(&mut agent).await;
    }
    assert!(files(&agent, ".aside").is_empty());
    agent.kill().await;
    disk.disturb(&[]);
    agent.start();
    agent.process().says("does not respond").await;
    let ended = agent.process().end_by(Signal::TERM).await;
    assert_eq!(ended.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn error_while_state_is_read_sets_nothing_aside() {
    let (mut agent, disk) = agent(184).await;
    agent.start();
    agent.check().await;
    // EMFILE, ENFILE, EIO, EACCES, ESTALE, ENOMEM, EPERM, and a mark that cannot be read.
    let errors = ["open@.state=24", "open@.state=23", "read@.state=5", "open@.state=13"];
    let more = ["open@.state=116", "read@.state=12", "stat@.state=5", "open@.site=5"];
    for operation in errors.into_iter().chain(more) {
        agent.kill().await;
        disk.disturb(&[operation]);
        agent.simulator.clock().advance(MINUTE);
        agent.start();
        let page = saved_is(&mut agent, 0.0).await;
        assert!(page.of_site(SITE, is_total).is_empty(), "{operation}");
        agent.process().says("cannot read the saved job ledger").await;
        disk.heal();
        agent.check().await;
        step(&mut agent).await;
    }
    assert!(files(&agent, ".aside").is_empty());
    assert_eq!(own(&agent.whole().await, "nbu_agent_state_set_aside"), Some(0.0));
    assert!(agent.watched.counted(&agent.simulator.truth()) > 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_file_that_cannot_be_renamed_is_set_aside_later() {
    let (mut agent, disk) = agent(185).await;
    agent.start();
    agent.check().await;
    agent.kill().await;
    let file = state_file(&agent);
    let mut bytes = fs::read(&file).expect("a file");
    bytes[300] ^= 0x41;
    fs::write(&file, &bytes).expect("it is written");
    agent.watched = crate::support::totals::Watched::new(SITE, 2 * HOUR);
    for operation in ["rename=5", "rename"] {
        disk.disturb(&[operation]);
        agent.start();
        saved_is(&mut agent, 0.0).await;
        assert_eq!(fs::read(&file).expect("it is there"), bytes);
        agent.kill().await;
    }
    agent.start();
    disk.heal();
    agent.check_from_zero().await;
    let page = agent.whole().await;
    assert_eq!(own(&page, "nbu_agent_state_set_aside"), Some(1.0));
    assert_eq!(fs::read(&files(&agent, ".aside")[0]).expect("it is there"), bytes);
    step(&mut agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn intact_file_is_appended_to_after_a_full_disk() {
    let (mut agent, disk) = agent(186).await;
    agent.start();
    agent.check().await;
    step(&mut agent).await;
    let file = state_file(&agent);
    let inode = fs::metadata(&file).expect("a file").ino();
    // ENOSPC, EDQUOT, EIO; and a rewrite would find no room at any time.
    for operation in ["write=28", "write=122", "sync=5", "sync=28"] {
        disk.disturb(&[operation, "write@.new=28"]);
        step(&mut agent).await;
        saved_is(&mut agent, 0.0).await;
        step(&mut agent).await;
        disk.disturb(&["write@.new=28"]);
        saved_is(&mut agent, 1.0).await;
        step(&mut agent).await;
        assert_eq!(fs::metadata(&file).expect("a file").ino(), inode, "{operation}");
    }
    disk.heal();
    restart(&mut agent).await;
    assert_eq!(fs::metadata(&file).expect("a file").ino(), inode);
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_or_replaced_state_is_written_again() {
    let (mut agent, _disk) = agent(187).await;
    agent.start();
    agent.check().await;
    let file = state_file(&agent);
    let meddle: [&dyn Fn(); 4] = [
        &|| fs::remove_file(&file).expect("it was there"),
        &|| {
            let copy = file.with_extension("copy");
            fs::copy(&file, &copy).expect("a copy");
            fs::rename(copy, &file).expect("it is replaced");
        },
        &|| fs::remove_file(file.with_file_name("lock")).expect("it was there"),
        &|| {
            // The agent may be making a file in it.
            let directory = file.parent().expect("a directory");
            let removed = (0..100).any(|_| fs::remove_dir_all(directory).is_ok());
            assert!(removed, "{}", directory.display());
        },
    ];
    for meddle in meddle {
        meddle();
        step(&mut agent).await;
        eventually("the file", || async { file.exists().then_some(()) }).await;
        saved_is(&mut agent, 1.0).await;
        step(&mut agent).await;
        restart(&mut agent).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn site_readded_during_a_save_loses_nothing() {
    let (mut agent, disk) = agent(188).await;
    let with = agent.desk.read("config.yaml");
    let without = with.replace(&format!("\"{SITE}\""), "\"elsewhere\"");
    agent.start();
    agent.check().await;
    for operation in ["sync", "rename"] {
        disk.disturb(&[operation]);
        if operation == "rename" {
            // So that it is rewritten; not before, or it would be whole again.
            fs::remove_file(state_file(&agent)).expect("it was there");
        }
        agent.simulator.clock().advance(MINUTE);
        saved_is(&mut agent, 0.0).await;
        for text in [&without, &with] {
            agent.desk.write("config.yaml", text);
            let (status, body) = agent.endpoint().post_reload().await;
            assert_eq!(status, 200, "{body}");
        }
        disk.heal();
        agent.check().await;
        step(&mut agent).await;
        saved_is(&mut agent, 1.0).await;
        restart(&mut agent).await;
    }
    let mine = files(&agent, ".state.aside");
    assert!(mine.is_empty(), "{mine:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_switched_on_by_a_reload_overwrites_no_file() {
    let (mut agent, disk) = agent(189).await;
    let on = agent.desk.read("config.yaml");
    let off = on.replace("state: { directory: kept }", "");
    assert_ne!(on, off);
    agent.start();
    agent.check().await;
    agent.kill().await;
    let old = fs::read(state_file(&agent)).expect("a file");
    agent.desk.write("config.yaml", &off);
    agent.watched = crate::support::totals::Watched::new(SITE, 2 * HOUR);
    agent.start();
    agent.check_from_zero().await;
    step(&mut agent).await;
    disk.disturb(&[]);
    agent.desk.write("config.yaml", &on);
    let (status, body) = agent.endpoint().post_reload().await;
    assert_eq!(status, 200, "{body}");
    saved_is(&mut agent, 0.0).await;
    step(&mut agent).await;
    disk.heal();
    let page = saved_is(&mut agent, 1.0).await;
    assert_eq!(own(&page, "nbu_agent_state_set_aside"), Some(1.0));
    assert_eq!(fs::read(&files(&agent, ".aside")[0]).expect("it is there"), old);
    restart(&mut agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_answers_while_the_disk_hangs() {
    let (mut agent, disk) = agent(190).await;
    agent.start();
    agent.check().await;
    disk.disturb(&[]);
    let config = agent.desk.read("config.yaml").replace("50ms", "60ms");
    agent.desk.write("config.yaml", &config);
    let (status, body) = agent.endpoint().post_reload().await;
    assert_eq!(status, 200, "{body}");
    step(&mut agent).await;
    disk.heal();
    restart(&mut agent).await;
}
