//! The value of a total and what was added to it.

use opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;

/// A total as a point reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Total {
    /// Of a sum.
    Number(Value),
    /// Of a histogram.
    Distribution { count: u64, sum: Option<f64>, buckets: Vec<u64>, bounds: Vec<f64> },
}

impl Total {
    pub(super) fn of_histogram(point: &HistogramDataPoint) -> Self {
        Self::Distribution {
            count: point.count,
            sum: point.sum,
            buckets: point.bucket_counts.clone(),
            bounds: point.explicit_bounds.clone(),
        }
    }

    /// What was added since it read `earlier`; `None` if it can't have grown from there.
    pub(super) fn since(&self, earlier: &Self) -> Option<Self> {
        match (self, earlier) {
            (Self::Number(now), Self::Number(then)) => number_since(*now, *then).map(Self::Number),
            (
                Self::Distribution { count, sum, buckets, bounds },
                Self::Distribution {
                    count: count_then,
                    sum: sum_then,
                    buckets: buckets_then,
                    bounds: bounds_then,
                },
            ) => {
                if bounds != bounds_then || buckets.len() != buckets_then.len() {
                    return None;
                }
                let buckets: Option<Vec<u64>> = buckets
                    .iter()
                    .zip(buckets_then)
                    .map(|(now, then)| now.checked_sub(*then))
                    .collect();
                Some(Self::Distribution {
                    count: count.checked_sub(*count_then)?,
                    sum: sum.zip(*sum_then).map(|(now, then)| now - then),
                    buckets: buckets?,
                    bounds: bounds.clone(),
                })
            }
            _ => None,
        }
    }
}

fn number_since(now: Value, then: Value) -> Option<Value> {
    match (now, then) {
        (Value::AsInt(now), Value::AsInt(then)) if now >= then => {
            now.checked_sub(then).map(Value::AsInt)
        }
        (Value::AsDouble(now), Value::AsDouble(then)) if now >= then => {
            Some(Value::AsDouble(now - then))
        }
        _ => None,
    }
}
