//! Cutting an export into requests below the receiver's limit.
//!
//! A Collector takes 4 MiB by default and refuses what is larger as a whole; compression does not
//! help, since the limit counts the decompressed size. Sizes are not estimated: each point's
//! encoded length is taken once, and the frames around it are added up as protobuf writes them.

use std::collections::HashMap;
use std::ops::Range;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::{Message, length_delimiter_len};

/// A request, and which points of the whole sequence it has.
#[derive(Debug)]
pub struct Part {
    pub request: ExportMetricsServiceRequest,
    /// Range of its points in the whole sequence of points; dropped ones may lie in between.
    pub range: Range<usize>,
    pub points: usize,
}

/// Cuts a sequence of metrics into requests of at most so many bytes each. Points are moved, never copied
/// or cut; each part of a metric keeps its name, description, unit and temporality, and has them once.
#[derive(Debug)]
pub struct Splitter<'a> {
    resource: &'a Resource,
    scope: &'a InstrumentationScope,
    max_bytes: usize,
    /// Length of the resource and of the scope as fields.
    resource_len: usize,
    scope_len: usize,
    /// Metrics of the current request, and their length as fields.
    metrics: Vec<Open>,
    metrics_len: usize,
    places: HashMap<String, usize>,
    points: usize,
    /// Places of the first point of the current request and of the next point.
    first: usize,
    next: usize,
    /// Points too large for a request of their own, by their place in the whole sequence.
    pub dropped: Vec<usize>,
}

/// Metric of the current request, without its data, which is beside it.
#[derive(Debug)]
struct Open {
    head: Metric,
    head_len: usize,
    data: Data,
    data_len: usize,
}

impl Open {
    fn field_len(&self, added: usize) -> usize {
        field(self.head_len + field(self.data_len + added))
    }
}

enum Point {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
}

impl Point {
    fn field_len(&self) -> usize {
        field(match self {
            Self::Number(point) => point.encoded_len(),
            Self::Histogram(point) => point.encoded_len(),
        })
    }

    fn push_to(self, data: &mut Data) {
        match (self, data) {
            (Self::Number(point), Data::Gauge(gauge)) => gauge.data_points.push(point),
            (Self::Number(point), Data::Sum(sum)) => sum.data_points.push(point),
            (Self::Histogram(point), Data::Histogram(histogram)) => {
                histogram.data_points.push(point);
            }
            // One declaration, one kind.
            _ => {}
        }
    }
}

/// Returns the length of a message as a field of another one, with a tag below 16, which takes one byte.
fn field(length: usize) -> usize {
    1 + length_delimiter_len(length) + length
}

/// Takes the points out of the data of a metric.
fn take_points(data: &mut Data) -> Vec<Point> {
    match data {
        Data::Gauge(gauge) => {
            std::mem::take(&mut gauge.data_points).into_iter().map(Point::Number).collect()
        }
        Data::Sum(sum) => {
            std::mem::take(&mut sum.data_points).into_iter().map(Point::Number).collect()
        }
        Data::Histogram(histogram) => {
            std::mem::take(&mut histogram.data_points).into_iter().map(Point::Histogram).collect()
        }
        // The agent makes no others.
        Data::ExponentialHistogram(_) | Data::Summary(_) => Vec::new(),
    }
}

impl<'a> Splitter<'a> {
    pub fn new(resource: &'a Resource, scope: &'a InstrumentationScope, max_bytes: usize) -> Self {
        Self {
            resource,
            scope,
            max_bytes,
            resource_len: field(resource.encoded_len()),
            scope_len: field(scope.encoded_len()),
            metrics: Vec::new(),
            metrics_len: 0,
            places: HashMap::new(),
            points: 0,
            first: 0,
            next: 0,
            dropped: Vec::new(),
        }
    }

    /// Adds a metric. Returns the requests that are full.
    pub fn add(&mut self, mut metric: Metric) -> Vec<Part> {
        let mut full = Vec::new();
        // What is left of the metric is the head that each of its parts repeats.
        let Some(mut data) = metric.data.take() else { return full };
        let points = take_points(&mut data);
        let head_len = metric.encoded_len();
        // Less a tag and a length of one byte each.
        let empty_len = data.encoded_len() - field(0);
        for point in points {
            let point_len = point.field_len();
            let alone = field(head_len + field(empty_len + point_len));
            if self.size(alone) > self.max_bytes {
                self.dropped.push(self.next);
                self.next += 1;
                continue;
            }
            let open = self.places.get(&metric.name).and_then(|place| self.metrics.get(*place));
            let grown = open.map_or(alone, |open| open.field_len(point_len) - open.field_len(0));
            if self.size(self.metrics_len + grown) > self.max_bytes {
                full.push(self.take());
            }
            let place = *self.places.entry(metric.name.clone()).or_insert_with(|| {
                let (head, data) = (metric.clone(), data.clone());
                self.metrics.push(Open { head, head_len, data, data_len: empty_len });
                self.metrics.len() - 1
            });
            let open = &mut self.metrics[place];
            let before = if open.data_len == empty_len { 0 } else { open.field_len(0) };
            open.data_len += point_len;
            self.metrics_len += open.field_len(0) - before;
            point.push_to(&mut open.data);
            self.points += 1;
            self.next += 1;
        }
        full
    }

    /// Returns the last request; none if all points are in those before.
    pub fn finish(&mut self) -> Option<Part> {
        (self.points > 0).then(|| self.take())
    }

    /// Returns the length of a request whose metrics have this length as fields.
    fn size(&self, metrics_len: usize) -> usize {
        field(self.resource_len + field(self.scope_len + metrics_len))
    }

    fn take(&mut self) -> Part {
        self.places.clear();
        let metrics = std::mem::take(&mut self.metrics).into_iter();
        let scope_metrics = ScopeMetrics {
            scope: Some(self.scope.clone()),
            metrics: metrics.map(|open| Metric { data: Some(open.data), ..open.head }).collect(),
            schema_url: String::new(),
        };
        let resource_metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![scope_metrics],
            schema_url: String::new(),
        };
        let request = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] };
        let range = self.first..self.next;
        (self.metrics_len, self.first) = (0, self.next);
        Part { request, range, points: std::mem::take(&mut self.points) }
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
