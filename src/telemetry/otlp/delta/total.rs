//! The value of a total, and arithmetic on it.

use opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint;
use serde::{Deserialize, Serialize};

/// A total as a point reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Total {
    /// Of a sum.
    Number(f64),
    /// Of a histogram.
    Distribution(Distribution),
}

/// The total of a histogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Distribution {
    pub(super) sum: Option<f64>,
    pub(super) buckets: Vec<u64>,
    pub(super) bounds: Vec<f64>,
}

impl Distribution {
    pub(super) fn of(point: &HistogramDataPoint) -> Self {
        Self {
            sum: point.sum,
            buckets: point.bucket_counts.clone(),
            bounds: point.explicit_bounds.clone(),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn fits(&self, other: &Self) -> bool {
        self.bounds == other.bounds && self.buckets.len() == other.buckets.len()
    }

    fn zipped(&self, other: &Self, each: impl Fn(u64, u64) -> u64) -> Vec<u64> {
        self.buckets.iter().zip(&other.buckets).map(|(a, b)| each(*a, *b)).collect()
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
            (Self::Distribution(a), Self::Distribution(b)) => a.fits(b),
            _ => false,
        }
    }

    /// Returns true if it can have grown from `other`.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a >= b,
            (Self::Distribution(a), Self::Distribution(b)) => {
                a.fits(b) && a.buckets.iter().zip(&b.buckets).all(|(a, b)| a >= b)
            }
            _ => false,
        }
    }

    /// Returns what it has more than `other`, bucket by bucket, and never less than nothing.
    pub(super) fn minus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Self::Number((a - b).max(0.0)),
            (Self::Distribution(a), Self::Distribution(b)) => Self::Distribution(Distribution {
                sum: a.sum.zip(b.sum).map(|(a, b)| a - b),
                buckets: a.zipped(b, u64::saturating_sub),
                bounds: a.bounds.clone(),
            }),
            _ => self.clone(),
        }
    }

    /// Adds another one.
    pub(super) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => *a += b,
            (Self::Distribution(a), Self::Distribution(b)) => {
                a.sum = a.sum.zip(b.sum).map(|(a, b)| a + b);
                a.buckets = a.zipped(b, u64::saturating_add);
            }
            _ => {}
        }
    }

    /// Returns what both have, bucket by bucket; a sum goes with its count.
    pub(super) fn common(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Self::Number(a.min(*b)),
            (Self::Distribution(a), Self::Distribution(b)) => {
                let buckets = a.zipped(b, u64::min);
                let (all, taken) = (a.count().max(1), buckets.iter().sum::<u64>());
                let sum = a.sum.map(|sum| sum * (taken as f64 / all as f64));
                Self::Distribution(Distribution { sum, buckets, bounds: a.bounds.clone() })
            }
            _ => self.clone(),
        }
    }

    /// Returns nothing, in the form of this one.
    pub(super) fn zero(&self) -> Self {
        match self {
            Self::Number(_) => Self::Number(0.0),
            Self::Distribution(distribution) => Self::Distribution(Distribution {
                sum: distribution.sum.map(|_| 0.0),
                buckets: vec![0; distribution.buckets.len()],
                bounds: distribution.bounds.clone(),
            }),
        }
    }
}
