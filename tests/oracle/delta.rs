//! Pushed as delta: whatever becomes of the agent and of the receiver, what was received is what was
//! counted. A point that comes again after a lost answer is the same point, with the same times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nbu_sim::Settings;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Metric, NumberDataPoint, metric::Data, number_data_point::Value,
};
use otlp_sink::{Behaviour, Options, Sink};

use crate::site::{HOUR, SITE, Site, kills};
use crate::support::exposition::{Series, key};
use crate::support::received::labels;
use crate::support::world;

const COMPLETED: &str = "nbu_jobs_completed_total";

/// Bound of the wait for the receiver; reached only where a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A point of a series: where its interval begins and ends, and how many completions it adds.
type Points = BTreeMap<(Series, u64, u64), f64>;

/// Returns the points of completions that the sink received, each once.
fn received(sink: &Sink) -> Points {
    let mut points = Points::new();
    for request in sink.metrics() {
        let resources = request.resource_metrics.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        let metrics = scopes.flat_map(|scope| scope.metrics);
        for metric in metrics.filter(|metric| metric.name == "nbu.jobs.completed") {
            for point in sums(metric) {
                let series = key(COMPLETED, &labels(&point.attributes));
                let Some(Value::AsDouble(value)) = point.value else { panic!("{point:?}") };
                let id = (series, point.start_time_unix_nano, point.time_unix_nano);
                let before = points.insert(id.clone(), value);
                assert!(before.is_none_or(|before| before.to_bits() == value.to_bits()), "{id:?}");
            }
        }
    }
    points
}

fn sums(metric: Metric) -> Vec<NumberDataPoint> {
    let Some(Data::Sum(sum)) = metric.data else { panic!("{metric:?}") };
    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Delta);
    sum.data_points
}

/// Holds that no interval of a series begins before the one before it has ended.
fn assert_disjoint(points: &Points) {
    let mut last: Option<(&Series, u64)> = None;
    for (series, start, end) in points.keys() {
        if let Some((_, before)) = last.filter(|(before, _)| *before == series) {
            assert!(*start >= before, "{series:?}: {start} lies within what ended at {before}");
        }
        last = Some((series, *end));
    }
}

fn added_up(points: &Points) -> BTreeMap<Series, f64> {
    let mut sums = BTreeMap::new();
    for ((series, ..), value) in points {
        *sums.entry(series.clone()).or_default() += value;
    }
    sums.retain(|_, value| *value > 0.0);
    sums
}

fn counted(site: &Site) -> BTreeMap<Series, f64> {
    let sums = site.increase().iter();
    let sums = sums.filter(|((name, _), value)| name == COMPLETED && **value > 0.0);
    sums.map(|(series, value)| (series.clone(), *value)).collect()
}

/// Waits until the sink has received what was counted.
async fn received_is_counted(sink: &Sink, site: &Site) {
    let started = Instant::now();
    loop {
        let points = received(sink);
        assert_disjoint(&points);
        let (sums, counted) = (added_up(&points), counted(site));
        if sums == counted {
            return;
        }
        let more = |(series, sum): &(&Series, &f64)| {
            **sum > counted.get(*series).copied().unwrap_or_default()
        };
        let too_much: Vec<_> = sums.iter().filter(more).collect();
        let late = started.elapsed() > PATIENCE;
        assert!(too_much.is_empty() && !late, "too much: {too_much:?}; {sums:?} of {counted:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A site in `SITE` whose totals are pushed as delta.
async fn pushing(name: &str, sink: &Sink, seed: u64) -> Site {
    let settings = Settings {
        jobs_per_hour: 120.0,
        jobs_in_history: 200,
        policies: 3,
        resumes_of_finished: true,
        ..world(seed)
    };
    let push = format!(
        "opentelemetry: {{ enabled: true, endpoint: \"{}\", interval: 300ms, timeout: 1s, \
         temporality: delta, signals: [metrics] }}",
        sink.grpc_endpoint()
    );
    Site::new(name, settings, HOUR).await.with(&push)
}

fn behaviour(rng: &mut Rng) -> Behaviour {
    match rng.u32(0..5) {
        0 => Behaviour::HttpStatus(503),
        1 => Behaviour::Hang,
        2 => Behaviour::Delay(Duration::from_millis(200)),
        3 => Behaviour::LoseAnswer,
        _ => Behaviour::Accept,
    }
}

/// Waits until so many more requests have reached the sink, or a while has passed.
async fn pushed(sink: &Sink, times: usize) {
    let (started, before) = (Instant::now(), sink.request_count());
    while sink.request_count() < before + times && started.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn history(seed: u64, kills: u32) {
    let name = format!("delta, seed {seed}");
    let sink = Sink::start(Options { keep: 1_000_000, ..Options::default() }).expect("a sink");
    let mut rng = Rng::with_seed(seed);
    let mut site = pushing(&name, &sink, seed).await;
    site.start();
    site.settle().await;
    for _ in 0..kills {
        sink.set_behaviour(behaviour(&mut rng));
        site.pass(Duration::from_secs(rng.u64(1..1_200))).await;
        if rng.bool() {
            site.settle().await;
        }
        pushed(&sink, rng.usize(0..3)).await;
        match rng.u32(0..4) {
            0 => site.stop().await,
            1 => {
                sink.stop().await;
                site.pass(Duration::from_secs(300)).await;
                site.settle().await;
                sink.restart().expect("the same port");
                continue;
            }
            _ => site.kill(true).await,
        }
        if rng.bool() {
            // What ends while the agent is down is pushed, too.
            site.pass(Duration::from_secs(rng.u64(1..3_600))).await;
        }
        site.start();
        site.settle().await;
    }
    sink.set_behaviour(Behaviour::Accept);
    site.settle().await;
    received_is_counted(&sink, &site).await;
    site.stop().await;
    received_is_counted(&sink, &site).await;
    assert!(counted(&site).values().sum::<f64>() > 20.0, "{SITE} counted little");
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_points_add_up_through_kills_and_outages() {
    history(1, kills() / 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_points_add_up_while_the_disk_hangs() {
    let sink = Sink::start(Options { keep: 1_000_000, ..Options::default() }).expect("a sink");
    let mut site = pushing("delta, disk that hangs", &sink, 2).await;
    site.start();
    site.settle().await;
    for operations in [&["sync"][..], &["rename"], &["open"], &[]] {
        site.disk.disturb(operations);
        for behaviour in [Behaviour::Accept, Behaviour::LoseAnswer] {
            sink.set_behaviour(behaviour);
            site.pass(Duration::from_secs(600)).await;
            site.settle().await;
            // A push does not wait for the disk for ever.
            pushed(&sink, 2).await;
        }
        sink.set_behaviour(Behaviour::Accept);
        received_is_counted(&sink, &site).await;
        site.disk.heal();
        site.pass(Duration::from_secs(600)).await;
        site.settle().await;
        received_is_counted(&sink, &site).await;
    }
    site.stop().await;
    site.start();
    site.pass(Duration::from_secs(600)).await;
    site.settle().await;
    received_is_counted(&sink, &site).await;
    site.stop().await;
}
