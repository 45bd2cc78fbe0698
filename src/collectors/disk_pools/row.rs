//! A disk pool as the server tells it, and its sizes.

use std::borrow::Cow;

use serde::Deserialize;

use crate::collectors::counts::known;
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{Permission, Resource};

pub(super) static DISK_POOLS: Resource = Resource {
    name: "disk_pools",
    path: "/storage/disk-pools",
    permission: Some(Permission::view("|STORAGE|DISK-POOLS|")),
    max_limit: 500,
};

/// Categories whose sizes and marks mean nothing.
const CLOUD: [&str; 2] = ["CLOUD", "CLOUD_CATALYST"];

/// The attributes of a pool that the agent uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PoolRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) name: Text<'a>,
    /// `PureDisk`, `AdvancedDisk`, or a vendor's.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) s_type: Text<'a>,
    /// `ADVANCED_DISK`, `CLOUD`, `CLOUD_CATALYST`, `MSDP`, `OPEN_STORAGE`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) storage_category: Text<'a>,
    /// `UP`, `DOWN` or `TRANSIENT`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub(super) disk_pool_state: Text<'a>,
    #[serde(deserialize_with = "lenient::integer")]
    usable_size_bytes: Option<i64>,
    #[serde(deserialize_with = "lenient::integer")]
    raw_size_bytes: Option<i64>,
    #[serde(deserialize_with = "lenient::integer")]
    available_space_bytes: Option<i64>,
    #[serde(deserialize_with = "lenient::integer")]
    used_capacity_bytes: Option<i64>,
    /// Percent.
    #[serde(deserialize_with = "lenient::integer")]
    high_water_mark: Option<i64>,
    #[serde(deserialize_with = "lenient::integer")]
    low_water_mark: Option<i64>,
    /// A list of volumes, if the server keeps to it.
    disk_volumes: serde_json::Value,
}

/// A volume of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) name: Option<String>,
    /// `UP`, `DOWN` or `UNKNOWN`.
    pub(super) state: Option<String>,
    pub(super) raw: Option<i64>,
    pub(super) free: Option<i64>,
}

/// Sizes of a pool, bytes. One that is unknown is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The space that backups can use.
    pub(super) capacity: Option<i64>,
    pub(super) raw: Option<i64>,
    pub(super) used: Option<i64>,
    pub(super) free: Option<i64>,
}

impl PoolRow<'_> {
    /// Returns the row without borrowing from its page, and without its volumes.
    pub(super) fn to_owned_row(&self) -> PoolRow<'static> {
        let owned =
            |text: &Text<'_>| text.as_ref().map(|text| Cow::Owned(text.clone().into_owned()));
        PoolRow {
            name: owned(&self.name),
            s_type: owned(&self.s_type),
            storage_category: owned(&self.storage_category),
            disk_pool_state: owned(&self.disk_pool_state),
            disk_volumes: serde_json::Value::Null,
            ..*self
        }
    }

    pub(super) fn is_cloud(&self) -> bool {
        let category = self.storage_category.as_deref().unwrap_or_default();
        CLOUD.iter().any(|cloud| cloud.eq_ignore_ascii_case(category.trim()))
    }

    /// Returns the volumes; `None` if the server does not list them.
    pub(super) fn volumes(&self) -> Option<Vec<Volume>> {
        let text = |value: &serde_json::Value| {
            value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let volumes = self.disk_volumes.as_array()?.iter().map(|volume| Volume {
            name: text(&volume["name"]).or_else(|| text(&volume["id"])),
            state: text(&volume["state"]),
            raw: known(volume["rawSizeBytes"].as_i64()),
            free: known(volume["freeSizeBytes"].as_i64()),
        });
        Some(volumes.collect())
    }

    /// Returns the sizes of the pool itself; `None` if the row has none of the four. A cloud pool has no capacity and
    /// no free space.
    pub(super) fn sizes(&self) -> Option<Sizes> {
        let (usable, raw) = (known(self.usable_size_bytes), known(self.raw_size_bytes));
        let (used, free) = (known(self.used_capacity_bytes), known(self.available_space_bytes));
        if self.is_cloud() {
            return used.filter(|used| *used > 0).map(|_| Sizes { used, ..Sizes::default() });
        }
        // All four at 0 is a pool that is not set up, or a server that does not know.
        let told = [usable, raw, used, free].into_iter().flatten();
        if told.max().unwrap_or(0) == 0 {
            return None;
        }
        let is_some = |bytes: &i64| *bytes > 0;
        let capacity = usable.filter(is_some).or(raw.filter(is_some));
        let rest = |part: Option<i64>| Some((capacity? - part?).max(0));
        Some(Sizes {
            capacity,
            raw,
            used: used.or_else(|| rest(free)),
            free: free.or_else(|| rest(used)),
        })
    }

    /// Returns whether the row has one of the four sizes, whatever it says: one that has none may tell them by id.
    pub(super) fn tells_sizes(&self) -> bool {
        let Self { usable_size_bytes, raw_size_bytes, .. } = self;
        let Self { used_capacity_bytes, available_space_bytes, .. } = self;
        [usable_size_bytes, raw_size_bytes, used_capacity_bytes, available_space_bytes]
            .into_iter()
            .any(Option::is_some)
    }

    /// Returns a mark as a share, 0 to 1; `None` for a cloud pool, and for what is no percentage.
    pub(super) fn high_mark(&self) -> Option<f64> {
        self.high_percent().map(share)
    }

    pub(super) fn low_mark(&self) -> Option<f64> {
        self.percent(self.low_water_mark).map(share)
    }

    /// Returns the bytes of a capacity up to the high water mark, to the byte.
    pub(super) fn limit(&self, capacity: i64) -> Option<i64> {
        let bytes = i128::from(capacity) * i128::from(self.high_percent()?) / 100;
        i64::try_from(bytes).ok()
    }

    fn high_percent(&self) -> Option<i64> {
        self.percent(self.high_water_mark.filter(|mark| *mark > 0))
    }

    fn percent(&self, mark: Option<i64>) -> Option<i64> {
        mark.filter(|percent| (0..=100).contains(percent) && !self.is_cloud())
    }
}

