//! Content of a sink, as series under the names of the exposition.

use std::collections::BTreeMap;

use nbu_otel_agent::catalog::catalog;
use nbu_otel_agent::metric::{Definition, Kind};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint};
use otlp_sink::Sink;

use super::exposition::{Series, key};

/// The last values that the sink received, under the names of the exposition.
pub fn received(sink: &Sink) -> BTreeMap<Series, f64> {
    let names: BTreeMap<&str, &Definition> =
        catalog().into_iter().map(|definition| (definition.name, definition)).collect();
    let mut series = BTreeMap::new();
    for request in sink.metrics() {
        for resource in request.resource_metrics {
            for scope in resource.scope_metrics {
                for metric in scope.metrics {
                    let definition = names[metric.name.as_str()];
                    assert_eq!(metric.unit, definition.unit, "{}", metric.name);
                    assert_eq!(metric.description, definition.help, "{}", metric.name);
                    take(&metric, definition, &mut series);
                }
            }
        }
    }
    series
}

/// The attributes of a point; all of ours are texts.
pub fn labels(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
    attributes
        .iter()
        .map(|attribute| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Any::StringValue(text)) => (attribute.key.as_str(), text.as_str()),
            other => panic!("{}: {other:?}", attribute.key),
        })
        .collect()
}

fn take(metric: &Metric, definition: &Definition, series: &mut BTreeMap<Series, f64>) {
    let name = definition.prometheus_name();
    let mut numbers = |points: &[NumberDataPoint]| {
        for point in points {
            let Some(Value::AsDouble(value)) = point.value else { panic!("{name}: {point:?}") };
            series.insert(key(&name, &labels(&point.attributes)), value);
        }
    };
    match metric.data.as_ref().expect("data") {
        Data::Gauge(gauge) => {
            assert_eq!(definition.kind, Kind::Gauge);
            numbers(&gauge.data_points);
        }
        Data::Sum(sum) => {
            assert_eq!(definition.kind, Kind::Counter);
            assert!(sum.is_monotonic);
            numbers(&sum.data_points);
        }
        Data::Histogram(histogram) => {
            let Kind::Histogram(bounds) = definition.kind else { panic!("{name}") };
            for point in &histogram.data_points {
                assert_eq!(point.explicit_bounds, bounds);
                let labels = labels(&point.attributes);
                series.insert(key(&format!("{name}_count"), &labels), point.count as f64);
                series.insert(key(&format!("{name}_sum"), &labels), point.sum.unwrap_or(f64::NAN));
                let mut cumulative = 0;
                let ends = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                for (end, count) in ends.zip(&point.bucket_counts) {
                    cumulative += count;
                    let labels = [labels.as_slice(), &[("le", end.as_str())]].concat();
                    series.insert(key(&format!("{name}_bucket"), &labels), cumulative as f64);
                }
            }
        }
        other => panic!("{name}: {other:?}"),
    }
}
