//! The attributes of a job in one table: the name, what it is in the answer's body, which filter
//! operators it allows, whether a list can be sorted by it (docs/netbackup-api.md#filters). Body,
//! filter and sort all walk it.

use super::row::Row;
use crate::filter::{Expr, Kind, Ops, Spec, Value};
use crate::model::{JobState, KINDS, POLICY_TYPES, STATES};
use crate::settings::Release;

/// A filter on jobs.
pub(crate) type Filter = Expr<&'static Field>;

/// Form of a value in the body and of its literal in a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Integer,
    Float,
    /// Milliseconds; ISO 8601 in the body.
    Time,
    /// Milliseconds; an ISO 8601 duration in the body.
    Span,
    Text,
}

/// Places and releases in which an attribute is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    body: bool,
    sort: bool,
    since: Release,
    until: Release,
}

/// In the body, and a sort key.
const ALL: Use = Use { body: true, sort: true, since: Release::R10_3, until: Release::R11_2 };
/// In the body only.
const BODY: Use = Use { sort: false, ..ALL };
/// Not in the body: another name of an attribute in `sort`, `filter` or both.
const SORT: Use = Use { body: false, ..ALL };
/// In filters only.
const FILTER: Use = Use { body: false, sort: false, ..ALL };

/// An attribute.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    ops: Ops,
    used: Use,
    pub(crate) get: for<'w> fn(&Row<'w>) -> Value<'w>,
}

impl Field {
    pub(crate) fn in_body(&self) -> bool {
        self.used.body
    }

    fn in_release(&self, release: Release) -> bool {
        (self.used.since..=self.used.until).contains(&release)
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

type Get = for<'w> fn(&Row<'w>) -> Value<'w>;

const fn f(name: &'static str, form: Form, ops: Ops, used: Use, get: Get) -> Field {
    Field { name, form, ops, used, get }
}

fn int(value: i64) -> Value<'static> {
    Value::Integer(value)
}

fn flag(value: bool) -> Value<'static> {
    Value::Integer(i64::from(value))
}

fn text(value: &str) -> Value<'_> {
    Value::Text(value.into())
}

/// The attribute of a filter, as the releases and operations differ.
pub(crate) fn spec(name: &str, release: Release, count: bool) -> Option<Spec<&'static Field>> {
    let field = FIELDS.iter().find(|field| field.name == name && field.ops != Ops::NONE)?;
    let known = if count { COUNTED.contains(&name) } else { field.in_release(release) };
    // backupId can be asked for from 10.5 only, though it is in every body.
    let early = name == "backupId" && release < Release::R10_5;
    (known && !early).then(|| Spec {
        attribute: field,
        ops: field.ops,
        kind: kind(field, release, count),
    })
}

fn kind(field: &Field, release: Release, count: bool) -> Kind {
    match (field.name, field.form) {
        ("state", _) => Kind::Enum(STATES.to_vec()),
        ("jobType", _) => Kind::Enum(KINDS.iter().map(|kind| kind.name).collect()),
        ("policyType", _) => {
            let types = POLICY_TYPES.iter().filter(|(_, since)| *since <= release);
            // KVM is an answer's policyType, but a filter value in counts only
            // (docs/netbackup-api.md#filters).
            let kvm = (count && release >= Release::R11_0).then_some("KVM");
            Kind::Enum(types.map(|(name, _)| *name).chain(kvm).collect())
        }
        ("dteMode", _) => Kind::Enum(vec!["UNKNOWN", "ON", "OFF"]),
        (_, Form::Integer) => Kind::Integer,
        (_, Form::Float) => Kind::Float,
        (_, Form::Time) => Kind::DateTime,
        (_, Form::Span) => Kind::Duration,
        (_, Form::Text) => Kind::Text,
    }
}

/// The attribute that a list can be sorted by.
pub(crate) fn sort_key(name: &str, release: Release) -> Option<&'static Field> {
    let mut keys = FIELDS.iter().filter(|field| field.used.sort && field.name == name);
    keys.find(|field| field.in_release(release))
}

/// Attributes that `jobs-count-requests` can filter on: a shorter list, without lastUpdateTime
/// (docs/netbackup-api.md#jobs-count).
const COUNTED: &[&str] = &[
    "jobId",
    "parentJobId",
    "clientName",
    "endTime",
    "startTime",
    "state",
    "status",
    "jobType",
    "policyName",
    "policyType",
    "restoreBackupIDs",
    "assetID",
    "assetDisplayableName",
    "workloadDisplayName",
    "destinationStorageUnitName",
    "destinationMediaId",
    "applicationType",
    "dteMode",
    "jobPath",
];

use Form::{Float, Integer, Span, Text, Time};

