//! The Prometheus text exposition of slices, by way of opentelemetry-prometheus, and its compressed
//! form in pieces that can be joined into one gzip stream.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use super::frame::Slice;
use super::instruments::{Keys, provide};
use crate::metric::{Distribution, Kind, Value};

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

/// One family of one slice, as text.
#[derive(Debug)]
pub struct Block {
    /// Its name in the exposition.
    pub name: String,
    /// The HELP and the TYPE line.
    pub head: String,
    /// Its series, a line each.
    pub lines: String,
}

/// The blocks of a slice, sorted by name. Takes about 3 us a series: not for an async worker.
///
/// # Errors
///
/// Where two metrics translate to one name; the table's test keeps that from happening.
pub fn render(slice: &Slice) -> Result<Vec<Block>, RenderError> {
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_target_info()
        .scope_info_enabled(false)
        .build()
        .map_err(|error| RenderError::Register(error.to_string()))?;
    let histograms = Histograms::of(slice);
    // A registry does not take a collector that describes nothing.
    if !histograms.0.is_empty() {
        registry
            .register(Box::new(histograms))
            .map_err(|error| RenderError::Register(error.to_string()))?;
    }
    let provider = provide(slice, exporter);
    let families = registry.gather();
    drop(provider);
    families.into_iter().map(block).collect()
}

fn block(family: MetricFamily) -> Result<Block, RenderError> {
    let name = family.name().to_owned();
    let mut text = String::new();
    TextEncoder::new().encode_utf8(&[family], &mut text)?;
    // HELP and TYPE are a line each; line breaks in them are escaped.
    let head = text.match_indices('\n').nth(1).map_or(0, |(end, _)| end + 1);
    // Kept for as long as the slice is shown: no larger than they are.
    let lines = text[head..].to_owned();
    text.truncate(head);
    text.shrink_to_fit();
    Ok(Block { name, head: text, lines })
}

/// The page of many blocks: families by name, each with one head; series in the order of the blocks.
pub fn page<'b>(blocks: impl Iterator<Item = &'b Block>) -> Vec<u8> {
    let mut families: BTreeMap<&str, Vec<&Block>> = BTreeMap::new();
    let mut size = 0;
    for block in blocks {
        size += block.head.len() + block.lines.len();
        families.entry(&block.name).or_default().push(block);
    }
    let mut text = Vec::with_capacity(size);
    for blocks in families.into_values() {
        for (position, block) in blocks.into_iter().enumerate() {
            if position == 0 {
                text.extend_from_slice(block.head.as_bytes());
            }
            text.extend_from_slice(block.lines.as_bytes());
        }
    }
    text
}

/// The histograms of a slice: OpenTelemetry has no observable histogram, so they enter the registry
/// through a collector of our own.
struct Histograms(Vec<(MetricFamily, Desc)>);

impl Histograms {
    fn of(slice: &Slice) -> Self {
        let mut families = Vec::new();
        for (definition, points) in slice.content() {
            let Kind::Histogram(bounds) = definition.kind else { continue };
            let keys = Keys::of(definition);
            let metrics: Vec<Metric> = points
                .iter()
                .filter_map(|point| {
                    let Value::Distribution(distribution) = &point.value else { return None };
                    let pairs = keys.pairs(slice.site.as_ref(), point);
                    let labels = pairs.map(|(key, value)| label(key, value)).collect();
                    let mut metric = Metric::from_label(labels);
                    metric.set_histogram(histogram(bounds, distribution));
                    Some(metric)
                })
                .collect();
            let desc = Desc::new(
                definition.prometheus_name(),
                definition.help.to_owned(),
                definition.sorted_keys().into_iter().map(String::from).collect(),
                HashMap::new(),
            );
            if let (false, Ok(desc)) = (metrics.is_empty(), desc) {
                let mut family = MetricFamily::default();
                family.set_name(definition.prometheus_name());
                family.set_help(definition.help.to_owned());
                family.set_field_type(MetricType::HISTOGRAM);
                family.set_metric(metrics);
                families.push((family, desc));
            }
        }
        Self(families)
    }
}

