//! The parts of a split are the whole, and each of them fits.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, NumberDataPoint, number_data_point,
};
use proptest::prelude::*;

use super::*;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(any_value::Value::StringValue(value.to_owned()));
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

fn number(label: &str, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![attribute("name", label)],
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn histogram(label: &str, buckets: usize) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: vec![attribute("name", label)],
        time_unix_nano: 2,
        count: 3,
        sum: Some(4.0),
        bucket_counts: vec![1; buckets + 1],
        explicit_bounds: (0u32..).take(buckets).map(f64::from).collect(),
        ..HistogramDataPoint::default()
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: format!("what {name} is"),
        unit: "By".to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

fn make(name: &str, kind: u8, labels: &[String]) -> Metric {
    let numbers = || labels.iter().map(|label| number(label, 1.5)).collect();
    metric(
        name,
        match kind {
            0 => Data::Gauge(Gauge { data_points: numbers() }),
            1 => Data::Sum(Sum {
                data_points: numbers(),
                aggregation_temporality: 2,
                is_monotonic: true,
            }),
            _ => Data::Histogram(Histogram {
                data_points: labels.iter().map(|label| histogram(label, 5)).collect(),
                aggregation_temporality: 1,
            }),
        },
    )
}

fn resource() -> Resource {
    Resource { attributes: vec![attribute("service.name", "agent")], ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "agent".to_owned(), ..InstrumentationScope::default() }
}

fn metrics_of(part: &Part) -> impl Iterator<Item = &Metric> {
    part.request.resource_metrics[0].scope_metrics[0].metrics.iter()
}

/// Every point as a metric of its own, so that wholes and parts compare.
fn singles<'a>(metrics: impl Iterator<Item = &'a Metric>) -> Vec<Metric> {
    let mut all = Vec::new();
    for metric in metrics {
        let mut push = |data| all.push(Metric { data: Some(data), ..metric.clone() });
        match metric.data.clone().unwrap() {
            Data::Gauge(mut gauge) => {
                for point in std::mem::take(&mut gauge.data_points) {
                    push(Data::Gauge(Gauge { data_points: vec![point] }));
                }
            }
            Data::Sum(mut sum) => {
                for point in std::mem::take(&mut sum.data_points) {
                    push(Data::Sum(Sum { data_points: vec![point], ..sum.clone() }));
                }
            }
            Data::Histogram(mut histogram) => {
                for point in std::mem::take(&mut histogram.data_points) {
                    let data_points = vec![point];
                    push(Data::Histogram(Histogram { data_points, ..histogram.clone() }));
                }
            }
            other => panic!("not made here: {other:?}"),
        }
    }
    all
}

proptest! {
    #[test]
    fn split_parts_add_up_and_each_fits(
        shapes in prop::collection::vec(
            (0u8..3, prop::collection::vec("[a-zé]{0,200}", 0..30)), 0..6),
        max_bytes in 60usize..3000,
    ) {
        let names = shapes.iter().enumerate().map(|(place, _)| format!("nbu.metric.{place}"));
        let metrics: Vec<Metric> = names
            .zip(&shapes)
            .map(|(name, (kind, labels))| make(&name, *kind, labels))
            .collect();
        let whole = singles(metrics.iter());
        let split = split(metrics, &resource(), &scope(), max_bytes);

        prop_assert_eq!(split.total, whole.len());
        let mut seen = Vec::new();
        let mut end = 0;
        for part in &split.parts {
            prop_assert!(part.request.encoded_len() <= max_bytes);
            prop_assert!(part.range.start >= end && part.range.end > part.range.start);
            end = part.range.end;
            let points = singles(metrics_of(part));
            prop_assert_eq!(points.len(), part.points);
            let inside: Vec<usize> =
                part.range.clone().filter(|place| !split.dropped.contains(place)).collect();
            prop_assert_eq!(inside.len(), points.len());
            seen.extend(inside.into_iter().zip(points));
        }
        let kept: Vec<(usize, Metric)> = whole
            .iter()
            .cloned()
            .enumerate()
            .filter(|(place, _)| !split.dropped.contains(place))
            .collect();
        prop_assert_eq!(seen, kept);
        for place in &split.dropped {
            let alone = one_request(whole[*place].clone());
            prop_assert!(alone.encoded_len() > max_bytes, "it would have fitted");
        }
    }
}

fn one_request(metric: Metric) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics: vec![metric],
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

#[test]
fn request_is_filled_to_the_byte() {
    let labels = vec!["x".to_owned(); 500];
    let whole = one_request(make("nbu.m", 1, &labels)).encoded_len();
    let fits = split(vec![make("nbu.m", 1, &labels)], &resource(), &scope(), whole);
    assert_eq!(fits.parts.len(), 1);
    let cut = split(vec![make("nbu.m", 1, &labels)], &resource(), &scope(), whole - 1);
    assert_eq!(cut.parts.iter().map(|part| part.points).collect::<Vec<_>>(), [499, 1]);
}
