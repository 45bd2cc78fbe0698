//! The results of one name and one class of schedules: when it could be restored last, for how long it has been
//! failing, and how often it is backed up. Like [`LastResult`], they do not depend on the order of jobs.

use std::collections::BTreeSet;

use super::last_result::LastResult;
use crate::jobs::completion::{Completion, Outcome};

const DAY: i64 = 86_400_000;

/// Days with a restorable backup that are kept.
const MOST_DAYS: usize = 16;

/// Gaps between such days from which on the longest is the interval.
const FEWEST_GAPS: usize = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ClassResult {
    /// `done` is the last restorable backup.
    pub(super) last: LastResult,
    /// Days, since 1970, on which one ended, the newest.
    pub(super) days: BTreeSet<i64>,
    /// The end of the first failure since the last restorable backup: the newest ones alone are kept.
    pub(super) failing_since: Option<i64>,
}

impl ClassResult {
    /// Adds a completion that tells of protection. Returns whether anything changed.
    pub(super) fn add(&mut self, job: &Completion<'_>) -> bool {
        let news = self.last.merge(&LastResult::of(job));
        let restorable = self.restorable();
        let first = self.last.failures.first().map(|failure| failure.end);
        let known = self.failing_since.filter(|end| Some(*end) > restorable);
        self.failing_since = first.map(|first| known.map_or(first, |known| known.min(first)));
        news | (Outcome::of(job.status).is_restorable() && self.add_day(job.end.div_euclid(DAY)))
    }

    fn add_day(&mut self, day: i64) -> bool {
        let news = self.days.insert(day);
        if self.days.len() <= MOST_DAYS {
            return news;
        }
        self.days.pop_first() != Some(day) && news
    }

    /// Returns the end of the last restorable backup, Unix ms.
    pub(super) fn restorable(&self) -> Option<i64> {
        self.last.done.map(|done| done.at.end)
    }

    /// Returns the longest time between two of the last backups, to the day, seconds; `None` before that is known.
    pub(super) fn interval(&self) -> Option<f64> {
        let gaps = self.days.iter().zip(self.days.iter().skip(1)).map(|(one, next)| next - one);
        let longest = gaps.clone().max()?;
        (gaps.count() >= FEWEST_GAPS).then_some((longest * DAY) as f64 / 1000.0)
    }

    /// Returns the time from the first failure since the last restorable backup to the newest one, seconds.
    pub(super) fn failing(&self) -> f64 {
        let ends = self.failing_since.zip(self.last.failures.last());
        ends.map_or(0.0, |(first, last)| (last.end - first) as f64 / 1000.0)
    }

    /// Drops what ended after `limit`. Returns whether there was any.
    pub(super) fn drop_after(&mut self, limit: i64) -> bool {
        let future = self.days.split_off(&(limit.div_euclid(DAY) + 1));
        let dropped = self.last.drop_after(limit);
        let first = self.last.failures.first().map(|failure| failure.end);
        self.failing_since = first.and(self.failing_since.filter(|end| *end <= limit)).or(first);
        dropped | !future.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::schedule::ScheduleClass;

    #[test]
    fn interval_is_the_longest_of_three_gaps_or_more() {
        let mut class = ClassResult::default();
        for (day, known) in [(10, None), (11, None), (14, None), (15, Some(3)), (16, Some(3))] {
            class.add_day(day);
            assert_eq!(class.interval(), known.map(|days| f64::from(days) * 86_400.0), "{day}");
        }
        assert!(!class.add_day(15));
        (20..40).for_each(|day| _ = class.add_day(day));
        assert_eq!((class.days.len(), class.interval()), (MOST_DAYS, Some(86_400.0)));
        assert!(!class.add_day(3), "older than those that are kept");
    }

    #[test]
    fn failing_lasts_from_the_first_of_any_number_of_failures() {
        let failure = |end: i64| Completion {
            job_id: end,
            tries: 1,
            start: None,
            end,
            job_type: "BACKUP",
            status: Some(13),
            leaf: true,
            kilobytes: 0,
            client: "c",
            policy: "p",
            workload: "c",
            class: ScheduleClass::Full,
            image: true,
        };
        let mut class = ClassResult::default();
        (1..=600).for_each(|second| _ = class.add(&failure(second * 1000)));
        assert_eq!((class.failing(), class.last.failures.len()), (599.0, 256));
        class.add(&Completion { status: Some(0), ..failure(598_500) });
        assert_eq!((class.failing(), class.restorable()), (1.0, Some(598_500)));
        class.add(&Completion { status: Some(1), ..failure(700_000) });
        assert!(class.failing() < 0.5);
    }
}
