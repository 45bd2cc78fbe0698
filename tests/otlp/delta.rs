//! Increments: each interval of each series counts once at the receiver, and together they are what was counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nbu_otel_agent::state::StateDir;
use nbu_otel_agent::telemetry::otlp::OtlpStats;
use nbu_otel_agent::telemetry::otlp::config::{Config, Protocol, Temporality};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point::Value};
use otlp_sink::{Behaviour, Sink};

use crate::support::{BOTH, config, counter, endpoint, metrics_of, number, sink, start_in};

/// Increments that arrived, each interval once; a repetition must be the same.
fn received(sink: &Sink) -> f64 {
    let requests = sink.metrics();
    let metrics = requests
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics);
    let mut intervals = BTreeMap::new();
    for metric in metrics {
        let Some(Data::Sum(sum)) = &metric.data else { continue };
        for point in &sum.data_points {
            let Some(Value::AsDouble(value)) = point.value else { panic!("not a double") };
            let key = (point.start_time_unix_nano, point.time_unix_nano);
            let before = intervals.insert(key, value);
            assert!(
                before.is_none_or(|before| before.to_bits() == value.to_bits()),
                "{key:?}: {before:?}, {value}"
            );
        }
    }
    intervals.values().sum()
}

fn nanos() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

/// A counter with one series, and the total that it shows.
#[derive(Clone)]
struct Counter {
    total: Arc<AtomicUsize>,
    origin: u64,
}

impl Counter {
    fn new() -> Self {
        Self { total: Arc::default(), origin: nanos() }
    }

    fn add(&self, gain: usize) {
        self.total.fetch_add(gain, Ordering::SeqCst);
    }

    fn source(&self) -> impl Fn() -> Vec<Metric> + Send + Sync + 'static {
        let (total, origin) = (Arc::clone(&self.total), self.origin);
        move || {
            let mut point = number(0, total.load(Ordering::SeqCst) as f64);
            point.start_time_unix_nano = origin;
            point.time_unix_nano = nanos();
            vec![counter(vec![point])]
        }
    }
}

fn delta(sink: &Sink, protocol: Protocol) -> Config {
    let mut config = config(&endpoint(sink, protocol), protocol);
    config.temporality = Temporality::Delta;
    config
}

/// The directory, once the process before has let go of it.
async fn directory(folder: &tempfile::TempDir) -> StateDir {
    let found = std::cell::RefCell::new(None);
    crate::support::eventually("the directory", || {
        *found.borrow_mut() = StateDir::open(folder.path()).ok();
        found.borrow().is_some()
    })
    .await;
    found.into_inner().unwrap()
}

fn assert_received(sink: &Sink, counted: f64) {
    let received = received(sink);
    assert!((received - counted).abs() < 0.5, "received {received} of {counted}");
}

#[tokio::test]
async fn lost_answers_and_rebuilt_exporters_count_once() {
    for protocol in BOTH {
        let sink = sink();
        // Before the counter: what is counted from then on was told to nobody.
        let stats = Arc::new(OtlpStats::default());
        let (config, jobs) = (delta(&sink, protocol), Counter::new());
        jobs.add(5);
        let running = start_in(None, &config, jobs.source(), Arc::clone(&stats));
        running.handle.flush().await.unwrap();
        for behaviour in
            [Behaviour::LoseAnswer, Behaviour::GrpcStatus(14), Behaviour::GrpcStatus(3)]
        {
            jobs.add(7);
            sink.set_behaviour(behaviour);
            running.handle.flush().await.unwrap_err();
        }
        sink.set_behaviour(Behaviour::Accept);
        drop(running);
        let rebuilt = start_in(None, &config, jobs.source(), Arc::clone(&stats));
        jobs.add(1);
        rebuilt.handle.flush().await.unwrap();
        assert_received(&sink, 27.0);
        assert_eq!(metrics_of(&stats).saved, None, "there is no directory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn next_process_pushes_what_the_last_one_left() {
    let [one, other] = BOTH;
    tokio::join!(next_process_pushes(one), next_process_pushes(other));
}

async fn next_process_pushes(protocol: Protocol) {
    let sink = sink();
    let folder = tempfile::tempdir().unwrap();
    let config = delta(&sink, protocol);
    let mut jobs = None;
    let mut counted = 0.0;
    for life in 0..6 {
        let directory = directory(&folder).await;
        let stats = Arc::new(OtlpStats::default());
        let jobs = jobs.get_or_insert_with(Counter::new);
        let running = start_in(Some(&directory), &config, jobs.source(), Arc::clone(&stats));
        if life == 0 {
            // The memory began, and the process was killed before it pushed.
            crate::support::eventually("the file", || metrics_of(&stats).saved == Some(true)).await;
            jobs.add(3);
            counted += 3.0;
            continue;
        }
        running.handle.flush().await.unwrap();
        assert_eq!(metrics_of(&stats).saved, Some(true));
        jobs.add(4);
        counted += 4.0;
        sink.set_behaviour(Behaviour::LoseAnswer);
        running.handle.flush().await.unwrap_err();
        sink.set_behaviour(Behaviour::Accept);
        // What ends while nobody looks.
        jobs.add(10);
        counted += 10.0;
    }
    let directory = directory(&folder).await;
    let jobs = jobs.unwrap();
    let running = start_in(Some(&directory), &config, jobs.source(), Arc::default());
    running.handle.flush().await.unwrap();
    assert_received(&sink, counted);
}

#[tokio::test]
async fn change_to_totals_and_back_counts_once() {
    let sink = sink();
    let folder = tempfile::tempdir().unwrap();
    let directory = StateDir::open(folder.path()).unwrap();
    let stats = Arc::new(OtlpStats::default());
    let (mut config, jobs) = (delta(&sink, Protocol::Grpc), Counter::new());
    for (temporality, gain) in
        [(Temporality::Delta, 5), (Temporality::Cumulative, 20), (Temporality::Delta, 3)]
    {
        config.temporality = temporality;
        let running = start_in(Some(&directory), &config, jobs.source(), Arc::clone(&stats));
        if temporality == Temporality::Cumulative {
            // Not a total before there is something to tell from it.
            running.handle.flush().await.unwrap();
            sink.clear();
        }
        jobs.add(gain);
        running.handle.flush().await.unwrap();
        running.handle.shutdown(Duration::from_secs(60)).await.unwrap();
        if temporality == Temporality::Cumulative {
            sink.clear();
        }
    }
    assert_received(&sink, 3.0);
}

#[tokio::test]
async fn unsaved_state_is_flagged_and_stops_no_push() {
    let sink = sink();
    let folder = tempfile::tempdir().unwrap();
    let directory = StateDir::open(folder.path()).unwrap();
    let stats = Arc::new(OtlpStats::default());
    let (config, jobs) = (delta(&sink, Protocol::Grpc), Counter::new());
    let running = start_in(Some(&directory), &config, jobs.source(), Arc::clone(&stats));
    jobs.add(5);
    running.handle.flush().await.unwrap();
    assert_eq!(metrics_of(&stats).saved, Some(true));
    std::fs::remove_dir_all(folder.path()).unwrap();
    std::fs::write(folder.path(), "in the way").unwrap();
    jobs.add(6);
    running.handle.flush().await.unwrap();
    assert_eq!(metrics_of(&stats).saved, Some(false));
    assert_received(&sink, 11.0);
}
