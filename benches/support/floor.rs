//! The floor of decoding a page of jobs: serde_json parses nothing but the needed fields into strict types.

#![allow(unreachable_pub, reason = "a bench and a test include this module")]

use serde::Deserialize;

/// Needed fields of a page.
#[derive(Deserialize)]
pub struct Floor<'a> {
    #[serde(borrow)]
    pub data: Vec<FloorRecord<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsing it is what is measured")]
pub struct FloorRecord<'a> {
    #[serde(borrow)]
    pub attributes: FloorJob<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsing them is what is measured")]
pub struct FloorJob<'a> {
    pub job_id: i64,
    job_type: &'a str,
    policy_type: &'a str,
    policy_name: &'a str,
    client_name: &'a str,
    state: &'a str,
    status: i64,
    #[serde(rename = "try")]
    attempt: i64,
    kilobytes_transferred: i64,
    number_of_files: i64,
    dedup_ratio: f64,
    start_time: &'a str,
    end_time: &'a str,
    last_update_time: &'a str,
    child_count: i64,
    job_queue_reason: i64,
    percent_complete: i64,
}
