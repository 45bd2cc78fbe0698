//! Points of sums and of histograms, and what a series is known by.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};
use prost::Message as _;

use super::total::{Distribution, Total};

/// The attribute whose values can be renamed.
const ACTION: &str = "action";

/// Common interface of both kinds of points.
pub(super) trait Point {
    fn attributes(&self) -> &[KeyValue];
    /// Start and end, nanoseconds since 1970.
    fn times(&self) -> (u64, u64);
    fn total(&self) -> Option<Total>;
    fn set(&mut self, increment: &Total);
    fn set_start(&mut self, start: u64);
}

impl Point for NumberDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn total(&self) -> Option<Total> {
        self.value.map(|value| match value {
            Value::AsInt(value) => Total::Number(value as f64),
            Value::AsDouble(value) => Total::Number(value),
        })
    }

    fn set(&mut self, increment: &Total) {
        if let Total::Number(value) = increment {
            self.value = Some(Value::AsDouble(*value));
        }
    }

    fn set_start(&mut self, start: u64) {
        self.start_time_unix_nano = start;
    }
}

impl Point for HistogramDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn total(&self) -> Option<Total> {
        Some(Total::Distribution(Distribution::of(self)))
    }

    fn set(&mut self, increment: &Total) {
        if let Total::Distribution(increment) = increment {
            self.count = increment.count();
            self.sum = increment.sum;
            self.bucket_counts.clone_from(&increment.buckets);
            // Those of the whole time say nothing about the interval.
            self.min = None;
            self.max = None;
        }
    }

    fn set_start(&mut self, start: u64) {
        self.start_time_unix_nano = start;
    }
}

/// Returns how many points there are.
pub(super) fn count(data: &Data) -> usize {
    match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    }
}

/// Returns what a series is known by: metric and attributes, sorted, but for the action, which comes second.
pub(super) fn key(metric: &str, attributes: &[KeyValue]) -> (Box<[u8]>, String) {
    let mut action = String::new();
    let mut sorted: Vec<&KeyValue> = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        match value {
            Some(any_value::Value::StringValue(text)) if attribute.key == ACTION => {
                action.clone_from(text);
            }
            _ => sorted.push(attribute),
        }
    }
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut key = Vec::with_capacity(metric.len() + 1 + 32 * sorted.len());
    key.extend_from_slice(metric.as_bytes());
    // No name contains it.
    key.push(0);
    for attribute in sorted {
        // Lengths are part of the encoding, so no two sets read alike. A vector has room for all.
        let _ = attribute.encode_length_delimited(&mut key);
    }
    (key.into_boxed_slice(), action)
}
