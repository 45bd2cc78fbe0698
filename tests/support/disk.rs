//! A disk that hangs or fails below one directory of a process: a small library that is loaded before the
//! system's own (`disk.c`).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::process::Desk;

/// The disk below a directory of a desk.
pub struct Disk {
    library: PathBuf,
    directory: PathBuf,
    control: PathBuf,
}

impl Disk {
    /// Compiles the library; it works in processes that are started with [`Disk::environment`].
    pub fn new(desk: &Desk, directory: &str) -> Self {
        let library = desk.path("disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/disk.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        let output = cc.output().expect("a C compiler, as Rust needs one to link");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { library, directory: desk.path(directory), control: desk.path("disk.control") }
    }

    /// Returns the variables of a process that has this disk.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &PathBuf| path.to_str().expect("text").to_owned();
        vec![
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("NBU_DISK_DIRECTORY".to_owned(), text(&self.directory)),
            ("NBU_DISK_CONTROL".to_owned(), text(&self.control)),
        ]
    }

    /// Makes these operations hang, or fail: `sync`, `read=5`, `open@.state=13` (where the path has this text).
    /// Of open, read, write, sync, truncate, rename,
    /// remove, mkdir, lock, stat; all hang if none is named.
    pub fn disturb(&self, operations: &[&str]) {
        let beside = self.control.with_extension("beside");
        fs::write(&beside, operations.join("\n")).expect("it is written");
        fs::rename(beside, &self.control).expect("it is renamed");
    }

    /// Makes everything work, and what hangs go on.
    pub fn heal(&self) {
        fs::remove_file(&self.control).expect("it was disturbed");
    }
}
