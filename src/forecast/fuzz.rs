//! Fuzz target of the nights on disk.

use super::{Pools, Reading};
use crate::night::Zone;

/// Restores nights. What was restored is the same when it is saved and restored again, and takes readings.
pub(crate) fn pools(data: &[u8]) {
    let Ok(mut pools) = Pools::decode(data) else { return };
    assert_eq!(Pools::decode(&pools.encode()).as_ref(), Ok(&pools));
    let now = 1_772_366_400_000;
    let zone = Zone::named(&pools.zone).unwrap_or_else(Zone::utc);
    let Some(night) = zone.night_of(now) else { return };
    pools.join(pools.clone());
    if let Some(history) = pools.history("pool") {
        let reading = Reading { at: now, used: 5, limit: Some(9) };
        history.observe(&night, reading);
        history.forecast(&night, reading);
    }
    pools.forget(&night);
}
