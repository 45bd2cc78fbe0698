//! A disk that is full: numbers go on being served, and nothing is lost or doubled once it has room.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nbu_sim::Settings;

use crate::site::{HOUR, MINUTE, Site};
use crate::support::world;

/// A file system in memory.
struct Disk(PathBuf);

impl Disk {
    /// Makes one of so many kB; returns nothing where mounting is not allowed.
    #[allow(clippy::print_stderr, reason = "a skipped test has to say so")]
    fn mount(path: &Path, size: u32) -> Option<Self> {
        fs::create_dir_all(path).expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}k,mode=700"), "tmpfs"]).arg(path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: no file system can be mounted here");
        }
        mounted.then(|| Self(path.to_owned()))
    }

    /// Takes all that is left, but for a part of a block.
    fn fill(&self) {
        fs::write(self.0.join("ballast"), vec![0; 1 << 22]).expect_err("the disk is smaller");
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process that still uses it keeps it until its end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 240.0, jobs_in_history: 600, policies: 3, ..world(seed) }
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_full_for_hours_costs_nothing() {
    let mut site = Site::new("a disk that was full", busy(1), 3 * HOUR).await;
    let Some(disk) = Disk::mount(&site.desk.path("kept"), 512) else { return };
    site.start();
    for _ in 0..3 {
        site.settle().await;
        disk.fill();
        for _ in 0..3 {
            site.pass(25 * MINUTE).await;
            site.settle().await;
        }
        disk.free();
        site.pass(MINUTE).await;
        site.settle().await;
        site.is_saved().await;
        site.kill(true).await;
        site.start();
    }
    assert!(site.settle().await > 500);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_while_disk_is_full_loses_and_doubles_nothing() {
    let mut site = Site::new("a kill while the disk is full", busy(2), 3 * HOUR).await;
    let Some(disk) = Disk::mount(&site.desk.path("kept"), 512) else { return };
    site.start();
    for _ in 0..3 {
        site.settle().await;
        site.is_saved().await;
        disk.fill();
        site.pass(25 * MINUTE).await;
        site.settle().await;
        site.kill(false).await;
        site.start();
        site.settle().await;
        disk.free();
        site.pass(MINUTE).await;
    }
    assert!(site.settle().await > 200);
    site.stop().await;
}
