//! `POST /admin/jobs-count-requests` (docs/netbackup-api.md#jobs-count): synchronous, and the only
//! request on jobs that fails without permission instead of returning nothing.

use serde::Deserialize;
use serde_json::{Value, json};

use super::lenient;
use super::page::Record;
use crate::netbackup::resource::{Permission, Resource};

/// The job count. Its filter accepts `state`, `jobType`, `policyType`, `status`, `startTime` and
/// `endTime`, but not `lastUpdateTime`.
pub static JOB_COUNT: Resource = Resource {
    name: "job_count",
    path: "/admin/jobs-count-requests",
    permission: Some(Permission::view("|MANAGE|JOBS|")),
    max_limit: 0,
};

pub(crate) fn job_count_request(filter: &str) -> Value {
    json!({"data": {"type": "jobCount", "attributes": {"filter": filter}}})
}

#[derive(Debug, Deserialize)]
pub(crate) struct JobCount<'a> {
    #[serde(borrow, deserialize_with = "lenient::required_object")]
    data: Record<'a, Attributes>,
}

impl JobCount<'_> {
    pub(crate) fn count(&self) -> i64 {
        self.data.count
    }
}

#[derive(Debug, Deserialize)]
struct Attributes {
    #[serde(deserialize_with = "lenient::required_count")]
    count: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_response_have_the_documented_form() {
        let expected =
            r#"{"data":{"type":"jobCount","attributes":{"filter":"state eq 'ACTIVE'"}}}"#;
        let request = job_count_request("state eq 'ACTIVE'");
        assert_eq!(request, serde_json::from_str::<Value>(expected).unwrap());
        let answer =
            r#"{"data":{"type":"jobCount","id":"a","attributes":{"count":12,"filter":""}}}"#;
        assert_eq!(serde_json::from_str::<JobCount<'_>>(answer).unwrap().count(), 12);
    }

    #[test]
    fn response_without_a_count_is_an_error() {
        for answer in [
            "{}",
            "[[[5]]]",
            r#"{"data":null}"#,
            r#"{"data":[[5]]}"#,
            r#"{"data":{"attributes":[5]}}"#,
            r#"{"data":{"attributes":{}}}"#,
            r#"{"data":{"attributes":{"count":null}}}"#,
            r#"{"data":{"attributes":{"count":-1}}}"#,
            r#"{"errorCode":8,"errorMessage":"no"}"#,
        ] {
            assert!(serde_json::from_str::<JobCount<'_>>(answer).is_err(), "{answer}");
        }
    }
}
