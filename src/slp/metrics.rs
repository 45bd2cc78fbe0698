//! The metrics of the backlog: their declarations, and the fold from the images of a round to samples.

use std::collections::BTreeMap;

use super::backlog::{PendingCopy, PendingImage, Round};
use super::replication::Pending;
use super::sizes::Sizes;
use crate::metric::{Definition, Metric, Samples};

static COPIES: Metric<3> = Metric::gauge(
    "nbu.slp.backlog_copies",
    "{copy}",
    &["slp", "operation", "state"],
    "Copies of images under an SLP that wait or run, by copyType and copyState; DEFERRED ones are not among them. Operation UNPLANNED: images whose copies NetBackup has not planned yet (normal for some minutes after a backup), with the state of the image. At most 500 SLPs by name, further ones together as other; combinations that no copy has are absent.",
);
static BYTES: Metric<3> = Metric::gauge(
    "nbu.slp.backlog",
    "By",
    &["slp", "operation", "state"],
    "Front-end size of the copies that wait or run (kilobytes of the backup x 1024, before deduplication), as far as it is known: read it with nbu_slp_backlog_sized_ratio. Absent where the size of none is known.",
);
static SIZED: Metric<1> = Metric::gauge(
    "nbu.slp.backlog_sized_ratio",
    "",
    &["slp"],
    "Share of the copies in nbu_slp_backlog_copies whose size is known, 0 to 1. Sizes come from backup jobs that the agent saw, else from the catalogue in the background; absent without copies.",
);
static OLDEST: Metric<3> = Metric::gauge(
    "nbu.slp.backlog_oldest_age",
    "s",
    &["slp", "operation", "state"],
    "Age of the oldest copy that waits or runs, from the backupTime of its image, by the server's clock when the backlog was read.",
);
static IMAGES: Metric<1> = Metric::gauge(
    "nbu.slp.incomplete_images",
    "{image}",
    &["slp"],
    "Images under an SLP that are not complete. An SLP that was seen since the agent started remains at 0.",
);
static RETRYING: Metric<2> = Metric::gauge(
    "nbu.slp.retrying_copies",
    "{copy}",
    &["slp", "operation"],
    "Copies that wait or run and were tried more than once (retryCount over 0).",
);
static EXPIRED: Metric<1> = Metric::gauge(
    "nbu.slp.expired_incomplete_images",
    "{image}",
    &["slp"],
    "Images that are not complete and past their expiration: they hold space only because a copy is missing. An SLP that was seen since the agent started remains at 0.",
);
static DEFERRED_COPIES: Metric<2> = Metric::gauge(
    "nbu.slp.deferred_copies",
    "{copy}",
    &["slp", "operation"],
    "Copies in state DEFERRED: they wait by design until the source copy is about to expire. No alert counts them.",
);
static DEFERRED_BYTES: Metric<2> = Metric::gauge(
    "nbu.slp.deferred",
    "By",
    &["slp", "operation"],
    "Front-end size of the copies in state DEFERRED, as far as it is known. Absent where the size of none is known.",
);

static AIR_PENDING: Metric<2> = Metric::gauge(
    "nbu.air.pending_images",
    "{image}",
    &["origin", "state"],
    "Images that the site origin has replicated to this site and that are not imported here. state: not_arrived (this server knows nothing of it), import_pending, import_failed. Only where the agent polls both sites with the collector slp and their last runs told everything; zeros for sites that replicate here.",
);
static AIR_OLDEST: Metric<1> = Metric::gauge(
    "nbu.air.oldest_pending_age",
    "s",
    &["origin"],
    "Age of the oldest image in nbu_air_pending_images, from its backupTime, by this server's clock; absent if there is none.",
);

static AIR_WAIT: Metric<1> = Metric::gauge(
    "nbu.air.longest_wait",
    "s",
    &["origin"],
    "Time since the agent saw the replication of the image in nbu_air_pending_images that waits longest complete; absent if there is none. Unlike the age, it says nothing of how late the replication was.",
);

/// Combinations of SLP, operation and state that are told apart; further ones together as `other`.
const MAX_COMBINATIONS: usize = 10_000;

pub(crate) fn definitions() -> [&'static Definition; 12] {
    [
        COPIES.definition(),
        BYTES.definition(),
        SIZED.definition(),
        OLDEST.definition(),
        IMAGES.definition(),
        RETRYING.definition(),
        EXPIRED.definition(),
        DEFERRED_COPIES.definition(),
        DEFERRED_BYTES.definition(),
        AIR_PENDING.definition(),
        AIR_OLDEST.definition(),
        AIR_WAIT.definition(),
    ]
}

