//! Parts that the dashboards share: selectors, spans and thresholds.

use crate::declared::{POOL, UNIT};
use crate::grafana::Step;
use crate::query::{Query, Selector};

/// Selects the series of a metric that the variables choose.
pub(super) fn m(name: &'static str) -> Selector {
    Selector::shown(name)
}

/// The labels that a storage unit names its disk pool by.
const NAMED_POOL: [&str; 3] = ["job", "site", "pool_name"];

/// Returns the storage units on disk pools, those of pools that tell their space or those of the others.
fn on_pools(are_told: bool) -> Query {
    let units = m("nbu_storage_unit_pool_info").now();
    let told = m("nbu_disk_pool_capacity_bytes").now();
    if are_told { units.and(&NAMED_POOL, told) } else { units.unless(&NAMED_POOL, told) }
}

/// Keeps the storage units that are on no disk pool, or on one that tells no space: any other repeats its pool.
fn on_their_own(units: Query) -> Query {
    units.unless(&UNIT, on_pools(true))
}

/// Keeps the disk pools that do not tell the space of another one.
fn told_once(pools: Query) -> Query {
    pools.unless(&POOL, m("nbu_disk_pool_space_repeated").now().compared("==", 1))
}

/// Returns space that is counted once: that of disk pools that tell it, of storage units on the other pools, of which
/// one stands for its pool, and of units on none. The cloud has no end and no part in it.
fn space(of_pool: &'static str, of_unit: Query, by: &[&str]) -> Query {
    let pools = m(of_pool).now().max(&POOL);
    let pools = pools.and(&POOL, m("nbu_disk_pool_capacity_bytes").now());
    let limited = of_unit.max(&UNIT).and(&UNIT, m("nbu_disk_capacity_bytes").now());
    let silent = on_pools(false).with_each("*", &UNIT, limited.clone()).max(&NAMED_POOL);
    let alone = limited.unless(&UNIT, m("nbu_storage_unit_pool_info").now());
    told_once(pools).beside(silent).beside(alone).sum(by)
}

/// Capacity, used and free space, counted once.
pub(super) fn capacity(by: &[&str]) -> Query {
    space("nbu_disk_pool_capacity_bytes", m("nbu_disk_capacity_bytes").now(), by)
}

pub(super) fn used(by: &[&str]) -> Query {
    space("nbu_disk_pool_used_bytes", m("nbu_disk_bytes").is("size", "used").now(), by)
}

pub(super) fn free(by: &[&str]) -> Query {
    space("nbu_disk_pool_free_bytes", m("nbu_disk_bytes").is("size", "free").now(), by)
}

/// Used shares of disk pools, and of storage units that are on none.
pub(super) fn filled() -> Query {
    let pools = m("pool:nbu_disk_pool_used:ratio").now();
    pools.beside(on_their_own(m("storage:nbu_disk_used:ratio").now()))
}

/// Grafana's choice of a span that has enough samples.
pub(super) const SPAN: &str = "$__rate_interval";

/// The span of the time picker.
pub(super) const RANGE: &str = "$__range";

/// The family of jobs that missed their window or met a limit: no failures.
pub(super) const MISSED: &str = "window_or_limit";

/// More than none is bad.
pub(super) const NONE_IS_GOOD: [Step; 2] = [(None, "green"), (Some(1.0), "red")];

/// More than none is worth a look.
pub(super) const NONE_IS_BETTER: [Step; 2] = [(None, "green"), (Some(1.0), "orange")];

/// Shares of successes.
pub(super) const SUCCESS: [Step; 3] = [(None, "red"), (Some(0.9), "orange"), (Some(0.97), "green")];

/// Shares of space that is used.
pub(super) const FILLED: [Step; 3] = [(None, "green"), (Some(0.8), "orange"), (Some(0.9), "red")];

/// Days that are left.
pub(super) const DAYS: [Step; 3] = [(None, "red"), (Some(7.0), "orange"), (Some(30.0), "green")];

/// Seconds since the last restorable backup: a weekend is not old.
pub(super) const RESTORABLE: [Step; 3] =
    [(None, "green"), (Some(360_000.0), "orange"), (Some(864_000.0), "red")];

/// Seconds since the last good backup.
pub(super) const AGE: [Step; 3] =
    [(None, "green"), (Some(93_600.0), "orange"), (Some(172_800.0), "red")];
