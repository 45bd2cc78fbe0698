//! A month of a site, watched from its first day on: nightly windows, quiet weekends, weekly and monthly policies,
//! two failures in a hundred jobs, and three incidents. The collector of jobs polls it every five minutes over HTTP,
//! and promtool evaluates all rules over what it exported.

mod series;
mod server;
mod world;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashboards::rules::{self, Alert};
use nbu_otel_agent::collectors::{self, Collected, NameFilterConfig, Part, Settings, TABLE};
use nbu_otel_agent::metric::Family;
use nbu_otel_agent::netbackup::{Client, Config, RetryPolicy};
use secrecy::SecretString;

use self::series::Recorder;
use self::server::{JobServer, WINDOW};
use self::world::{
    BEGIN, DAY, DAYS, HOUR, Incident, Job, MINUTE, PASSWORD, POOL_FULL, SERVER_DOWN, World,
};
use crate::parts::{part, run};

/// Time between two polls, and between two evaluations of the rules.
const STEP: i64 = 5 * MINUTE;

/// Time after its condition holds in which an alert must fire.
const PROMPT: i64 = 15 * MINUTE;

/// The firing of an alert with its labels: from when to when, and how often it was seen.
#[derive(Debug, Clone, Copy)]
struct Firing {
    first: i64,
    last: i64,
    evaluations: i64,
}

type Labels = BTreeMap<String, String>;

fn client(server: &JobServer) -> Client {
    // A second installation fails and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config {
        site: "paris".to_owned(),
        base_url: format!("http://{}/netbackup", server.address).parse().expect("a URL"),
        api_key: SecretString::from("k"),
        api_version: None,
        insecure_skip_verify: false,
        ca: None,
        roots: None,
        identity: None,
        proxy: None,
        timeout: Duration::from_secs(30),
        max_concurrent_requests: 4,
    };
    Client::builder(config).retry_policy(RetryPolicy::default()).build().expect("a client")
}

/// Returns the series of a run in groups.
fn groups(collected: Collected) -> Vec<Arc<Vec<Family>>> {
    let mut all = Vec::new();
    for (name, part) in collected.parts {
        match part {
            Part::Fresh(samples) => all.push(Arc::new(samples.finish().0)),
            Part::Groups(groups) | Part::Totals(groups, _) => all.extend(groups),
            Part::Failed(error) => panic!("{name}: {error}"),
            Part::Kept => panic!("{name}: nothing new"),
        }
    }
    all
}

/// Polls the site for a month. Returns the series.
async fn watch(world: &World, wanted: impl Fn(&str) -> bool) -> Recorder {
    let server = JobServer::start(world.jobs.clone(), BEGIN).await;
    let client = client(&server);
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
    let row = TABLE.iter().find(|row| row.name == "jobs").expect("the collector of jobs");
    let mut collector = (row.build)(&settings);
    let mut recorder = Recorder::default();
    for poll in 0..=DAYS * DAY / STEP {
        let now = BEGIN + poll * STEP;
        server.set_time(now);
        let collected = loop {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
            let collected = collector.collect(&client.with_deadline(deadline)).await;
            let collected = collected.unwrap_or_else(|error| panic!("{error}"));
            if !collected.unfinished {
                break collected;
            }
        };
        for group in groups(collected) {
            recorder.record_group(&group, &wanted);
        }
        record_healthy(&mut recorder, now);
        recorder.finish_poll();
    }
    recorder
}

/// Records what is no matter of jobs, as it is where nothing is wrong.
fn record_healthy(recorder: &mut Recorder, now: i64) {
    recorder.record("up", &[], 1.0);
    recorder.record("nbu_up", &[], 1.0);
    recorder.record("nbu_agent_sites", &[], 1.0);
    recorder.record("nbu_agent_config_last_reload_successful", &[], 1.0);
    recorder.record("nbu_api_version", &[("version", "12.0")], 1.0);
    for collector in ["jobs", "storage"] {
        let labels = [("collector", collector)];
        recorder.record("nbu_agent_collector_up", &labels, 1.0);
        recorder.record("nbu_agent_collector_permitted", &labels, 1.0);
        let name = "nbu_agent_collector_last_success_timestamp_seconds";
        recorder.record(name, &labels, (now / 1000) as f64);
    }
    for unit in ["stu-1", "stu-2", "stu-3", "stu-4"] {
        let labels = [("name", unit), ("type", "DISK")];
        recorder.record("nbu_storage_max_concurrent_jobs", &labels, 40.0);
        recorder.record("nbu_disk_capacity_bytes", &labels, 1e14);
        for (size, bytes) in [("used", 6e13), ("free", 4e13)] {
            recorder.record("nbu_disk_bytes", &[&labels[..], &[("size", size)]].concat(), bytes);
        }
    }
}

