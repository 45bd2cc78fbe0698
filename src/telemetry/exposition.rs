//! The Prometheus text exposition of a frame, by way of opentelemetry-prometheus, and its
//! compressed form in pieces that can be joined into one gzip stream.

use std::io::Write as _;
use std::sync::Arc;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, Registry, TextEncoder};

use super::frame::{Catalog, Frame};
use super::instruments::{Cell, Instruments, Keys};
use crate::metric::{Definition, Distribution, Kind, Scope, Value};

/// Content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// An exposition could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The registry refused the exporter or the histograms.
    #[error("cannot register with the Prometheus registry: {0}")]
    Register(String),
    /// The families could not be written as text.
    #[error("cannot encode the exposition: {0}")]
    Encode(#[from] prometheus::Error),
}

/// Turns frames into text. One reader, one provider, one registry.
pub struct Exposition {
    instruments: Instruments,
    catalog: Arc<Catalog>,
    scopes: &'static [Scope],
    registry: Registry,
}

impl Exposition {
    /// Text of the metrics of these scopes.
    pub fn new(catalog: Arc<Catalog>, scopes: &'static [Scope]) -> Self {
        let instruments = Instruments::new(Arc::clone(&catalog), scopes);
        Self { instruments, catalog, scopes, registry: Registry::new() }
    }

