//! Points of sums and of histograms: the identity of their series, and arithmetic on their totals.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};
use prost::Message as _;
use serde::{Deserialize, Serialize};

/// The attribute whose values can be renamed.
const ACTION: &str = "action";

pub(super) trait Point {
    /// Returns attributes, start and end (nanoseconds since 1970).
    fn series(&self) -> (&[KeyValue], u64, u64);
    fn total(&self) -> Option<Total>;
    fn set(&mut self, increment: &Total);
    fn set_start(&mut self, start: u64);
}

impl Point for NumberDataPoint {
    fn series(&self) -> (&[KeyValue], u64, u64) {
        (&self.attributes, self.start_time_unix_nano, self.time_unix_nano)
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
    fn series(&self) -> (&[KeyValue], u64, u64) {
        (&self.attributes, self.start_time_unix_nano, self.time_unix_nano)
    }

    fn total(&self) -> Option<Total> {
        Some(Total::Distribution(Distribution {
            sum: self.sum,
            buckets: self.bucket_counts.clone(),
            bounds: self.explicit_bounds.clone(),
        }))
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

pub(in super::super) fn count(data: &Data) -> usize {
    match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        // The agent makes no others.
        Data::ExponentialHistogram(_) | Data::Summary(_) => 0,
    }
}

/// Returns the identity of a series: its metric and sorted attributes, and its action, which comes second.
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Total {
    Number(f64),
    Distribution(Distribution),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Distribution {
    sum: Option<f64>,
    buckets: Vec<u64>,
    bounds: Vec<f64>,
}

impl Distribution {
    fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn zip(&self, other: &Self, each: fn(u64, u64) -> u64, sum: Option<f64>) -> Total {
        let pairs = self.buckets.iter().zip(&other.buckets);
        let buckets = pairs.map(|(a, b)| each(*a, *b)).collect();
        Total::Distribution(Self { sum, buckets, bounds: self.bounds.clone() })
    }
}

impl Total {
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Number(value) => *value == 0.0,
            Self::Distribution(distribution) => distribution.count() == 0,
        }
    }

    /// Returns true if both can be compared: they have the same kind and the same buckets.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(_), Self::Number(_)) => true,
            (Self::Distribution(a), Self::Distribution(b)) => {
                a.bounds == b.bounds && a.buckets.len() == b.buckets.len()
            }
            _ => false,
        }
    }

    /// Returns true if it can have grown from `other`.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.fits(other)
            && match (self, other) {
                (Self::Number(a), Self::Number(b)) => a >= b,
                (Self::Distribution(a), Self::Distribution(b)) => {
                    a.buckets.iter().zip(&b.buckets).all(|(a, b)| a >= b)
                }
                _ => false,
            }
    }

    /// Returns what it has more than `other`, bucket by bucket, and never less than nothing.
    pub(super) fn minus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Self::Number((a - b).max(0.0)),
            (Self::Distribution(a), Self::Distribution(b)) => {
                a.zip(b, u64::saturating_sub, a.sum.zip(b.sum).map(|(a, b)| a - b))
            }
            _ => self.clone(),
        }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Self::Number(a + b),
            (Self::Distribution(a), Self::Distribution(b)) => {
                a.zip(b, u64::saturating_add, a.sum.zip(b.sum).map(|(a, b)| a + b))
            }
            _ => self.clone(),
        }
    }

    /// Returns what both have, bucket by bucket; a sum goes with its count.
    pub(super) fn common(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Self::Number(a.min(*b)),
            (Self::Distribution(a), Self::Distribution(b)) => {
                let taken: u64 = a.buckets.iter().zip(&b.buckets).map(|(a, b)| a.min(b)).sum();
                let share = taken as f64 / a.count().max(1) as f64;
                a.zip(b, u64::min, a.sum.map(|sum| sum * share))
            }
            _ => self.clone(),
        }
    }
}
