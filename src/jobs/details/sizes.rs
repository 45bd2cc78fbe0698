//! Backups that look good and are not: false greens. The sizes that each workload's backups had before tell
//! which one is odd.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::jobs::finished::FinishedJob;
use crate::jobs::row::{self, BACKUP};
use crate::jobs::schedule::ScheduleClass;
use crate::netbackup::wire::jobs::JobRow;

pub(super) const NO_BACKUP_ID: &str = "no_backup_id";
pub(super) const NO_FILES: &str = "no_files";
pub(super) const ODD_SIZE: &str = "odd_size";

pub(super) const KINDS: [&str; 3] = [NO_BACKUP_ID, NO_FILES, ODD_SIZE];

/// Sizes of one history.
const KEPT: usize = 14;

/// Sizes without which none is odd.
const FEWEST: usize = 7;

/// The least distance of an odd size from the median: the binary logarithm of ten.
const TEN_TIMES: f32 = std::f32::consts::LOG2_10;

/// Deviations by which an odd size is away from the median.
const DEVIATIONS: f32 = 8.0;

/// The standard deviation of a normal distribution, in medians of deviations.
const MEDIANS: f32 = 1.4826;

/// Histories of a site.
const MOST: usize = 200_000;

const DAY: i64 = 86_400_000;

/// Days after which a history without a backup is forgotten.
const FORGET_AFTER: i64 = 90;

/// The last sizes of the backups of one workload, policy and class, as binary logarithms of kilobytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::jobs) struct Sizes {
    /// The newest one last.
    pub(in crate::jobs) all: Vec<f32>,
    /// The day of the newest one, since 1970.
    pub(in crate::jobs) day: i64,
}

impl Sizes {
    /// Returns whether a size is far from those before, and adds it.
    fn judge(&mut self, size: f32) -> bool {
        let is_odd = self.all.len() >= FEWEST && {
            let center = median(self.all.clone());
            let deviation = median(self.all.iter().map(|one| (one - center).abs()).collect());
            let distance = (size - center).abs();
            distance >= TEN_TIMES && distance > DEVIATIONS * MEDIANS * deviation
        };
        if self.all.len() >= KEPT {
            self.all.remove(0);
        }
        self.all.push(size);
        is_odd
    }
}

fn median(mut all: Vec<f32>) -> f32 {
    all.sort_unstable_by(f32::total_cmp);
    let middle = all.len() / 2;
    let at = |place: usize| all.get(place).copied().unwrap_or_default();
    if all.len() % 2 == 1 {
        at(middle)
    } else {
        f32::midpoint(at(middle.saturating_sub(1)), at(middle))
    }
}

#[derive(Debug, Default)]
pub(super) struct SizeHistory {
    /// By a hash of workload, policy and class. If another version of the library hashes otherwise, they begin
    /// anew.
    pub(super) all: HashMap<u64, Sizes>,
    /// The day on which old ones were forgotten last.
    swept: i64,
}

impl SizeHistory {
    /// Returns the kinds of false greens that a completion is, and the history that it is added to.
    pub(super) fn judge(
        &mut self,
        row: &JobRow<'_>,
        job: &FinishedJob,
    ) -> (Vec<&'static str>, Option<u64>) {
        let is_backup = row.job_type.as_deref() == Some(BACKUP);
        if row.status != Some(0) || !is_backup {
            return (Vec::new(), None);
        }
        let mut kinds = Vec::new();
        if row.backup_id.as_deref() == Some("") {
            kinds.push(NO_BACKUP_ID);
        }
        if job.class == ScheduleClass::Full && row.number_of_files == Some(0) {
            kinds.push(NO_FILES);
        }
        let is_comparable = matches!(job.class, ScheduleClass::Full | ScheduleClass::Incremental);
        if !is_comparable || row.kilobytes_transferred.is_none() {
            return (kinds, None);
        }
        let mut hasher = DefaultHasher::new();
        (row::workload(row), row.policy_name.as_deref(), job.class as u8).hash(&mut hasher);
        let key = hasher.finish();
        if self.all.len() >= MOST && !self.all.contains_key(&key) {
            return (kinds, None);
        }
        let sizes = self.all.entry(key).or_default();
        sizes.day = sizes.day.max(job.end.div_euclid(DAY));
        #[allow(clippy::cast_precision_loss, reason = "a logarithm of it")]
        let size = (job.kilobytes.max(1) as f32).log2();
        if sizes.judge(size) {
            kinds.push(ODD_SIZE);
        }
        (kinds, Some(key))
    }

    /// Forgets the histories without a backup for long, once a day. Returns which.
    pub(super) fn forget_old(&mut self, now: i64) -> Vec<u64> {
        let today = now.div_euclid(DAY);
        if self.swept == today {
            return Vec::new();
        }
        self.swept = today;
        self.all
            .extract_if(|_, sizes| today - sizes.day > FORGET_AFTER)
            .map(|(key, _)| key)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_odd_if_far_from_a_steady_history() {
        let mut sizes = Sizes::default();
        for size in [20.0, 20.2, 19.9, 20.1, 20.0, 19.8] {
            assert!(!sizes.judge(size));
        }
        assert!(!sizes.clone().judge(0.0), "six sizes tell nothing");
        assert!(!sizes.judge(20.1));
        for (size, odd) in [(23.0, false), (23.5, true), (17.0, false), (16.0, true), (0.0, true)] {
            assert_eq!(sizes.clone().judge(size), odd, "{size}");
        }
        for _ in 0..20 {
            sizes.judge(20.0);
        }
        assert_eq!(sizes.all.len(), KEPT);
    }

    #[test]
    fn size_is_not_odd_in_a_history_of_all_sizes() {
        let mut sizes = Sizes::default();
        for size in [5.0, 20.0, 12.0, 8.0, 25.0, 3.0, 18.0, 10.0] {
            sizes.judge(size);
        }
        assert!(!sizes.clone().judge(30.0) && !sizes.judge(0.0));
    }

    #[test]
    fn history_without_backups_is_forgotten_after_three_months() {
        let mut history = SizeHistory::default();
        history.all.insert(1, Sizes { all: vec![1.0], day: 10 });
        history.all.insert(2, Sizes { all: vec![1.0], day: 11 });
        assert_eq!(history.forget_old(101 * DAY), [1]);
        assert_eq!(history.forget_old(101 * DAY + 1), Vec::<u64>::new());
    }
}
