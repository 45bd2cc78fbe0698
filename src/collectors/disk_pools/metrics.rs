//! The metrics of disk pools and their volumes.

use super::row::{PoolRow, Sizes, Volume};
use crate::collectors::counts::{Counts, label};
use crate::forecast::Forecast;
use crate::metric::{Definition, Metric, Samples, UNKNOWN, flag};

/// States of a volume; a closed set.
const VOLUME_STATES: [&str; 3] = ["UP", "DOWN", "UNKNOWN"];

/// States of a pool; a closed set.
const POOL_STATES: [&str; 3] = ["UP", "DOWN", "TRANSIENT"];

const POOL: [&str; 3] = ["pool_name", "storage_category", "server_type"];

static VOLUME_COUNT: Metric<3> = Metric::gauge(
    "nbu.disk.pool.volume.count",
    "{volume}",
    &["pool_name", "storage_category", "state"],
    "Volumes of a disk pool by state (diskVolumes); UP, DOWN and UNKNOWN are exported for each pool.",
);
static CAPACITY: Metric<3> = Metric::gauge(
    "nbu.disk.pool.capacity",
    "By",
    &POOL,
    "Space of a disk pool that backups can use: usableSizeBytes, else rawSizeBytes, else the sum over its volumes. Absent for cloud. Sum over pools, never over storage units, which repeat their pool. Leave out what nbu_disk_pool_space_repeated says.",
);
static RAW: Metric<3> = Metric::gauge(
    "nbu.disk.pool.raw",
    "By",
    &POOL,
    "Raw space of a disk pool as the server says (rawSizeBytes), with what MSDP reserves. Absent for cloud.",
);
static USED: Metric<3> = Metric::gauge(
    "nbu.disk.pool.used",
    "By",
    &POOL,
    "Used space of a disk pool after deduplication (usedCapacityBytes, else capacity less free space). The pool is full for NetBackup when used / capacity reaches nbu_disk_pool_high_watermark_ratio.",
);
static FREE: Metric<3> = Metric::gauge(
    "nbu.disk.pool.free",
    "By",
    &POOL,
    "Free space of a disk pool (availableSpaceBytes, else capacity less used space). Absent for cloud.",
);
static SPACE_REPEATED: Metric<3> = Metric::gauge(
    "nbu.disk.pool.space_repeated",
    "",
    &POOL,
    "1 if a disk pool on OPEN_STORAGE tells the same space as another one of the same storage servers: its capacity and its free space equal those of that pool to the byte. Leave it out of sums. 0 for the first of them, and where nothing is repeated.",
);
static HIGH_MARK: Metric<3> = Metric::gauge(
    "nbu.disk.pool.high_watermark_ratio",
    "",
    &POOL,
    "High water mark of this disk pool, 0 to 1: the used share at which NetBackup takes it as full. Absent for cloud, where it means nothing.",
);
static LOW_MARK: Metric<3> = Metric::gauge(
    "nbu.disk.pool.low_watermark_ratio",
    "",
    &POOL,
    "Low water mark of this disk pool, 0 to 1: clean-up stops there. Absent for cloud.",
);
static STATE: Metric<4> = Metric::gauge(
    "nbu.disk.pool.state",
    "",
    &["pool_name", "storage_category", "server_type", "state"],
    "1 for the state of a disk pool, 0 for the others of UP, DOWN and TRANSIENT.",
);
static VOLUME_UP: Metric<3> = Metric::gauge(
    "nbu.disk.volume.up",
    "",
    &["pool_name", "server_type", "volume"],
    "1 if a volume of a disk pool is UP, else 0; of at most 5000 volumes of a site.",
);
static VOLUME_CAPACITY: Metric<3> = Metric::gauge(
    "nbu.disk.volume.capacity",
    "By",
    &["pool_name", "server_type", "volume"],
    "Raw space of a volume (rawSizeBytes). Absent for cloud; of at most 5000 volumes of a site.",
);
static VOLUME_FREE: Metric<3> = Metric::gauge(
    "nbu.disk.volume.free",
    "By",
    &["pool_name", "server_type", "volume"],
    "Free space of a volume (freeSizeBytes). Absent for cloud; of at most 5000 volumes of a site.",
);
static HEADROOM: Metric<3> = Metric::gauge(
    "nbu.disk.pool.headroom",
    "By",
    &POOL,
    "Space up to the high water mark: capacity times the mark, less used space. Negative above the mark.",
);
static NIGHT_GROWTH: Metric<4> = Metric::gauge(
    "nbu.disk.pool.night_growth",
    "By",
    &["pool_name", "storage_category", "server_type", "night"],
    "Growth of a disk pool in a night, which is noon to noon in the time zone of the primary server: the most that was used in it less what was used at its beginning, by the polls. night is last (the last one that was seen whole), high (exceeded by one in ten of the last 28) or tonight (expected of the night now begun: the most that its weekday had in four weeks, else high; from three nights on).",
);
static NIGHTS_LEFT: Metric<3> = Metric::gauge(
    "nbu.disk.pool.nights_left",
    "",
    &POOL,
    "Nights of high growth that fit below the high water mark if nothing is expired in between. Absent where nothing grows.",
);
static TONIGHT_FITS: Metric<3> = Metric::gauge(
    "nbu.disk.pool.tonight_fits",
    "",
    &POOL,
    "0 if the night is expected to take more than the headroom, 1 if it fits. Decided once after 14:00 in the time zone of the primary server, and there until noon; it turns to 1 when enough space is made. Absent before three nights were seen whole, and where the agent was not running between 14:00 and 18:00.",
);
static DAILY_CHANGE: Metric<3> = Metric::gauge(
    "nbu.disk.pool.free.daily_change",
    "By",
    &POOL,
    "Trend of the free space of a disk pool, bytes a day, negative if it shrinks: the median of the slopes between the noons of the last 14 days. Absent before three days. More capacity does not count.",
);
static DAYS_LEFT: Metric<3> = Metric::gauge(
    "nbu.disk.pool.days_left",
    "",
    &POOL,
    "Days until the trend of 14 days reaches the high water mark; 0 above it. Absent before three days, and where used space does not grow.",
);

