//! The process is killed at any moment, and starts again: nothing is lost and nothing doubled.

use std::time::Duration;

use fastrand::Rng;
use nbu_sim::{Fault, Settings};

use crate::site::{HOUR, MINUTE, Site, kills};
use crate::support::world;

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_moment_lose_and_double_nothing() {
    let mut rng = Rng::with_seed(3);
    let settings = Settings {
        jobs_per_hour: 240.0,
        live_jobs: 60,
        jobs_in_history: 900,
        policies: 3,
        updates_of_finished: true,
        resumes_of_finished: true,
        late_visibility: 4 * MINUTE,
        ..world(3)
    };
    let mut site = Site::new("kills", settings, 20 * HOUR).await;
    site.start();
    for _ in 0..kills() {
        if rng.bool() {
            let slow = Fault::on("/admin/jobs").latency(Duration::from_millis(rng.u64(1..40)));
            site.simulator().faults().add(slow);
        }
        if rng.bool() {
            site.pass(Duration::from_millis(rng.u64(5_000..600_000))).await;
        }
        site.asked(rng.u64(1..25)).await;
        // Any moment will do: within a request, a save, between two polls.
        tokio::time::sleep(Duration::from_micros(rng.u64(0..40_000))).await;
        site.kill(true).await;
        site.mend();
        site.start();
        if rng.u32(0..4) == 0 {
            site.settle().await;
        }
    }
    site.settle().await;
    for _ in 0..2 {
        site.pass(6 * MINUTE).await;
        site.settle().await;
    }
    assert!(site.settle().await > 50);
    site.stop().await;
}
