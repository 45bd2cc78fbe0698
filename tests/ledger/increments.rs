//! Increments pushed by a process that is killed at any moment: what the receiver counts is what the page shows.
//! `NBU_KILLS` says how often; the usual run is short.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use nbu_sim::Settings;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
use otlp_sink::{Behaviour, Options, Sink};

use crate::kills::Mortal;
use crate::scene::{HOUR, SITE};
use crate::support::exposition::Page;
use crate::support::{eventually, world};

/// Kills of a run that nobody asked to be longer.
const KILLS: u32 = 6;

fn kills() -> u32 {
    let asked = std::env::var("NBU_KILLS").ok();
    asked.map_or(KILLS, |kills| kills.parse().expect("a number of kills"))
}

fn label(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

/// Completions and observed durations that arrived, each interval of a series once.
#[derive(Default)]
struct Received {
    intervals: BTreeMap<(String, u64, u64), u64>,
}

impl Received {
    /// Takes in what the sink has, and lets it forget that.
    fn take(&mut self, sink: &Sink) {
        let requests = sink.metrics();
        sink.clear();
        let metrics = requests
            .iter()
            .flat_map(|request| &request.resource_metrics)
            .flat_map(|resource| &resource.scope_metrics)
            .flat_map(|scope| &scope.metrics);
        for metric in metrics {
            match &metric.data {
                Some(Data::Sum(sum)) if metric.name == "nbu.jobs.outcomes" => {
                    for point in &sum.data_points {
                        let Some(Value::AsDouble(value)) = point.value else { continue };
                        let labels = ["site", "action", "outcome"];
                        let series = labels.map(|key| label(&point.attributes, key)).join("|");
                        let times = (point.start_time_unix_nano, point.time_unix_nano);
                        self.add(&series, times, whole(value));
                    }
                }
                Some(Data::Histogram(histogram)) if metric.name == "nbu.job.duration" => {
                    for point in &histogram.data_points {
                        let labels = ["site", "action", "policy_type"];
                        let labels = labels.map(|key| label(&point.attributes, key)).join("|");
                        let times = (point.start_time_unix_nano, point.time_unix_nano);
                        self.add(&format!("took|{labels}"), times, point.count);
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, series: &str, (start, end): (u64, u64), value: u64) {
        let before = self.intervals.insert((series.to_owned(), start, end), value);
        assert!(before.is_none_or(|before| before == value), "{series} {start} {end}");
    }

    fn count(&self, is_wanted: impl Fn(&str) -> bool) -> u64 {
        let wanted = self.intervals.iter().filter(|((series, ..), _)| is_wanted(series));
        wanted.map(|(_, value)| value).sum()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a short test"
)]
fn whole(value: f64) -> u64 {
    assert!(value >= 0.0 && value.fract() == 0.0, "{value} is no count");
    value as u64
}

fn shown(page: &Page, name: &str) -> u64 {
    whole(page.of_site(SITE, |series| series == name).values().sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_lost_answers_count_each_increment_once() {
    let mut rng = Rng::with_seed(81);
    let sink = Sink::start(Options { keep: 100_000, ..Options::default() }).expect("a sink");
    let settings = Settings { jobs_per_hour: 2400.0, live_jobs: 60, policies: 3, ..world(81) };
    let push = format!(
        "opentelemetry: {{ enabled: true, endpoint: \"{}\", interval: 100ms, timeout: 2s, temporality: delta, signals: [metrics] }}",
        sink.grpc_endpoint()
    );
    let mut agent = Mortal::with(settings, HOUR, &push).await;
    let mut received = Received::default();
    for _ in 0..kills() {
        agent.start();
        let before = sink.request_count();
        let pushes = rng.usize(0..6);
        let some = || async { (sink.request_count() >= before + pushes).then_some(()) };
        eventually("pushes", some).await;
        sink.set_behaviour(match rng.u8(0..4) {
            0 => Behaviour::LoseAnswer,
            1 => Behaviour::GrpcStatus(14),
            _ => Behaviour::Accept,
        });
        agent.simulator.clock().advance(Duration::from_millis(rng.u64(5_000..120_000)));
        // Any moment will do: within a poll, a save, a push.
        tokio::time::sleep(Duration::from_micros(rng.u64(0..300_000))).await;
        agent.kill().await;
        received.take(&sink);
        sink.set_behaviour(Behaviour::Accept);
        agent.simulator.clock().advance(Duration::from_millis(rng.u64(0..60_000)));
    }
    agent.start();
    let page = agent.whole().await;
    let completed = shown(&page, "nbu_jobs_outcomes_total");
    let observed = shown(&page, "nbu_job_duration_seconds_count");
    assert!(completed > 10, "{completed}");
    let waiting = std::cell::RefCell::new(received);
    let arrived = || async {
        let mut received = waiting.borrow_mut();
        received.take(&sink);
        let counts = (
            received.count(|series| !series.starts_with("took|")),
            received.count(|series| series.starts_with("took|")),
        );
        (counts.0 >= completed && counts.1 >= observed).then_some(counts)
    };
    let counts = eventually("all increments", arrived).await;
    assert_eq!(counts, (completed, observed));
    // Nothing follows that was told already.
    let before = sink.request_count();
    let more = || async { (sink.request_count() >= before + 3).then_some(()) };
    eventually("more pushes", more).await;
    let mut received = waiting.into_inner();
    received.take(&sink);
    assert_eq!(received.count(|series| !series.starts_with("took|")), completed);
    agent.kill().await;
}
