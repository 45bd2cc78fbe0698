//! Families of status codes: what to look at when a job failed (docs/netbackup-api.md#jobs-status-families).

/// The family of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::jobs) enum StatusFamily {
    WindowOrLimit,
    Network,
    AccessOrCertificate,
    Client,
    SnapshotOrHypervisor,
    StorageFull,
    StorageDown,
    DiskIo,
    Tape,
    Copy,
    CatalogueOrServer,
    Restore,
    Other,
    /// There was nothing to do: no failure.
    NothingToDo,
}

impl StatusFamily {
    /// Families of failures.
    pub(in crate::jobs) const FAILURES: [Self; 13] = [
        Self::WindowOrLimit,
        Self::Network,
        Self::AccessOrCertificate,
        Self::Client,
        Self::SnapshotOrHypervisor,
        Self::StorageFull,
        Self::StorageDown,
        Self::DiskIo,
        Self::Tape,
        Self::Copy,
        Self::CatalogueOrServer,
        Self::Restore,
        Self::Other,
    ];

    /// Returns the family of a status; `None` for one that is good, partial or cancelled. Some codes are of disk
    /// or of tape, by the storage that the job used.
    pub(in crate::jobs) const fn of(status: Option<i64>, on_tape: bool) -> Option<Self> {
        let Some(status) = status else { return Some(Self::Other) };
        Some(match status {
            0 | 1 | 150 => return None,
            134 | 196 | 199 | 1000 => Self::WindowOrLimit,
            13 | 14 | 23..=26 | 40..=42 | 44 | 47 | 48 | 54 | 56..=58 | 201..=206 => Self::Network,
            37
            | 39
            | 46
            | 55
            | 59
            | 116
            | 117
            | 131
            | 160
            | 189
            | 192
            | 193
            | 5900..=5999
            | 7600..=7699
            | 8500..=8599 => Self::AccessOrCertificate,
            2 | 6 | 11 | 12 | 27 | 49 | 50 | 63..=69 | 71 | 73..=78 => Self::Client,
            156 | 4200..=4299 => Self::SnapshotOrHypervisor,
            129 | 155 => Self::StorageFull,
            213 | 219 | 800 | 2007 | 2074 | 2106 | 2107 => Self::StorageDown,
            83..=85 | 87 if on_tape => Self::Tape,
            83..=85 | 87 => Self::DiskIo,
            52
            | 80..=82
            | 86
            | 93..=98
            | 164
            | 167
            | 169
            | 171..=173
            | 2000..=2001
            | 2003..=2020 => Self::Tape,
            191 => Self::Copy,
            91 | 128 | 130 | 145 | 229 | 230 | 236..=248 | 801..=811 => Self::CatalogueOrServer,
            5 | 175 | 2800..=2899 => Self::Restore,
            190 | 200 => Self::NothingToDo,
            _ => Self::Other,
        })
    }

    /// Returns whether it is one of failures.
    pub(in crate::jobs) fn is_failure(self) -> bool {
        self != Self::NothingToDo
    }

    pub(in crate::jobs) const fn label(self) -> &'static str {
        match self {
            Self::WindowOrLimit => "window_or_limit",
            Self::Network => "network",
            Self::AccessOrCertificate => "access_or_certificate",
            Self::Client => "client",
            Self::SnapshotOrHypervisor => "snapshot_or_hypervisor",
            Self::StorageFull => "storage_full",
            Self::StorageDown => "storage_down",
            Self::DiskIo => "disk_io",
            Self::Tape => "tape",
            Self::Copy => "copy",
            Self::CatalogueOrServer => "catalogue_or_server",
            Self::Restore => "restore",
            Self::Other => "other",
            Self::NothingToDo => "nothing_to_do",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_belongs_to_one_family_by_its_storage() {
        for (status, on_tape, family) in [
            (196, false, StatusFamily::WindowOrLimit),
            (58, false, StatusFamily::Network),
            (59, false, StatusFamily::AccessOrCertificate),
            (7625, false, StatusFamily::AccessOrCertificate),
            (2007, true, StatusFamily::StorageDown),
            (2008, false, StatusFamily::Tape),
            (84, false, StatusFamily::DiskIo),
            (84, true, StatusFamily::Tape),
            (86, false, StatusFamily::Tape),
            (191, false, StatusFamily::Copy),
            (4207, false, StatusFamily::SnapshotOrHypervisor),
            (200, false, StatusFamily::NothingToDo),
            (123_456, false, StatusFamily::Other),
        ] {
            assert_eq!(StatusFamily::of(Some(status), on_tape), Some(family), "{status}");
        }
        assert_eq!([0, 1, 150].map(|status| StatusFamily::of(Some(status), false)), [None; 3]);
        assert_eq!(StatusFamily::of(None, false), Some(StatusFamily::Other));
    }
}
