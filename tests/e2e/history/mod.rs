//! Series that collectors export over days or weeks, over which promtool evaluates all rules.

mod series;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::process::Command;

use dashboards::rules::{self, Alert};

pub use self::series::Recorder;
use crate::parts::{part, run};

/// Firing of an alert with its labels: from when to when, in seconds since the beginning, and how often it was seen.
#[derive(Debug, Clone, Copy)]
pub struct Firing {
    pub first: i64,
    pub last: i64,
    pub evaluations: i64,
}

/// Labels of a series of an alert.
pub type Labels = BTreeMap<String, String>;

/// Returns the words of all rules, among them the names of all metrics that they ask for.
pub fn names_of_rules() -> HashSet<String> {
    let rules = rules::recording_file() + &rules::alerts_file(&rules::alerts());
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    rules.split(|c| !is_of_name(c)).map(str::to_owned).collect()
}

/// Records what an agent says of itself where nothing is wrong, at a time in Unix ms.
pub fn record_healthy(recorder: &mut Recorder, now: i64, collectors: &[&str]) {
    recorder.record("up", &[], 1.0);
    recorder.record("nbu_up", &[], 1.0);
    recorder.record("nbu_agent_sites", &[], 1.0);
    recorder.record("nbu_agent_config_last_reload_successful", &[], 1.0);
    recorder.record("nbu_api_version", &[("version", "12.0")], 1.0);
    for collector in collectors {
        let labels = [("collector", *collector)];
        recorder.record("nbu_agent_collector_up", &labels, 1.0);
        recorder.record("nbu_agent_collector_permitted", &labels, 1.0);
        let name = "nbu_agent_collector_last_success_timestamp_seconds";
        recorder.record(name, &labels, (now / 1000) as f64);
    }
}

/// Runs promtool over all of it, with the alerts in two parts at once. `step` is the time between two polls, and between
/// two evaluations. Returns each alert that fired.
pub fn evaluate(recorder: &Recorder, step: i64) -> BTreeMap<Labels, Firing> {
    let ((input, count), polls) = (recorder.input(), recorder.polls());
    println!("{count} series, {} KiB", input.len() >> 10);
    // Those over days take half of the time.
    let (days, others): (Vec<Alert>, Vec<Alert>) =
        rules::alerts().into_iter().partition(|alert| alert.group == "days");
    assert!(!days.is_empty());
    std::thread::scope(|scope| {
        let input = &input;
        let parts =
            [&days, &others].map(|part| scope.spawn(|| evaluate_part(input, part, polls, step)));
        parts.into_iter().flat_map(|part| part.join().expect("it ends")).collect()
    })
}

fn evaluate_part(
    input: &str,
    alerts: &[Alert],
    polls: usize,
    step: i64,
) -> BTreeMap<Labels, Firing> {
    let step = step / 60_000;
    let end = i64::try_from(polls).expect("few") * step;
    // One group after the other: promtool takes 10,000 samples for a question.
    let questions: Vec<String> = alerts
        .chunk_by(|one, other| one.group == other.group)
        .flat_map(|group| {
            let names: Vec<&str> = group.iter().map(|alert| alert.name).collect();
            let names = names.join("|");
            let firing = format!("ALERTS{{alertname=~\"{names}\",alertstate=\"firing\"}}");
            let span = format!("[{end}m:{step}m]");
            [
                format!("min_over_time(timestamp({firing}){span})"),
                format!("max_over_time(timestamp({firing}){span})"),
                format!("count_over_time({firing}{span})"),
            ]
        })
        .collect();
    // Polls are further apart than promtool looks back: what alerts ask for must be recorded before.
    let mut groups: Vec<String> =
        alerts.iter().map(|alert| format!("netbackup-{}", alert.group)).collect();
    groups.dedup();
    let order = format!("[netbackup-recording, {}]", groups.join(", "));
    let mut test = format!(
        "rule_files: [recording.yml, alerts.yml]\ngroup_eval_order: {order}\nevaluation_interval: {step}m\ntests:\n  - name: history\n    \
         interval: {step}m\n    input_series:\n{input}    promql_expr_test:\n"
    );
    for question in &questions {
        // Writing to a string cannot fail.
        let _ = writeln!(
            test,
            "      - {{ expr: '{question}', eval_time: {}m, exp_samples: [] }}",
            end - step
        );
    }
    let directory = tempfile::tempdir().expect("a directory");
    let files = [
        ("recording.yml", rules::recording_file()),
        ("alerts.yml", rules::alerts_file(alerts)),
        ("history.yml", test),
    ];
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("it is written");
    }
    let mut promtool = Command::new(part("promtool"));
    let output = run(promtool.args(["test", "rules", "history.yml"]).current_dir(directory.path()));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    // Nothing was expected: what it got is in what it says, unless nothing fired.
    if said.contains("SUCCESS") {
        return BTreeMap::new();
    }
    assert!(!said.contains("err:"), "{said}");
    // Those of one group, in the order of the questions; one of which nothing fired has none.
    let answers: Vec<_> =
        said.lines().filter_map(|line| line.trim().strip_prefix("got: ")).collect();
    let mut all = BTreeMap::new();
    for answers in answers.chunks(3) {
        let [first, last, evaluations] = [0, 1, 2].map(|place| samples(answers[place]));
        for (labels, first) in first {
            let firing = Firing { first, last: last[&labels], evaluations: evaluations[&labels] };
            all.insert(labels, firing);
        }
    }
    all
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
            reason = "seconds of months, or a number of evaluations"
        )]
        found.insert(labels.collect(), number as i64);
    }
    found
}
