//! The Prometheus text exposition of parts, by way of opentelemetry-prometheus.

use std::collections::BTreeMap;

use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use crate::metric::{Distribution, Kind, Point, Value};
use crate::telemetry::instruments::{Keys, provide};
use crate::telemetry::view::PartView;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("cannot register with the Prometheus registry: {0}")]
    Register(String),
    #[error("cannot encode the exposition: {0}")]
    Encode(#[from] prometheus::Error),
}

/// A family of a part, as text.
#[derive(Debug)]
pub struct FamilyText {
    pub name: String,
    /// The HELP and the TYPE line.
    pub head: String,
    /// Its series, a line each.
    pub lines: String,
}

/// Renders the families of a part. Takes about 3 us a series, too long for an async worker.
pub fn render(part: &PartView) -> Result<Vec<FamilyText>, RenderError> {
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_target_info()
        .scope_info_enabled(false)
        .build()
        .map_err(|error| RenderError::Register(error.to_string()))?;
    let provider = provide(part, exporter);
    let families = registry.gather();
    drop(provider);
    families.into_iter().chain(histograms(part)).map(encode_family).collect()
}

fn encode_family(family: MetricFamily) -> Result<FamilyText, RenderError> {
    let name = family.name().to_owned();
    let mut text = String::new();
    TextEncoder::new().encode_utf8(&[family], &mut text)?;
    // HELP and TYPE are a line each; line breaks in them are escaped.
    let head = text.match_indices('\n').nth(1).map_or(0, |(end, _)| end + 1);
    // Kept for as long as the part is shown: no larger than they are.
    let lines = text[head..].to_owned();
    text.truncate(head);
    text.shrink_to_fit();
    Ok(FamilyText { name, head: text, lines })
}

/// Joins texts into a page: families by name, each with one head; series in the order of the texts.
pub fn page<'b>(texts: impl Iterator<Item = &'b FamilyText>) -> Vec<u8> {
    let mut families: BTreeMap<&str, Vec<&FamilyText>> = BTreeMap::new();
    let mut size = 0;
    for family in texts {
        size += family.head.len() + family.lines.len();
        families.entry(&family.name).or_default().push(family);
    }
    let mut text = Vec::with_capacity(size);
    for texts in families.into_values() {
        for (position, family) in texts.into_iter().enumerate() {
            if position == 0 {
                text.extend_from_slice(family.head.as_bytes());
            }
            text.extend_from_slice(family.lines.as_bytes());
        }
    }
    text
}

/// Makes the histograms of a part, for which OpenTelemetry has no observable instrument.
fn histograms(part: &PartView) -> impl Iterator<Item = MetricFamily> {
    part.content().filter_map(|(definition, points)| {
        let Kind::Histogram(bounds) = definition.kind else { return None };
        let keys = Keys::of(definition);
        let metric = |point: &Point| {
            let Value::Distribution(distribution) = &point.value else { return None };
            let pairs = keys.pairs(part.site.as_ref(), point);
            let labels = pairs.map(|(key, value)| label(key, value)).collect();
            let mut metric = Metric::from_label(labels);
            metric.set_histogram(histogram(bounds, distribution));
            Some(metric)
        };
        let mut metrics: Vec<Metric> = points.iter().filter_map(metric).collect();
        // In the order in which the registry has the others.
        metrics.sort_by(|a, b| label_values(a).cmp(label_values(b)));
        let mut family = MetricFamily::default();
        family.set_name(definition.prometheus_name());
        family.set_help(definition.help.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics);
        Some(family).filter(|family| !family.get_metric().is_empty())
    })
}

fn label_values(metric: &Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(LabelPair::value)
}

fn label(key: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(key.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn histogram(bounds: &[f64], distribution: &Distribution) -> Histogram {
    let mut cumulative = 0;
    let buckets = bounds
        .iter()
        .zip(&distribution.counts)
        .map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        })
        .collect();
    let mut histogram = Histogram::default();
    histogram.set_sample_count(distribution.count());
    histogram.set_sample_sum(distribution.sum);
    histogram.set_bucket(buckets);
    histogram
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::metric::{Metric, Samples};
    use crate::snapshot::Part;

    static DISK: Metric<2> = Metric::gauge("nbu.disk", "By", &["size", "name"], "Bytes.");
    static RUNS: Metric<0> = Metric::counter("nbu.runs", "{run}", &[], "Runs.");
    static TOOK: Metric<1> = Metric::histogram("nbu.took", "s", &[1.0, 5.0], &["what"], "Took.");

    fn part(site: &str, names: &[&str]) -> PartView {
        let mut samples = Samples::new();
        for name in names {
            samples.record(&DISK, ["free", name], 1.5);
        }
        samples.record(&RUNS, [], 3.0);
        let mut took = Distribution::new(&[1.0, 5.0]);
        took.observe(&[1.0, 5.0], 0.5);
        took.observe(&[1.0, 5.0], 9.0);
        samples.distribution(&TOOK, ["poll"], took);
        let part = Part {
            collector: "test",
            families: Arc::new(samples.finish().0),
            origin: SystemTime::UNIX_EPOCH,
        };
        PartView::whole(Some(&Arc::from(site)), &part)
    }

    fn text(parts: &[PartView]) -> String {
        let texts: Vec<FamilyText> = parts.iter().flat_map(|part| render(part).unwrap()).collect();
        String::from_utf8(page(texts.iter())).unwrap()
    }

    #[test]
    fn all_metric_kinds_render_with_ordered_labels() {
        let expected = r#"# HELP nbu_disk_bytes Bytes.
# TYPE nbu_disk_bytes gauge
nbu_disk_bytes{name="a\"b",site="paris",size="free"} 1.5
# HELP nbu_runs_total Runs.
# TYPE nbu_runs_total counter
nbu_runs_total{site="paris"} 3
# HELP nbu_took_seconds Took.
# TYPE nbu_took_seconds histogram
nbu_took_seconds_bucket{site="paris",what="poll",le="1"} 1
nbu_took_seconds_bucket{site="paris",what="poll",le="5"} 1
nbu_took_seconds_bucket{site="paris",what="poll",le="+Inf"} 2
nbu_took_seconds_sum{site="paris",what="poll"} 9.5
nbu_took_seconds_count{site="paris",what="poll"} 2
"#;
        assert_eq!(text(&[part("paris", &["a\"b"])]), expected);
    }

    #[test]
    fn sites_share_the_head_of_a_family() {
        let text = text(&[part("paris", &["a"]), part("tokyo", &["a"])]);
        assert_eq!(text.matches("# TYPE nbu_disk_bytes gauge").count(), 1);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("nbu_disk")).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("paris") && lines[1].contains("tokyo"));
    }

    #[test]
    fn no_number_of_series_overflows() {
        for count in [0, 1, 2, 3, 255, 256, 5000] {
            let names: Vec<String> = (0..count).map(|i| format!("n{i}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let text = text(&[part("paris", &names)]);
            assert!(!text.contains("overflow"), "{count}");
            let shown = text.lines().filter(|line| line.starts_with("nbu_disk_bytes{")).count();
            assert_eq!(shown, count);
        }
    }
}
