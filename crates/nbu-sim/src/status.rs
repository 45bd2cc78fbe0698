//! Status codes, and the causes in the world for which servers give them.

use fastrand::Rng;

use crate::model::JobKind;

/// Cause in the world for which a job did not do its work. A status code is what the server made of it: the
/// same code can have several causes, 84 for example a full tape or a broken disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The network or a name service between the hosts.
    Network,
    /// A certificate, a credential or a right that is missing.
    Access,
    /// The client itself: its files, its processes.
    Client,
    /// The snapshot or the hypervisor.
    Snapshot,
    /// No room is left in the storage.
    StorageFull,
    /// The storage does not respond.
    StorageDown,
    /// A disk fails to read or write.
    DiskIo,
    /// A tape, a drive or a robot.
    Tape,
    /// The backup window closed before the job could run.
    WindowClosed,
    /// A duplication or verification in which no image was processed.
    CopyFailed,
    /// The catalogue, or a service of the server itself.
    Catalog,
    /// A restore that did not bring all of its files.
    Restore,
    /// There was nothing to do: no failure.
    NothingToDo,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 13] = [
        Self::Network,
        Self::Access,
        Self::Client,
        Self::Snapshot,
        Self::StorageFull,
        Self::StorageDown,
        Self::DiskIo,
        Self::Tape,
        Self::WindowClosed,
        Self::CopyFailed,
        Self::Catalog,
        Self::Restore,
        Self::NothingToDo,
    ];

    /// The codes that a server gives for it, the usual ones first.
    pub(crate) const fn codes(self) -> &'static [u16] {
        match self {
            Self::Network => &[58, 13, 41, 14, 23, 24, 25, 42, 48, 54],
            Self::Access => &[59, 46, 37, 39, 116, 131, 7625, 7641, 8506],
            Self::Client => &[2, 6, 11, 12, 49, 50, 71],
            Self::Snapshot => &[156, 4207, 4213, 4239],
            Self::StorageFull => &[129, 155],
            Self::StorageDown => &[2106, 213, 219, 800, 2074, 2107],
            Self::DiskIo => &[84, 83, 85, 87],
            Self::Tape => &[96, 84, 52, 82, 83, 85, 86, 87, 98, 2001, 2009],
            Self::WindowClosed => &[196],
            Self::CopyFailed => &[191],
            Self::Catalog => &[130, 229, 145, 230, 236],
            Self::Restore => &[5, 175, 2808, 2820, 2850],
            // A backup that is not due, and a selection that is empty.
            Self::NothingToDo => &[200, 190],
        }
    }

    /// Returns the usual code of a job of this type.
    pub(crate) fn usual_code(self, kind: &JobKind) -> u16 {
        let codes = self.codes();
        codes[usize::from(self == Self::NothingToDo && !kind.backs_up())]
    }

    /// Draws a code: half of them are the two usual ones.
    fn draw_code(self, kind: &JobKind, rng: &mut Rng) -> u16 {
        if self == Self::NothingToDo {
            return self.usual_code(kind);
        }
        let codes = self.codes();
        let among = if rng.bool() { codes.len().min(2) } else { codes.len() };
        codes[rng.usize(0..among)]
    }

    /// Frequency with which it strikes a job of this type on this medium, relative to the other causes.
    fn weight(self, kind: &JobKind, medium: Option<Medium>) -> u32 {
        let name = kind.name;
        let on = |wanted, weight| if kind.data && medium == Some(wanted) { weight } else { 0 };
        match self {
            Self::Network => 4,
            Self::Access => 2,
            Self::Client if kind.backs_up() => 5,
            Self::Snapshot if name == "BACKUP" => 3,
            Self::Snapshot if matches!(name, "SNAPSHOT" | "SNAPDUPE") => 12,
            // Of what only reads, the row does not name the unit.
            Self::StorageFull | Self::DiskIo if kind.writes() => on(Medium::Disk, 3),
            Self::StorageDown => on(Medium::Disk, 4),
            Self::Tape if kind.writes() => on(Medium::Tape, 10),
            Self::WindowClosed if name == "BACKUP" => 2,
            Self::CopyFailed if matches!(name, "DUPLICATE" | "VERIFY") => 8,
            Self::Catalog if matches!(name, "DBBACKUP" | "IMAGEDELETE") => 8,
            Self::Catalog => 1,
            Self::Restore if name == "RESTORE" => 12,
            Self::NothingToDo if matches!(name, "BACKUP" | "DUPLICATE" | "VERIFY") => 1,
            _ => 0,
        }
    }

    /// Returns true if the server tries again by itself after it.
    fn is_tried_again(self) -> bool {
        !matches!(self, Self::WindowClosed | Self::CopyFailed | Self::NothingToDo)
    }
}

