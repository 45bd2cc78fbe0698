//! The closed vocabularies of the API: states, job types, policy types, schedules.

use crate::settings::Release;

/// State of a job (docs/netbackup-api.md#jobs-states).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// Waits for its first resources.
    Queued,
    /// Runs.
    Active,
    /// An attempt failed; waits for the next one.
    Requeued,
    /// Ended, in whatever way.
    Done,
    /// Held by an administrator; can be resumed.
    Suspended,
    /// Failed with a checkpoint; becomes Done later unless it is resumed.
    Incomplete,
}

impl JobState {
    /// The spelling of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Active => "ACTIVE",
            Self::Requeued => "REQUEUED",
            Self::Done => "DONE",
            Self::Suspended => "SUSPENDED",
            Self::Incomplete => "INCOMPLETE",
        }
    }
}

/// Every state's spelling.
pub(crate) const STATES: [&str; 6] =
    ["QUEUED", "ACTIVE", "REQUEUED", "DONE", "SUSPENDED", "INCOMPLETE"];

/// Properties of one type of job.
#[derive(Debug)]
pub(crate) struct JobKind {
    /// The API's jobType.
    pub(crate) name: &'static str,
    /// Frequency with which it is drawn, relative to the others.
    pub(crate) weight: u32,
    /// It moves or makes data: kilobytes and files are above zero.
    pub(crate) data: bool,
    /// It runs under a policy, for a client.
    pub(crate) policy: bool,
    /// The API's currentOperation while it runs.
    pub(crate) operation: i64,
}

const fn kind(
    name: &'static str,
    weight: u32,
    data: bool,
    policy: bool,
    operation: i64,
) -> JobKind {
    JobKind { name, weight, data, policy, operation }
}

/// The job types that occur in a simulated world; the first is BACKUP. Types that are drawn rarely are here
/// so that they occur at all in a world of some thousand jobs.
pub(crate) const KINDS: &[JobKind] = &[
    kind("BACKUP", 600, true, true, 3),
    kind("DUPLICATE", 90, true, true, 11),
    kind("REPLICATE", 70, true, true, 29),
    kind("IMPORT", 25, true, true, 12),
    kind("REPLICA_IMPORT", 20, true, true, 12),
    kind("RESTORE", 35, true, true, 14),
    kind("SNAPSHOT", 45, false, true, 22),
    kind("IMAGEDELETE", 45, false, false, 30),
    kind("VERIFY", 15, true, true, 13),
    kind("ARCHIVE", 15, true, true, 3),
    kind("DBBACKUP", 15, true, false, 15),
    kind("INDEXING", 8, false, true, 28),
    kind("DEPLOYMENT", 5, false, true, 30),
    kind("VAULT", 4, false, false, 16),
    kind("LABEL", 4, false, false, 17),
    kind("INSTANT_ACCESS", 4, false, true, 30),
];

/// All 43 job types (docs/netbackup-api.md#jobs-states): what a filter may ask for.
pub(crate) const JOB_TYPES: &[&str] = &[
    "BACKUP",
    "ARCHIVE",
    "RESTORE",
    "VERIFY",
    "DUPLICATE",
    "IMPORT",
    "DBBACKUP",
    "VAULT",
    "LABEL",
    "ERASE",
    "TPREQ",
    "TPCLEAN",
    "TPFORMAT",
    "VMPHYSINV",
    "DQTS",
    "DBRECOVER",
    "MCONTENTS",
    "IMAGEDELETE",
    "GENERIC",
    "REPLICATE",
    "REPLICA_IMPORT",
    "SNAPDUPE",
    "SNAPREPLICATE",
    "SNAPIMPORT",
    "APP_STATE_CAPTURE",
    "INDEXING",
    "INDEXCLEANUP",
    "SNAPSHOT",
    "SNAPINDEX",
    "ACTIVATE_IR",
    "DEACTIVATE_IR",
    "REACTIVATE_IR",
    "STOP_IR",
    "INSTANT_RECOVERY",
    "RMAN_CATALOG",
    "LOCKVM",
    "DEPLOYMENT",
    "INSTANT_ACCESS",
    "CLOUD_SNAPSHOT_REPLICATE",
    "PREPARING_FOR_BACKUP",
    "INSTANT_SYNC",
    "TRIAL_BACKUP",
    "MULTIPLE_STORAGE_METADATA",
];

