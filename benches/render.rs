//! Rendering the exposition, and what a scrape of it costs.
//!
//! Budget: a scrape of 100,000 series costs a copy of bytes (under 10 ms); rendering all parts stays
//! within 20 times the floor, which is an encoder written by hand that knows nothing but these
//! gauges. A rendering pays for the parts that changed, and for the page.

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use nbu_otel_agent::metric::Value;
use nbu_otel_agent::snapshot::Snapshot;
use nbu_otel_agent::telemetry::otlp::OtlpStats;
use nbu_otel_agent::telemetry::prometheus::renderer::Renderer;
use nbu_otel_agent::telemetry::self_metrics::SelfMetrics;

use support::{SIZES, snapshots, store, view};

/// The floor: straight from the snapshot to text.
fn by_hand(snapshots: &[Arc<Snapshot>], text: &mut String) {
    text.clear();
    for snapshot in snapshots {
        for family in snapshot.parts.iter().flat_map(|part| part.families.iter()) {
            let name = family.definition.prometheus_name();
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} gauge", family.definition.help);
            for point in &family.points {
                let _ = write!(text, "{name}{{site=\"{}\"", snapshot.site);
                for (key, value) in family.definition.attributes.iter().zip(&point.attributes) {
                    let _ = write!(text, ",{key}=\"{value}\"");
                }
                if let Value::Number(number) = point.value {
                    let _ = writeln!(text, "}} {number}");
                }
            }
        }
    }
}

fn render(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    group.sample_size(10);
    for size in SIZES {
        let snapshots = snapshots(size);
        group.bench_function(BenchmarkId::new("view", size), |bencher| {
            bencher.iter(|| view(black_box(&snapshots)));
        });
        let mut text = String::new();
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| by_hand(black_box(&snapshots), &mut text));
        });
        group.bench_function(BenchmarkId::new("all", size), |bencher| {
            let store = store(&snapshots);
            bencher.iter_batched(
                || Renderer::new(Arc::clone(&store), SelfMetrics::new(Arc::default())),
                |renderer| renderer.render(),
                BatchSize::PerIteration,
            );
        });
        let agent = SelfMetrics::new(Arc::new(OtlpStats::default()));
        let renderer = Renderer::new(store(&snapshots), agent);
        renderer.render();
        for (name, gzip) in [("scrape", false), ("scrape_gzip", true)] {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| renderer.scrape(gzip));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, render);
criterion_main!(benches);
