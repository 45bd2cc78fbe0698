//! The Prometheus text of points, by way of opentelemetry-prometheus.

use std::collections::HashMap;

use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use crate::metric::{Definition, Distribution, Kind, Point, SeriesOrder, Value};
use crate::telemetry::instruments::{Batch, Instruments, Keys, Pick};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error("cannot register with the Prometheus registry: {0}")]
    Register(String),
    #[error("cannot encode the exposition: {0}")]
    Encode(#[from] prometheus::Error),
    #[error("the exposition has {found} of {expected} lines of {name}")]
    Lines { name: String, expected: usize, found: usize },
}

/// Text of points of one family.
#[derive(Debug, Default)]
pub(super) struct PointsText {
    pub(super) name: String,
    /// The HELP and the TYPE line.
    pub(super) head: String,
    /// The lines of all points.
    pub(super) lines: String,
    /// Lines of a point: one, but for a histogram.
    lines_per_point: usize,
}

impl PointsText {
    /// Returns the lines of each point.
    pub(super) fn points(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.lines.as_str();
        std::iter::from_fn(move || {
            let (end, _) = rest.match_indices('\n').nth(self.lines_per_point - 1)?;
            let (point, after) = rest.split_at(end + 1);
            rest = after;
            Some(point)
        })
    }
}

/// Encodes points, batch by batch, with instruments that live as long as it does.
#[derive(Debug)]
pub(super) struct Encoder {
    registry: Registry,
    /// Carries the error if they could not be made.
    instruments: Result<Instruments, String>,
}

impl Default for Encoder {
    fn default() -> Self {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build();
        let instruments = exporter.map(Instruments::new).map_err(|error| error.to_string());
        Self { registry, instruments }
    }
}

impl Encoder {
    /// Returns the text of each pick of a batch, in their order. Takes about 3 us a point.
    pub(super) fn encode(&mut self, batch: &Batch) -> Result<Vec<PointsText>, RenderError> {
        let instruments = self.instruments.as_mut();
        let instruments = instruments.map_err(|error| RenderError::Register(error.clone()))?;
        let gathered = instruments.observe(batch, || self.registry.gather());
        let mut gathered: HashMap<String, MetricFamily> =
            gathered.into_iter().map(|family| (family.name().to_owned(), family)).collect();
        let mut texts: Vec<PointsText> = Vec::new();
        texts.resize_with(batch.picks.len(), PointsText::default);
        for (place, pick) in batch.picks.iter().enumerate() {
            let definition = pick.definition();
            if let Kind::Histogram(bounds) = definition.kind {
                let family = histograms(batch, pick, bounds);
                // Buckets, the one without a bound, the sum and the count.
                texts[place] = encode_family(&family, definition, pick.len(), bounds.len() + 3)?;
            } else if texts[place].name.is_empty() {
                // The first pick of the metric.
                let of_metric = |pick: &Pick| std::ptr::eq(pick.definition(), definition);
                let found = gathered.remove(&definition.prometheus_name()).unwrap_or_default();
                let points = batch.picks.iter().filter(|pick| of_metric(pick)).map(Pick::len);
                let text = encode_family(&found, definition, points.sum(), 1)?;
                share_out(text, batch, of_metric, &mut texts);
            }
        }
        Ok(texts)
    }
}

/// Gives each pick of one metric its lines. They are in the order of the series, whatever parts those are of.
fn share_out(
    text: PointsText,
    batch: &Batch,
    of_metric: impl Fn(&Pick) -> bool,
    texts: &mut [PointsText],
) {
    let picks = || (0..).zip(&batch.picks).filter(|(_, pick)| of_metric(pick));
    let mut series: Vec<(usize, &Point)> =
        picks().flat_map(|(place, pick)| pick.points().map(move |point| (place, point))).collect();
    let Some((first, pick)) = picks().next() else { return };
    if pick.len() == series.len() {
        texts[first] = text;
        return;
    }
    let order = SeriesOrder::of(pick.definition());
    series.sort_by(|(_, one), (_, other)| order.compare(one, other));
    for ((place, _), line) in series.into_iter().zip(text.points()) {
        texts[place].lines.push_str(line);
    }
    for (place, _) in picks() {
        let (name, head) = (text.name.clone(), text.head.clone());
        let lines = std::mem::take(&mut texts[place].lines);
        texts[place] = PointsText { name, head, lines, lines_per_point: text.lines_per_point };
    }
}

fn encode_family(
    family: &MetricFamily,
    definition: &Definition,
    points: usize,
    lines_per_point: usize,
) -> Result<PointsText, RenderError> {
    let (name, found) = (definition.prometheus_name(), family.get_metric().len());
    if found != points {
        return Err(RenderError::Lines { name, expected: points, found });
    }
    let mut text = String::new();
    TextEncoder::new().encode_utf8(std::slice::from_ref(family), &mut text)?;
    // HELP and TYPE are a line each; line breaks in them are escaped.
    let head = text.match_indices('\n').nth(1).map_or(0, |(end, _)| end + 1);
    let lines = text.split_off(head);
    Ok(PointsText { name, head: text, lines, lines_per_point })
}

/// Makes the histograms of a pick, for which OpenTelemetry has no observable instrument.
fn histograms(batch: &Batch, pick: &Pick, bounds: &'static [f64]) -> MetricFamily {
    let definition = pick.definition();
    let keys = Keys::of(definition);
    let metric = |point: &Point| {
        let Value::Distribution(distribution) = &point.value else { return None };
        let pairs = keys.pairs(batch.site.as_ref(), point);
        let labels = pairs.map(|(key, value)| label(key, value)).collect();
        let mut metric = Metric::from_label(labels);
        metric.set_histogram(histogram(bounds, distribution));
        Some(metric)
    };
    let mut family = MetricFamily::default();
    family.set_name(definition.prometheus_name());
    family.set_help(definition.help.to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(pick.points().filter_map(metric).collect());
    family
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
