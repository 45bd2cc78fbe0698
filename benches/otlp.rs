//! Making OTLP requests: collect, convert, split, encode.
//!
//! Budget: within 8 times the floor, which is prost encoding the same points that are already there.

mod support;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use nbu_otel_agent::telemetry::otlp::OtlpStats;
use nbu_otel_agent::telemetry::otlp::producer::Producer;
use nbu_otel_agent::telemetry::self_metrics::SelfMetrics;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use prost::Message as _;

use support::{SIZES, snapshots, store};

fn otlp(criterion: &mut Criterion) {
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

criterion_group!(benches, otlp);
criterion_main!(benches);
