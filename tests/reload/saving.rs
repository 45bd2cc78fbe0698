//! Each way in which files are saved is one reload, by events alone: the slow comparison is an hour away.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nbu_sim::Simulator;

use crate::endpoint::{Endpoint, reloads};
use crate::process::{Desk, Process, Signal, config};
use crate::support::{Page, sha256, simulate, world};

/// A change of no consequence, which is a change all the same: of one key.
fn content(yaml: &str, number: usize) -> String {
    yaml.replace("collectionInterval: 300s", &format!("collectionInterval: {}s", 300 + number))
}

fn in_place(directory: &Path, text: &str) {
    fs::write(directory.join("config.yaml"), text).expect("it is written");
}

/// vim, emacs, `sed -i`, most tools of configuration management.
fn write_and_rename(directory: &Path, text: &str) {
    let new = directory.join(".config.yaml.new");
    fs::write(&new, text).expect("it is written");
    fs::rename(new, directory.join("config.yaml")).expect("it is renamed");
}

/// vim with `backupcopy=no`: the old one is moved away first.
fn move_away_and_write(directory: &Path, text: &str) {
    let file = directory.join("config.yaml");
    fs::rename(&file, directory.join("config.yaml~")).expect("it is renamed");
    fs::write(file, text).expect("it is written");
}

/// Truncates, and writes in pieces that are no configuration on their own.
fn truncate_and_write_slowly(directory: &Path, text: &str) {
    let mut file = fs::File::create(directory.join("config.yaml")).expect("it is truncated");
    for piece in text.as_bytes().chunks(text.len() / 4 + 1) {
        file.write_all(piece).expect("it is written");
        file.sync_all().expect("it is there");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A directory that is removed and made again.
fn make_the_directory_anew(directory: &Path, text: &str) {
    fs::remove_dir_all(directory).expect("it is removed");
    std::thread::park_timeout(Duration::from_millis(50));
    fs::create_dir(directory).expect("it is made");
    fs::write(directory.join("config.yaml"), text).expect("it is written");
}

/// A ConfigMap or a Secret of Kubernetes: `..data` is swapped.
fn swap_the_data(directory: &Path, text: &str) {
    let version = format!("..v{}", &sha256(text)[..8]);
    fs::create_dir(directory.join(&version)).expect("it is made");
    fs::write(directory.join(&version).join("config.yaml"), text).expect("it is written");
    let old = fs::read_link(directory.join("..data")).ok();
    symlink(&version, directory.join("..data_tmp")).expect("a link");
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).expect("it is swapped");
    let file = directory.join("config.yaml");
    if !file.exists() || !file.is_symlink() {
        let _ = fs::remove_file(&file);
        symlink("..data/config.yaml", &file).expect("a link");
    }
    if let Some(old) = old {
        fs::remove_dir_all(directory.join(old)).expect("it is removed");
    }
}

/// An agent whose configuration lies in a directory of its own, and only events tell of its changes.
struct Scene {
    agent: Process,
    endpoint: Endpoint,
    yaml: String,
    directory: PathBuf,
    _paris: Simulator,
    _desk: Desk,
}

impl Scene {
    /// Saves a first version in this way, and starts the agent.
    async fn start(save: fn(&Path, &str)) -> Self {
        let paris = simulate(world(1)).await;
        let base = config()
            .server("scrapingInterval: 24h, collectionInterval: 300s, configCheckInterval: 1h")
            .site("paris", &paris);
        let desk = Desk::new();
        let directory = desk.path("etc");
        fs::create_dir(&directory).expect("it is made");
        save(&directory, &base.yaml());
        let mut agent = desk.start(&["--config", "etc/config.yaml"]);
        let endpoint = Endpoint::on(base.port);
        endpoint.until(&mut agent, "a first page", |_| true).await;
        let yaml = base.yaml();
        Self { agent, endpoint, yaml, directory, _paris: paris, _desk: desk }
    }

    /// Saves version `number` in this way; the first page that shows it in force.
    async fn takes(&mut self, number: usize, save: fn(&Path, &str)) -> Page {
        let text = content(&self.yaml, number);
        save(&self.directory, &text);
        let hash = sha256(&text);
        let in_force = |page: &Page| {
            page.value("nbu_agent_config_info", &[("sha256", hash.as_str())]) == Some(1.0)
        };
        self.endpoint.until(&mut self.agent, "the new file in force", in_force).await
    }
}

/// `first` saves the first version, `save` the others.
async fn is_one_reload(first: fn(&Path, &str), save: fn(&Path, &str)) {
    let mut scene = Scene::start(first).await;
    for number in 1..=3 {
        let page = scene.takes(number, save).await;
        let applied = reloads(&page, "watch", "applied");
        assert!((applied - number as f64).abs() < f64::EPSILON, "one each: {applied}");
        let rejected = reloads(&page, "watch", "rejected");
        assert!(rejected.abs() < f64::EPSILON, "half a file was taken for a whole one");
    }
    scene.agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_in_place_is_one_reload() {
    is_one_reload(in_place, in_place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_and_rename_are_one_reload() {
    is_one_reload(in_place, write_and_rename).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_and_write_are_one_reload() {
    is_one_reload(in_place, move_away_and_write).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_write_is_one_reload_of_the_whole_file() {
    is_one_reload(in_place, truncate_and_write_slowly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_swap_is_one_reload() {
    is_one_reload(swap_the_data, swap_the_data).await;
}

/// While the directory is missing there is nothing to load; whether that is tried depends on when the
/// agent looks.
#[tokio::test(flavor = "multi_thread")]
async fn recreated_directory_is_watched_again() {
    let mut scene = Scene::start(in_place).await;
    for number in 1..=2 {
        scene.takes(number, make_the_directory_anew).await;
    }
    scene.agent.end_by(Signal::TERM).await;
}
