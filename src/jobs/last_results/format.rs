//! The last jobs of a name on disk. The structs here are the format (docs/adr/0011-state.md); those in memory
//! may change as they like.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::class_result::ClassResult;
use super::last_result::{Completed, Done, LastResult};
use super::name_results::{Lookup, NameResults};
use crate::jobs::schedule::ScheduleClass;

#[derive(Debug, Serialize, Deserialize)]
struct NameResultsV1<'a> {
    #[serde(borrow)]
    label: Cow<'a, str>,
    backup: Option<i64>,
    lookup: Option<LookupV1>,
    spellings: Vec<Cow<'a, str>>,
    /// By job type.
    types: Vec<(Cow<'a, str>, LastResultV1)>,
    /// Policy, job type and newest success.
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>, i64)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LookupV1 {
    at: i64,
    none: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct LastResultV1 {
    success: Option<i64>,
    failure: Option<i64>,
    ended: Option<(CompletedV1, Option<i64>)>,
    done: Option<DoneV1>,
    failures: Vec<CompletedV1>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DoneV1 {
    at: CompletedV1,
    start: Option<i64>,
    kilobytes: i64,
}

/// The place of a completion among others.
#[derive(Debug, Serialize, Deserialize)]
struct CompletedV1 {
    end: i64,
    job_id: i64,
    tries: i64,
}

/// The results of a policy or a workload by class of schedule.
#[derive(Debug, Serialize, Deserialize)]
struct ClassesV1<'a> {
    #[serde(borrow)]
    label: Cow<'a, str>,
    spellings: Vec<Cow<'a, str>>,
    /// Class, results, days with a restorable backup, and the end of the first failure since the last one.
    classes: Vec<(u8, LastResultV1, Vec<i64>, Option<i64>)>,
}

/// Returns the bytes of an entry's classes; none if they cannot be encoded, which does not happen.
pub(super) fn encode_classes(entry: &NameResults) -> Option<Vec<u8>> {
    let classes = entry.classes.iter().map(|(class, result)| {
        let days = result.days.iter().copied().collect();
        (*class as u8, (&result.last).into(), days, result.failing_since)
    });
    let body = ClassesV1 {
        label: Cow::Borrowed(&entry.label),
        spellings: entry.spellings.iter().map(|name| Cow::Borrowed(&**name)).collect(),
        classes: classes.collect(),
    };
    postcard::to_allocvec(&body).ok()
}

/// Returns the entry of such bytes, with nothing but its classes. Those that this build does not know are left out.
pub(super) fn decode_classes(body: &[u8]) -> Option<NameResults> {
    let (body, rest) = postcard::take_from_bytes::<ClassesV1<'_>>(body).ok()?;
    let classes = body.classes.into_iter().filter_map(|(class, last, days, failing_since)| {
        let days = days.into_iter().collect();
        let result = ClassResult { last: last.into(), days, failing_since };
        Some((ScheduleClass::from_number(class)?, result))
    });
    rest.is_empty().then(|| NameResults {
        label: body.label.into(),
        spellings: body.spellings.into_iter().map(Into::into).collect(),
        classes: classes.collect(),
        ..NameResults::default()
    })
}

/// Returns the bytes of an entry; none if it cannot be encoded, which does not happen.
pub(super) fn encode(entry: &NameResults) -> Option<Vec<u8>> {
    let body = NameResultsV1 {
        label: Cow::Borrowed(&entry.label),
        backup: entry.backup,
        lookup: entry.lookup.map(|Lookup { at, none }| LookupV1 { at, none }),
        spellings: entry.spellings.iter().map(|name| Cow::Borrowed(&**name)).collect(),
        types: entry
            .types
            .iter()
            .map(|(name, last)| (Cow::Borrowed(&**name), last.into()))
            .collect(),
        pairs: entry
            .pairs
            .iter()
            .map(|((policy, job_type), end)| {
                (Cow::Borrowed(&**policy), Cow::Borrowed(&**job_type), *end)
            })
            .collect(),
    };
    postcard::to_allocvec(&body).ok()
}

/// Returns the entry of such bytes, without its place among others.
pub(super) fn decode(body: &[u8]) -> Option<NameResults> {
    let (body, rest) = postcard::take_from_bytes::<NameResultsV1<'_>>(body).ok()?;
    rest.is_empty().then(|| NameResults {
        label: body.label.into(),
        order: 0,
        backup: body.backup,
        lookup: body.lookup.map(|LookupV1 { at, none }| Lookup { at, none }),
        spellings: body.spellings.into_iter().map(Into::into).collect(),
        types: body.types.into_iter().map(|(name, last)| (name.into(), last.into())).collect(),
        pairs: body
            .pairs
            .into_iter()
            .map(|(policy, job_type, end)| ((policy.into(), job_type.into()), end))
            .collect(),
        classes: BTreeMap::new(),
    })
}

impl From<&LastResult> for LastResultV1 {
    fn from(last: &LastResult) -> Self {
        Self {
            success: last.success,
            failure: last.failure,
            ended: last.ended.map(|(at, status)| (at.into(), status)),
            done: last.done.map(|Done { at, start, kilobytes }| DoneV1 {
                at: at.into(),
                start,
                kilobytes,
            }),
            failures: last.failures.iter().map(|at| (*at).into()).collect(),
        }
    }
}

impl From<LastResultV1> for LastResult {
    fn from(last: LastResultV1) -> Self {
        Self {
            success: last.success,
            failure: last.failure,
            ended: last.ended.map(|(at, status)| (at.into(), status)),
            done: last.done.map(|DoneV1 { at, start, kilobytes }| Done {
                at: at.into(),
                start,
                kilobytes,
            }),
            failures: last.failures.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Completed> for CompletedV1 {
    fn from(Completed { end, job_id, tries }: Completed) -> Self {
        Self { end, job_id, tries }
    }
}

impl From<CompletedV1> for Completed {
    fn from(CompletedV1 { end, job_id, tries }: CompletedV1) -> Self {
        Self { end, job_id, tries }
    }
}
