//! A site that moves to another server and back: what each of them listed counts once.

use std::time::Duration;

use fastrand::Rng;
use nbu_sim::Settings;

use crate::site::{HOUR, Site};
use crate::support::world;

fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 200.0, jobs_in_history: 300, policies: 3, ..world(seed) }
}

async fn moves(name: &str, seed: u64, by_restart: bool) {
    let mut rng = Rng::with_seed(seed);
    let mut site = Site::new(name, busy(seed), 2 * HOUR).await;
    site.add_server(busy(seed + 100)).await;
    site.start();
    site.settle().await;
    let mut counted = 0;
    for step in 0..6 {
        site.pass(Duration::from_secs(rng.u64(60..5_000))).await;
        counted = site.settle().await;
        let at = (step + 1) % 2;
        if by_restart {
            site.stop().await;
            site.start_at(at);
        } else {
            site.move_to(at).await;
        }
        site.settle().await;
    }
    assert!(counted > 50, "only {counted} completions");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn site_moved_by_reload_and_back_counts_once() {
    moves("moves by reload", 1, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn site_moved_by_restart_and_back_counts_once() {
    moves("moves by restart", 2, true).await;
}