/// Policy types that a filter may ask for in every release, then those that came later.
pub(crate) const POLICY_TYPES: &[(&str, Release)] = &[
    ("STANDARD", Release::R10_3),
    ("PROXY", Release::R10_3),
    ("NONSTANDARD", Release::R10_3),
    ("APOLLO_WBAK", Release::R10_3),
    ("OBACKUP", Release::R10_3),
    ("ANY", Release::R10_3),
    ("INFORMIX", Release::R10_3),
    ("SYBASE", Release::R10_3),
    ("SHAREPOINT", Release::R10_3),
    ("WINDOWS", Release::R10_3),
    ("NETWARE", Release::R10_3),
    ("BACKTRACK", Release::R10_3),
    ("AUSPEX_FASTBACK", Release::R10_3),
    ("WINDOWS_NT", Release::R10_3),
    ("OS2", Release::R10_3),
    ("SQL_SERVER", Release::R10_3),
    ("EXCHANGE", Release::R10_3),
    ("SAP", Release::R10_3),
    ("DB2", Release::R10_3),
    ("NDMP", Release::R10_3),
    ("FLASHBACKUP", Release::R10_3),
    ("SPLITMIRROR", Release::R10_3),
    ("AFS", Release::R10_3),
    ("DFS", Release::R10_3),
    ("DATASTORE", Release::R10_3),
    ("LOTUS_NOTES", Release::R10_3),
    ("NCR_TERADATA", Release::R10_3),
    ("VAX_VMS", Release::R10_3),
    ("HP3000_MPE", Release::R10_3),
    ("FBU_WINDOWS", Release::R10_3),
    ("VAULT", Release::R10_3),
    ("BE_SQL_SERVER", Release::R10_3),
    ("BE_EXCHANGE", Release::R10_3),
    ("MAC", Release::R10_3),
    ("DS", Release::R10_3),
    ("NBU_CATALOG", Release::R10_3),
    ("GENERIC", Release::R10_3),
    ("CMS_DB", Release::R10_3),
    ("PUREDISK_EXPORT", Release::R10_3),
    ("ENTERPRISE_VAULT", Release::R10_3),
    ("VMWARE", Release::R10_3),
    ("HYPERV", Release::R10_3),
    ("NBU_SEARCHSERVER", Release::R10_3),
    ("HYPERSCALE", Release::R10_3),
    ("BIGDATA", Release::R10_3),
    ("CLOUD", Release::R10_3),
    ("DEPLOYMENT", Release::R10_3),
    ("HYPERVISOR", Release::R10_3),
    ("UNIVERSAL_SHARE", Release::R10_3),
    ("NAS_DATA_PROTECTION", Release::R10_3),
    ("KUBERNETES", Release::R10_3),
    ("MSDP_OBJECT_STORE", Release::R10_5),
    ("EPIC_LARGE_FILE", Release::R10_5),
    ("NUTANIX_AHV", Release::R11_0),
    ("OLVM_RHV", Release::R11_2),
];

/// The policy types that policies of a simulated world have, in the order in which policies take them.
/// The API spells Oracle OBACKUP.
pub(crate) const WORLD_POLICY_TYPES: &[(&str, Release)] = &[
    ("STANDARD", Release::R10_3),
    ("VMWARE", Release::R10_3),
    ("WINDOWS_NT", Release::R10_3),
    ("SQL_SERVER", Release::R10_3),
    ("OBACKUP", Release::R10_3),
    ("NBU_CATALOG", Release::R10_3),
    ("HYPERV", Release::R10_3),
    ("NDMP", Release::R10_3),
    ("EXCHANGE", Release::R10_3),
    ("MSDP_OBJECT_STORE", Release::R10_5),
    ("NUTANIX_AHV", Release::R11_0),
    ("OLVM_RHV", Release::R11_2),
    ("KVM", Release::R11_0),
    ("SAP", Release::R10_3),
    ("BIGDATA", Release::R10_3),
    ("CLOUD", Release::R10_3),
    ("NAS_DATA_PROTECTION", Release::R10_3),
];

/// (scheduleName, scheduleType) of the schedules in the world; the first is none at all, which a parent
/// and a job without policy have.
pub(crate) const SCHEDULES: &[(&str, &str)] = &[
    ("-", "UNRECOGNIZED_VALUE"),
    ("Daily-Incr", "DIFFERENTIAL_INCREMENTAL_BACKUP"),
    ("Weekly-Full", "FULL_BACKUP"),
    ("Monthly-Full", "FULL_BACKUP"),
    ("Cumulative", "CUMULATIVE_INCREMENTAL_BACKUP"),
    ("User", "USER_BACKUP"),
];

/// Status codes of failed attempts, drawn with equal weight.
pub(crate) const FAILURES: &[u16] = &[2, 13, 58, 84, 96, 156, 191, 2106];

/// Queue reasons that occur (docs/netbackup-api.md#jobs-queue-reasons); the last one only from 10.5.
pub(crate) const QUEUE_REASONS: &[i8] = &[1, 2, 3, 4, 5, 17, 24, 30, 31];
