//! The usual `process_*` metrics, from /proc. Where there is none, they are absent.

use crate::metric::{Definition, Metric, Samples};

static CPU: Metric<0> =
    Metric::agent_counter("process.cpu", "s", &[], "User and system CPU time spent.");
static RESIDENT: Metric<0> =
    Metric::agent_gauge("process.resident_memory", "By", &[], "Resident memory.");
static VIRTUAL: Metric<0> =
    Metric::agent_gauge("process.virtual_memory", "By", &[], "Virtual memory.");
static OPEN_FDS: Metric<0> =
    Metric::agent_gauge("process.open_fds", "{file}", &[], "Open file descriptors.");
static MAX_FDS: Metric<0> = Metric::agent_gauge(
    "process.max_fds",
    "{file}",
    &[],
    "Maximum number of open file descriptors.",
);
static THREADS: Metric<0> =
    Metric::agent_gauge("process.threads", "{thread}", &[], "Threads of the process.");
static START_TIME: Metric<0> =
    Metric::agent_gauge("process.start_time", "s", &[], "Start time of the process, Unix seconds.");

pub(super) fn definitions() -> [&'static Definition; 7] {
    [
        CPU.definition(),
        RESIDENT.definition(),
        VIRTUAL.definition(),
        OPEN_FDS.definition(),
        MAX_FDS.definition(),
        THREADS.definition(),
        START_TIME.definition(),
    ]
}

pub(super) fn record(samples: &mut Samples) {
    let Ok(process) = procfs::process::Process::myself() else { return };
    if let Ok(stat) = process.stat() {
        let ticks = procfs::ticks_per_second() as f64;
        samples.record(&CPU, [], (stat.utime + stat.stime) as f64 / ticks);
        samples.record(&RESIDENT, [], (stat.rss * procfs::page_size()) as f64);
        samples.record(&VIRTUAL, [], stat.vsize as f64);
        samples.record(&THREADS, [], stat.num_threads as f64);
        let boot = procfs::boot_time_secs().ok();
        let start = boot.map(|boot| boot as f64 + stat.starttime as f64 / ticks);
        samples.record(&START_TIME, [], start);
    }
    samples.record(&OPEN_FDS, [], process.fd_count().ok().map(|count| count as f64));
    let limit = process.limits().map(|limits| limits.max_open_files.soft_limit);
    if let Ok(procfs::process::LimitValue::Value(most)) = limit {
        samples.record(&MAX_FDS, [], most as f64);
    }
}
