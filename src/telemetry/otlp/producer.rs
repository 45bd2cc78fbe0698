//! Content of an OTLP export: the observable instruments collected over the parts of one view, batch by
//! batch, histograms added, each total with its own origin as start time.

use std::sync::{Arc, Mutex, PoisonError, Weak};
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
use crate::metric::{Kind, Point, Value};
use crate::snapshot::Store;
use crate::telemetry::instruments::{Batch, Instruments, Keys, Pick, batches};
use crate::telemetry::self_metrics::SelfMetrics;
use crate::telemetry::view::{ExportView, PartView};

/// Collects the metrics of a store and of the agent itself, with instruments that live as long as it does.
#[derive(Debug)]
pub struct Producer {
    store: Arc<Store>,
    agent: Arc<SelfMetrics>,
    /// Most series of a metric, in all.
    limit: usize,
    reader: SharedReader,
    /// Held by one collection at a time.
    instruments: Mutex<Instruments>,
}

impl Producer {
    pub fn new(store: Arc<Store>, agent: Arc<SelfMetrics>, limit: usize) -> Self {
        let reader = SharedReader::default();
        let instruments = Mutex::new(Instruments::new(reader.clone()));
        Self { store, agent, limit, reader, instruments }
    }

    /// Hands the number of all series and all metrics, cumulative, to `each`, some metrics at a time. Blocks
    /// for about 2 us a series.
    pub fn collect(&self, each: &mut dyn FnMut(usize, Vec<Metric>)) {
        let agent = self.agent.part();
        let (snapshots, _) = self.agent.drop_filter().apply(self.store.snapshots());
        let (view, _) = ExportView::build(&snapshots, Some(&agent), self.limit);
        let total = view.total();
        let now = unix_nanos(SystemTime::now());
        let mut instruments = self.instruments.lock().unwrap_or_else(PoisonError::into_inner);
        // The points of parts that share a site and an origin are collected together.
        let shares = |one: &PartView, other: &PartView| {
            (&one.site, one.origin) == (&other.site, other.origin)
        };
        for parts in view.parts.chunk_by(shares) {
            let Some(first) = parts.first() else { continue };
            // The exporter keeps it from lying in the future; here it is what the total is known by.
            let origin = unix_nanos(first.origin);
            let places = parts.iter().map(|part| (&part.families, part.places()));
            for batch in batches(first.site.as_ref(), places) {
                let mut metrics = self.numbers(&mut instruments, &batch, origin);
                let histograms =
                    batch.picks.iter().filter_map(|pick| histogram(&batch, pick, (origin, now)));
                metrics.extend(histograms);
                each(total, metrics);
            }
        }
    }

    /// Gauges and counters of a batch, through their instruments.
    fn numbers(&self, instruments: &mut Instruments, batch: &Batch, origin: u64) -> Vec<Metric> {
        let mut collected = ResourceMetrics::default();
        let result = instruments.observe(batch, || self.reader.collect(&mut collected));
        if let Err(error) = result {
            tracing::error!(%error, "metrics are missing from the OTLP push");
        }
        let metrics = collected.scope_metrics().flat_map(ScopeMetrics::metrics);
        let mut metrics: Vec<Metric> = metrics.map(Metric::from).collect();
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
}

fn set_start(points: &mut [NumberDataPoint], start: u64) {
    for point in points {
        point.start_time_unix_nano = start;
    }
}

fn histogram(batch: &Batch, pick: &Pick, (origin, now): (u64, u64)) -> Option<Metric> {
    let definition = pick.definition();
    let Kind::Histogram(bounds) = definition.kind else { return None };
    let keys = Keys::of(definition);
    let point = |point: &Point| {
        let Value::Distribution(distribution) = &point.value else { return None };
        let pairs = keys.pairs(batch.site.as_ref(), point);
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
    };
    let data_points: Vec<HistogramDataPoint> = pick.points().filter_map(point).collect();
    (!data_points.is_empty()).then(|| Metric {
        name: definition.name.to_owned(),
        description: definition.help.to_owned(),
        unit: definition.unit.to_owned(),
        data: Some(Data::Histogram(Histogram {
            data_points,
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
