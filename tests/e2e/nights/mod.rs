//! Nightly writes of five weeks to pools of every sort, polled every quarter of an hour over HTTP by the collectors of jobs,
//! storage units, disk pools and storage servers: promtool evaluates all rules over what they exported. One pool fills.

mod site;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nbu_otel_agent::collectors::{self, Settings};
use nbu_sim::Simulator;

use self::site::{BEGIN, DAYS, FILLS, SCRIPTED, STEP, settings};
use crate::history::{Firing, Labels, Recorder, evaluate, names_of_rules, record_healthy};
use crate::support::runs::{Runs, client};
use crate::support::simulate;

const HOUR: i64 = 3_600_000;

const COLLECTORS: [&str; 4] = ["jobs", "storage", "disk_pools", "storage_servers"];

/// Lets five weeks pass. Returns the series.
async fn watch(simulator: &Simulator) -> Recorder {
    let key = &simulator.settings().api_key;
    let client = client("paris", &simulator.base_url(), key);
    let config = collectors::Config { audit_interval: None, ..collectors::Config::default() };
    let settings =
        Settings { collectors: &config, window: Duration::from_secs(24 * 3600), state: None };
    let mut all = COLLECTORS.map(|name| Runs::of(name, &client, &settings));
    let (mut recorder, names) = (Recorder::from(BEGIN), names_of_rules());
    for poll in 0..DAYS * 24 * HOUR / STEP {
        if poll > 0 {
            simulator.clock().advance(Duration::from_millis(STEP.unsigned_abs()));
        }
        let now = BEGIN + poll * STEP;
        site::submit(simulator, now);
        for collector in &mut all {
            for group in collector.run().await {
                recorder.record_group(&group, |name| names.contains(name));
            }
        }
        record_healthy(&mut recorder, now, &COLLECTORS);
        recorder.finish_poll();
    }
    recorder
}

/// Returns the alerts of one name, by disk pool.
fn by_pool<'f>(fired: &'f BTreeMap<Labels, Firing>, alert: &str) -> BTreeMap<&'f str, Firing> {
    let of_it = fired.iter().filter(|(labels, _)| labels["alertname"] == alert);
    of_it.map(|(labels, firing)| (labels["pool_name"].as_str(), *firing)).collect()
}

#[tokio::test]
async fn filling_pool_alarms_before_its_first_failure_and_alone() {
    let simulator = simulate(settings()).await;
    for pool in simulator.truth().disk_pools() {
        simulator.set_disk_pool_state(&pool.name, "UP");
    }
    let started = Instant::now();
    let recorder = watch(&simulator).await;
    println!("watched {DAYS} days in {:.0?}", started.elapsed());
    let started = Instant::now();
    let fired = evaluate(&recorder, STEP);
    println!("evaluated in {:.0?}", started.elapsed());
    for (labels, firing) in &fired {
        let [first, last] = [firing.first, firing.last].map(|s| site::day(BEGIN + s * 1000));
        println!("{labels:?}: {first} to {last}, {} evaluations", firing.evaluations);
    }
    let truth = simulator.truth();
    for pool in SCRIPTED.iter().filter(|name| **name != FILLS) {
        let pool = truth.disk_pool(pool).expect("a pool");
        assert_eq!(pool.full_from_ms, None, "{}", pool.name);
    }
    let full = truth.disk_pool(FILLS).expect("a pool").full_from_ms.expect("it fills");
    let failures = truth.completions().filter(|job| job.status == 129).map(|job| job.end_ms);
    let failure = failures.min().expect("jobs meet the full pool");
    assert!(full <= failure && failure < full + HOUR, "{full} {failure}");
    let tonight = by_pool(&fired, "NetBackupTonightDoesNotFit");
    let names: Vec<&str> = tonight.keys().copied().collect();
    assert_eq!(names, [FILLS]);
    let alarm = BEGIN + tonight[FILLS].first * 1000;
    let hours = |ms: i64| ms as f64 / HOUR as f64;
    println!(
        "alarm {}, full {}, first 129 {}: {:.1} hours before",
        site::day(alarm),
        site::day(full),
        site::day(failure),
        hours(failure - alarm)
    );
    assert!(failure - alarm >= 8 * HOUR, "{} hours before", hours(failure - alarm));
    assert!(failure - alarm < 24 * HOUR, "a night that fitted was said not to");
    for alert in
        ["NetBackupDiskPoolFull", "NetBackupDiskPoolNearlyFull", "NetBackupDiskPoolFillsUp"]
    {
        let names: Vec<_> = by_pool(&fired, alert).into_keys().collect();
        assert_eq!(names, [FILLS], "{alert}");
    }
}