/// Copies with something in common.
#[derive(Debug, Default)]
struct Sum {
    copies: u64,
    sized: u64,
    bytes: u64,
    /// backupTime of the oldest, Unix ms.
    oldest: Option<i64>,
}

impl Sum {
    fn add(&mut self, image: &PendingImage, size: Option<u64>) {
        self.copies += 1;
        if let Some(bytes) = size {
            self.sized += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.oldest = self.oldest.into_iter().chain(image.backup_time).min();
    }

    fn bytes(&self) -> Option<f64> {
        (self.sized > 0).then_some(self.bytes as f64)
    }
}

#[derive(Debug, Default)]
struct OfSlp {
    images: u64,
    expired: u64,
    copies: u64,
    sized: u64,
}

/// Sums over the images of a round, by places of names.
#[derive(Debug, Default)]
struct Sums {
    waiting: BTreeMap<[u16; 3], Sum>,
    deferred: BTreeMap<[u16; 2], Sum>,
    retrying: BTreeMap<[u16; 2], u64>,
    slps: BTreeMap<u16, OfSlp>,
}

impl Sums {
    fn add(&mut self, image: &PendingImage, size: Option<u64>, now: i64) {
        let slp = self.slps.entry(image.slp).or_default();
        slp.images += 1;
        slp.expired += u64::from(image.expiration.is_some_and(|at| at <= now));
        for PendingCopy { operation, state, retrying, deferred } in image.copies.iter().copied() {
            let by = [image.slp, operation];
            if deferred {
                self.deferred.entry(by).or_default().add(image, size);
                continue;
            }
            slp.copies += 1;
            slp.sized += u64::from(size.is_some());
            *self.retrying.entry(by).or_default() += u64::from(retrying);
            let by = [image.slp, operation, state];
            let full = self.waiting.len() >= MAX_COMBINATIONS && !self.waiting.contains_key(&by);
            let by = if full { [0; 3] } else { by };
            self.waiting.entry(by).or_default().add(image, size);
        }
    }
}

/// Returns the samples of a round that was read when the server's clock was at `now`, Unix ms.
pub(crate) fn samples(round: &Round, sizes: &Sizes, now: i64) -> Samples {
    let mut sums = Sums::default();
    // SLPs that have no image now are at 0.
    sums.slps.extend(round.labels.slps.places().map(|slp| (slp, OfSlp::default())));
    for (id, image) in &round.images {
        sums.add(image, sizes.bytes(*id), now);
    }
    let slp = |place: u16| round.labels.slps.name(place);
    let operation = |place: u16| round.labels.operations.name(place);
    let state = |place: u16| round.labels.states.name(place);
    let mut samples = Samples::new();
    for ([of, by, is], sum) in &sums.waiting {
        let labels = [slp(*of), operation(*by), state(*is)];
        samples.record(&COPIES, labels, sum.copies as f64);
        samples.record(&BYTES, labels, sum.bytes());
        let age = sum.oldest.map(|oldest| (now - oldest).max(0) as f64 / 1000.0);
        samples.record(&OLDEST, labels, age);
    }
    for ([of, by], copies) in &sums.retrying {
        samples.record(&RETRYING, [slp(*of), operation(*by)], *copies as f64);
    }
    for ([of, by], sum) in &sums.deferred {
        let labels = [slp(*of), operation(*by)];
        samples.record(&DEFERRED_COPIES, labels, sum.copies as f64);
        samples.record(&DEFERRED_BYTES, labels, sum.bytes());
    }
    for (of, sum) in &sums.slps {
        samples.record(&IMAGES, [slp(*of)], sum.images as f64);
        samples.record(&EXPIRED, [slp(*of)], sum.expired as f64);
        let share = sum.sized as f64 / sum.copies as f64;
        samples.record(&SIZED, [slp(*of)], (sum.copies > 0).then_some(share));
    }
    samples
}

/// Returns the samples of what other sites have replicated here, when the server's clock was at `now`, Unix ms.
pub(crate) fn replication_samples(pending: &BTreeMap<String, Pending>, now: i64) -> Samples {
    let mut samples = Samples::new();
    for (origin, pending) in pending {
        for (state, images) in [
            ("not_arrived", pending.not_arrived),
            ("import_pending", pending.waiting),
            ("import_failed", pending.failed),
        ] {
            samples.record(&AIR_PENDING, [origin, state], images as f64);
        }
        let ago = |at: i64| (now - at).max(0) as f64 / 1000.0;
        samples.record(&AIR_OLDEST, [origin], pending.oldest.map(ago));
        samples.record(&AIR_WAIT, [origin], pending.waits_since.map(ago));
    }
    samples
}
