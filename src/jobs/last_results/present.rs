//! The server's present time: what ended later is not known yet, and who was not seen for long is
//! gone.

use std::time::Duration;

use super::LastResults;

/// What ends so much later than the present still counts: clocks of media servers differ a little.
pub(in crate::jobs) const AHEAD: i64 = 60_000;

/// The present, and how long names are remembered, Unix ms and ms.
#[derive(Debug, Default)]
pub(super) struct Present {
    now: Option<i64>,
    forget_after: Option<i64>,
    /// No name is gone before then.
    next_gone: i64,
}

impl Present {
    /// The present; 0 before it is known.
    pub(super) fn now(&self) -> i64 {
        self.now.unwrap_or(0)
    }

    /// The latest end that counts.
    pub(super) fn limit(&self) -> i64 {
        self.now.map_or(i64::MAX, |now| now.saturating_add(AHEAD))
    }

    pub(super) fn set_forget_after(&mut self, time: Option<Duration>) {
        self.forget_after = time.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        self.check_soon();
    }

    /// Looks for names that are gone when the present is set next.
    pub(super) fn check_soon(&mut self) {
        self.next_gone = i64::MIN;
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

impl LastResults {
    /// Sets the server's present time, and forgets the names whose last job ended too long ago. Those
    /// that the rules spell out stay.
    pub fn set_now(&mut self, now: i64) {
        self.present.now = Some(now);
        if now < self.present.next_gone {
            return;
        }
        let mut next = i64::MAX;
        let mut gone = Vec::new();
        for (key, entry) in self.entries.iter().filter(|(key, _)| !self.reserved.contains_key(*key))
        {
            let gone_at = self.present.gone_at(entry.newest());
            if gone_at <= now {
                gone.push(key.clone());
            } else {
                next = next.min(gone_at);
            }
        }
        self.present.next_gone = next;
        for key in gone {
            self.entries.remove(&key);
            self.taken = self.taken.saturating_sub(1);
            self.failed.remove(&key);
            self.changed.insert(key);
        }
    }

    /// Drops the results that lie in the future: the server's clock was set back, or was wrong when
    /// they were stored. Returns whether there were any; [`refill`](LastResults::refill) finds those again
    /// that were hidden behind them.
    pub fn drop_future(&mut self) -> bool {
        let limit = self.present.limit();
        let dropped: Vec<Box<str>> = self
            .entries
            .iter_mut()
            .filter_map(|(key, entry)| entry.drop_after(limit).then(|| key.clone()))
            .collect();
        let any = !dropped.is_empty();
        self.present.check_soon();
        self.changed.extend(dropped);
        any
    }
}
