//! Classes of schedules: what a backup of them can restore.

/// The class of a job's schedule (docs/netbackup-api.md#jobs-schedules). The numbers are those on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ScheduleClass {
    /// The row told none, or was read by a build that did not look.
    Unknown = 0,
    Full = 1,
    Incremental = 2,
    Log = 3,
    Application = 4,
    Other = 5,
}

impl ScheduleClass {
    const ALL: [Self; 6] =
        [Self::Unknown, Self::Full, Self::Incremental, Self::Log, Self::Application, Self::Other];

    pub(super) fn of(schedule_type: Option<&str>) -> Self {
        match schedule_type {
            // Parents have none, and tell that as one of the latter two.
            None | Some("" | "-" | "UNRECOGNIZED_VALUE") => Self::Unknown,
            Some("FULL_BACKUP" | "AUTOMATIC_FULL_BACKUP" | "FULL") => Self::Full,
            Some(
                "DIFFERENTIAL_INCREMENTAL_BACKUP"
                | "CUMULATIVE_INCREMENTAL_BACKUP"
                | "AUTOMATIC_INCREMENTAL_BACKUP"
                | "AUTOMATIC_DIFFERENTIAL_INCREMENTAL_BACKUP"
                | "AUTOMATIC_CUMULATIVE_INCREMENTAL_BACKUP",
            ) => Self::Incremental,
            Some("TRANSACTION_LOG_BACKUP" | "ARCHIVE_REDO_LOG_BACKUP") => Self::Log,
            Some("APPLICATION_BACKUP" | "AUTOMATIC_BACKUP" | "USER_BACKUP" | "USER_ARCHIVE") => {
                Self::Application
            }
            Some(_) => Self::Other,
        }
    }

    /// Returns the class with this number on disk.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == number)
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Log => "log",
            Self::Application => "application",
            Self::Other => "other",
        }
    }
}