impl Collector for Histograms {
    fn desc(&self) -> Vec<&Desc> {
        self.0.iter().map(|(_, desc)| desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.iter().map(|(family, _)| family.clone()).collect()
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

/// Text beside its compressed form, ready to be one piece of a gzip stream. Its bytes are shared: a
/// scrape copies nothing.
#[derive(Debug)]
pub struct Piece {
    text: Bytes,
    /// Raw deflate blocks that end on a byte boundary; the last piece of a stream ends it.
    deflated: Bytes,
    /// Of the text, to go on from.
    checksum: crc32fast::Hasher,
}

/// How a sync flush ends: an empty block, stored (RFC 1951, section 3.2.4).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// Flushes after which a stream is given up; a few are needed at most.
const FLUSHES: usize = 1_000;

/// A body in chunks.
pub type Chunks = Vec<Bytes>;

impl Piece {
    /// Compresses a piece that others follow.
    pub fn first(text: Vec<u8>) -> Self {
        Self::compress(text, false)
    }

    /// Compresses the piece that ends the stream.
    fn last(text: Vec<u8>) -> Self {
        Self::compress(text, true)
    }

    fn compress(text: Vec<u8>, last: bool) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        // Writing to a Vec cannot fail.
        let _ = encoder.write_all(&text);
        let deflated = if last {
            encoder.finish().unwrap_or_default()
        } else {
            // A sync flush ends the block on a byte boundary without ending the stream. One of a large
            // text may stop before that, without saying so, and goes on when it is asked again.
            for _ in 0..FLUSHES {
                let _ = encoder.flush();
                if encoder.get_ref().ends_with(&FLUSHED) {
                    break;
                }
            }
            encoder.get_ref().clone()
        };
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&text);
        Self { text: text.into(), deflated: deflated.into(), checksum }
    }

    /// This text and another one after it.
    pub fn plain(&self, last: Vec<u8>) -> Chunks {
        vec![self.text.clone(), last.into()]
    }

    /// One gzip stream of two pieces (RFC 1952): one member, for the sake of clients that read only
    /// the first.
    pub fn gzip(&self, last: Vec<u8>) -> Chunks {
        const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
        let last = Self::last(last);
        let mut checksum = self.checksum.clone();
        checksum.update(&last.text);
        // The length modulo 2^32, as the format has it.
        let length = u32::try_from((self.text.len() + last.text.len()) & 0xffff_ffff);
        let end = [checksum.finalize(), length.unwrap_or_default()].map(u32::to_le_bytes).concat();
        vec![Bytes::from_static(&HEADER), self.deflated.clone(), last.deflated, end.into()]
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Read as _;
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::metric::{Metric, Samples};
    use crate::snapshot::Part;

    static DISK: Metric<2> = Metric::gauge("nbu.disk", "By", &["size", "name"], "Bytes.");
    static RUNS: Metric<0> = Metric::counter("nbu.runs", "{run}", &[], "Runs.");
    static TOOK: Metric<1> = Metric::histogram("nbu.took", "s", &[1.0, 5.0], &["what"], "Took.");

    fn slice(site: &str, names: &[&str]) -> Slice {
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
        Slice::whole(Some(&Arc::from(site)), &part)
    }

    fn text(slices: &[Slice]) -> String {
        let blocks: Vec<Block> = slices.iter().flat_map(|slice| render(slice).unwrap()).collect();
        String::from_utf8(page(blocks.iter())).unwrap()
    }

    #[test]
    fn every_kind_of_metric_is_written_with_its_labels_in_order() {
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
        assert_eq!(text(&[slice("paris", &["a\"b"])]), expected);
    }

    #[test]
    fn sites_share_the_head_of_a_family() {
        let text = text(&[slice("paris", &["a"]), slice("tokyo", &["a"])]);
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
            let text = text(&[slice("paris", &names)]);
            assert!(!text.contains("overflow"), "{count}");
            let shown = text.lines().filter(|line| line.starts_with("nbu_disk_bytes{")).count();
            assert_eq!(shown, count);
        }
    }

    #[test]
    fn two_pieces_are_one_gzip_stream() {
        for (first, last) in [("", ""), ("a", ""), ("", "b"), ("text ", "more"), ("x\n", "y\n")] {
            let first = Piece::first(first.repeat(10_000).into_bytes());
            let last = last.as_bytes().to_vec();
            let gzip = first.gzip(last.clone()).concat();
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut read).unwrap();
            assert_eq!(read, first.plain(last).concat());
        }
    }

    /// Texts of half a megabyte for which one flush stopped before its end; others are fuzzed easily.
    #[test]
    fn a_large_page_is_whole_however_its_first_piece_was_flushed() {
        for seed in [146, 184, 215, 220, 251, 728] {
            let mut random = fastrand::Rng::with_seed(seed);
            let length = random.usize(200_000..700_000);
            let mut text = String::new();
            while text.len() < length {
                let (kind, status) = (random.u8(0..40), random.u8(0..160));
                let count = random.u16(0..900);
                let _ = writeln!(
                    text,
                    "nbu_jobs_completed_total{{action=\"BACKUP\",policy_type=\"TYPE_{kind}\",site=\"paris\",status=\"{status}\"}} {count}"
                );
            }
            let first = Piece::first(text.into_bytes());
            let gzip = first.gzip(b"the rest\n".to_vec()).concat();
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut read).unwrap();
            assert_eq!(read, first.plain(b"the rest\n".to_vec()).concat(), "{seed}");
        }
    }
}
