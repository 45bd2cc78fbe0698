//! Received metrics as a map of series: what a test or the demo wants to look at.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, Metric, NumberDataPoint, Sum, metric::Data,
    number_data_point,
};

/// Attributes of a series, sorted by key.
pub type Attributes = Vec<(String, String)>;

/// Identity of a series: the metric's name and the sorted attributes.
pub type SeriesKey = (String, Attributes);

/// The value of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a gauge.
    Gauge(f64),
    /// Of a sum.
    Sum {
        /// The total or the increment.
        value: f64,
        /// True if it never decreases.
        monotonic: bool,
        /// True if it is an increment.
        delta: bool,
    },
    /// Of a histogram with explicit bounds.
    Histogram {
        /// Number of observations.
        count: u64,
        /// Their sum.
        sum: Option<f64>,
        /// Upper bounds.
        bounds: Vec<f64>,
        /// Counts per bucket.
        counts: Vec<u64>,
        /// True if it is an increment.
        delta: bool,
    },
}

/// The last point of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The metric's unit.
    pub unit: String,
    /// The metric's description.
    pub description: String,
    /// Value of the point.
    pub value: Value,
    /// Start of the interval that it covers, nanoseconds since 1970.
    pub start_time_unix_nano: u64,
    /// Time of the observation, nanoseconds since 1970.
    pub time_unix_nano: u64,
}

/// The last point of each series over all `requests`, in their order.
pub(crate) fn latest(requests: &[ExportMetricsServiceRequest]) -> BTreeMap<SeriesKey, Point> {
    let mut series = BTreeMap::new();
    for metric in requests.iter().flat_map(metrics_of) {
        add_metric(metric, &mut series);
    }
    series
}

/// Returns the number of data points in a request.
pub(crate) fn point_count(request: &ExportMetricsServiceRequest) -> usize {
    metrics_of(request)
        .map(|metric| match &metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.len(),
            Some(Data::Sum(sum)) => sum.data_points.len(),
            Some(Data::Histogram(histogram)) => histogram.data_points.len(),
            Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
            Some(Data::Summary(summary)) => summary.data_points.len(),
            None => 0,
        })
        .sum()
}

fn metrics_of(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = &Metric> {
    let resources = request.resource_metrics.iter();
    resources.flat_map(|resource| &resource.scope_metrics).flat_map(|scope| &scope.metrics)
}

fn add_metric(metric: &Metric, series: &mut BTreeMap<SeriesKey, Point>) {
    match &metric.data {
        Some(Data::Gauge(gauge)) => {
            for point in &gauge.data_points {
                insert(series, metric, point, Value::Gauge(number(point)));
            }
        }
        Some(Data::Sum(sum)) => {
            for point in &sum.data_points {
                insert(series, metric, point, sum_value(sum, point));
            }
        }
        Some(Data::Histogram(histogram)) => add_histogram(metric, histogram, series),
        // The agent has no other kinds.
        Some(Data::ExponentialHistogram(_) | Data::Summary(_)) | None => {}
    }
}

fn insert(
    series: &mut BTreeMap<SeriesKey, Point>,
    metric: &Metric,
    point: &NumberDataPoint,
    value: Value,
) {
    let times = (point.start_time_unix_nano, point.time_unix_nano);
    series.insert(key(metric, &point.attributes), make_point(metric, value, times));
}

fn add_histogram(metric: &Metric, histogram: &Histogram, series: &mut BTreeMap<SeriesKey, Point>) {
    for point in &histogram.data_points {
        let value = Value::Histogram {
            count: point.count,
            sum: point.sum,
            bounds: point.explicit_bounds.clone(),
            counts: point.bucket_counts.clone(),
            delta: is_delta(histogram.aggregation_temporality),
        };
        let times = (point.start_time_unix_nano, point.time_unix_nano);
        series.insert(key(metric, &point.attributes), make_point(metric, value, times));
    }
}

fn make_point(metric: &Metric, value: Value, (start, time): (u64, u64)) -> Point {
    Point {
        unit: metric.unit.clone(),
        description: metric.description.clone(),
        value,
        start_time_unix_nano: start,
        time_unix_nano: time,
    }
}

fn sum_value(sum: &Sum, point: &NumberDataPoint) -> Value {
    Value::Sum {
        value: number(point),
        monotonic: sum.is_monotonic,
        delta: is_delta(sum.aggregation_temporality),
    }
}

fn is_delta(temporality: i32) -> bool {
    temporality == AggregationTemporality::Delta as i32
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => f64::NAN,
    }
}

fn key(metric: &Metric, attributes: &[KeyValue]) -> SeriesKey {
    let mut pairs: Attributes =
        attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect();
    pairs.sort();
    (metric.name.clone(), pairs)
}

fn text(attribute: &KeyValue) -> String {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(value)) => value.clone(),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        Some(any_value::Value::DoubleValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    }
}