    /// The text of one frame. Takes milliseconds for 10,000 series: not for an async worker.
    ///
    /// # Errors
    ///
    /// Where two metrics translate to one name; the table's test keeps that from happening.
    pub fn render(&mut self, frame: Arc<Frame>) -> Result<Vec<u8>, RenderError> {
        let mut fresh = None;
        let mut failure = None;
        let histograms = Histograms::new(&self.catalog, self.scopes, &self.instruments.cell);
        self.instruments.show(frame, |builder| {
            let registry = Registry::new();
            let exporter = opentelemetry_prometheus::exporter()
                .with_registry(registry.clone())
                .without_target_info()
                .scope_info_enabled(false)
                .build();
            // A registry does not take a collector that describes nothing.
            if !histograms.metrics.is_empty()
                && let Err(error) = registry.register(Box::new(histograms))
            {
                failure = Some(RenderError::Register(error.to_string()));
            }
            fresh = Some(registry);
            match exporter {
                Ok(exporter) => builder.with_reader(exporter),
                Err(error) => {
                    failure = Some(RenderError::Register(error.to_string()));
                    builder
                }
            }
        });
        if let Some(registry) = fresh {
            self.registry = registry;
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let families = self.registry.gather();
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

/// The histograms of the frame: OpenTelemetry has no observable histogram, so they enter the
/// registry through a collector of our own.
struct Histograms {
    cell: Cell,
    metrics: Vec<(usize, &'static Definition, &'static [f64], Keys, Desc)>,
}

impl Histograms {
    fn new(catalog: &Catalog, scopes: &[Scope], cell: &Cell) -> Self {
        let metrics = catalog
            .definitions()
            .iter()
            .enumerate()
            .filter(|(_, definition)| scopes.contains(&definition.scope))
            .filter_map(|(position, definition)| {
                let Kind::Histogram(bounds) = definition.kind else { return None };
                let keys = definition.sorted_keys().into_iter().map(String::from).collect();
                let desc = Desc::new(
                    definition.prometheus_name(),
                    definition.help.to_owned(),
                    keys,
                    std::collections::HashMap::new(),
                );
                Some((position, *definition, bounds, Keys::of(definition), desc.ok()?))
            })
            .collect();
        Self { cell: Arc::clone(cell), metrics }
    }
}

impl Collector for Histograms {
    fn desc(&self) -> Vec<&Desc> {
        self.metrics.iter().map(|(.., desc)| desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let frame = self.cell.load();
        let mut families = Vec::new();
        for (position, definition, bounds, keys, _) in &self.metrics {
            let mut metrics = Vec::new();
            for series in frame.series(*position) {
                let Value::Distribution(distribution) = &series.point.value else { continue };
                let labels = keys.pairs(&series).map(|(key, value)| label(key, &value)).collect();
                let mut metric = Metric::from_label(labels);
                metric.set_histogram(histogram(bounds, distribution));
                metrics.push(metric);
            }
            if !metrics.is_empty() {
                let mut family = MetricFamily::default();
                family.set_name(definition.prometheus_name());
                family.set_help(definition.help.to_owned());
                family.set_field_type(MetricType::HISTOGRAM);
                family.set_metric(metrics);
                families.push(family);
            }
        }
        families
    }
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

/// Text beside its compressed form, ready to be one piece of a gzip stream.
#[derive(Debug, Default)]
pub struct Piece {
    /// The text as it is.
    pub text: Vec<u8>,
    /// Raw deflate blocks that end on a byte boundary; the last piece of a stream ends it.
    deflated: Vec<u8>,
    crc: Crc,
}

impl Piece {
    /// Compresses a piece that others follow.
    pub fn first(text: Vec<u8>) -> Self {
        Self::compress(text, false)
    }

    /// Compresses the piece that ends the stream.
    pub fn last(text: Vec<u8>) -> Self {
        Self::compress(text, true)
    }

    fn compress(text: Vec<u8>, last: bool) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        // Writing to a Vec cannot fail.
        let _ = encoder.write_all(&text);
        let deflated = if last {
            encoder.finish().unwrap_or_default()
        } else {
            // A sync flush ends the block on a byte boundary without ending the stream.
            let _ = encoder.flush();
            encoder.get_ref().clone()
        };
        let mut crc = Crc::new();
        crc.update(&text);
        Self { text, deflated, crc }
    }

    /// The uncompressed text of two pieces.
    pub fn plain(&self, last: &Self) -> Vec<u8> {
        [self.text.as_slice(), &last.text].concat()
    }

    /// One gzip stream of two pieces (RFC 1952): one member, for the sake of clients that read only
    /// the first.
    pub fn gzip(&self, last: &Self) -> Vec<u8> {
        const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
        let mut crc = Crc::new();
        crc.combine(&self.crc);
        crc.combine(&last.crc);
        [
            HEADER.as_slice(),
            &self.deflated,
            &last.deflated,
            &crc.sum().to_le_bytes(),
            &crc.amount().to_le_bytes(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::SystemTime;

    use super::*;
    use crate::metric::{Metric, Samples};
    use crate::snapshot::{Part, Snapshot};

    static DISK: Metric<2> = Metric::gauge("nbu.disk", "By", &["size", "name"], "Bytes.");
    static RUNS: Metric<0> = Metric::counter("nbu.runs", "{run}", &[], "Runs.");
    static TOOK: Metric<1> = Metric::histogram("nbu.took", "s", &[1.0, 5.0], &["what"], "Took.");

    fn frame(names: &[&str]) -> (Arc<Catalog>, Arc<Frame>) {
        let catalog = Catalog::new(vec![DISK.definition(), RUNS.definition(), TOOK.definition()]);
        let mut samples = Samples::new();
        for name in names {
            samples.record(&DISK, ["free", name], 1.5);
        }
        samples.record(&RUNS, [], 3.0);
        let mut took = Distribution::new(&[1.0, 5.0]);
        took.observe(&[1.0, 5.0], 0.5);
        took.observe(&[1.0, 5.0], 9.0);
        samples.distribution(&TOOK, ["poll"], took);
        let mut snapshot = Snapshot::unpolled("paris", "");
        snapshot.parts.push(Part {
            collector: "test",
            families: Arc::new(samples.finish().0),
            origin: SystemTime::UNIX_EPOCH,
        });
        let frame = Frame::build(&catalog, &[Arc::new(snapshot)], None, 100_000).0;
        (catalog, Arc::new(frame))
    }

    #[test]
    fn every_kind_of_metric_is_written_with_its_labels_in_order() {
        let (catalog, frame) = frame(&["a\"b"]);
        let text = Exposition::new(catalog, &[Scope::Site]).render(frame).unwrap();
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
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn series_come_and_go_with_the_frame_and_outgrow_any_limit() {
        let (catalog, small) = frame(&["a", "b"]);
        let many: Vec<String> = (0..5000).map(|i| format!("n{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut exposition = Exposition::new(catalog, &[Scope::Site]);
        let mut count = |frame: &Arc<Frame>| {
            let text = exposition.render(Arc::clone(frame)).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(!text.contains("overflow"));
            text.lines().filter(|line| line.starts_with("nbu_disk_bytes{")).count()
        };
        let large = frame(&many).1;
        let counts: Vec<_> =
            [&small, &large, &small, &large, &small].iter().map(|f| count(f)).collect();
        assert_eq!(counts, [2, 5000, 2, 5000, 2]);
    }

    #[test]
    fn two_pieces_are_one_gzip_stream() {
        for (first, last) in [("", ""), ("a", ""), ("", "b"), ("text ", "more"), ("x\n", "y\n")] {
            let first = Piece::first(first.repeat(10_000).into_bytes());
            let last = Piece::last(last.as_bytes().to_vec());
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(first.gzip(&last).as_slice())
                .read_to_end(&mut read)
                .unwrap();
            assert_eq!(read, first.plain(&last));
        }
    }
}
