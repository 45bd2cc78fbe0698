//! The server's present time: what ended later is in the future, and names that were not seen for long
//! are gone.

use std::time::Duration;

use crate::jobs::time::ms;

/// Time by which an end may be later than the present, ms: clocks of media servers differ a little.
pub(in crate::jobs) const AHEAD: i64 = 60_000;

/// The present, and for how long names are remembered, Unix ms and ms.
#[derive(Debug, Default)]
pub(super) struct Present {
    now: Option<i64>,
    forget_after: Option<i64>,
    /// No name is gone before then.
    next_gone: i64,
}

impl Present {
    /// Returns the present; 0 before it is known.
    pub(super) fn now(&self) -> i64 {
        self.now.unwrap_or(0)
    }

    /// Returns the latest end that counts.
    pub(super) fn limit(&self) -> i64 {
        self.now.map_or(i64::MAX, |now| now.saturating_add(AHEAD))
    }

    pub(super) fn set_forget_after(&mut self, time: Option<Duration>) {
        self.forget_after = time.map(ms);
        self.check_soon();
    }

    /// Makes the next [`Self::set_now`] look for names that are gone.
    pub(super) fn check_soon(&mut self) {
        self.next_gone = i64::MIN;
    }

    /// Sets the present. Of names and the ends of their newest jobs, returns those that are gone.
    pub(super) fn set_now<'n>(
        &mut self,
        now: i64,
        names: impl Iterator<Item = (&'n str, Option<i64>)>,
    ) -> Vec<Box<str>> {
        self.now = Some(now);
        if now < self.next_gone {
            return Vec::new();
        }
        self.next_gone = i64::MAX;
        let mut gone = Vec::new();
        for (name, newest) in names {
            let gone_at = self.gone_at(newest);
            if gone_at <= now {
                gone.push(name.into());
            } else {
                self.next_gone = self.next_gone.min(gone_at);
            }
        }
        gone
    }

    /// Returns when a name is gone whose last job ended at `newest`.
    fn gone_at(&self, newest: Option<i64>) -> i64 {
        match (self.forget_after, newest) {
            (None, _) => i64::MAX,
            (Some(_), None) => i64::MIN,
            (Some(after), Some(end)) => end.saturating_add(after),
        }
    }
}
