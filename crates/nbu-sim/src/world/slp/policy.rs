//! Storage lifecycle policies, and their operations.

use std::sync::Arc;

use crate::rows::RowCount;

/// Number of storage lifecycle policies.
pub(crate) const SLPS: RowCount = RowCount {
    name: "slps",
    default: 8,
    help: "Storage lifecycle policies: one each of six kinds in turn; 0: no image is under one",
};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// The operation that copies an image to another primary server.
pub(crate) const REPLICATE: &str = "REPLICATE_TO_REMOTE_MASTER";

/// The SLP of replicas, at the server that imports them.
pub(crate) const IMPORT_SLP: &str = "slp-import";

/// An operation of an SLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// copyType.
    pub(crate) kind: &'static str,
    /// Copies wait until the source copy is about to expire.
    pub(crate) deferred: bool,
    pub(crate) suspended: bool,
}

const fn operation(kind: &'static str) -> Operation {
    Operation { kind, deferred: false, suspended: false }
}

const DEFERRED: Operation = Operation { deferred: true, ..operation("DUPLICATE") };
const SUSPENDED: Operation = Operation { suspended: true, ..operation(REPLICATE) };

/// Name, operations, and the mean wait of a copy for its turn in minutes, of each kind of SLP. The fourth one is
/// inactive.
const KINDS: [(&str, &[Operation], i64); 6] = [
    ("gold", &[operation("BACKUP"), operation("DUPLICATE"), operation(REPLICATE)], 40),
    ("tape", &[operation("BACKUP"), operation("DUPLICATE")], 30 * 60),
    ("deferred", &[operation("BACKUP"), DEFERRED], 60),
    ("inactive", &[operation("BACKUP"), operation("DUPLICATE")], 60),
    ("suspended", &[operation("BACKUP"), operation("DUPLICATE"), SUSPENDED], 60),
    (
        "snapshot",
        &[
            operation("SNAPSHOT"),
            operation("BACKUP_FROM_SNAPSHOT"),
            operation("INDEX_FROM_SNAPSHOT"),
        ],
        20,
    ),
];

/// A storage lifecycle policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slp {
    pub(crate) name: Arc<str>,
    pub(crate) active: bool,
    pub(crate) operations: &'static [Operation],
    /// Mean wait of a copy for its turn, ms.
    pub(crate) lag: i64,
}

impl Slp {
    pub(super) fn new(index: usize) -> Self {
        let (name, operations, lag) = KINDS[index % KINDS.len()];
        let name = format!("slp-{name}-{:02}", index / KINDS.len() + 1).into();
        Self { name, active: index % KINDS.len() != 3, operations, lag: lag * MINUTE }
    }
}