/// Runs promtool over the month, with the alerts in two parts at once. Returns each alert that fired.
fn evaluate(recorder: &Recorder) -> BTreeMap<Labels, Firing> {
    let (input, count) = recorder.input();
    println!("{count} series, {} KiB", input.len() >> 10);
    // Those over days take half of the time.
    let (days, others): (Vec<Alert>, Vec<Alert>) =
        rules::alerts().into_iter().partition(|alert| alert.group == "days");
    assert!(!days.is_empty());
    std::thread::scope(|scope| {
        let input = &input;
        let parts = [&days, &others].map(|part| scope.spawn(|| evaluate_part(input, part)));
        parts.into_iter().flat_map(|part| part.join().expect("it ends")).collect()
    })
}

fn evaluate_part(input: &str, alerts: &[Alert]) -> BTreeMap<Labels, Firing> {
    let firing = format!("ALERTS{{alertstate=\"firing\"}}[{}d:5m]", DAYS + 1);
    let at = format!("timestamp(ALERTS{{alertstate=\"firing\"}})[{}d:5m]", DAYS + 1);
    let questions = [
        format!("min_over_time({at})"),
        format!("max_over_time({at})"),
        format!("count_over_time({firing})"),
    ];
    let mut test = format!(
        "rule_files: [recording.yml, alerts.yml]\nevaluation_interval: 5m\ntests:\n  - name: month\n    \
         interval: 5m\n    input_series:\n{input}    promql_expr_test:\n"
    );
    for question in &questions {
        // Writing to a string cannot fail.
        let _ =
            writeln!(test, "      - {{ expr: '{question}', eval_time: {DAYS}d, exp_samples: [] }}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let files = [
        ("recording.yml", rules::recording_file()),
        ("alerts.yml", rules::alerts_file(alerts)),
        ("month.yml", test),
    ];
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("it is written");
    }
    let mut promtool = Command::new(part("promtool"));
    let output = run(promtool.args(["test", "rules", "month.yml"]).current_dir(directory.path()));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    // Nothing was expected: what it got is in what it says, unless nothing fired.
    if said.contains("SUCCESS") {
        return BTreeMap::new();
    }
    let answers: Vec<_> =
        said.lines().filter_map(|line| line.trim().strip_prefix("got: ")).collect();
    assert_eq!(answers.len(), questions.len(), "{said}");
    let [first, last, evaluations] = [0, 1, 2].map(|place| samples(answers[place]));
    let all = first.into_iter().map(|(labels, first)| {
        let firing = Firing { first, last: last[&labels], evaluations: evaluations[&labels] };
        (labels, firing)
    });
    all.collect()
}

/// Reads series as promtool prints them: `{name="value", ...} 1E+00, ...`.
fn samples(text: &str) -> BTreeMap<Labels, i64> {
    let mut found = BTreeMap::new();
    for part in text.split('{').skip(1) {
        let (labels, rest) = part.split_once('}').expect("labels end");
        let labels = labels.split(", ").map(|pair| {
            let (label, value) = pair.split_once('=').expect("a label and a value");
            (label.to_owned(), value.trim_matches('"').to_owned())
        });
        let number: f64 = rest.trim().trim_end_matches(',').parse().expect("a number");
        #[allow(
            clippy::cast_possible_truncation,
            reason = "seconds of a month, or a number of evaluations"
        )]
        found.insert(labels.collect(), number as i64);
    }
    found
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
    let rules = rules::recording_file() + &rules::alerts_file(&rules::alerts());
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let names: HashSet<&str> = rules.split(|c| !is_of_name(c)).collect();
    let started = Instant::now();
    let recorder = watch(&world, |name| names.contains(name)).await;
    println!("{} jobs watched for {DAYS} days in {:.0?}", world.jobs.len(), started.elapsed());
    let started = Instant::now();
    let mut fired = evaluate(&recorder);
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
