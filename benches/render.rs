//! Rendering the exposition, and what a scrape of it costs.
//!
//! Budget: a scrape of 100,000 series costs a copy of bytes (under 10 ms); rendering all parts stays
//! within 20 times the floor, which is an encoder written by hand that knows nothing but these
//! gauges. A rendering pays for the parts that changed, and for the page. Of a site of which 250 of
//! 5,000 series changed it takes at most 5 ms, whatever other sites there are.

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

use support::cpu::CpuTime;
use support::{Fleet, LARGE_SIZES, SIZES, snapshots, store, view};

/// The floor: straight from the snapshot to text.
fn by_hand(snapshots: &[Arc<Snapshot>], text: &mut String) {
    text.clear();
    for snapshot in snapshots {
        for family in snapshot.parts.iter().flat_map(|part| part.families.iter()) {
            let name = family.definition.prometheus_name();
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} gauge", family.definition.help);
            for point in &family.points {
                let _ = write!(text, "{name}{{site=\"{}\"", snapshot.site);
                for (key, value) in family.definition.attributes.iter().zip(point.attributes.iter())
                {
                    let _ = write!(text, ",{key}=\"{value}\"");
                }
                if let Value::Number(number) = point.value {
                    let _ = writeln!(text, "}} {number}");
                }
            }
        }
    }
}

fn render(criterion: &mut Criterion<CpuTime>) {
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

/// A renderer as a whole: everything that it has not seen, and one site of many that has changed.
fn renderer(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("renderer");
    group.sample_size(10);
    for size in LARGE_SIZES {
        let mut fleet = Fleet::of(size);
        let mut text = String::new();
        group.bench_function(BenchmarkId::new("floor_all", size), |bencher| {
            bencher.iter(|| by_hand(black_box(&fleet.snapshots), &mut text));
        });
        let changed = [Arc::clone(&fleet.changed)];
        group.bench_function(BenchmarkId::new("floor_one_changed", size), |bencher| {
            bencher.iter(|| by_hand(black_box(&changed), &mut text));
        });
        drop(text);
        let new = || {
            let agent = SelfMetrics::new(Arc::new(OtlpStats::default()));
            Renderer::new(Arc::clone(&fleet.store), agent)
        };
        group.bench_function(BenchmarkId::new("all", size), |bencher| {
            let render = |renderer: &mut Arc<Renderer>| renderer.render();
            bencher.iter_batched_ref(new, render, BatchSize::PerIteration);
        });
        let renderer = new();
        renderer.render();
        group.bench_function(BenchmarkId::new("one_changed", size), |bencher| {
            bencher.iter_batched(
                || fleet.change(),
                |()| renderer.render(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = render, renderer
}
criterion_main!(benches);
