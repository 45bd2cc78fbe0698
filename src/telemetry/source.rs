//! What an OTLP export sends: the observable instruments collected over one frame, histograms
//! added, each total with its own origin as start time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};

use super::agent::AgentState;
use super::frame::{Catalog, Frame};
use super::instruments::{Instruments, Keys};
use super::otlp::MetricSource;
use crate::metric::{Definition, Kind, Scope, Value};
use crate::snapshot::Store;

/// Metrics of all sites and of the agent, as OTLP has them. One reader, one provider.
pub struct Source {
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    agent: Arc<AgentState>,
    limit: usize,
    reading: Mutex<Reading>,
}

struct Reading {
    instruments: Instruments,
    reader: SharedReader,
}

impl Source {
    /// A source over `store`; at most `limit` series a metric.
    pub fn new(
        catalog: Arc<Catalog>,
        store: Arc<Store>,
        agent: Arc<AgentState>,
        limit: usize,
    ) -> Self {
        let instruments = Instruments::new(Arc::clone(&catalog), &[Scope::Site, Scope::Agent]);
        let reading = Mutex::new(Reading { instruments, reader: SharedReader::default() });
        Self { catalog, store, agent, limit, reading }
    }

    fn read(&self) -> Vec<Metric> {
        let agent = self.agent.part();
        let (frame, _) =
            Frame::build(&self.catalog, &self.store.snapshots(), Some(&agent), self.limit);
        let frame = Arc::new(frame);
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = None;
        reading.instruments.show(Arc::clone(&frame), |builder| {
            let reader = SharedReader::default();
            fresh = Some(reader.clone());
            builder.with_reader(reader)
        });
        if let Some(reader) = fresh {
            reading.reader = reader;
        }
        let mut collected = ResourceMetrics::default();
        if let Err(error) = reading.reader.collect(&mut collected) {
            tracing::error!(%error, "metrics could not be collected for OTLP");
            return Vec::new();
        }
        drop(reading);
        self.complete(&collected, &frame)
    }

    /// Adds what the SDK does not know: origins and histograms.
    fn complete(&self, collected: &ResourceMetrics, frame: &Frame) -> Vec<Metric> {
        let now = nanos(SystemTime::now());
        let mut metrics: Vec<Metric> = collected
            .scope_metrics()
            .flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics)
            .map(Metric::from)
            .collect();
        let positions: HashMap<&str, usize> =
            self.catalog.definitions().iter().enumerate().map(|(i, d)| (d.name, i)).collect();
        for metric in &mut metrics {
            if let (Some(Data::Sum(sum)), Some(&position)) =
                (metric.data.as_mut(), positions.get(metric.name.as_str()))
            {
                put_origins(&mut sum.data_points, frame, position);
            }
        }
        for (position, definition) in self.catalog.definitions().iter().enumerate() {
            if let Kind::Histogram(bounds) = definition.kind {
                metrics.extend(histogram(definition, bounds, frame, position, now));
            }
        }
        metrics
    }
}

impl MetricSource for Source {
    /// Collects now: cumulative, complete. Blocks for about 2 ms per 1,000 series.
    fn collect(&self) -> Vec<Metric> {
        self.read()
    }
}

/// Replaces the SDK's start time (when the instrument was made) by each total's own origin.
fn put_origins(points: &mut [NumberDataPoint], frame: &Frame, position: usize) {
    let mut origins: HashMap<Option<&str>, u64> = HashMap::new();
    for series in frame.series(position) {
        origins.entry(series.site.map(AsRef::as_ref)).or_insert_with(|| nanos(series.origin));
    }
    for point in points {
        let site = point.attributes.iter().find(|a| a.key == "site").and_then(text);
        if let Some(origin) = origins.get(&site) {
            point.start_time_unix_nano = *origin;
        }
    }
}

fn text(attribute: &KeyValue) -> Option<&str> {
    match attribute.value.as_ref()?.value.as_ref()? {
        ProtoValue::StringValue(text) => Some(text),
        _ => None,
    }
}

fn histogram(
    definition: &'static Definition,
    bounds: &[f64],
    frame: &Frame,
    position: usize,
    now: u64,
) -> Option<Metric> {
    let keys = Keys::of(definition);
    let mut points = Vec::new();
    for series in frame.series(position) {
        let Value::Distribution(distribution) = &series.point.value else { continue };
        points.push(HistogramDataPoint {
            attributes: keys.pairs(&series).map(|(key, value)| attribute(key, &value)).collect(),
            start_time_unix_nano: nanos(series.origin),
            time_unix_nano: now,
            count: distribution.count(),
            sum: Some(distribution.sum),
            bucket_counts: distribution.counts.clone(),
            explicit_bounds: bounds.to_vec(),
            ..HistogramDataPoint::default()
        });
    }
    (!points.is_empty()).then(|| Metric {
        name: definition.name.to_owned(),
        description: definition.help.to_owned(),
        unit: definition.unit.to_owned(),
        data: Some(Data::Histogram(Histogram {
            data_points: points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        })),
        ..Metric::default()
    })
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(ProtoValue::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A manual reader that the provider and the source hold together.
#[derive(Debug, Clone, Default)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    /// Cumulative: delta is made by the exporter from what was acknowledged.
    fn temporality(&self, _: InstrumentKind) -> Temporality {
        Temporality::Cumulative
    }
}
