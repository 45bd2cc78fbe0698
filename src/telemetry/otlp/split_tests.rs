//! The parts of a split are the whole, and each of them fits.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Histogram, Sum, number_data_point};
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

/// Everything but what was dropped, in order, and the places of what was.
fn split(metrics: Vec<Metric>, max_bytes: usize) -> (Vec<Part>, Vec<usize>) {
    let (resource, scope) = (resource(), scope());
    let mut splitter = Splitter::new(&resource, &scope, max_bytes);
    let mut parts: Vec<Part> =
        metrics.into_iter().flat_map(|metric| splitter.add(metric)).collect();
    parts.extend(splitter.finish());
    (parts, splitter.dropped)
}

fn names(part: &Part) -> Vec<&str> {
    metrics_of(part).map(|metric| metric.name.as_str()).collect()
}

proptest! {
    #[test]
    fn split_parts_add_up_and_each_fits(
        shapes in prop::collection::vec(
            (0u8..3, prop::collection::vec("[a-zé]{0,200}", 0..30)), 0..6),
        max_bytes in 60usize..3000,
        repeats in prop::bool::ANY,
    ) {
        // A metric may come in several pieces, one for each site, say.
        let name = |place: usize, kind: u8| {
            format!("nbu.metric.{}", if repeats { usize::from(kind) } else { place })
        };
        let metrics: Vec<Metric> = (0..)
            .zip(&shapes)
            .map(|(place, (kind, labels))| make(&name(place, *kind), *kind, labels))
            .collect();
        let whole = singles(metrics.iter());
        let (parts, dropped) = split(metrics, max_bytes);

        let mut seen = Vec::new();
        let mut end = 0;
        for part in &parts {
            prop_assert!(part.request.encoded_len() <= max_bytes);
            prop_assert!(part.range.start >= end && part.range.end > part.range.start);
            end = part.range.end;
            let points = singles(metrics_of(part));
            prop_assert_eq!(points.len(), part.points);
            let mut unique = names(part);
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), names(part).len());
            let inside: Vec<usize> =
                part.range.clone().filter(|place| !dropped.contains(place)).collect();
            prop_assert_eq!(inside.len(), points.len());
            let mut expected: Vec<_> = inside.iter().map(|place| whole[*place].clone()).collect();
            let mut found = points;
            let text = |metric: &Metric| format!("{metric:?}");
            expected.sort_by_key(text);
            found.sort_by_key(text);
            prop_assert_eq!(found, expected);
            seen.extend(inside);
        }
        let kept: Vec<usize> = (0..whole.len()).filter(|place| !dropped.contains(place)).collect();
        prop_assert_eq!(seen, kept);
        for place in &dropped {
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
    let (fits, _) = split(vec![make("nbu.m", 1, &labels)], whole);
    assert_eq!(fits.len(), 1);
    // In pieces, too.
    let pieces = labels.chunks(7).map(|labels| make("nbu.m", 1, labels)).collect();
    let (fits, _) = split(pieces, whole);
    assert_eq!((fits.len(), fits[0].request.encoded_len()), (1, whole));
    let (cut, _) = split(vec![make("nbu.m", 1, &labels)], whole - 1);
    assert_eq!(cut.iter().map(|part| part.points).collect::<Vec<_>>(), [499, 1]);
}
