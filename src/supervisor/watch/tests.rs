//! The watch over a real file system: one test per way of saving a file.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, timeout};

use super::events::Events;
use super::{Fingerprints, MAX_DEBOUNCE, QUIET_PERIOD, Watcher, directories};

/// Bound of everything that is waited for.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than a watch takes from an event to its message.
const A_WHILE: Duration = Duration::from_millis(300);

/// Without events nothing is noticed in time.
const NO_RESCAN: Duration = Duration::from_secs(3600);

/// A place with files, a watch of some of them, and who listens to it.
struct Scene {
    place: tempfile::TempDir,
    watcher: Watcher,
    changed: mpsc::Receiver<()>,
    rescan: Duration,
    watched: Vec<PathBuf>,
}

impl Scene {
    /// Starts to watch `config.yaml`, which holds `old`, and `.env`, which does not exist.
    async fn start() -> Self {
        let mut scene = Self::with(Events::new(), NO_RESCAN);
        scene.write("config.yaml", "old");
        scene.watch(&["config.yaml", ".env"]).await;
        scene
    }

    fn with(events: Events, rescan: Duration) -> Self {
        let place = tempfile::tempdir().unwrap();
        let (sender, changed) = mpsc::channel(64);
        let watcher = Watcher::with(sender, events);
        Self { place, watcher, changed, rescan, watched: Vec::new() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    /// Watches these files from now on, and waits until it does: a change that comes earlier is
    /// noticed as well, but by the first look rather than by an event.
    async fn watch(&mut self, names: &[&str]) {
        self.watched = names.iter().map(|name| self.at(name)).collect();
        self.load();
        self.is_silent().await;
    }

    /// Loads the files as the supervisor does, and tells the watcher which ones were read.
    fn load(&self) {
        let look = |path: &PathBuf| (path.clone(), crate::config::fingerprint(path));
        self.watcher.set(self.watched.iter().map(look).collect(), self.rescan);
    }

    async fn is_told(&mut self) -> Duration {
        let start = Instant::now();
        timeout(EVENT_TIMEOUT, self.changed.recv()).await.expect("a message in time").unwrap();
        start.elapsed()
    }

    async fn is_silent(&mut self) {
        let told = timeout(A_WHILE, self.changed.recv()).await;
        assert!(told.is_err(), "told of what was tried");
    }

    /// Waits for one message; asserts that no second one comes after the files were read.
    async fn is_told_once(&mut self) {
        self.is_told().await;
        self.load();
        self.is_silent().await;
    }
}

#[tokio::test]
async fn file_written_in_place_is_noticed() {
    let mut scene = Scene::start().await;
    scene.write("config.yaml", "new");
    scene.is_told_once().await;
    scene.write("config.yaml", "newer");
    scene.is_told_once().await;
}

#[tokio::test]
async fn file_renamed_over_it_is_noticed() {
    let mut scene = Scene::start().await;
    for text in ["new", "newer"] {
        scene.write("config.yaml~", text);
        fs::rename(scene.at("config.yaml~"), scene.at("config.yaml")).unwrap();
        scene.is_told_once().await;
    }
}

/// vim moves the old file away and writes a new one.
#[tokio::test]
async fn file_moved_away_and_recreated_is_noticed() {
    let mut scene = Scene::start().await;
    for text in ["new", "newer"] {
        fs::rename(scene.at("config.yaml"), scene.at("config.yaml~")).unwrap();
        scene.write("config.yaml", text);
        scene.is_told_once().await;
    }
}

#[tokio::test]
async fn slow_write_is_reported_once_complete() {
    let mut scene = Scene::start().await;
    let mut file = File::create(scene.at("config.yaml")).unwrap();
    let mut pace = interval(QUIET_PERIOD / 4);
    let start = Instant::now();
    while start.elapsed() < MAX_DEBOUNCE + A_WHILE {
        pace.tick().await;
        file.write_all(b"line\n").unwrap();
    }
    assert!(scene.changed.try_recv().is_err(), "told of a part");
    scene.is_told_once().await;
}

#[tokio::test]
async fn removal_and_return_of_a_file_are_both_noticed() {
    let mut scene = Scene::start().await;
    fs::remove_file(scene.at("config.yaml")).unwrap();
    scene.is_told_once().await;
    scene.write("config.yaml", "old");
    scene.is_told_once().await;
}

#[tokio::test]
async fn missing_file_is_noticed_once_created() {
    let mut scene = Scene::start().await;
    scene.write(".env", "A=1");
    scene.is_told_once().await;
}

/// As Kubernetes mounts a ConfigMap or a Secret: the files stay links, `..data` is renamed.
#[tokio::test]
async fn swap_of_the_data_link_is_noticed() {
    let mut scene = Scene::with(Events::new(), NO_RESCAN);
    let swap = |scene: &Scene, version: &str| {
        fs::create_dir(scene.at(version)).unwrap();
        scene.write(&format!("{version}/config.yaml"), version);
        symlink(version, scene.at("..data_tmp")).unwrap();
        fs::rename(scene.at("..data_tmp"), scene.at("..data")).unwrap();
    };
    swap(&scene, "..2026_1");
    symlink("..data/config.yaml", scene.at("config.yaml")).unwrap();
    scene.watch(&["config.yaml"]).await;
    for version in ["..2026_2", "..2026_3"] {
        swap(&scene, version);
        scene.is_told_once().await;
    }
    fs::remove_dir_all(scene.at("..2026_2")).unwrap();
    scene.write("..2026_3/config.yaml", "in place");
    scene.is_told_once().await;
}

#[tokio::test]
async fn changes_of_symlink_and_of_its_target_are_noticed() {
    let mut scene = Scene::with(Events::new(), NO_RESCAN);
    for name in ["a", "b", "etc"] {
        fs::create_dir(scene.at(name)).unwrap();
        scene.write(&format!("{name}/config.yaml"), name);
    }
    symlink(scene.at("a"), scene.at("current")).unwrap();
    fs::remove_file(scene.at("etc/config.yaml")).unwrap();
    symlink("../current/config.yaml", scene.at("etc/config.yaml")).unwrap();
    scene.watch(&["etc/config.yaml"]).await;

    scene.write("a/config.yaml", "new");
    scene.is_told_once().await;
    symlink(scene.at("b"), scene.at("next")).unwrap();
    fs::rename(scene.at("next"), scene.at("current")).unwrap();
    scene.is_told_once().await;
    scene.write("b/config.yaml", "new in b");
    scene.is_told_once().await;
}

#[tokio::test]
async fn recreated_directory_is_watched_again() {
    let mut scene = Scene::with(Events::new(), NO_RESCAN);
    fs::create_dir(scene.at("conf")).unwrap();
    scene.write("conf/config.yaml", "old");
    scene.watch(&["conf/config.yaml"]).await;
    for round in 0..2 {
        fs::remove_dir_all(scene.at("conf")).unwrap();
        scene.is_told_once().await;
        fs::create_dir(scene.at("conf")).unwrap();
        scene.write("conf/config.yaml", &format!("made again, {round}"));
        scene.is_told_once().await;
        scene.write("conf/config.yaml", &format!("written in place, {round}"));
        assert!(scene.is_told().await < EVENT_TIMEOUT / 2);
        scene.load();
    }
    // At once, so that the inode is likely to be the same.
    fs::remove_dir_all(scene.at("conf")).unwrap();
    fs::create_dir(scene.at("conf")).unwrap();
    scene.write("conf/config.yaml", "swapped");
    scene.is_told_once().await;
    scene.write("conf/config.yaml", "written in place after the swap");
    scene.is_told_once().await;
}

#[tokio::test]
async fn moved_and_replaced_directory_is_watched_again() {
    let mut scene = Scene::with(Events::new(), NO_RESCAN);
    for name in ["conf", "next"] {
        fs::create_dir(scene.at(name)).unwrap();
        scene.write(&format!("{name}/config.yaml"), name);
    }
    scene.watch(&["conf/config.yaml"]).await;
    fs::rename(scene.at("conf"), scene.at("before")).unwrap();
    fs::rename(scene.at("next"), scene.at("conf")).unwrap();
    scene.is_told_once().await;
    scene.write("conf/config.yaml", "written in place");
    scene.is_told_once().await;
    scene.write("before/config.yaml", "nobody's business");
    scene.is_silent().await;
}

#[tokio::test]
async fn without_events_the_rescan_notices() {
    let mut scene = Scene::with(Events::none(), Duration::from_millis(200));
    scene.write("config.yaml", "old");
    scene.watch(&["config.yaml", ".env", "later/key"]).await;
    scene.write("config.yaml", "new");
    scene.is_told_once().await;
    fs::create_dir(scene.at("later")).unwrap();
    scene.write("later/key", "secret");
    scene.is_told_once().await;
}

#[tokio::test]
async fn endless_writes_beside_the_file_do_not_delay_it() {
    let mut scene = Scene::start().await;
    let noise = scene.at("noise.log");
    let writer = tokio::spawn(async move {
        let mut file = File::create(noise).unwrap();
        let mut pace = interval(QUIET_PERIOD / 10);
        loop {
            pace.tick().await;
            file.write_all(b"noise\n").unwrap();
        }
    });
    for text in ["new", "newer"] {
        scene.write("config.yaml", text);
        let waited = scene.is_told().await;
        assert!(waited < MAX_DEBOUNCE * 3, "{waited:?}");
        scene.load();
        scene.is_silent().await;
    }
    assert!(!writer.is_finished(), "the noise ended before the test did");
    writer.abort();
}

#[tokio::test]
async fn log_line_beside_configuration_is_no_event() {
    let place = tempfile::tempdir().unwrap();
    let [config, log] = ["config.yaml", "agent.log"].map(|name| place.path().join(name));
    fs::write(&config, "old").unwrap();
    let mut events = Events::new();
    let mut happened = events.happened();
    events.watch(&directories::of([&config, &place.path().join(".env")].into_iter()), NO_RESCAN);
    let mut file = File::options().create(true).append(true).open(&log).unwrap();
    for _ in 0..100 {
        file.write_all(b"a line\n").unwrap();
    }
    fs::rename(&log, place.path().join("agent.log.1")).unwrap();
    // Events come in order: the first to be heard of is that of the file.
    let before = *happened.borrow_and_update();
    let silent = timeout(A_WHILE, happened.changed()).await;
    assert!(
        silent.is_err(),
        "heard of the log after {:?}",
        happened.borrow().duration_since(before)
    );
    fs::write(&config, "new").unwrap();
    timeout(EVENT_TIMEOUT, happened.changed()).await.expect("an event").unwrap();
    happened.borrow_and_update();
    fs::write(place.path().join(".env"), "A=1").unwrap();
    timeout(EVENT_TIMEOUT, happened.changed()).await.expect("an event").unwrap();
}

#[tokio::test]
async fn rejected_file_is_reported_once_restored_file_again() {
    let mut scene = Scene::start().await;
    scene.write("config.yaml", "broken");
    scene.is_told_once().await;
    scene.write("config.yaml", "broken");
    scene.is_silent().await;
    scene.write("config.yaml", "old");
    scene.is_told_once().await;
}

#[tokio::test]
async fn reported_change_is_not_repeated_before_the_next_attempt() {
    let mut scene = Scene::start().await;
    scene.write("config.yaml", "new");
    scene.is_told().await;
    scene.write("unrelated", "x");
    scene.is_silent().await;
    scene.write("config.yaml", "newer");
    scene.is_told_once().await;
}

/// Two sides that cannot agree on a file make a reload at each rescan, not a storm of them.
#[tokio::test]
async fn change_missed_by_an_attempt_is_reported_at_rescan() {
    let mut scene = Scene::start().await;
    scene.rescan = A_WHILE * 2;
    let stale: Fingerprints =
        scene.watched.iter().map(|path| (path.clone(), Some([0; 32]))).collect();
    scene.watcher.set(stale.clone(), scene.rescan);
    scene.is_told().await;
    scene.watcher.set(stale, scene.rescan);
    scene.is_silent().await;
    scene.is_told().await;
}

#[tokio::test]
async fn change_between_attempt_and_watch_is_noticed() {
    let mut scene = Scene::with(Events::new(), NO_RESCAN);
    scene.write("config.yaml", "old");
    scene.watched = vec![scene.at("config.yaml")];
    scene.load();
    scene.write("config.yaml", "new");
    scene.is_told_once().await;
}

#[tokio::test]
async fn pipe_is_never_read() {
    let mut scene = Scene::start().await;
    let status = std::process::Command::new("mkfifo").arg(scene.at("pipe")).status().unwrap();
    assert!(status.success());
    let known = Fingerprints::from([(scene.at("pipe"), None), (scene.at("config.yaml"), None)]);
    scene.watcher.set(known, NO_RESCAN);
    assert!(scene.is_told().await < EVENT_TIMEOUT, "config.yaml is there");
    scene.watcher.set(Fingerprints::from([(scene.at("pipe"), None)]), NO_RESCAN);
    scene.is_silent().await;
}

#[tokio::test]
async fn dropped_watcher_ends() {
    let mut scene = Scene::start().await;
    drop(scene.watcher);
    let end = timeout(EVENT_TIMEOUT, scene.changed.recv()).await.expect("it ends");
    assert_eq!(end, None);
}

/// Counts the inotify watches of this process on a directory.
fn kernel_watches(directory: &Path) -> usize {
    let inode = format!("ino:{:x} ", fs::metadata(directory).unwrap().ino());
    let mut count = 0;
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap() {
        let Ok(text) = fs::read_to_string(entry.unwrap().path()) else { continue };
        count += text.lines().filter(|l| l.starts_with("inotify") && l.contains(&inode)).count();
    }
    count
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn thousand_checks_leak_nothing() {
    let place = tempfile::tempdir().unwrap();
    let [kept, first, second] = ["kept", "first", "second"].map(|name| place.path().join(name));
    for directory in [&kept, &first, &second] {
        fs::create_dir(directory).unwrap();
    }
    let mut events = Events::new();
    let before = open_files();
    for round in 0..1_000 {
        let other = if round % 2 == 0 { &first } else { &second };
        let found = directories::of([kept.join("file"), other.join("file")].iter());
        events.watch(&found, NO_RESCAN);
    }
    // Other tests run beside this one, and open some.
    assert!(open_files() < before + 200, "{} open files, {before} before", open_files());
    assert_eq!([&kept, &first, &second].map(|directory| kernel_watches(directory)), [1, 0, 1]);
}

#[tokio::test]
async fn thousand_attempts_leave_one_watch() {
    let mut scene = Scene::start().await;
    let before = open_files();
    for _ in 0..1_000 {
        scene.load();
        tokio::task::yield_now().await;
    }
    scene.write("config.yaml", "new");
    scene.is_told_once().await;
    assert!(open_files() < before + 200, "{} open files, {before} before", open_files());
    assert_eq!(kernel_watches(scene.place.path()), 1);
    let directory = scene.place.path().to_owned();
    drop(scene.watcher);
    let start = Instant::now();
    while kernel_watches(&directory) > 0 {
        assert!(start.elapsed() < EVENT_TIMEOUT, "the watch outlives who wanted it");
        sleep(Duration::from_millis(10)).await;
    }
}
