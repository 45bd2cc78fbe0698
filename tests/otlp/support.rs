//! Settings, series, logs and receivers that the tests share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Once};
use std::time::Duration;

use nbu_otel_agent::state::StateDir;
use nbu_otel_agent::telemetry::otlp::config::{
    Compression, Config, Protocol, SignalConfig, Temporality, Tls,
};
use nbu_otel_agent::telemetry::otlp::stats::SignalStats;
use nbu_otel_agent::telemetry::otlp::{
    ExporterHandle, MetricSource, OtlpStats, ResourceAttributes, Transport, Turn,
};
use nbu_otel_agent::tenure::Tenure;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
    metric::Data, number_data_point,
};
use otlp_sink::{Options, Sink};

/// Steps that each test of both transports runs.
pub(crate) const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

/// Long enough that nothing times out on a loaded machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) fn sink() -> Sink {
    Sink::start(Options::default()).unwrap()
}

pub(crate) fn endpoint(sink: &Sink, protocol: Protocol) -> String {
    match protocol {
        Protocol::Grpc => sink.grpc_endpoint(),
        Protocol::HttpProtobuf => sink.http_endpoint(),
    }
}

/// Settings with an interval that no test lives to see.
pub(crate) fn config(endpoint: &str, protocol: Protocol) -> Config {
    let url = url::Url::parse(endpoint).unwrap();
    let to = SignalConfig {
        endpoint: url,
        protocol,
        timeout: LONG,
        compression: Compression::None,
        headers: Vec::new(),
        tls: Tls::default(),
        proxy: None,
    };
    Config {
        metrics_to: to.clone(),
        traces_to: to,
        metrics: true,
        traces: true,
        sampling_rate: 1.0,
        interval: Duration::from_secs(3600),
        temporality: Temporality::Cumulative,
        resource_attributes: Vec::new(),
        max_request_bytes: 4_000_000,
    }
}

pub(crate) struct Running {
    pub(crate) handle: ExporterHandle,
    pub(crate) stats: Arc<OtlpStats>,
}

impl Running {
    pub(crate) fn metrics(&self) -> SignalStats {
        metrics_of(&self.stats)
    }
}

pub(crate) fn metrics_of(stats: &OtlpStats) -> SignalStats {
    let [(_, metrics), _] = stats.snapshot();
    metrics
}

pub(crate) fn count(exports: &BTreeMap<&'static str, u64>, result: &str) -> u64 {
    exports.get(result).copied().unwrap_or(0)
}

pub(crate) fn resource() -> ResourceAttributes {
    ResourceAttributes::new("host", "id", &[])
}

pub(crate) fn start(
    config: &Config,
    source: impl Fn() -> Vec<Metric> + Send + Sync + 'static,
) -> Running {
    start_with(config, source, Arc::new(OtlpStats::default()))
}

pub(crate) fn start_with(
    config: &Config,
    source: impl Fn() -> Vec<Metric> + Send + Sync + 'static,
    stats: Arc<OtlpStats>,
) -> Running {
    start_in(None, config, source, stats)
}

/// The same, for an agent that may export for a while.
pub(crate) fn start_for(
    tenure: Tenure,
    config: &Config,
    source: impl Fn() -> Vec<Metric> + Send + Sync + 'static,
) -> Running {
    start_all(None, config, source, Arc::default(), Arc::new(tenure))
}

fn points_of(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        _ => 0,
    }
}

/// The same, with a state directory.
pub(crate) fn start_in(
    state: Option<&StateDir>,
    config: &Config,
    source: impl Fn() -> Vec<Metric> + Send + Sync + 'static,
    stats: Arc<OtlpStats>,
) -> Running {
    start_all(state, config, source, stats, Arc::default())
}