/// Medium of a storage unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    Disk,
    Tape,
}

/// End of an attempt: the status code, and what happened in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) status: u16,
    pub(crate) cause: Option<Cause>,
}

/// Status code of a job that an administrator cancelled.
const CANCELLED: u16 = 150;

impl Ending {
    /// Success, and what a row says that has not ended.
    pub(crate) const GOOD: Self = Self { status: 0, cause: None };
    /// Partial success.
    pub(crate) const PARTIAL: Self = Self { status: 1, cause: None };
    /// Cancelled by an administrator.
    pub(crate) const CANCELLED: Self = Self { status: CANCELLED, cause: None };

    /// Returns true if it was a failure in the world: not even a part was done, and nobody wanted that.
    pub(crate) fn failed(self) -> bool {
        !matches!(self.status, 0 | 1 | CANCELLED)
    }

    /// Returns true if it moved everything that it had to.
    pub(crate) fn is_complete(self) -> bool {
        matches!(self.status, 0 | 1)
    }

    /// Draws the end of a job: mostly a success, some partial, some cancelled, the rest with a cause.
    pub(crate) fn draw(rng: &mut Rng, kind: &JobKind, medium: Option<Medium>) -> Self {
        match rng.u32(0..100) {
            0..=83 => Self::GOOD,
            84..=88 => Self::PARTIAL,
            89..=90 => Self::CANCELLED,
            _ => Self::failure(rng, kind, medium, |_| true),
        }
    }

    /// Draws a failure after which the job is tried again.
    pub(crate) fn draw_retried(rng: &mut Rng, kind: &JobKind, medium: Option<Medium>) -> Self {
        Self::failure(rng, kind, medium, Cause::is_tried_again)
    }

    fn failure(
        rng: &mut Rng,
        kind: &JobKind,
        medium: Option<Medium>,
        allowed: impl Fn(Cause) -> bool,
    ) -> Self {
        let weighed = || {
            let causes = Cause::ALL.into_iter().filter(|cause| allowed(*cause));
            causes.map(|cause| (cause, cause.weight(kind, medium)))
        };
        let mut draw = rng.u32(0..weighed().map(|(_, weight)| weight).sum::<u32>().max(1));
        for (cause, weight) in weighed() {
            if draw < weight {
                return Self { status: cause.draw_code(kind, rng), cause: Some(cause) };
            }
            draw -= weight;
        }
        Self::CANCELLED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KINDS;

    #[test]
    fn failures_have_causes_that_can_strike_the_job() {
        let mut rng = Rng::with_seed(1);
        let media = [None, Some(Medium::Disk), Some(Medium::Tape)];
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            for (kind, medium) in KINDS.iter().flat_map(|kind| media.map(|medium| (kind, medium))) {
                let Ending { status, cause } = Ending::failure(&mut rng, kind, medium, |_| true);
                let cause = cause.unwrap();
                seen.insert(cause);
                assert!(cause.codes().contains(&status));
                assert!(status != 191 || matches!(kind.name, "DUPLICATE" | "VERIFY"));
                assert!(cause != Cause::Restore || kind.name == "RESTORE");
                assert!(cause != Cause::Tape || medium == Some(Medium::Tape));
                assert!(cause != Cause::DiskIo || medium == Some(Medium::Disk));
            }
        }
        assert_eq!(seen.len(), Cause::ALL.len());
    }
}