pub(super) fn definitions() -> Vec<&'static Definition> {
    vec![
        VOLUME_COUNT.definition(),
        CAPACITY.definition(),
        RAW.definition(),
        USED.definition(),
        FREE.definition(),
        SPACE_REPEATED.definition(),
        HIGH_MARK.definition(),
        LOW_MARK.definition(),
        STATE.definition(),
        VOLUME_UP.definition(),
        VOLUME_CAPACITY.definition(),
        VOLUME_FREE.definition(),
        HEADROOM.definition(),
        NIGHT_GROWTH.definition(),
        NIGHTS_LEFT.definition(),
        TONIGHT_FITS.definition(),
        DAILY_CHANGE.definition(),
        DAYS_LEFT.definition(),
    ]
}

/// Volumes of a site with series of their own.
pub(super) const MAX_VOLUMES: usize = 5_000;

/// Records the volumes of a pool: their number by state, and those that have `room` for series of their own.
pub(super) fn record_volumes(
    (name, row): (&str, &PoolRow<'_>),
    volumes: &[Volume],
    counts: &mut Counts<3>,
    room: &mut usize,
    samples: &mut Samples,
) {
    let (category, server_type) = (label(&row.storage_category), label(&row.s_type));
    for state in VOLUME_STATES {
        counts.expect([name, category, state]);
    }
    for volume in volumes {
        let state = volume.state.as_deref().unwrap_or(UNKNOWN);
        counts.add([name, category, state]);
        let Some(volume_name) = volume.name.as_deref().filter(|_| *room > 0) else { continue };
        *room -= 1;
        let labels = [name, server_type, volume_name];
        samples.record(&VOLUME_UP, labels, flag(state == "UP"));
        let size = |size: Option<i64>| size.filter(|_| !row.is_cloud()).map(|bytes| bytes as f64);
        samples.record(&VOLUME_CAPACITY, labels, size(volume.raw));
        samples.record(&VOLUME_FREE, labels, size(volume.free));
    }
}

/// Records the counts of the volumes of all pools.
pub(super) fn record_counts(counts: &Counts<3>, samples: &mut Samples) {
    counts.record(&VOLUME_COUNT, samples);
}

/// Records the state, the marks and the sizes of a pool.
pub(super) fn record_pool((name, row): (&str, &PoolRow<'_>), sizes: Sizes, samples: &mut Samples) {
    let labels = [name, label(&row.storage_category), label(&row.s_type)];
    let known = |bytes: Option<i64>| bytes.map(|bytes| bytes as f64);
    samples.record(&CAPACITY, labels, known(sizes.capacity));
    samples.record(&RAW, labels, known(sizes.raw));
    samples.record(&USED, labels, known(sizes.used));
    samples.record(&FREE, labels, known(sizes.free));
    samples.record(&HIGH_MARK, labels, row.high_mark());
    samples.record(&LOW_MARK, labels, row.low_mark());
    let state = Some(label(&row.disk_pool_state)).filter(|state| *state != UNKNOWN);
    let other = state.filter(|state| !POOL_STATES.contains(state));
    for known in POOL_STATES.into_iter().filter(|_| state.is_some()).chain(other) {
        let labels = [labels[0], labels[1], labels[2], known];
        samples.record(&STATE, labels, flag(Some(known) == state));
    }
}

/// Records whether a pool repeats the space of another one.
pub(super) fn record_repeated(
    (name, row): (&str, &PoolRow<'_>),
    is_repeated: bool,
    samples: &mut Samples,
) {
    let labels = [name, label(&row.storage_category), label(&row.s_type)];
    samples.record(&SPACE_REPEATED, labels, flag(is_repeated));
}

/// Records the forecast of a pool.
pub(super) fn record_forecast(
    (name, row): (&str, &PoolRow<'_>),
    forecast: Forecast,
    samples: &mut Samples,
) {
    let labels = [name, label(&row.storage_category), label(&row.s_type)];
    let known = |bytes: Option<i64>| bytes.map(|bytes| bytes as f64);
    samples.record(&HEADROOM, labels, known(forecast.headroom));
    let nights = [("last", forecast.last), ("high", forecast.high), ("tonight", forecast.tonight)];
    for (night, growth) in nights {
        samples.record(&NIGHT_GROWTH, [labels[0], labels[1], labels[2], night], known(growth));
    }
    samples.record(&NIGHTS_LEFT, labels, forecast.nights_left);
    samples.record(&TONIGHT_FITS, labels, forecast.fits.map(flag));
    samples.record(&DAILY_CHANGE, labels, forecast.daily.map(|used| 0.0 - used));
    samples.record(&DAYS_LEFT, labels, forecast.days_left);
}
