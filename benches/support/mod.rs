//! A world of series for the benches: 20 gauges, four attributes each and the site.

#![allow(unreachable_pub, reason = "each bench includes this module")]

#[allow(dead_code, reason = "each bench uses its part of this module")]
pub mod cpu;

use std::sync::Arc;
use std::time::SystemTime;

use nbu_otel_agent::metric::{Metric, Samples};
use nbu_otel_agent::snapshot::{Part, Place, Publisher, Snapshot, Store};
use nbu_otel_agent::telemetry::view::ExportView;

/// Numbers of series that are measured.
#[allow(dead_code, reason = "each bench uses its part of this module")]
pub const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// The same and a million.
#[allow(dead_code, reason = "each bench uses its part of this module")]
pub const LARGE_SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

const SITES: usize = 8;

/// Series of a site of a fleet.
const SITE_SERIES: usize = 5_000;

/// Series that change in it: 250 of the 5,000.
const CHANGED_ONE_IN: usize = 20;

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
#[allow(dead_code, reason = "each bench uses its part of this module")]
pub fn snapshots(series: usize) -> Vec<Arc<Snapshot>> {
    (0..SITES).map(|site| Arc::new(snapshot(site, series / SITES, false))).collect()
}

/// Returns whether series `i` has another value once a site has changed. These are of all metrics.
fn changes(i: usize) -> bool {
    (i + i / GAUGES.len()).is_multiple_of(CHANGED_ONE_IN)
}

fn record(samples: &mut Samples, i: usize, value: f64) {
    let schedules = ["FULL", "DIFF_INCR", "CUMULATIVE_INCR", "USER_BACKUP"];
    let client = format!("client-{i:06}.backup.example.com");
    let policy = format!("POLICY_{:04}_daily_vmware", i % 500);
    let attributes = [client.as_str(), &policy, schedules[i % 4], "BACKUP"];
    samples.record(&GAUGES[i % GAUGES.len()], attributes, value);
}

fn of_samples(site: usize, samples: Samples) -> Snapshot {
    let mut snapshot = Snapshot::unpolled(&format!("primary{site:02}.example.com"), "");
    snapshot.parts.push(Part {
        collector: "bench",
        place: Place::default(),
        families: Arc::new(samples.finish().0),
        origin: SystemTime::UNIX_EPOCH,
    });
    snapshot
}

/// The snapshot of a site, before or after its change.
fn snapshot(site: usize, series: usize, changed: bool) -> Snapshot {
    let mut samples = Samples::new();
    for i in 0..series {
        let more = if changed && changes(i) { 0.5 } else { 0.0 };
        record(&mut samples, i, (i * 37) as f64 * 1.25 + more);
    }
    of_samples(site, samples)
}

/// Sites of 5,000 series each, of which one changes 250.
#[allow(dead_code, reason = "each bench uses its part of this module")]
pub struct Fleet {
    pub store: Arc<Store>,
    /// All sites before the change.
    pub snapshots: Vec<Arc<Snapshot>>,
    /// The series that change, and no others.
    pub changed: Arc<Snapshot>,
    publisher: Publisher,
    /// The first site before and after.
    versions: [Snapshot; 2],
    published: usize,
}

#[allow(dead_code, reason = "each bench uses its part of this module")]
impl Fleet {
    /// With so many series in all.
    pub fn of(series: usize) -> Self {
        let each = series.min(SITE_SERIES);
        let snapshots: Vec<_> =
            (0..series / each).map(|site| Arc::new(snapshot(site, each, false))).collect();
        let store = Store::new();
        let mut sites: Vec<_> =
            snapshots.iter().map(|site| store.publisher(Snapshot::clone(site))).collect();
        let named = snapshots.iter().zip(&sites);
        let named = named.map(|(site, (_, latest))| (Arc::clone(&site.site), latest.clone()));
        store.set_sites(named.collect());
        let (publisher, _) = sites.swap_remove(0);
        let versions = [snapshot(0, each, false), snapshot(0, each, true)];
        let mut changed = Samples::new();
        (0..each).filter(|i| changes(*i)).for_each(|i| record(&mut changed, i, i as f64 * 46.25));
        let changed = Arc::new(of_samples(0, changed));
        Self { store, snapshots, changed, publisher, versions, published: 0 }
    }

    /// Lets the first site change, forth and back by turns.
    pub fn change(&mut self) {
        self.published = 1 - self.published;
        self.publisher.publish(self.versions[self.published].clone());
    }
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
