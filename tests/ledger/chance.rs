//! Whatever comes, in any order: time in random steps, polls that fail in random ways, on servers of
//! any temper. `NBU_LEDGER_SEEDS` says how many worlds to try.

use std::time::Duration;

use fastrand::Rng;
use nbu_sim::{Fault, Settings};

use crate::scene::{HOUR, MINUTE, Scene};
use crate::support::world;

/// Worlds of a run that nobody asked to be longer.
const SEEDS: u64 = 4;

/// Steps in each.
const STEPS: u32 = 15;

fn temper(rng: &mut Rng, seed: u64) -> Settings {
    let (late, progress) = (rng.bool(), rng.bool());
    Settings {
        jobs_per_hour: 30.0 + 400.0 * rng.f64(),
        live_jobs: rng.usize(5..80),
        policies: 3,
        late_visibility: if late { 4 * MINUTE } else { Duration::ZERO },
        updates_of_finished: rng.bool(),
        resumes_of_finished: !late && rng.bool(),
        progress_updates: if progress { MINUTE } else { Duration::ZERO },
        ..world(seed)
    }
}

/// Returns one that strikes at least once an hour of any server's life.
fn fault(rng: &mut Rng) -> Fault {
    let on = Fault::on("/admin/jobs").from_page(rng.u32(1..3));
    let on = match rng.u32(0..3) {
        0 => on.filter("state ne 'DONE'"),
        1 => on.filter("lastUpdateTime"),
        _ => on,
    };
    match rng.u32(0..6) {
        0 => on.status(503).times(rng.u64(1..6)),
        1 => on.cut_body(),
        2 => on.invalid_json(),
        3 => on.close_connection().times(rng.u64(1..6)),
        4 => on.html(),
        _ => on.status(500),
    }
}

async fn life(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut scene = Scene::start(temper(&mut rng, seed), 8 * HOUR).await;
    for _ in 0..STEPS {
        let mut time = || Duration::from_millis(rng.u64(5_000..=20 * 60_000));
        match (time(), time(), rng.u32(0..10)) {
            // Some polls fail, wholly or on the way, before one at the same instant is whole.
            (first, _, 0..3) => {
                scene.simulator.faults().add(fault(&mut rng));
                scene.pass(first);
                scene.runs(2).await;
            }
            // All polls fail for a while.
            (first, second, 3) => {
                scene.cut_off().await;
                scene.pass(first);
                scene.struck(1).await;
                scene.pass(second);
            }
            (first, ..) => scene.pass(first),
        }
        scene.simulator.faults().clear();
        scene.poll().await;
    }
    // What shows late is found within five minutes.
    scene.step(6 * MINUTE).await;
    scene.stop(10).await;
}

#[allow(clippy::print_stdout, reason = "the harness shows it where the test fails")]
async fn lives(part: u64) {
    let asked = std::env::var("NBU_LEDGER_SEEDS").ok();
    let seeds = asked.map_or(SEEDS, |seeds| seeds.parse().expect("a number of seeds"));
    for seed in (0..seeds).filter(|seed| seed % 2 == part) {
        println!("seed {seed}");
        life(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_completion_is_counted_once_in_worlds_with_even_seeds() {
    lives(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_completion_is_counted_once_in_worlds_with_odd_seeds() {
    lives(1).await;
}