/// Every attribute; those in the body come in the order in which it is written.
#[rustfmt::skip]
#[allow(clippy::redundant_closure_for_method_calls, reason = "a method path is less general than the type")]
pub(crate) static FIELDS: &[Field] = &[
    f("jobId", Integer, Ops::ORDER, ALL, |r| int(r.job_id())),
    f("parentJobId", Integer, Ops::ORDER, ALL, |r| int(crate::world::World::parent_id(r.job))),
    f("activeProcessId", Integer, Ops::ORDER, ALL, |r| int(if r.is(JobState::Active) { 1_000 + r.arbitrary(1, 60_000) } else { 0 })),
    f("mainProcessId", Integer, Ops::NONE, ALL, |r| int(1_000 + r.arbitrary(2, 60_000))),
    f("jobType", Text, Ops::EQ_NE, ALL, |r| text(r.job.kind().name)),
    f("jobSubType", Text, Ops::NONE, ALL, |r| text(if r.is_backup() { "SCHEDULED" } else { "IMMEDIATE" })),
    f("policyType", Text, Ops::EQ_NE, ALL, |r| text(r.world.policy_type(r.job))),
    f("policyName", Text, Ops::PART, ALL, |r| text(r.world.policy(r.job))),
    f("scheduleType", Text, Ops::NONE, ALL, |r| text(r.job.schedule_type())),
    f("scheduleName", Text, Ops::TEXT, ALL, |r| text(&r.world.names.schedules[usize::from(r.job.schedule)])),
    f("clientName", Text, Ops::TEXT, ALL, |r| text(r.world.client(r.job))),
    f("controlHost", Text, Ops::NONE, ALL, |r| text(&r.world.names.server)),
    f("jobOwner", Text, Ops::EQ, ALL, |_| text("root")),
    f("jobGroup", Text, Ops::NONE, ALL, |_| text("root")),
    f("backupId", Text, Ops::EQ, ALL, |r| Value::Text(r.world.backup_id(r.at(), &r.look))),
    f("sourceMediaId", Text, Ops::NONE, ALL, |_| text("")),
    f("sourceStorageUnitName", Text, Ops::NONE, ALL, |r| text(r.source_unit())),
    f("sourceMediaServerName", Text, Ops::TEXT, ALL, |r| text(r.source_media_server())),
    f("destinationMediaId", Text, Ops::EQ, ALL, |r| Value::Text(r.world.media_id(r.at(), &r.look))),
    f("destinationStorageUnitName", Text, Ops::EQ, ALL, |r| text(r.world.storage_unit(r.at(), &r.look))),
    f("destinationMediaServerName", Text, Ops::TEXT, ALL, |r| text(r.world.media_server(r.at(), &r.look))),
    f("dataMovement", Text, Ops::NONE, ALL, |_| text("STANDARD")),
    f("dataMovement", Integer, Ops::EQ, FILTER, |_| int(0)),
    f("streamNumber", Integer, Ops::NONE, ALL, |r| int(i64::from(r.job.parent != crate::world::job::ROOT))),
    f("copyNumber", Integer, Ops::ORDER, ALL, |r| int(1 + i64::from(r.copies()))),
    f("priority", Integer, Ops::ORDER, ALL, |r| int(r.arbitrary(4, 3) * 10_000)),
    f("retentionLevel", Integer, Ops::NONE, BODY, |r| int(r.arbitrary(5, 10))),
    f("retention", Integer, Ops::NONE, SORT, |r| int(r.arbitrary(5, 10))),
    f("compression", Integer, Ops::NONE, ALL, |r| int(r.arbitrary(6, 2))),
    f("status", Integer, Ops::ORDER, ALL, |r| int(i64::from(r.look.status))),
    f("state", Text, Ops::EQ_NE, ALL, |r| text(r.look.state.as_str())),
    f("numberOfFiles", Integer, Ops::ORDER, ALL, |r| int(r.look.files)),
    f("estimatedFiles", Integer, Ops::NONE, ALL, |r| int(i64::from(r.job.files))),
    f("kilobytesTransferred", Integer, Ops::ORDER, ALL, |r| int(r.look.kilobytes)),
    f("kilobytesDataTransferred", Integer, Ops::NONE, ALL, |r| int(r.world.moved(r.at(), &r.look))),
    f("kilobytesToTransfer", Integer, Ops::NONE, ALL, |r| int(r.job.kilobytes)),
    f("transferRate", Integer, Ops::ORDER, ALL, |r| int(r.rate())),
    f("percentComplete", Integer, Ops::ORDER, ALL, |r| int(r.look.percent())),
    f("dedupRatio", Float, Ops::ORDER, ALL, |r| Value::Float(r.job.dedup_ratio(&r.look))),
    f("dedupSpaceRatio", Float, Ops::NONE, ALL, |r| Value::Float(r.job.dedup_ratio(&r.look))),
    f("compressionSpaceRatio", Float, Ops::NONE, ALL, |_| Value::Float(0.0)),
    f("acceleratorOptimization", Float, Ops::ORDER, ALL, |_| Value::Float(0.0)),
    f("restartable", Integer, Ops::NONE, ALL, |r| flag(r.is(JobState::Done))),
    f("suspendable", Integer, Ops::NONE, ALL, |r| flag(r.is(JobState::Active))),
    f("resumable", Integer, Ops::NONE, ALL, |r| flag(matches!(r.look.state, JobState::Suspended | JobState::Incomplete))),
    f("cancellable", Integer, Ops::NONE, BODY, |r| flag(!r.is(JobState::Done))),
    f("killable", Integer, Ops::NONE, SORT, |r| flag(!r.is(JobState::Done))),
    f("frozenImage", Integer, Ops::NONE, ALL, |r| flag(r.job.kind().name == "SNAPSHOT")),
    f("transportType", Text, Ops::NONE, ALL, |_| text("LAN")),
    f("transportType", Integer, Ops::EQ, FILTER, |_| int(0)),
    f("offHostType", Text, Ops::NONE, ALL, |_| text("STANDARD")),
    f("offHostType", Integer, Ops::EQ_NE, FILTER, |_| int(0)),
    f("applicationType", Text, Ops::NONE, ALL, |r| text(application(r).1)),
    f("applicationType", Integer, Ops::EQ, FILTER, |r| int(application(r).0)),
    f("dteMode", Text, Ops::EQ, ALL, |r| text(if r.arbitrary(7, 4) == 0 { "ON" } else { "OFF" })),
    f("currentOperation", Integer, Ops::EQ_NE, ALL, |r| int(r.job.operation(&r.look))),
    f("jobQueueReason", Integer, Ops::NONE, BODY, |r| int(r.queue_reason())),
    f("qReasonCode", Integer, Ops::EQ_NE, SORT, |r| int(r.queue_reason())),
    f("jobQueueResource", Text, Ops::NONE, BODY, |r| text(r.queue_resource())),
    f("qResource", Text, Ops::EQ, SORT, |r| text(r.queue_resource())),
    f("robotName", Text, Ops::EQ, ALL, |_| text("")),
    f("vaultName", Text, Ops::EQ, ALL, |_| text("")),
    f("profileName", Text, Ops::EQ, ALL, |_| text("")),
    f("sessionId", Integer, Ops::ORDER, ALL, |_| int(0)),
    f("numberOfTapeToEject", Integer, Ops::ORDER, ALL, |_| int(0)),
    f("submissionType", Integer, Ops::NONE, ALL, |_| int(0)),
    f("dumpHost", Text, Ops::EQ, ALL, |_| text("")),
    f("currentFile", Text, Ops::EQ, ALL, |r| if r.is(JobState::Active) && r.job.kind().data { Value::Text(format!("/data/{}", r.look.files).into()) } else { text("") }),
    f("instanceDatabaseName", Text, Ops::EQ, ALL, |r| text(if r.world.policy_type(r.job) == "SQL_SERVER" { "MSSQLSERVER/orders" } else { "" })),
    f("auditUserName", Text, Ops::NONE, ALL, |_| text("")),
    f("auditDomainName", Text, Ops::NONE, ALL, |_| text("")),
    f("auditDomainType", Integer, Ops::NONE, ALL, |_| int(0)),
    f("restoreBackupIDs", Text, Ops::TEXT, ALL, |_| text("")),
    f("startTime", Time, Ops::ORDER, ALL, |r| int(r.start())),
    f("endTime", Time, Ops::ORDER, ALL, |r| int(r.end())),
    f("activeTryStartTime", Time, Ops::ORDER, ALL, |r| int(r.world.active_start_stamp(&r.look))),
    f("lastUpdateTime", Time, Ops::ORDER, ALL, |r| int(r.updated())),
    f("try", Integer, Ops::ORDER, Use { sort: false, ..ALL }, |r| int(i64::from(r.look.attempt))),
    f("tryField", Integer, Ops::NONE, Use { until: Release::R11_0, ..SORT }, |r| int(i64::from(r.look.attempt))),
    f("try", Integer, Ops::NONE, Use { since: Release::R11_2, ..SORT }, |r| int(i64::from(r.look.attempt))),
    f("assetID", Text, Ops::EQ, ALL, |r| if r.has_policy() { Value::Text(format!("00000000-0000-4000-8000-{:012x}", r.job.workload).into()) } else { text("") }),
    f("assetDisplayableName", Text, Ops::TEXT, ALL, |r| text(r.world.workload(r.at()))),
    f("workloadDisplayName", Text, Ops::TEXT, ALL, |r| text(r.world.workload(r.at()))),
    f("assetNamespace", Text, Ops::NONE, SORT, |_| text("")),
    f("elapsedTime", Span, Ops::ORDER, ALL, |r| int(r.elapsed())),
    f("activeElapsedTime", Span, Ops::ORDER, ALL, |r| int(r.active_elapsed())),
    f("childCount", Integer, Ops::NONE, ALL, |r| int(r.job.children_at(r.world.now - i64::from(r.job.delay)))),
    f("jobPath", Text, Ops::TEXT, ALL, |r| Value::Text(r.world.job_path(r.index).into())),
];

/// applicationType: a word in the body, a code in filters (docs/netbackup-api.md#filters).
fn application(row: &Row<'_>) -> (i64, &'static str) {
    match row.world.policy_type(row.job) {
        "VMWARE" => (1, "VMWARE"),
        "HYPERV" => (2, "HYPERV"),
        "OLVM_RHV" => (5, "RHV"),
        "NUTANIX_AHV" if row.release >= Release::R10_5 => (6, "AHV"),
        _ => (0, "NONE"),
    }
}
