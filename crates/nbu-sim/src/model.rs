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
    /// Frequency with which it is drawn, relative to the others; 0 for types that only [`crate::Batch`] starts.
    pub(crate) weight: u32,
    /// It moves or makes data: kilobytes and files are above zero.
    pub(crate) data: bool,
    /// It runs under a policy, for a client.
    pub(crate) policy: bool,
    /// The API's currentOperation while it runs.
    pub(crate) operation: i64,
}

impl JobKind {
    /// Returns true if it writes to a storage unit: a restore and a verification only read one.
    pub(crate) fn writes(&self) -> bool {
        self.data && !matches!(self.name, "RESTORE" | "VERIFY")
    }

    /// Returns true if it makes a backup, with a backupId.
    pub(crate) fn backs_up(&self) -> bool {
        matches!(self.name, "BACKUP" | "ARCHIVE" | "DBBACKUP")
    }
}

/// currentOperation of a parent while it runs: PARENT_JOB.
pub(crate) const PARENT_OPERATION: i64 = 27;

const fn kind(
    name: &'static str,
    weight: u32,
    data: bool,
    policy: bool,
    operation: i64,
) -> JobKind {
    JobKind { name, weight, data, policy, operation }
}

/// All 43 job types; the first is BACKUP. Those that are rare have weights that let them occur at all in a
/// world of some thousand jobs. DBBACKUP stands for a catalogue backup, which has this type in old releases.
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
    kind("DBBACKUP", 12, true, true, 15),
    kind("SNAPDUPE", 15, true, true, 11),
    kind("INDEXING", 8, false, true, 28),
    kind("DEPLOYMENT", 5, false, true, 30),
    kind("VAULT", 4, false, false, 16),
    kind("LABEL", 4, false, false, 17),
    kind("INSTANT_ACCESS", 4, false, true, 30),
    kind("ACTIVATE_IR", 2, false, true, 30),
    kind("LOCKVM", 2, false, true, 30),
    kind("ERASE", 0, false, false, 18),
    kind("TPREQ", 0, false, false, 30),
    kind("TPCLEAN", 0, false, false, 30),
    kind("TPFORMAT", 0, false, false, 30),
    kind("VMPHYSINV", 0, false, false, 30),
    kind("DQTS", 0, false, false, 30),
    kind("DBRECOVER", 0, false, false, 14),
    kind("MCONTENTS", 0, false, false, 25),
    kind("GENERIC", 0, false, false, 30),
    kind("SNAPREPLICATE", 0, true, true, 29),
    kind("SNAPIMPORT", 0, true, true, 12),
    kind("APP_STATE_CAPTURE", 0, false, true, 30),
    kind("INDEXCLEANUP", 0, false, true, 30),
    kind("SNAPINDEX", 0, false, true, 28),
    kind("DEACTIVATE_IR", 0, false, true, 30),
    kind("REACTIVATE_IR", 0, false, true, 30),
    kind("STOP_IR", 0, false, true, 30),
    kind("INSTANT_RECOVERY", 0, false, true, 30),
    kind("RMAN_CATALOG", 0, false, true, 30),
    kind("CLOUD_SNAPSHOT_REPLICATE", 0, true, true, 29),
    kind("PREPARING_FOR_BACKUP", 0, false, true, 30),
    kind("INSTANT_SYNC", 0, false, true, 30),
    kind("TRIAL_BACKUP", 0, false, true, 3),
    kind("MULTIPLE_STORAGE_METADATA", 0, false, true, 30),
];

/// Types of jobs that hold something open: they stay ACTIVE for days, nothing of their row changes, and they
/// are well.
pub(crate) const LONG_LIVED: [&str; 4] = ["INSTANT_ACCESS", "ACTIVATE_IR", "LOCKVM", "DEPLOYMENT"];

/// Returns the index of a job type in [`KINDS`].
pub(crate) fn kind_index(name: &str) -> Option<u8> {
    KINDS.iter().position(|kind| kind.name == name).and_then(|index| u8::try_from(index).ok())
}

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

/// Work of the backups of a policy: what runs at once, and on behalf of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// A client itself, now and then in several streams.
    Client,
    /// Virtual machines: clientName is that of the backup host, workloadDisplayName the machine's.
    Machines,
    /// Shares of file servers: each is a client.
    Shares,
    /// Assets of a cloud.
    Cloud,
    /// The server's own catalogue.
    Catalog,
}

