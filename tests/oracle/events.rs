//! Random events of a site.

use std::time::Duration;

use fastrand::Rng;
use nbu_sim::{Batch, Fault, Permissions, Settings};

use crate::site::{MINUTE, Site};
use crate::support::world;

/// Something that happens to a site.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time passes.
    Pass(Duration),
    /// Nothing is answered for two spans of time.
    Outage(Duration, Duration),
    /// A fault strikes while time passes.
    Fault(Fault, Duration),
    /// The key may not see jobs for a while.
    Denied(Duration),
    /// Another window is put in force by a reload.
    Reload(Duration),
    /// The agent is stopped, is down for a while, and starts with this window.
    Restart(Duration, Duration),
    /// The agent is killed after so many requests, is down for a while, and starts again.
    Kill(u64, Duration),
    /// The server's clock is off by so many milliseconds from now on.
    Skew(i64),
    /// The disk below the state hangs or fails while time passes, and the agent may be killed then.
    Disk(&'static [&'static str], Duration, bool),
    /// The agent is stopped, and starts while its state cannot be read.
    Unreadable(&'static [&'static str], Duration),
    /// So many jobs end in one millisecond.
    Burst(usize, Duration),
    /// Jobs end whose rows are odd.
    Odd(Oddity, usize, Duration),
}

/// A way in which rows of finished jobs are odd.
#[derive(Debug, Clone, Copy)]
pub enum Oddity {
    /// Kilobytes and files are negative.
    NegativeSizes,
    /// The end is so much later than now.
    EndAhead(Duration),
}

impl Oddity {
    fn draw(rng: &mut Rng) -> Self {
        if rng.bool() { Self::NegativeSizes } else { Self::EndAhead(hours(rng)) }
    }

    fn put_on(self, batch: Batch) -> Batch {
        match self {
            Self::NegativeSizes => batch.kilobytes(-2048).files(-3),
            Self::EndAhead(time) => batch.end_ahead(time),
        }
    }
}

/// Ways in which a disk is disturbed; the first one hangs altogether.
const DISTURBANCES: [&[&str]; 8] = [
    &[],
    &["sync"],
    &["write"],
    &["sync=5"],
    &["write=28"],
    &["write=28", "truncate=5"],
    &["rename=28"],
    &["open=24"],
];

impl Event {
    /// Draws an event; `window` is the one in force.
    pub fn draw(rng: &mut Rng, window: Duration) -> Self {
        match rng.u32(0..26) {
            0..6 => Self::Pass(time(rng)),
            6 => Self::Pass(hours(rng)),
            7 => Self::Outage(time(rng), hours(rng)),
            8..10 => Self::Fault(fault(rng), time(rng)),
            10 => Self::Denied(time(rng)),
            11..14 => Self::Reload(other_window(rng, window)),
            14..16 => Self::Restart(some_time(rng), other_window(rng, window)),
            16..18 => Self::Kill(rng.u64(1..20), some_time(rng)),
            18 => Self::Skew(skew(rng)),
            19..22 => {
                Self::Disk(DISTURBANCES[rng.usize(0..DISTURBANCES.len())], time(rng), rng.bool())
            }
            22 => Self::Unreadable([&["read=5"], &["open@.state=13"]][rng.usize(0..2)], time(rng)),
            23 => Self::Burst(rng.usize(50..800), time(rng)),
            _ => Self::Odd(Oddity::draw(rng), rng.usize(1..40), time(rng)),
        }
    }

    /// Lets it happen. What is at fault for a while is mended again at its end.
    pub async fn happens(self, site: &mut Site) {
        match self {
            Self::Pass(time) => site.pass(time).await,
            Self::Outage(first, second) => {
                site.simulator().faults().add(Fault::on("/ping"));
                site.asked(2).await;
                site.pass(first).await;
                site.asked(2).await;
                site.pass(second).await;
            }
            Self::Fault(fault, time) => {
                site.simulator().faults().add(fault);
                site.asked(3).await;
                site.pass(time).await;
                site.asked(8).await;
            }
            Self::Denied(time) => {
                let denied = Permissions { jobs: false, job_counts: false, ..Permissions::ALL };
                site.simulator().set_permissions(denied);
                site.asked(6).await;
                site.pass(time).await;
                site.asked(6).await;
            }
            Self::Reload(window) => site.reload_window(window).await,
            Self::Restart(time, window) => {
                site.stop().await;
                site.pass(time).await;
                site.set_window(window);
                site.start();
            }
            Self::Kill(requests, time) => {
                site.asked(requests).await;
                site.kill(true).await;
                site.pass(time).await;
                site.start();
            }
            Self::Skew(skew) => site.set_skew(skew),
            Self::Disk(operations, time, killed) => {
                site.disk.disturb(operations);
                site.pass(time).await;
                site.settle().await;
                if killed {
                    site.kill(false).await;
                }
                site.disk.heal();
                if killed {
                    site.start();
                }
            }
            Self::Unreadable(operations, time) => {
                site.stop().await;
                site.disk.disturb(operations);
                site.start();
                site.asked(8).await;
                site.pass(time).await;
                site.asked(8).await;
                site.disk.heal();
            }
            Self::Burst(jobs, time) => {
                site.simulator().submit(&Batch::of(jobs).running_for(time / 2));
                site.pass(time / 2).await;
                site.asked(4).await;
                site.pass(time / 2).await;
            }
            Self::Odd(oddity, jobs, time) => {
                let batch = Batch::of(jobs).running_for(time / 2);
                site.simulator().submit(&oddity.put_on(batch));
                site.pass(time).await;
                site.asked(4).await;
            }
        }
        site.simulator().set_permissions(Permissions::ALL);
        site.mend();
    }
}

