//! Files of state that cannot be used, and disks that are full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nbu_sim::{Settings, Simulator};

use crate::kills::Mortal;
use crate::scene::{HOUR, MINUTE, SITE, own};
use crate::support::endpoint::Endpoint;
use crate::support::expected::{assert_same, differences};
use crate::support::exposition::Page;
use crate::support::process::{Desk, Process, Signal};
use crate::support::totals::{Watched, is_total};
use crate::support::{Config, eventually, simulate, world};

fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 120.0, live_jobs: 20, policies: 2, ..world(seed) }
}

/// A change of a state file, given its bytes and those of another site's.
type Damage = fn(&[u8], &[u8]) -> Vec<u8>;

/// Each with whether the file can be used all the same.
const DAMAGES: [(&str, bool, Damage); 12] = [
    ("emptied", false, |_, _| Vec::new()),
    ("cut-magic", false, |bytes, _| bytes[..9].to_vec()),
    ("cut-head", false, |bytes, _| bytes[..30].to_vec()),
    ("cut-first-save", false, |bytes, _| bytes[..200].to_vec()),
    ("cut-last-save", true, |bytes, _| bytes[..bytes.len() - 3].to_vec()),
    ("flipped-magic", false, |bytes, _| flipped(bytes, 3)),
    ("flipped-head", false, |bytes, _| flipped(bytes, 26)),
    ("flipped-save", false, |bytes, _| flipped(bytes, 300)),
    ("flipped-last-save", true, |bytes, _| flipped(bytes, bytes.len() - 2)),
    ("foreign", false, |_, other| other.to_vec()),
    ("future", false, |bytes, _| [&bytes[..15], b"9", &bytes[16..]].concat()),
    ("untouched", true, |bytes, _| bytes.to_vec()),
];

fn flipped(bytes: &[u8], place: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[place] ^= 0x41;
    bytes
}

/// All damages at once, each to a site of the same server.
fn sites(simulator: &Simulator) -> Config {
    let key = &simulator.settings().api_key;
    let more = format!("apiKey: {key}");
    let all = DAMAGES
        .iter()
        .fold(Config::new(), |config, (name, ..)| config.site_at(name, simulator.addr(), &more));
    let mut config = all
        .server("scrapingInterval: 3h, collectionInterval: 300ms")
        .with("state: { directory: kept }");
    config.port = crate::support::process::port();
    config
}

/// The page once the totals of all sites are of `now`.
async fn all_whole(agent: &mut Process, endpoint: &Endpoint, now: i64) -> Page {
    let whole = |page: &Page| {
        DAMAGES.iter().all(|(site, ..)| {
            let labels = [("site", *site)];
            page.value("nbu_jobs_watermark_timestamp_seconds", &labels) == Some(now as f64 / 1000.0)
                && page.value("nbu_jobs_gap_seconds_total", &labels).is_some()
        })
    };
    endpoint.until(agent, "all sites whole", whole).await
}

/// The file of a site in the directory.
fn file_of(directory: &Path, site: &str) -> PathBuf {
    let start = format!("{site}-");
    let of_site = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        // The name of another site may begin alike.
        let rest = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(".state"));
        rest.is_some_and(|digits| digits.len() == 16)
    };
    let mut files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.find(of_site).unwrap_or_else(|| panic!("no file of {site}"))
}

/// Returns the log of a site.
fn of_site(said: &str, site: &str) -> String {
    let named = format!("site=\"{site}\"");
    said.lines().filter(|line| line.contains(&named)).collect::<Vec<_>>().join("\n")
}

/// A server, an agent with one site for each damage, and what they must show.
struct Scene {
    simulator: Simulator,
    desk: Desk,
    endpoint: Endpoint,
    watched: Vec<Watched>,
}

