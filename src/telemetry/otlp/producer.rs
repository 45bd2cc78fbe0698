//! Content of an OTLP export: the observable instruments collected over the parts of one view,
//! histograms added, each total with its own origin as start time.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};

use super::resource::attribute;
use super::unix_nanos;
use crate::metric::{Definition, Kind, Point, Value};
use crate::snapshot::Store;
use crate::telemetry::instruments::{Keys, provide};
use crate::telemetry::self_metrics::SelfMetrics;
use crate::telemetry::view::{ExportView, PartView};

/// Collects all metrics, cumulative, at most `limit` series each. Blocks for about 2 us a series.
pub fn collect(store: &Store, agent: &SelfMetrics, limit: usize) -> Vec<Metric> {
    let (view, _) = ExportView::build(&store.snapshots(), Some(&agent.part()), limit);
    let now = unix_nanos(SystemTime::now());
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for part in &view.parts {
        // The exporter keeps it from lying in the future; here it is what the total is known by.
        let origin = unix_nanos(part.origin);
        let numbers = numbers(part, origin);
        let histograms =
            part.content().filter_map(|(d, points)| histogram(part, d, points, (origin, now)));
        for metric in numbers.into_iter().chain(histograms) {
            merge(&mut metrics, metric);
        }
    }
    metrics.into_values().collect()
}

/// Gauges and counters of a part, through their instruments.
fn numbers(part: &PartView, origin: u64) -> Vec<Metric> {
    let reader = SharedReader::default();
    let provider = provide(part, reader.clone());
    let mut collected = ResourceMetrics::default();
    if let Err(error) = reader.collect(&mut collected) {
        tracing::error!(%error, part = part.collector, "metrics are missing from the OTLP push");
    }
    drop(provider);
    let mut metrics: Vec<Metric> =
        collected.scope_metrics().flat_map(ScopeMetrics::metrics).map(Metric::from).collect();
    for metric in &mut metrics {
        match metric.data.as_mut() {
            // Not the SDK's start time (when the instrument was made) but the totals' own origin.
            Some(Data::Sum(sum)) => set_start(&mut sum.data_points, origin),
            // A gauge has none.
            Some(Data::Gauge(gauge)) => set_start(&mut gauge.data_points, 0),
            _ => {}
        }
    }
    metrics
}

fn set_start(points: &mut [NumberDataPoint], start: u64) {
    for point in points {
        point.start_time_unix_nano = start;
    }
}

/// Adds the points of a metric to those of other parts.
fn merge(metrics: &mut BTreeMap<String, Metric>, metric: Metric) {
    let Some(known) = metrics.get_mut(&metric.name) else {
        metrics.insert(metric.name.clone(), metric);
        return;
    };
    match (known.data.as_mut(), metric.data) {
        (Some(Data::Gauge(known)), Some(Data::Gauge(more))) => {
            known.data_points.extend(more.data_points);
        }
        (Some(Data::Sum(known)), Some(Data::Sum(more))) => {
            known.data_points.extend(more.data_points);
        }
        (Some(Data::Histogram(known)), Some(Data::Histogram(more))) => {
            known.data_points.extend(more.data_points);
        }
        // One declaration, one kind.
        _ => {}
    }
}

fn histogram(
    part: &PartView,
    definition: &'static Definition,
    points: &[Point],
    (origin, now): (u64, u64),
) -> Option<Metric> {
    let Kind::Histogram(bounds) = definition.kind else { return None };
    let keys = Keys::of(definition);
    let points: Vec<HistogramDataPoint> = points
        .iter()
        .filter_map(|point| {
            let Value::Distribution(distribution) = &point.value else { return None };
            let pairs = keys.pairs(part.site.as_ref(), point);
            Some(HistogramDataPoint {
                attributes: pairs.map(|(key, value)| attribute(key, value)).collect(),
                start_time_unix_nano: origin,
                time_unix_nano: now,
                count: distribution.count(),
                sum: Some(distribution.sum),
                bucket_counts: distribution.counts.clone(),
                explicit_bounds: bounds.to_vec(),
                ..HistogramDataPoint::default()
            })
        })
        .collect();
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
