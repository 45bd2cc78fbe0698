//! Version 1 of each kind of record. A struct that was released never changes: a new field is a new version,
//! with a struct of its own. Numbers of names and labels refer to records before.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::jobs::finished::FinishedJob;
use crate::jobs::interner::{LabelSet, LabelSetId, NameId};
use crate::jobs::schedule::ScheduleClass;
use crate::jobs::time::Span;
use crate::jobs::totals::{Jobs, Total};
use crate::jobs::unfinished::UnfinishedJob;

/// The progress of the ledger; times are the server's, Unix ms, unless it says otherwise.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::jobs) struct ProgressV1 {
    pub(in crate::jobs) now: i64,
    pub(in crate::jobs) began: i64,
    pub(in crate::jobs) watermark: i64,
    pub(in crate::jobs) by_end_since: Option<i64>,
    pub(in crate::jobs) current_at: Option<i64>,
    pub(in crate::jobs) horizon: i64,
    pub(in crate::jobs) late: Option<SpanV1>,
    /// The length of the window in force, ms.
    pub(in crate::jobs) in_force: Option<i64>,
    pub(in crate::jobs) highest_id: Option<i64>,
    pub(in crate::jobs) gap: i64,
    pub(in crate::jobs) gap_until: i64,
    pub(in crate::jobs) outage: Option<SpanV1>,
    /// The beginning of the totals, by our clock.
    pub(in crate::jobs) origin: i64,
    /// The time of the save, by our clock.
    pub(in crate::jobs) written: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::jobs) struct SpanV1 {
    from: i64,
    to: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct NameV1<'a> {
    pub(in crate::jobs) id: u32,
    #[serde(borrow)]
    pub(in crate::jobs) text: Cow<'a, str>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct LabelsV1 {
    id: u32,
    job_type: u32,
    policy_type: u32,
    status: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct JobV1 {
    id: i64,
    start: i64,
    end: i64,
    kilobytes: i64,
    files: i64,
    dedup: f64,
    tries: u16,
    labels: u32,
    client: u32,
    policy: u32,
    leaf: bool,
    resumed: bool,
}

/// More of a job: what builds with version 1 of its record did not look at.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct JobDetailV1 {
    pub(in crate::jobs) id: i64,
    workload: u32,
    class: u8,
    image: bool,
}

/// A job of which no key tells its present state.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct UnfinishedV1 {
    id: i64,
    tries: u16,
    seen: i64,
    ended: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct TotalV1 {
    labels: u32,
    parents: u64,
    leaves: u64,
    kilobytes: u64,
    files: u64,
    retries: u64,
    parent_seen: bool,
    leaf_seen: bool,
}

/// More of a total: what a later rule of outcomes counts apart. The record of the total has what the first rule
/// counted.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct RuleTotalV1 {
    labels: u32,
    rule: u8,
    parents: u64,
    leaves: u64,
    parent_seen: bool,
    leaf_seen: bool,
}

/// The rule that knows six outcomes.
const SECOND_RULE: u8 = 2;

/// A histogram of durations, with its upper bounds.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct DurationsV1<'a> {
    pub(in crate::jobs) job_type: u32,
    pub(in crate::jobs) policy_type: u32,
    pub(in crate::jobs) bounds: Cow<'a, [f64]>,
    pub(in crate::jobs) counts: Cow<'a, [u64]>,
    pub(in crate::jobs) sum: f64,
}

/// The last results of a client (0) or a policy (1), as `last_results` encodes them; none once forgotten.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::jobs) struct LastV1<'a> {
    pub(in crate::jobs) subject: u8,
    pub(in crate::jobs) key: Cow<'a, [u8]>,
    pub(in crate::jobs) value: Option<Cow<'a, [u8]>>,
}

impl From<Span> for SpanV1 {
    fn from(Span { from, to }: Span) -> Self {
        Self { from, to }
    }
}

impl From<SpanV1> for Span {
    fn from(SpanV1 { from, to }: SpanV1) -> Self {
        Self { from, to }
    }
}

impl LabelsV1 {
    pub(in crate::jobs) fn new(label_set: LabelSetId, labels: &LabelSet) -> Self {
        let LabelSet { job_type, policy_type, status } = *labels;
        Self { id: label_set.0, job_type: job_type.0, policy_type: policy_type.0, status }
    }