fn share(percent: i64) -> f64 {
    percent as f64 / 100.0
}

/// Returns the sizes of a pool that tells none itself: the sums over its volumes, if each tells its own.
pub(super) fn of_volumes(volumes: &[Volume]) -> Option<Sizes> {
    let sum = |size: fn(&Volume) -> Option<i64>| {
        let mut sizes = volumes.iter().map(size);
        sizes.try_fold(0_i64, |sum, size| sum.checked_add(size?))
    };
    let (raw, free) = (sum(|volume| volume.raw)?, sum(|volume| volume.free)?);
    let used = (raw - free).max(0);
    (raw > 0).then_some(Sizes {
        capacity: Some(raw),
        raw: Some(raw),
        used: Some(used),
        free: Some(free),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> PoolRow<'_> {
        serde_json::from_str(json).unwrap()
    }

    fn all(capacity: i64, raw: i64, used: i64, free: i64) -> Sizes {
        Sizes { capacity: Some(capacity), raw: Some(raw), used: Some(used), free: Some(free) }
    }

    #[test]
    fn sizes_are_those_of_the_server_or_follow() {
        let sizes = |json| row(json).sizes();
        assert_eq!(
            sizes(
                r#"{"usableSizeBytes":90,"rawSizeBytes":100,"usedCapacityBytes":30,"availableSpaceBytes":55}"#
            ),
            Some(all(90, 100, 30, 55))
        );
        assert_eq!(
            sizes(r#"{"rawSizeBytes":100,"availableSpaceBytes":40}"#),
            Some(all(100, 100, 60, 40))
        );
        assert_eq!(
            sizes(r#"{"usableSizeBytes":0,"rawSizeBytes":"100","usedCapacityBytes":40}"#),
            Some(all(100, 100, 40, 60))
        );
        for unknown in [
            "{}",
            r#"{"usableSizeBytes":0,"rawSizeBytes":0,"usedCapacityBytes":0,"availableSpaceBytes":0}"#,
            r#"{"usableSizeBytes":9223372036854775807,"availableSpaceBytes":-1}"#,
        ] {
            assert_eq!(sizes(unknown), None, "{unknown}");
            assert_eq!(row(unknown).tells_sizes(), unknown != "{}", "{unknown}");
        }
    }

    #[test]
    fn cloud_pool_has_neither_capacity_nor_mark() {
        let row = row(
            r#"{"storageCategory":"CLOUD","rawSizeBytes":9223372036854775807,"availableSpaceBytes":7,
            "usedCapacityBytes":5,"highWaterMark":98,"lowWaterMark":80}"#,
        );
        assert_eq!(row.sizes(), Some(Sizes { used: Some(5), ..Sizes::default() }));
        assert_eq!((row.high_mark(), row.low_mark()), (None, None));
    }

    #[test]
    fn mark_outside_a_percentage_is_unknown() {
        let row = row(r#"{"highWaterMark":0,"lowWaterMark":101}"#);
        assert_eq!((row.high_mark(), row.low_mark()), (None, None));
        assert_eq!(row.limit(100), None);
        let row = self::row(r#"{"highWaterMark":98,"lowWaterMark":0}"#);
        assert_eq!((row.high_mark(), row.low_mark()), (Some(0.98), Some(0.0)));
        assert_eq!(row.limit(9_000_000_000_000_000_050), Some(8_820_000_000_000_000_049));
    }

    #[test]
    fn volumes_add_up_only_if_each_is_known() {
        let sizes = |json: &str| {
            let text = format!(r#"{{"diskVolumes":{json}}}"#);
            of_volumes(&row(&text).volumes().unwrap())
        };
        assert_eq!(
            sizes(
                r#"[{"rawSizeBytes":10,"freeSizeBytes":4},{"rawSizeBytes":20,"freeSizeBytes":5}]"#
            ),
            Some(all(30, 30, 21, 9))
        );
        for unknown in [
            "[]",
            r#"[{"rawSizeBytes":10,"freeSizeBytes":4},{"rawSizeBytes":20}]"#,
            r#"[{"rawSizeBytes":9223372036854775807,"freeSizeBytes":4}]"#,
            r#"[{"rawSizeBytes":9223372036854775806,"freeSizeBytes":4},{"rawSizeBytes":9223372036854775806,"freeSizeBytes":4}]"#,
            "[7,null]",
        ] {
            assert_eq!(sizes(unknown), None, "{unknown}");
        }
        assert_eq!(row(r#"{"diskVolumes":"none"}"#).volumes(), None);
    }
}
