//! `POST /admin/jobs-count-requests` (docs/netbackup-api.md#jobs-count): synchronous, and the one
//! question about jobs that fails without permission instead of answering nothing.

use serde::{Deserialize, Serialize};

use super::lenient;
use crate::netbackup::resource::Resource;

/// Counts jobs by filter. Its filter knows `state`, `jobType`, `policyType`, `status`, `startTime`
/// and `endTime`, but not `lastUpdateTime`.
pub static JOB_COUNT: Resource = Resource {
    name: "job_count",
    path: "/admin/jobs-count-requests",
    permission: "|MANAGE|JOBS|",
    max_limit: 0,
};

/// The question.
#[derive(Debug, Serialize)]
pub struct JobCountRequest<'a> {
    data: Data<Question<'a>>,
}

impl<'a> JobCountRequest<'a> {
    /// Asks how many jobs `filter` selects.
    pub fn new(filter: &'a str) -> Self {
        Self { data: Data { kind: "jobCount", attributes: Question { filter } } }
    }
}

#[derive(Debug, Serialize)]
struct Data<A> {
    #[serde(rename = "type")]
    kind: &'static str,
    attributes: A,
}

#[derive(Debug, Serialize)]
struct Question<'a> {
    filter: &'a str,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobCount {
    #[serde(deserialize_with = "lenient::required_object")]
    data: Answer,
}

impl JobCount {
    /// How many jobs there are.
    pub fn count(&self) -> i64 {
        self.data.attributes.count
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Answer {
    #[serde(deserialize_with = "lenient::required_object")]
    attributes: Attributes,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Attributes {
    #[serde(deserialize_with = "lenient::required_count")]
    count: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_and_answer_have_the_documented_form() {
        let question = serde_json::to_string(&JobCountRequest::new("state eq 'ACTIVE'")).unwrap();
        assert_eq!(
            question,
            r#"{"data":{"type":"jobCount","attributes":{"filter":"state eq 'ACTIVE'"}}}"#
        );
        let answer =
            r#"{"data":{"type":"jobCount","id":"a","attributes":{"count":12,"filter":""}}}"#;
        assert_eq!(serde_json::from_str::<JobCount>(answer).unwrap().count(), 12);
    }

    #[test]
    fn an_answer_without_a_count_is_none() {
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
            assert!(serde_json::from_str::<JobCount>(answer).is_err(), "{answer}");
        }
    }
}
