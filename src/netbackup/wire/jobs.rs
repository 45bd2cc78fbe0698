//! `/admin/jobs` (docs/netbackup-api.md#jobs-list).

use serde::Deserialize;

use super::lenient::{self, Text};
use crate::netbackup::resource::{Permission, Resource};

/// The jobs list; cursor pages. Without permission it answers 200 and no data.
pub static JOBS: Resource = Resource {
    name: "jobs",
    path: "/admin/jobs",
    permission: Some(Permission::view("|MANAGE|JOBS|")),
    max_limit: 100,
};

/// The attributes of a job that the agent uses. All but the id may be missing. Unknown values of
/// `state`, `job_type` and `policy_type` are carried as they are.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRow<'a> {
    /// Unique until the catalogue is reset.
    #[serde(deserialize_with = "lenient::required_integer")]
    pub job_id: i64,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub job_type: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub policy_type: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub policy_name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub client_name: Text<'a>,
    /// `QUEUED`, `ACTIVE`, `REQUEUED`, `DONE`, `SUSPENDED`, `INCOMPLETE`.
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub state: Text<'a>,
    /// Final status code; means something in `DONE` only (it reads 0 while active).
    #[serde(default, deserialize_with = "lenient::integer")]
    pub status: Option<i64>,
    /// The current try, or how many there were.
    #[serde(rename = "try", default, deserialize_with = "lenient::integer")]
    pub try_count: Option<i64>,
    /// Kilobytes (1024 bytes), an estimate.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub kilobytes_transferred: Option<i64>,
    /// Kilobytes that moved, after deduplication.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub kilobytes_data_transferred: Option<i64>,
    #[serde(default, deserialize_with = "lenient::integer")]
    pub number_of_files: Option<i64>,
    /// As the server gives it; probably percent.
    #[serde(default, deserialize_with = "lenient::float")]
    pub dedup_ratio: Option<f64>,
    /// Unix ms.
    #[serde(default, deserialize_with = "lenient::timestamp")]
    pub start_time: Option<i64>,
    /// The start of the current try, or the last one; Unix ms.
    #[serde(default, deserialize_with = "lenient::timestamp")]
    pub active_try_start_time: Option<i64>,
    /// Unix ms; `None` until the job ends.
    #[serde(default, deserialize_with = "lenient::timestamp")]
    pub end_time: Option<i64>,
    /// Unix ms.
    #[serde(default, deserialize_with = "lenient::timestamp")]
    pub last_update_time: Option<i64>,
    /// Of a root 0, or its own number.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub parent_job_id: Option<i64>,
    /// Direct children; may lag.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub child_count: Option<i64>,
    /// Code 1 to 31, or -99.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub job_queue_reason: Option<i64>,
    /// 27 is that of a parent.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub current_operation: Option<i64>,
    /// Such as `FULL_BACKUP`.
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub schedule_type: Text<'a>,
    /// The image that it made; empty if it made none.
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub backup_id: Text<'a>,
    /// Of a virtual machine its own name; empty for most clients.
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub workload_display_name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub destination_storage_unit_name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub destination_media_server_name: Text<'a>,
    /// That of a disk begins with `@`.
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pub destination_media_id: Text<'a>,
    /// 0 to 100.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub percent_complete: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn job_is_read_without_copying_its_texts() {
        let row: JobRow<'_> = serde_json::from_str(
            r#"{"jobId":8414,"parentJobId":8413,"jobType":"BACKUP","policyType":"NEWER_THAN_US",
            "try":2,"status":0,"state":"DONE","kilobytesTransferred":5368709120,"dedupRatio":97.5,
            "startTime":"2018-06-25T19:00:32.000Z","endTime":"1970-01-01T00:00:00.000Z","x":[{}]}"#,
        )
        .unwrap();
        assert_eq!((row.job_id, row.try_count), (8414, Some(2)));
        assert_eq!(row.policy_type, Some(Cow::Borrowed("NEWER_THAN_US")));
        assert!(matches!(row.state, Some(Cow::Borrowed("DONE"))));
        assert_eq!(row.kilobytes_transferred, Some(5_368_709_120));
        assert_eq!(row.start_time, Some(1_529_953_232_000));
        assert_eq!((row.end_time, row.client_name), (None, None));
    }
}
