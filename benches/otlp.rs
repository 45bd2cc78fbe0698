//! Making OTLP requests: collect, convert, split, encode.
//!
//! Budget: within 8 times the floor, which is prost encoding the same points that are already there. A push
//! as a whole, compressed too, is measured against protobuf that is written by hand from the snapshots.

mod support;

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::GzEncoder;
use nbu_otel_agent::telemetry::otlp::OtlpStats;
use nbu_otel_agent::telemetry::otlp::producer::Producer;
use nbu_otel_agent::telemetry::otlp::split::Splitter;
use nbu_otel_agent::telemetry::self_metrics::SelfMetrics;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use support::cpu::CpuTime;
use support::{Fleet, LARGE_SIZES, SIZES, snapshots, store};

fn otlp(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("otlp");
    group.sample_size(10);
    for size in SIZES {
        let agent = SelfMetrics::new(Arc::new(OtlpStats::default()));
        let store = store(&snapshots(size));
        let producer = Producer::new(store, agent, usize::MAX);
        group.bench_function(BenchmarkId::new("collect", size), |bencher| {
            bencher.iter(|| producer.collect(&mut |_, metrics| _ = black_box(metrics)));
        });
        let mut metrics = Vec::new();
        producer.collect(&mut |_, more| metrics.extend(more));
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            }],
        };
        group.bench_function(BenchmarkId::new("floor_encode", size), |bencher| {
            bencher.iter(|| black_box(request.encode_to_vec()));
        });
    }
    group.finish();
}

/// Protobuf by hand: no more than these gauges need.
mod by_hand {
    use std::sync::Arc;

    use nbu_otel_agent::metric::Value;
    use nbu_otel_agent::snapshot::Snapshot;

    fn varint(mut value: usize, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        out.push(u8::try_from(value).unwrap_or_default());
    }

    /// A field with its length before it.
    fn field(number: u8, content: &[u8], out: &mut Vec<u8>) {
        out.push(number << 3 | 2);
        varint(content.len(), out);
        out.extend_from_slice(content);
    }

    fn attribute(
        key: &str,
        text: &str,
        (any, pair): (&mut Vec<u8>, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        any.clear();
        pair.clear();
        field(1, text.as_bytes(), any);
        field(1, key.as_bytes(), pair);
        field(2, any, pair);
        field(7, pair, out);
    }

    /// Buffers, kept for the next time.
    #[derive(Default)]
    pub(super) struct Buffers {
        any: Vec<u8>,
        pair: Vec<u8>,
        point: Vec<u8>,
        gauge: Vec<u8>,
        metric: Vec<u8>,
        scope: Vec<u8>,
        resource: Vec<u8>,
        request: Vec<u8>,
    }

    /// Returns one request with all points, a resource for each site.
    pub(super) fn request<'a>(
        snapshots: &[Arc<Snapshot>],
        now: u64,
        buffers: &'a mut Buffers,
    ) -> &'a [u8] {
        let Buffers { any, pair, point, gauge, metric, scope, resource, request } = buffers;
        request.clear();
        for snapshot in snapshots {
            scope.clear();
            for family in snapshot.parts.iter().flat_map(|part| part.families.iter()) {
                gauge.clear();
                for series in &family.points {
                    let Value::Number(number) = series.value else { continue };
                    point.clear();
                    attribute("site", &snapshot.site, (any, pair), point);
                    for (key, text) in
                        family.definition.attributes.iter().zip(series.attributes.iter())
                    {
                        attribute(key, text, (any, pair), point);
                    }
                    point.push(3 << 3 | 1);
                    point.extend_from_slice(&now.to_le_bytes());
                    point.push(4 << 3 | 1);
                    point.extend_from_slice(&number.to_le_bytes());
                    field(1, point, gauge);
                }
                metric.clear();
                field(1, family.definition.name.as_bytes(), metric);
                field(2, family.definition.help.as_bytes(), metric);
                field(5, gauge, metric);
                field(2, metric, scope);
            }
            resource.clear();
            field(2, scope, resource);
            field(1, resource, request);
        }
        request
    }
}

/// The bodies of the requests of a push, below the size that receivers take.
fn bodies(producer: &Producer) -> Vec<Vec<u8>> {
    let (resource, scope) = (Resource::default(), InstrumentationScope::default());
    let mut splitter = Splitter::new(&resource, &scope, 3_670_016);
    let mut bodies = Vec::new();
    producer.collect(&mut |_, metrics| {
        let full = metrics.into_iter().flat_map(|metric| splitter.add(metric));
        bodies.extend(full.map(|part| part.request.encode_to_vec()));
    });
    bodies.extend(splitter.finish().map(|part| part.request.encode_to_vec()));
    bodies
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// All of a push but the sending.
fn push(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("push");
    group.sample_size(10);
    for size in LARGE_SIZES {
        let agent = SelfMetrics::new(Arc::new(OtlpStats::default()));
        let fleet = Fleet::of(size);
        let producer = Producer::new(Arc::clone(&fleet.store), agent, usize::MAX);
        let mut buffers = by_hand::Buffers::default();
        group.bench_function(BenchmarkId::new("encoded", size), |bencher| {
            bencher.iter(|| black_box(bodies(&producer)));
        });
        group.bench_function(BenchmarkId::new("floor_encoded", size), |bencher| {
            bencher.iter(|| black_box(by_hand::request(&fleet.snapshots, 1, &mut buffers).len()));
        });
        if size > SIZES[2] {
            continue;
        }
        group.bench_function(BenchmarkId::new("compressed", size), |bencher| {
            let compressed = || bodies(&producer).iter().map(|body| gzip(body).len()).sum();
            bencher.iter(|| black_box::<usize>(compressed()));
        });
        group.bench_function(BenchmarkId::new("floor_compressed", size), |bencher| {
            bencher.iter(|| {
                black_box(gzip(by_hand::request(&fleet.snapshots, 1, &mut buffers)).len())
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = otlp, push
}
criterion_main!(benches);
