//! The histories of all pools of a site, and their form on disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::nights::History;
use crate::night::Night;

/// The version of the form on disk.
const VERSION: u8 = 1;

/// Pools of a site that are kept.
const MAX_POOLS: usize = 2_000;

/// Histories by the id of the pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pools {
    /// The id of the zone that the nights are of; empty while none was told.
    pub zone: String,
    histories: BTreeMap<Box<str>, History>,
}

/// A form on disk that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("it has version {0}, which is newer than this agent")]
    Newer(u8),
    #[error("it is corrupt")]
    Corrupt,
}

impl Pools {
    /// Returns the history of a pool; `None` for one more than can be kept.
    pub fn history(&mut self, id: &str) -> Option<&mut History> {
        if !self.histories.contains_key(id) {
            if self.histories.len() >= MAX_POOLS {
                return None;
            }
            self.histories.insert(id.into(), History::default());
        }
        self.histories.get_mut(id)
    }

    /// Adds what another process remembered until this one began.
    pub fn join(&mut self, older: Self) {
        if self.zone.is_empty() {
            self.zone = older.zone;
        }
        for (id, older) in older.histories {
            if let Some(history) = self.history(&id) {
                history.join(older);
            }
        }
    }

    /// Removes the pools that were not seen for as long as nights are kept.
    pub fn forget(&mut self, night: &Night) {
        self.histories.retain(|_, history| !history.is_forgotten(night));
    }

    /// Returns the form on disk.
    pub fn encode(&self) -> Vec<u8> {
        // It has only maps, lists and numbers: there is nothing to fail.
        let body = postcard::to_stdvec(self).unwrap_or_default();
        [&[VERSION], &body[..]].concat()
    }

    /// Reads the form on disk.
    ///
    /// # Errors
    ///
    /// If a newer agent wrote it, or it is corrupt.
    pub fn decode(bytes: &[u8]) -> Result<Self, RestoreError> {
        match bytes.split_first() {
            Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|_| RestoreError::Corrupt),
            Some((version, _)) => Err(RestoreError::Newer(*version)),
            None => Err(RestoreError::Corrupt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::nights::Reading;
    use super::*;
    use crate::night::Zone;

    #[test]
    fn histories_survive_the_disk_and_corruption_is_told() {
        let night = Zone::utc().night_of(20 * 86_400_000).unwrap();
        let mut pools = Pools { zone: "Europe/Paris".into(), ..Pools::default() };
        let reading = Reading { at: night.starts, used: 5, limit: Some(9) };
        assert!(pools.history("PureDisk:a").unwrap().observe(&night, reading));
        let bytes = pools.encode();
        assert_eq!(Pools::decode(&bytes), Ok(pools));
        assert_eq!(Pools::decode(&bytes[..bytes.len() - 1]), Err(RestoreError::Corrupt));
        assert_eq!(Pools::decode(&[]), Err(RestoreError::Corrupt));
        assert_eq!(Pools::decode(&[9]), Err(RestoreError::Newer(9)));
    }

    #[test]
    fn older_memory_joins_the_newer() {
        let zone = Zone::utc();
        let hour = |hour: i64| zone.night_of(hour * 3_600_000).unwrap();
        let mut whole = Pools::default();
        let (mut older, mut newer) = (Pools { zone: "UTC".into(), ..whole.clone() }, whole.clone());
        for at in 1_000..1_400 {
            let reading = Reading { at: at * 3_600_000, used: at * at, limit: Some(5_000_000) };
            let pools = [&mut whole, if at < 1_211 { &mut older } else { &mut newer }];
            for pools in pools {
                pools.history("a").unwrap().observe(&hour(at), reading);
            }
            if at == 1_211 {
                newer.join(older.clone());
            }
        }
        assert_eq!(newer.zone, "UTC");
        assert_eq!(newer.histories, whole.histories);
    }

    #[test]
    fn pools_are_bounded_and_old_ones_forgotten() {
        let zone = Zone::utc();
        let night = zone.night_of(0).unwrap();
        let mut pools = Pools::default();
        for number in 0..MAX_POOLS {
            let history = pools.history(&number.to_string()).unwrap();
            history.observe(&night, Reading { at: 0, used: 1, limit: None });
        }
        assert!(pools.history("one more").is_none() && pools.history("7").is_some());
        pools.forget(&zone.night_of(28 * 86_400_000).unwrap());
        assert_eq!(pools.histories.len(), MAX_POOLS);
        pools.forget(&zone.night_of(30 * 86_400_000).unwrap());
        assert!(pools.histories.is_empty());
    }
}