    pub(in crate::jobs) fn labels(&self) -> (LabelSetId, LabelSet) {
        let (job_type, policy_type) = (NameId(self.job_type), NameId(self.policy_type));
        (LabelSetId(self.id), LabelSet { job_type, policy_type, status: self.status })
    }
}

impl From<&FinishedJob> for JobV1 {
    fn from(job: &FinishedJob) -> Self {
        Self {
            id: job.id,
            start: job.start,
            end: job.end,
            kilobytes: job.kilobytes,
            files: job.files,
            dedup: job.dedup,
            tries: job.tries,
            labels: job.label_set.0,
            client: job.client.0,
            policy: job.policy.0,
            leaf: job.leaf,
            resumed: job.resumed,
        }
    }
}

impl From<JobV1> for FinishedJob {
    fn from(job: JobV1) -> Self {
        Self {
            id: job.id,
            start: job.start,
            end: job.end,
            kilobytes: job.kilobytes,
            files: job.files,
            dedup: job.dedup,
            tries: job.tries,
            label_set: LabelSetId(job.labels),
            client: NameId(job.client),
            policy: NameId(job.policy),
            // As far as this record tells.
            workload: NameId(job.client),
            class: ScheduleClass::Unknown,
            image: true,
            leaf: job.leaf,
            resumed: job.resumed,
        }
    }
}

impl From<&FinishedJob> for JobDetailV1 {
    fn from(job: &FinishedJob) -> Self {
        let FinishedJob { id, workload, class, image, .. } = *job;
        Self { id, workload: workload.0, class: class as u8, image }
    }
}

impl JobDetailV1 {
    /// Returns a job with what the record tells of it.
    pub(in crate::jobs) fn applied_to(&self, job: FinishedJob) -> FinishedJob {
        let class = ScheduleClass::from_number(self.class).unwrap_or(ScheduleClass::Unknown);
        FinishedJob { workload: NameId(self.workload), class, image: self.image, ..job }
    }
}

impl UnfinishedV1 {
    pub(in crate::jobs) fn new(id: i64, known: &UnfinishedJob) -> Self {
        let UnfinishedJob { tries, seen, ended } = *known;
        Self { id, tries, seen, ended }
    }

    pub(in crate::jobs) fn job(&self) -> (i64, UnfinishedJob) {
        (self.id, UnfinishedJob { tries: self.tries, seen: self.seen, ended: self.ended })
    }
}

impl TotalV1 {
    pub(in crate::jobs) fn new(label_set: LabelSetId, total: &Total) -> Self {
        let Total { ref first_rule, kilobytes, files, retries, .. } = *total;
        let Jobs { parents, leaves, parent_seen, leaf_seen } = *first_rule;
        let labels = label_set.0;
        Self { labels, parents, leaves, kilobytes, files, retries, parent_seen, leaf_seen }
    }

    /// Returns the record as the build before wrote it, with so many leaves.
    #[cfg(test)]
    pub(in crate::jobs) fn of_first_rule(self, leaves: u64) -> super::Record<'static> {
        super::Record::Total(Self { leaves, ..self })
    }

    pub(in crate::jobs) fn label_set(&self) -> LabelSetId {
        LabelSetId(self.labels)
    }

    /// Returns a total with what the record tells of it.
    pub(in crate::jobs) fn applied_to(&self, total: Total) -> Total {
        let Self { parents, leaves, kilobytes, files, retries, parent_seen, leaf_seen, .. } = *self;
        let first_rule = Jobs { parents, leaves, parent_seen, leaf_seen };
        Total { first_rule, kilobytes, files, retries, ..total }
    }
}

impl RuleTotalV1 {
    pub(in crate::jobs) fn new(label_set: LabelSetId, total: &Total) -> Self {
        let Jobs { parents, leaves, parent_seen, leaf_seen } = total.second_rule;
        let (labels, rule) = (label_set.0, SECOND_RULE);
        Self { labels, rule, parents, leaves, parent_seen, leaf_seen }
    }

    pub(in crate::jobs) fn label_set(&self) -> LabelSetId {
        LabelSetId(self.labels)
    }

    /// Returns a total with what the record tells of it. One of a later rule tells nothing to this build.
    pub(in crate::jobs) fn applied_to(&self, total: Total) -> Total {
        let Self { rule, parents, leaves, parent_seen, leaf_seen, .. } = *self;
        let second_rule = Jobs { parents, leaves, parent_seen, leaf_seen };
        if rule == SECOND_RULE { Total { second_rule, ..total } } else { total }
    }
}