/// Draws a server: its pace and its temper.
pub fn server(rng: &mut Rng, seed: u64) -> Settings {
    let late = rng.bool();
    Settings {
        jobs_per_hour: 20.0 + 200.0 * rng.f64(),
        live_jobs: rng.usize(5..60),
        jobs_in_history: rng.usize(200..700),
        policies: 3,
        late_visibility: if late { 4 * MINUTE } else { Duration::ZERO },
        updates_of_finished: rng.bool(),
        resumes_of_finished: rng.bool(),
        progress_updates: if rng.bool() { MINUTE } else { Duration::ZERO },
        ..world(seed)
    }
}

/// Draws a window: from ten seconds to two days.
pub fn window(rng: &mut Rng) -> Duration {
    let seconds = 10.0 * 17_280_f64.powf(rng.f64());
    Duration::from_secs_f64(seconds.round())
}

/// Draws a window near the one in force, or any.
fn other_window(rng: &mut Rng, window_in_force: Duration) -> Duration {
    match rng.u32(0..4) {
        0 => window(rng),
        1 => window_in_force,
        _ => {
            let factor = 0.5 + 1.5 * rng.f64();
            Duration::from_secs_f64((window_in_force.as_secs_f64() * factor).max(10.0).round())
        }
    }
}

fn time(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(5_000..=20 * 60_000))
}

fn some_time(rng: &mut Rng) -> Duration {
    if rng.bool() { Duration::from_millis(rng.u64(0..3_000)) } else { time(rng) }
}

fn hours(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(20 * 60_000..=10 * 3_600_000))
}

/// A clock that is off by seconds, minutes, hours or days, or right.
fn skew(rng: &mut Rng) -> i64 {
    let reach = [0, 30_000, 1_800_000, 5 * 3_600_000, 20 * 86_400_000][rng.usize(0..5)];
    rng.i64(-reach..=reach)
}

/// Draws a fault that comes and goes.
fn fault(rng: &mut Rng) -> Fault {
    let on = Fault::on("/admin/jobs").from_page(rng.u32(1..3));
    let on = match rng.u32(0..4) {
        0 => on.filter("state ne 'DONE'"),
        1 => on.filter("lastUpdateTime"),
        2 => on.filter("endTime"),
        _ => on,
    };
    let times = rng.u64(1..6);
    match rng.u32(0..10) {
        0 => on.status(503).times(times),
        1 => on.cut_body(),
        2 => on.invalid_json(),
        3 => on.close_connection().times(times),
        4 => on.html(),
        5 => on.status([400, 408, 413, 425, 429, 431][rng.usize(0..6)]).times(times),
        6 => on.latency(Duration::from_millis(rng.u64(50..400))).times(8),
        7 => on.duplicate_rows(),
        8 => on.empty_body(),
        _ => on.status(500),
    }
}

/// Draws what a server does for good: it refuses a question, or answers it slowly or in small pages.
pub fn refusal(rng: &mut Rng) -> Option<Fault> {
    let status = [400, 403, 404, 405, 406, 408, 500, 501][rng.usize(0..8)];
    let count = Fault::on("/admin/jobs-count-requests").method("POST");
    match rng.u32(0..7) {
        0 => Some(count.status(status)),
        1 => Some(count.latency(Duration::from_millis(500))),
        2 => Some(Fault::on("/admin/jobs").filter("status eq 0").status(status)),
        3 => Some(Fault::on("/admin/jobs").filter("lastUpdateTime").bad_filter()),
        4 => Some(Fault::on("/admin/jobs").short_pages(rng.usize(3..30))),
        _ => None,
    }
}
