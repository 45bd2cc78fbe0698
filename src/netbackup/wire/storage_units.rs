//! `/storage/storage-units` (contract, section 2.1).

use serde::Deserialize;

use crate::netbackup::lenient::{self, Text};
use crate::netbackup::resource::Resource;

/// The storage units; offset pages.
pub static STORAGE_UNITS: Resource = Resource {
    name: "storage_units",
    path: "/storage/storage-units",
    permission: "|STORAGE|STORAGE-UNITS|",
    max_limit: 500,
};

/// The attributes of a storage unit that the agent uses. Any may be missing: tape units have no
/// capacities, and a cloud unit's "unlimited" is `i64::MAX`, which the reader must take as unknown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageUnitRow<'a> {
    /// The unit's name.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub name: Text<'a>,
    /// `DISK`, `TAPE` and so on; as the server spells it.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub storage_type: Text<'a>,
    /// Finer than the type.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub storage_sub_type: Text<'a>,
    /// `PureDisk` and the like.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub storage_server_type: Text<'a>,
    /// `ADVANCED_DISK`, `BASIC_DISK`, `CLOUD`, `CLOUD_CATALYST`, `MSDP`, `OPEN_STORAGE`, `TAPE`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pub storage_category: Text<'a>,
    /// Bytes.
    #[serde(deserialize_with = "lenient::integer")]
    pub free_capacity_bytes: Option<i64>,
    /// Bytes.
    #[serde(deserialize_with = "lenient::integer")]
    pub total_capacity_bytes: Option<i64>,
    /// Bytes.
    #[serde(deserialize_with = "lenient::integer")]
    pub used_capacity_bytes: Option<i64>,
    /// Jobs at once; disk units.
    #[serde(deserialize_with = "lenient::integer")]
    pub max_concurrent_jobs: Option<i64>,
    /// Drives at once; tape units.
    #[serde(deserialize_with = "lenient::integer")]
    pub max_concurrent_drives: Option<i64>,
    /// Mebibytes.
    #[serde(deserialize_with = "lenient::integer")]
    pub max_fragment_size_megabytes: Option<i64>,
    /// Whether it is in a cloud.
    #[serde(rename = "isCloudSTU", deserialize_with = "lenient::boolean")]
    pub is_cloud: Option<bool>,
    /// Whether it can hold write-once copies.
    #[serde(deserialize_with = "lenient::boolean")]
    pub worm_capable: Option<bool>,
    /// Whether it is asked to.
    #[serde(deserialize_with = "lenient::boolean")]
    pub use_worm: Option<bool>,
    /// Whether it can replicate.
    #[serde(deserialize_with = "lenient::boolean")]
    pub replication_capable: Option<bool>,
    /// Whether instant access is enabled.
    #[serde(deserialize_with = "lenient::boolean")]
    pub instant_access_enabled: Option<bool>,
    /// Whether it is used only where a policy names it.
    #[serde(deserialize_with = "lenient::boolean")]
    pub on_demand_only: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_unit_is_read_whatever_is_missing() {
        let row: StorageUnitRow<'_> = serde_json::from_str(
            r#"{"name":"stu","storageServerType":null,"freeCapacityBytes":9223372036854775807,
            "isCloudSTU":true,"wormCapable":0,"useWorm":"false","maxConcurrentJobs":"8"}"#,
        )
        .unwrap();
        assert_eq!((row.name.as_deref(), row.storage_server_type), (Some("stu"), None));
        assert_eq!((row.free_capacity_bytes, row.max_concurrent_jobs), (Some(i64::MAX), Some(8)));
        assert_eq!(
            (row.is_cloud, row.worm_capable, row.use_worm),
            (Some(true), Some(false), Some(false))
        );
        assert_eq!(row.instant_access_enabled, None);
    }
}
