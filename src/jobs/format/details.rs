//! Records of details, all of optional kinds: a build that does not know them passes them over. A struct that was
//! released never changes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The details as a whole.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct DetailsV1 {
    /// The beginning of the counters, by our clock, Unix ms.
    pub(in crate::jobs) origin: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct CounterV1<'a> {
    pub(in crate::jobs) counter: u8,
    pub(in crate::jobs) job_type: u32,
    pub(in crate::jobs) other: u32,
    pub(in crate::jobs) number: u64,
    /// Upper bounds of a histogram, its counts and its sum; empty for a number.
    pub(in crate::jobs) bounds: Cow<'a, [f64]>,
    pub(in crate::jobs) counts: Cow<'a, [u64]>,
    pub(in crate::jobs) sum: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct FailureV1<'a> {
    pub(in crate::jobs) end: i64,
    pub(in crate::jobs) id: i64,
    pub(in crate::jobs) status: Option<i64>,
    pub(in crate::jobs) on_tape: bool,
    #[serde(borrow)]
    pub(in crate::jobs) storage_unit: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::jobs) media_server: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::jobs) policy: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::jobs) client: Cow<'a, str>,
}

/// The sizes of a history; none once it is forgotten.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct SizesV1<'a> {
    pub(in crate::jobs) key: u64,
    pub(in crate::jobs) day: i64,
    pub(in crate::jobs) all: Cow<'a, [f32]>,
}

/// The progress of a job; none once it got on.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct StallV1 {
    pub(in crate::jobs) id: i64,
    pub(in crate::jobs) job: Option<(u64, i64)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct StatusTextV1<'a> {
    pub(in crate::jobs) status: i64,
    #[serde(borrow)]
    pub(in crate::jobs) text: Option<Cow<'a, str>>,
    pub(in crate::jobs) at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct CatalogueBackupV1 {
    pub(in crate::jobs) last: Option<RootJobV1>,
    pub(in crate::jobs) good: Option<RootJobV1>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct RootJobV1 {
    pub(in crate::jobs) end: i64,
    pub(in crate::jobs) id: i64,
    pub(in crate::jobs) status: Option<i64>,
    pub(in crate::jobs) start: i64,
    pub(in crate::jobs) kilobytes: i64,
}
