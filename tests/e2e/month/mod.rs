//! A month of a site, watched from its first day on: nightly windows, quiet weekends, weekly and monthly policies,
//! two failures in a hundred jobs, and three incidents. The collector of jobs polls it every five minutes over HTTP,
//! and promtool evaluates all rules over what it exported.

mod server;
mod world;

use std::time::Instant;

use nbu_otel_agent::collectors::{self, NameFilterConfig, Settings};

use self::server::{JobServer, WINDOW};
use self::world::{
    BEGIN, DAY, DAYS, HOUR, Incident, Job, MINUTE, PASSWORD, POOL_FULL, SERVER_DOWN, World,
};
use crate::history::{Recorder, evaluate, names_of_rules, record_healthy};
use crate::support::runs::{self, Runs};

/// Time between two polls, and between two evaluations of the rules.
const STEP: i64 = 5 * MINUTE;

/// Time after its condition holds in which an alert must fire.
const PROMPT: i64 = 15 * MINUTE;

/// Polls the site for a month. Returns the series.
async fn watch(world: &World, wanted: impl Fn(&str) -> bool) -> Recorder {
    let server = JobServer::start(world.jobs.clone(), BEGIN).await;
    let client = runs::client("paris", &format!("http://{}/netbackup", server.address), "k");
    let selected = NameFilterConfig {
        enabled: true,
        allowlist: vec!["*".to_owned()],
        ..NameFilterConfig::default()
    };
    let config = collectors::Config {
        per_policy: selected.clone(),
        per_workload: selected,
        audit_interval: None,
        ..collectors::Config::default()
    };
    let settings = Settings { collectors: &config, window: WINDOW, state: None };
    let mut jobs = Runs::of("jobs", &client, &settings);
    let mut recorder = Recorder::from(BEGIN);
    for poll in 0..=DAYS * DAY / STEP {
        let now = BEGIN + poll * STEP;
        server.set_time(now);
        for group in jobs.run().await {
            recorder.record_group(&group, &wanted);
        }
        record_healthy(&mut recorder, now, &["jobs", "storage"]);
        record_units(&mut recorder);
        recorder.finish_poll();
    }
    recorder
}

/// Records the storage units, as they are where nothing is wrong.
fn record_units(recorder: &mut Recorder) {
    for unit in ["stu-1", "stu-2", "stu-3", "stu-4"] {
        let labels = [("name", unit), ("type", "DISK")];
        recorder.record("nbu_storage_max_concurrent_jobs", &labels, 40.0);
        recorder.record("nbu_disk_capacity_bytes", &labels, 1e14);
        for (size, bytes) in [("used", 6e13), ("free", 4e13)] {
            recorder.record("nbu_disk_bytes", &[&labels[..], &[("size", size)]].concat(), bytes);
        }
    }
}

/// Returns a moment as a person reads it.
fn day(ms: i64) -> String {
    let (day, rest) = ((ms - BEGIN).div_euclid(DAY), (ms - BEGIN).rem_euclid(DAY));
    let weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let name = weekday[usize::try_from(day.rem_euclid(7)).expect("a day of the week")];
    format!("day {day} ({name}) {:02}:{:02}", rest / HOUR, rest % HOUR / MINUTE)
}

/// An alert that must fire, by its labels, promptly after a moment and until another one at most.
struct Expected {
    alert: &'static str,
    label: &'static str,
    value: String,
    after: i64,
    until: i64,
}

fn expectations(world: &World) -> Vec<Expected> {
    let cluster = |incident: &Incident| Expected {
        alert: "NetBackupFailuresClustered",
        label: "value",
        value: incident.place.to_owned(),
        after: world.tenth_failure(incident),
        // The failures of the last hour.
        until: incident.to + HOUR + PROMPT,
    };
    let mut all = vec![cluster(&SERVER_DOWN), cluster(&POOL_FULL)];
    let mut failing = |alert, label, name| {
        for (value, (after, until)) in world.failing_for_two_nights(name) {
            let (after, until) = (after + HOUR, until.saturating_add(STEP));
            all.push(Expected { alert, label, value, after, until });
        }
    };
    failing("NetBackupWorkloadFailing", "workload", Job::workload);
    failing("NetBackupPolicyFailing", "policy", |job| job.policy);
    assert!(all.iter().any(|one| one.value == PASSWORD.place), "the client is among them");
    all
}

#[tokio::test]
async fn month_raises_the_alerts_of_its_incidents_alone() {
    let seed =
        std::env::var("NBU_MONTH_SEED").map_or(0x5eed, |seed| seed.parse().expect("a number"));
    let world = World::new(seed);
    let names = names_of_rules();
    let started = Instant::now();
    let recorder = watch(&world, |name| names.contains(name)).await;
    println!("{} jobs watched for {DAYS} days in {:.0?}", world.jobs.len(), started.elapsed());
    let started = Instant::now();
    let mut fired = evaluate(&recorder, STEP);
    println!("evaluated in {:.0?}", started.elapsed());
    for (labels, firing) in &fired {
        let [first, last] = [firing.first, firing.last].map(|s| day(BEGIN + s * 1000));
        println!("{labels:?}: {first} to {last}, {} evaluations", firing.evaluations);
    }
    for expected in expectations(&world) {
        let Expected { alert, label, value, after, until } = expected;
        let found = fired.keys().find(|labels| {
            labels.get("alertname").is_some_and(|name| name == alert)
                && labels.get(label) == Some(&value)
        });
        let found = found.cloned();
        let labels = found.unwrap_or_else(|| panic!("{alert} of {value} did not fire"));
        let firing = fired.remove(&labels).expect("it was found");
        let [first, last] = [firing.first, firing.last].map(|s| BEGIN + s * 1000);
        println!("{alert} of {value}: due {}, fired {}", day(after), day(first));
        assert!(first >= after && first <= after + PROMPT, "{labels:?} at {}", day(first));
        assert!(last <= until, "{labels:?} still at {}", day(last));
    }
    assert!(fired.is_empty(), "nothing else was to fire: {fired:#?}");
}
