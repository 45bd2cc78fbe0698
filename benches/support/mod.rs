//! A world of series for the benches: 20 gauges, four attributes each and the site.

#![allow(unreachable_pub, reason = "each bench includes this module")]

use std::sync::Arc;
use std::time::SystemTime;

use nbu_otel_agent::metric::{Metric, Samples};
use nbu_otel_agent::snapshot::{Part, Place, Snapshot, Store};
use nbu_otel_agent::telemetry::view::ExportView;

/// Numbers of series that are measured.
#[allow(dead_code, reason = "each bench uses its part of this module")]
pub const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

const SITES: usize = 8;

macro_rules! gauges {
    ($($name:literal),*) => {
        static GAUGES: [Metric<4>; 20] = [$(Metric::gauge(
            $name,
            "",
            &["client", "policy", "schedule", "action"],
            "A gauge of the bench.",
        )),*];
    };
}
gauges!(
    "bench.a", "bench.b", "bench.c", "bench.d", "bench.e", "bench.f", "bench.g", "bench.h",
    "bench.i", "bench.j", "bench.k", "bench.l", "bench.m", "bench.n", "bench.o", "bench.p",
    "bench.q", "bench.r", "bench.s", "bench.t"
);

/// Snapshots of eight sites with `series` series in all.
pub fn snapshots(series: usize) -> Vec<Arc<Snapshot>> {
    let schedules = ["FULL", "DIFF_INCR", "CUMULATIVE_INCR", "USER_BACKUP"];
    (0..SITES)
        .map(|site| {
            let mut samples = Samples::new();
            for i in 0..series / SITES {
                let client = format!("client-{i:06}.backup.example.com");
                let policy = format!("POLICY_{:04}_daily_vmware", i % 500);
                let attributes = [client.as_str(), &policy, schedules[i % 4], "BACKUP"];
                samples.record(&GAUGES[i % 20], attributes, (i * 37) as f64 * 1.25);
            }
            let mut snapshot = Snapshot::unpolled(&format!("primary{site:02}.example.com"), "");
            snapshot.parts.push(Part {
                collector: "bench",
                place: Place::default(),
                families: Arc::new(samples.finish().0),
                origin: SystemTime::UNIX_EPOCH,
            });
            Arc::new(snapshot)
        })
        .collect()
}

/// A view over the snapshots.
#[allow(dead_code, reason = "each bench uses its part of this module")]
pub fn view(snapshots: &[Arc<Snapshot>]) -> ExportView {
    ExportView::build(snapshots, None, usize::MAX).0
}

/// A store that holds the snapshots.
#[allow(dead_code, reason = "each bench uses its part of this module")]
pub fn store(snapshots: &[Arc<Snapshot>]) -> Arc<Store> {
    let store = Store::new();
    let sites = snapshots.iter().map(|snapshot| {
        let (_, latest) = store.publisher(Snapshot::clone(snapshot));
        (Arc::clone(&snapshot.site), latest)
    });
    store.set_sites(sites.collect());
    store
}