impl Workload {
    /// Returns true if a run of the policy is a parent with snapshots and backups of several machines.
    pub(crate) fn has_snapshots(self) -> bool {
        matches!(self, Self::Machines | Self::Shares)
    }
}

/// The policy types that policies of a simulated world have, in the order in which policies take them.
/// The API spells Oracle OBACKUP.
pub(crate) const WORLD_POLICY_TYPES: &[(&str, Release, Workload)] = &[
    ("STANDARD", Release::R10_3, Workload::Client),
    ("VMWARE", Release::R10_3, Workload::Machines),
    ("WINDOWS_NT", Release::R10_3, Workload::Client),
    ("SQL_SERVER", Release::R10_3, Workload::Client),
    ("OBACKUP", Release::R10_3, Workload::Client),
    ("NBU_CATALOG", Release::R10_3, Workload::Catalog),
    ("HYPERV", Release::R10_3, Workload::Machines),
    ("NAS_DATA_PROTECTION", Release::R10_3, Workload::Shares),
    ("CLOUD", Release::R10_3, Workload::Cloud),
    ("NDMP", Release::R10_3, Workload::Client),
    ("NUTANIX_AHV", Release::R11_0, Workload::Machines),
    ("KVM", Release::R11_0, Workload::Machines),
    ("EXCHANGE", Release::R10_3, Workload::Client),
    ("OLVM_RHV", Release::R11_2, Workload::Machines),
    ("MSDP_OBJECT_STORE", Release::R10_5, Workload::Client),
    ("SAP", Release::R10_3, Workload::Client),
    ("BIGDATA", Release::R10_3, Workload::Client),
];

/// (scheduleName, scheduleType) of schedules; the first is none at all, which a parent and a job without policy
/// have. Jobs are drawn with the next [`DRAWN_SCHEDULES`].
pub(crate) const SCHEDULES: &[(&str, &str)] = &[
    ("-", "UNRECOGNIZED_VALUE"),
    ("Daily-Incr", "DIFFERENTIAL_INCREMENTAL_BACKUP"),
    ("Weekly-Full", "FULL_BACKUP"),
    ("Monthly-Full", "FULL_BACKUP"),
    ("Cumulative", "CUMULATIVE_INCREMENTAL_BACKUP"),
    ("User", "USER_BACKUP"),
    ("Log", "TRANSACTION_LOG_BACKUP"),
    ("Redo", "ARCHIVE_REDO_LOG_BACKUP"),
    ("Application", "APPLICATION_BACKUP"),
    ("Archive", "USER_ARCHIVE"),
    ("Vault", "VAULT_CATALOG_BACKUP"),
    ("Automatic", "AUTOMATIC_BACKUP"),
    ("Automatic-Full", "AUTOMATIC_FULL_BACKUP"),
    ("Automatic-Incr", "AUTOMATIC_INCREMENTAL_BACKUP"),
    ("Automatic-Diff", "AUTOMATIC_DIFFERENTIAL_INCREMENTAL_BACKUP"),
    ("Automatic-Cumulative", "AUTOMATIC_CUMULATIVE_INCREMENTAL_BACKUP"),
    ("Automatic-Vault", "AUTOMATIC_VAULT"),
    ("Check", "PRE_CHECK"),
    ("Stage", "STAGE_PACKAGE"),
    ("Install", "INSTALL_PACKAGE"),
    ("Unused", "UNUSED"),
];

/// Number of schedules that jobs are drawn with, from the second one on.
pub(crate) const DRAWN_SCHEDULES: u8 = 8;

/// Returns the index of a schedule type in [`SCHEDULES`].
pub(crate) fn schedule_index(schedule_type: &str) -> Option<u8> {
    let index = SCHEDULES.iter().position(|(_, known)| *known == schedule_type);
    index.and_then(|index| u8::try_from(index).ok())
}

/// Queue reasons that occur (docs/netbackup-api.md#jobs-queue-reasons); the last one only from 10.5.
pub(crate) const QUEUE_REASONS: &[i8] = &[1, 2, 3, 4, 5, 17, 24, 30, 31];