fn start_all(
    state: Option<&StateDir>,
    config: &Config,
    source: impl Fn() -> Vec<Metric> + Send + Sync + 'static,
    stats: Arc<OtlpStats>,
    tenure: Arc<Tenure>,
) -> Running {
    let transport = Arc::new(Transport::new(config).unwrap());
    // The agent's own first export, two seconds after the start, would come into the middle of a
    // slow test: here the interval alone makes exports, and `flush`.
    let source: Arc<MetricSource> = Arc::new(move |each| {
        let metrics = source();
        each(metrics.iter().map(points_of).sum(), metrics);
    });
    let (resource, first) = (resource(), config.interval);
    let handle = ExporterHandle::spawn(
        config,
        transport,
        &resource,
        source,
        Arc::clone(&stats),
        state,
        Turn { tenure, first },
    );
    Running { handle, stats }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(any_value::Value::StringValue(value.to_owned()));
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

fn attributes(place: usize) -> Vec<KeyValue> {
    vec![
        attribute("action", ["BACKUP", "RESTORE", "DUPLICATION"][place % 3]),
        attribute("client", &format!("client-{place:06}.backup.example.com")),
        attribute("policy", &format!("policy-{}", place % 50)),
        attribute("site", "primary.example.com"),
    ]
}

pub(crate) fn number(place: usize, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(place),
        start_time_unix_nano: 1_000,
        time_unix_nano: 2_000,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: format!("Help for {name}."),
        unit: unit.to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

pub(crate) fn gauge(points: Vec<NumberDataPoint>) -> Metric {
    metric("nbu.disk", "By", Data::Gauge(Gauge { data_points: points }))
}

pub(crate) fn counter(points: Vec<NumberDataPoint>) -> Metric {
    let sum = Sum {
        data_points: points,
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
        is_monotonic: true,
    };
    metric("nbu.jobs.completed", "{job}", Data::Sum(sum))
}

fn histogram(places: std::ops::Range<usize>) -> Metric {
    let point = |place| HistogramDataPoint {
        attributes: attributes(place),
        start_time_unix_nano: 1_000,
        time_unix_nano: 2_000,
        count: 6,
        sum: Some(12.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![1.0, 5.0],
        ..HistogramDataPoint::default()
    };
    let histogram = Histogram {
        data_points: places.map(point).collect(),
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
    };
    metric("nbu.job.duration", "s", Data::Histogram(histogram))
}

/// So many series: seven tenths gauges, two counters, one histograms; a value tells its place.
pub(crate) fn series(count: usize) -> Vec<Metric> {
    let (gauges, counters) = (count * 7 / 10, count * 9 / 10);
    let numbers = |places: std::ops::Range<usize>| places.map(|place| number(place, place as f64));
    vec![
        gauge(numbers(0..gauges).collect()),
        counter(numbers(gauges..counters).collect()),
        histogram(counters..count),
    ]
}

/// The clients of the series in a view, with what they read.
pub(crate) fn by_client(sink: &Sink) -> BTreeMap<String, otlp_sink::Point> {
    sink.latest()
        .into_iter()
        .map(|((_, attributes), point)| (attributes[1].1.clone(), point))
        .collect()
}

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Collector of the log lines at INFO and above on this thread, which is all that a test with a runtime of one
/// thread does. One subscriber serves all tests: with one for each, whichever test comes first at a
/// line decides for all whether it is worth anything.
pub(crate) struct Logs;

impl Logs {
    pub(crate) fn capture() {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::INFO)
                .with_ansi(false)
                .with_writer(|| Logs)
                .init();
        });
        LOG.with_borrow_mut(Vec::clear);
    }

    pub(crate) fn text() -> String {
        LOG.with_borrow(|log| String::from_utf8_lossy(log).into_owned())
    }

    pub(crate) fn lines() -> Vec<String> {
        Self::text().lines().map(str::to_owned).collect()
    }
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until `ready`; a test that never gets there fails instead of hanging.
pub(crate) async fn eventually(what: &str, ready: impl Fn() -> bool) {
    let waiting = async {
        while !ready() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, waiting).await.is_ok(), "never: {what}");
}
