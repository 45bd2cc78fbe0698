//! Random histories of a site, held against the promise after each event.

use std::time::Duration;

use fastrand::Rng;
use nbu_sim::{Fault, Permissions};
use tokio::task::JoinSet;

use crate::events::{self, Event};
use crate::site::{MINUTE, Site};
use crate::support::ended;

/// Histories of a run that nobody asked to be longer.
const SEEDS: u64 = 4;

/// Histories that run beside each other: they wait more than they compute.
const AT_ONCE: usize = 12;

/// Events in each.
const EVENTS: u32 = 12;

/// Draws what keeps the first contact from being one, and lets it last for some time.
async fn first_contact(rng: &mut Rng, site: &mut Site) {
    let simulator = site.simulator();
    match rng.u32(0..5) {
        0 => simulator.faults().add(Fault::on("/ping")),
        1 => simulator.faults().add(Fault::on("/admin/jobs").status(500)),
        2 => simulator.faults().add(Fault::on("/admin/jobs").filter("endTime").status(500)),
        3 => simulator.set_permissions(Permissions {
            jobs: false,
            job_counts: false,
            ..Permissions::ALL
        }),
        _ => {
            site.start();
            return;
        }
    }
    site.start();
    for _ in 0..rng.u32(1..4) {
        site.asked(6).await;
        site.pass(Duration::from_millis(rng.u64(1_000..3 * 3_600_000))).await;
    }
    site.asked(6).await;
    site.simulator().set_permissions(Permissions::ALL);
    site.mend();
}

#[allow(clippy::print_stdout, reason = "the harness shows it where the test fails")]
async fn history(seed: u64) {
    let name = format!("NBU_ORACLE_SEED={seed} cargo test --test oracle histories");
    println!("{name}");
    let mut rng = Rng::with_seed(seed);
    let settings = events::server(&mut rng, seed);
    let mut site = Site::new(&name, settings, events::window(&mut rng)).await;
    if let Some(refusal) = events::refusal(&mut rng) {
        println!("{seed}: {refusal:?}");
        site.refuse(refusal);
    }
    first_contact(&mut rng, &mut site).await;
    site.settle().await;
    for _ in 0..EVENTS {
        let event = Event::draw(&mut rng, site.window());
        println!("{seed}: {event:?}");
        event.happens(&mut site).await;
        site.settle().await;
    }
    for _ in 0..2 {
        site.pass(6 * MINUTE).await;
        site.settle().await;
    }
    site.stop().await;
}

/// The seeds of this run: one from `NBU_ORACLE_SEED` on, or so many as `NBU_LEDGER_SEEDS` says.
fn seeds() -> Vec<u64> {
    let number =
        |name: &str| -> Option<u64> { Some(std::env::var(name).ok()?.parse().expect("a number")) };
    let (first, count) = (number("NBU_ORACLE_SEED"), number("NBU_LEDGER_SEEDS"));
    let count = count.unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    (first..first + count).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_keep_the_promise() {
    let mut running = JoinSet::new();
    for seed in seeds() {
        if running.len() == AT_ONCE {
            ended(&mut running).await;
        }
        running.spawn(history(seed));
    }
    while ended(&mut running).await.is_some() {}
}
