//! The real programs: where they are, and how one is run: in a directory of its own, its output in a
//! file, ended with the test that started it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::PATIENCE;

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that `.ci/real-parts` got.
pub fn part(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let path = target.unwrap_or_else(|| repository("target")).join("real-parts").join(name);
    assert!(path.exists(), "{} is missing: run .ci/real-parts", path.display());
    path
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// Runs a program that must succeed; its standard output.
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{err}{out}", output.status);
    out.into_owned()
}

/// A real program that runs. Dropping it ends it.
pub struct Program {
    name: String,
    child: Child,
    directory: TempDir,
}

impl Program {
    /// Starts `command`, which is given a directory of its own to work in.
    pub fn start(name: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = File::create(directory.path().join("log")).expect("a file");
        let child = command(directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, directory }
    }

    /// Returns the output so far.
    pub fn said(&self) -> String {
        fs::read(self.directory.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The largest resident set that it had, MiB.
    pub fn peak_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<f64>().ok());
        kib.map_or(f64::NAN, |kib| kib / 1024.0)
    }

    /// Returns whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_none()
    }

    /// Waits until it answers 200 at `url`.
    pub async fn answers(&mut self, url: &str) {
        let http = crate::support::http_client();
        let started = Instant::now();
        loop {
            if http.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(
                self.is_alive() && started.elapsed() < PATIENCE,
                "{}: no answer at {url}; it said\n{}",
                self.name,
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }

    /// Ends it in order; what does not end is killed.
    pub async fn stop(mut self) {
        self.end().await;
    }

    /// The same, for one that has to be asked from elsewhere.
    pub async fn end(&mut self) {
        // It may have ended already.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let started = Instant::now();
        while self.is_alive() {
            if started.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("{} does not end; it said\n{}", self.name, self.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Program {
    /// In order first: an engine that is killed would leave its containers behind.
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let started = Instant::now();
            while started.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
