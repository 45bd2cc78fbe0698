//! The forecast over nights, held against the oracle at each poll.

use std::collections::BTreeSet;

use nbu_sim::{PoolScript, Settings};

use crate::quiet;
use crate::support::world;
use crate::walk::{TIB, Walk, site};

#[tokio::test]
async fn forecast_of_tokyo_equals_the_oracle_hourly() {
    let mut walk = Walk::begin(site("Asia/Tokyo"), None).await;
    walk.days(21, 60).await;
    assert!(walk.of("nbu_disk_pool_days_left", "dp-advdisk-01").is_some());
    assert!(walk.of("nbu_disk_pool_tonight_fits", "dp-appliance-a-01").is_some());
}

#[tokio::test]
async fn forecast_follows_a_clock_that_goes_forward() {
    let mut walk = Walk::begin(site("America/New_York"), None).await;
    walk.days(12, 30).await;
    // And one that goes back, the winter of the south.
    let mut walk = Walk::begin(site("Australia/Sydney"), None).await;
    walk.skip(30 * 24 * 60);
    walk.days(9, 45).await;
}

#[tokio::test]
async fn forecast_needs_no_regular_polls() {
    let mut random = fastrand::Rng::with_seed(3);
    for zone in ["Europe/Berlin", "Asia/Kolkata"] {
        let folder = tempfile::tempdir().unwrap();
        let mut walk = Walk::begin(site(zone), Some(folder.path())).await;
        for _ in 0..200 {
            let minutes = match random.u32(0..20) {
                0 => random.u64(600..3_000),
                1..4 => random.u64(240..480),
                _ => random.u64(16..240),
            };
            if random.u32(0..6) == 0 {
                walk.restart();
            }
            walk.step(minutes).await;
        }
    }
}

#[tokio::test]
async fn pool_unseen_for_a_month_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut walk = Walk::begin(site("UTC"), Some(folder.path())).await;
    walk.days(4, 120).await;
    walk.skip(40 * 24 * 60);
    walk.restart();
    walk.days(5, 120).await;
}

#[tokio::test]
async fn clock_that_is_wrong_once_ends_no_night() {
    let mut walk = Walk::begin(site("UTC"), None).await;
    walk.days(5, 120).await;
    let ahead = 60 * 24 * 3_600_000;
    walk.skew(ahead);
    assert!(walk.shown().await.is_empty(), "it is not believed");
    walk.skew(0);
    walk.days(2, 120).await;
}

#[tokio::test]
async fn growth_of_a_night_is_what_backups_stored() {
    let saves = PoolScript::of("dp-msdp-01").nightly(20 * TIB).saving(0.95);
    let plain = PoolScript::of("dp-advdisk-01").nightly(3 * TIB);
    let settings = Settings {
        time_zone: "Asia/Tokyo".parse().unwrap(),
        pool_scripts: vec![saves, plain],
        ..quiet()
    };
    let mut walk = Walk::begin(settings, None).await;
    walk.days(4, 60).await;
    let [shown, _] = walk.poll().await;
    let growths: BTreeSet<String> = shown
        .iter()
        .filter(|((name, labels), _)| {
            let is_scripted = |(_, value): &(String, String)| {
                ["dp-msdp-01", "dp-advdisk-01"].contains(&value.as_str())
            };
            name == "nbu_disk_pool_night_growth_bytes" && labels.iter().any(is_scripted)
        })
        .map(|(_, value)| format!("{:.6}", value / TIB as f64))
        .collect();
    assert_eq!(
        growths,
        BTreeSet::from(["1.000000", "3.000000"].map(str::to_owned)),
        "front-end bytes say nothing"
    );
}

#[tokio::test]
async fn full_backup_that_does_not_fit_is_told_in_time() {
    // A full of 30 TiB on the night of Friday, which the week cleans up; the third one finds too little room.
    let grows = PoolScript::of("dp-advdisk-01")
        .size(100 * TIB)
        .used(20 * TIB)
        .marks(98, 80)
        .nightly(TIB)
        .weekdays([1.0, 1.0, 1.0, 1.0, 30.0, 1.0, 1.0])
        .cleaned(2 * TIB);
    let settings = Settings { pool_scripts: vec![grows], ..world(7) };
    let mut walk =
        Walk::begin(Settings { jobs_in_history: 5, live_jobs: 0, ..settings }, None).await;
    let mut told = Vec::new();
    for hour in 0..30 * 24 {
        walk.step(60).await;
        if walk.of("nbu_disk_pool_tonight_fits", "dp-advdisk-01") == Some(0.0) {
            told.push(hour);
        }
    }
    let full = walk.simulator.truth().disk_pool("dp-advdisk-01").unwrap().full_from_ms;
    let full = (full.expect("it fills") - crate::support::NOON) / 3_600_000;
    let first = told.iter().find(|hour| **hour > full - 24).expect("it is told");
    assert!(full - first >= 6, "told at {first}, full at {full}");
}
