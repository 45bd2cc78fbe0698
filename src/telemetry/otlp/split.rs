//! Cutting an export into requests below the receiver's limit.
//!
//! A Collector takes 4 MiB by default and refuses what is larger as a whole; compression does not
//! help, since the limit counts the decompressed size. Sizes are not estimated: each point's
//! encoded length is taken once, and the frames around it are added up as protobuf writes them.

use std::ops::Range;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::{Message, length_delimiter_len};

#[derive(Debug)]
pub struct Part {
    pub request: ExportMetricsServiceRequest,
    /// Range of its points in the whole sequence of points; dropped ones may lie in between.
    pub range: Range<usize>,
    pub points: usize,
}

#[derive(Debug, Default)]
pub struct Split {
    /// Everything but what was dropped, in order.
    pub parts: Vec<Part>,
    /// Points too large for a request of their own, by their place in the whole sequence.
    pub dropped: Vec<usize>,
    /// Points in the whole sequence.
    pub total: usize,
}

/// Cuts `metrics` into requests of at most `max_bytes` each. Points are moved, never copied or cut;
/// each part of a metric keeps its name, description, unit and temporality.
pub fn split(
    metrics: Vec<Metric>,
    resource: &Resource,
    scope: &InstrumentationScope,
    max_bytes: usize,
) -> Split {
    let mut splitter = Splitter {
        resource,
        scope,
        max_bytes,
        resource_len: field(resource.encoded_len()),
        scope_len: field(scope.encoded_len()),
        metrics: Vec::new(),
        metrics_len: 0,
        points: 0,
        first: 0,
        next: 0,
        split: Split::default(),
    };
    for metric in metrics {
        splitter.add(metric);
    }
    splitter.flush();
    splitter.split.total = splitter.next;
    splitter.split
}

/// Returns the length of a message as a field of another one, with a tag below 16, which takes one byte.
fn field(length: usize) -> usize {
    1 + length_delimiter_len(length) + length
}

struct Splitter<'a> {
    resource: &'a Resource,
    scope: &'a InstrumentationScope,
    max_bytes: usize,
    /// Length of the resource and of the scope as fields.
    resource_len: usize,
    scope_len: usize,
    /// Finished metrics of the current request, and their length as fields.
    metrics: Vec<Metric>,
    metrics_len: usize,
    points: usize,
    /// Places of the first point of the current request and of the next point.
    first: usize,
    next: usize,
    split: Split,
}

impl Splitter<'_> {
    fn add(&mut self, mut metric: Metric) {
        // What is left of the metric is the head that each of its parts repeats.
        match metric.data.take() {
            Some(Data::Gauge(Gauge { data_points: points })) => {
                self.add_points(&metric, points, |data_points| Data::Gauge(Gauge { data_points }));
            }
            Some(Data::Sum(mut sum)) => {
                let points = std::mem::take(&mut sum.data_points);
                let data = |data_points| Data::Sum(Sum { data_points, ..sum });
                self.add_points(&metric, points, data);
            }
            Some(Data::Histogram(mut histogram)) => {
                let points = std::mem::take(&mut histogram.data_points);
                let data = |data_points| Data::Histogram(Histogram { data_points, ..histogram });
                self.add_points(&metric, points, data);
            }
            // The agent makes no others.
            Some(Data::ExponentialHistogram(_) | Data::Summary(_)) | None => {}
        }
    }

    fn add_points<P: Message>(
        &mut self,
        head: &Metric,
        points: Vec<P>,
        data: impl Fn(Vec<P>) -> Data,
    ) {
        let head_len = head.encoded_len();
        // Less a tag and a length of one byte each.
        let empty_len = data(Vec::new()).encoded_len() - field(0);
        let mut chunk: Vec<P> = Vec::new();
        let mut chunk_len = empty_len;
        for point in points {
            let point_len = field(point.encoded_len());
            if self.size(0, head_len, empty_len + point_len) > self.max_bytes {
                self.split.dropped.push(self.next);
                self.next += 1;
                continue;
            }
            if self.size(self.metrics_len, head_len, chunk_len + point_len) > self.max_bytes {
                self.close(head, head_len, std::mem::take(&mut chunk), chunk_len, &data);
                self.flush();
                chunk_len = empty_len;
            }
            chunk.push(point);
            chunk_len += point_len;
            self.next += 1;
        }
        self.close(head, head_len, chunk, chunk_len, &data);
    }

    /// Returns the length of a request that holds finished metrics of this length and one more.
    fn size(&self, metrics_len: usize, head_len: usize, data_len: usize) -> usize {
        let metric = field(head_len + field(data_len));
        let scope_metrics = field(self.scope_len + metrics_len + metric);
        field(self.resource_len + scope_metrics)
    }

    fn close<P>(
        &mut self,
        head: &Metric,
        head_len: usize,
        points: Vec<P>,
        data_len: usize,
        data: impl Fn(Vec<P>) -> Data,
    ) {
        if points.is_empty() {
            return;
        }
        self.points += points.len();
        self.metrics_len += field(head_len + field(data_len));
        // The head has no data, so this copies three strings.
        self.metrics.push(Metric { data: Some(data(points)), ..head.clone() });
    }

    fn flush(&mut self) {
        if !self.metrics.is_empty() {
            let scope_metrics = ScopeMetrics {
                scope: Some(self.scope.clone()),
                metrics: std::mem::take(&mut self.metrics),
                schema_url: String::new(),
            };
            let resource_metrics = ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![scope_metrics],
                schema_url: String::new(),
            };
            let request = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] };
            let range = self.first..self.next;
            self.split.parts.push(Part { request, range, points: self.points });
        }
        self.metrics_len = 0;
        self.points = 0;
        self.first = self.next;
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
