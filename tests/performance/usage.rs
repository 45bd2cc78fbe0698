//! Resources that a process uses, from /proc.

use std::fs;
use std::ops::Sub;

use procfs::process::Process;

/// CPU time of a process, seconds.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Cpu {
    /// Of all threads of the process so far. The kernel counts both exactly and shows them in ticks, of
    /// which there are usually 100 a second.
    pub fn of(pid: u32) -> Self {
        let stat = process(pid).stat().expect("the process runs");
        let ticks = procfs::ticks_per_second() as f64;
        Self { user: stat.utime as f64 / ticks, system: stat.stime as f64 / ticks }
    }

    /// User and system time together.
    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub resident: f64,
    /// Resident, with shared pages divided among those that share them.
    pub proportional: f64,
    /// The largest resident size since the start or [`Memory::forget_peak`].
    pub peak: f64,
}

impl Memory {
    pub fn of(pid: u32) -> Self {
        let status = process(pid).status().expect("the process runs");
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let pss =
            rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.split(' ').rev().nth(1));
        let bytes = |kib: Option<u64>| kib.map_or(f64::NAN, |kib| kib as f64 * 1024.0);
        Self {
            resident: bytes(status.vmrss),
            proportional: bytes(pss.and_then(|kib| kib.parse().ok())),
            peak: bytes(status.vmhwm),
        }
    }

    /// Lets the peak begin anew.
    pub fn forget_peak(pid: u32) {
        fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the process is ours");
    }
}

/// Returns bytes as MB: a million of them.
pub fn mb(bytes: f64) -> f64 {
    bytes / 1e6
}

/// CPU time of the calling thread, seconds.
pub fn thread_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn process(pid: u32) -> Process {
    Process::new(i32::try_from(pid).expect("an id")).expect("the process runs")
}