impl Scene {
    /// Starts the agent, holds the totals of all sites against the truth at some instants, and ends it:
    /// its log and its last page.
    async fn run(&mut self, minutes: &[u32]) -> (String, Page) {
        let mut agent = self.desk.start(&["--config", "config.yaml"]);
        let mut last = None;
        for minutes in minutes {
            self.simulator.clock().advance(*minutes * MINUTE);
            let truth = self.simulator.truth();
            let page = all_whole(&mut agent, &self.endpoint, truth.server_time()).await;
            for (watched, (site, ..)) in self.watched.iter_mut().zip(DAMAGES) {
                watched.polled(&self.simulator);
                let shown = page.of_site(site, is_total);
                let differences = differences(&shown, &watched.totals(&truth)).join("\n");
                assert!(differences.is_empty(), "{differences}\n{}", of_site(&agent.said(), site));
            }
            last = Some(page);
        }
        let ended = agent.end_by(Signal::TERM).await;
        (ended.all(), last.expect("an instant"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_file_is_set_aside_and_site_restarts_at_zero() {
    let simulator = simulate(busy(81)).await;
    let config = sites(&simulator);
    let (desk, endpoint) = (Desk::with(&config.yaml()), Endpoint::on(config.port));
    let new = |site: &str| Watched::new(site, 3 * HOUR);
    let watched = DAMAGES.iter().map(|(site, ..)| new(site)).collect();
    let directory = desk.path("kept");
    let mut scene = Scene { simulator, desk, endpoint, watched };
    scene.run(&[0, 20, 20]).await;

    let other = fs::read(file_of(&directory, "untouched")).unwrap();
    let files = DAMAGES.map(|(site, ..)| file_of(&directory, site));
    for ((file, (site, usable, damage)), watched) in
        files.iter().zip(DAMAGES).zip(&mut scene.watched)
    {
        let bytes = fs::read(file).unwrap();
        fs::write(file, damage(&bytes, &other)).unwrap();
        if !usable {
            *watched = new(site);
        }
    }
    let (said, page) = scene.run(&[20]).await;
    for (file, (site, usable, _)) in files.iter().zip(DAMAGES) {
        let told = of_site(&said, site);
        assert_eq!(told.matches("it was set aside").count(), usize::from(!usable), "{told}");
        let aside = PathBuf::from(format!("{}.aside", file.display()));
        assert_eq!(aside.exists(), !usable, "{site}");
        let errors = page.value("nbu_agent_state_errors_total", &[("site", site)]);
        assert_eq!(errors, Some(f64::from(u8::from(!usable))), "{site}");
    }
    // What began afresh is kept as well as what went on.
    scene.run(&[20]).await;
}

/// A file system of its own, until this is dropped.
struct Disk(PathBuf);

impl Disk {
    /// Creates one of so many kB; `None` if that is not permitted.
    fn mount(path: &Path, size: u32) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}k,mode=700"), "tmpfs"]).arg(path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(path.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still uses it keeps it until its end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "a skipped test has to say so")]
async fn full_disk_is_reported_and_costs_only_unsaved_state() {
    let mut agent = Mortal::new(busy(82), 3 * HOUR).await;
    let directory = agent.desk.path("kept");
    let Some(_disk) = Disk::mount(&directory, 512) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    agent.start();
    agent.check().await;
    // All that is left, but for a part of a block.
    fs::write(directory.join("ballast"), vec![0; 1 << 20]).unwrap_err();
    for _ in 0..3 {
        agent.simulator.clock().advance(4 * HOUR);
        agent.check().await;
    }
    let page = agent.whole().await;
    assert_eq!(own(&page, "nbu_agent_state_saved"), Some(0.0));
    let errors = own(&page, "nbu_agent_state_errors_total").unwrap_or_default();
    assert!(errors >= 1.0);
    agent.process().says("cannot save the job ledger").await;

    fs::remove_file(directory.join("ballast")).unwrap();
    agent.process().says("can be saved again").await;
    agent.simulator.clock().advance(MINUTE);
    agent.check().await;
    let page = agent.whole().await;
    assert_eq!(own(&page, "nbu_agent_state_saved"), Some(1.0));
    agent.kill().await;
    agent.start();
    agent.check().await;
    assert!(agent.watched.counted(&agent.simulator.truth()) > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_totals_are_exported_before_server_answers() {
    let mut agent = Mortal::new(busy(83), 3 * HOUR).await;
    agent.start();
    agent.check().await;
    agent.simulator.clock().advance(HOUR);
    agent.check().await;
    let truth = agent.simulator.truth();
    agent.kill().await;
    agent.simulator.faults().add(nbu_sim::Fault::on("/").status(500));
    agent.simulator.clock().advance(HOUR);
    agent.start();
    let expected: Vec<_> =
        agent.watched.totals(&truth).into_iter().filter(|(_, value)| *value > 0.0).collect();
    let page = eventually("the totals of before", || async {
        let page = agent.endpoint().scrape().await?;
        own(&page, "nbu_jobs_gap_seconds_total").map(|_| page)
    })
    .await;
    let shown = page.of_site(SITE, is_total).into_iter().filter(|(_, value)| *value > 0.0);
    assert_same(&shown.collect(), &expected.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn gap_while_agent_was_down_is_reported() {
    let mut agent = Mortal::new(Settings { retention: 4 * HOUR, ..busy(84) }, 2 * HOUR).await;
    agent.start();
    agent.check().await;
    let last = agent.simulator.truth().server_time();
    agent.kill().await;
    agent.simulator.clock().advance(10 * HOUR);
    let lost = crate::scene::oldest_success(&agent.simulator) - last;
    assert!(lost > 0);
    agent.watched.gap = lost as f64 / 1000.0;
    agent.start();
    agent.check().await;
    agent.kill().await;
    agent.start();
    agent.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_and_readded_site_continues_its_totals() {
    let mut agent = Mortal::new(busy(85), 2 * HOUR).await;
    let with = agent.desk.read("config.yaml");
    let without = with.replace(&format!("\"{SITE}\""), "\"elsewhere\"");
    assert_ne!(with, without);
    agent.start();
    agent.check().await;
    for text in [without, with] {
        agent.simulator.clock().advance(30 * MINUTE);
        agent.desk.write("config.yaml", &text);
        let (status, body) = agent.endpoint().post_reload().await;
        assert_eq!(status, 200, "{body}");
    }
    agent.check().await;
    agent.simulator.clock().advance(30 * MINUTE);
    agent.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_directory_keeps_the_totals() {
    let mut agent = Mortal::new(busy(86), 2 * HOUR).await;
    agent.start();
    agent.check().await;
    agent.simulator.clock().advance(30 * MINUTE);
    agent.check().await;
    let moved = agent.desk.read("config.yaml").replace("directory: kept", "directory: moved");
    agent.desk.write("config.yaml", &moved);
    let (status, body) = agent.endpoint().post_reload().await;
    assert_eq!(status, 200, "{body}");
    agent.simulator.clock().advance(30 * MINUTE);
    agent.check().await;
    agent.kill().await;
    agent.start();
    agent.simulator.clock().advance(30 * MINUTE);
    agent.check().await;
}
