//! `nbu_up`: whether storage or jobs succeeded in the last cycle.

/// Outcomes of the core collectors by the cycle in which they ran.
#[derive(Debug, Default)]
pub(super) struct Up {
    cycle: u64,
    pending: usize,
    known: Option<bool>,
}

impl Up {
    /// A cycle starts in which this many core collectors run. One that none runs in (all are late
    /// or cached) changes nothing.
    pub(super) fn begin(&mut self, cycle: u64, running: usize) {
        if running > 0 {
            self.cycle = cycle;
            self.pending = running;
        }
    }

    /// A core collector that ran in `cycle` ended. One success makes the site up at once; it is
    /// down when the last one of the cycle failed and none succeeded.
    pub(super) fn end(&mut self, cycle: u64, ok: bool) {
        if ok {
            self.known = Some(true);
        }
        if cycle != self.cycle {
            // A late one of an older cycle: its failure is no news about this one.
            return;
        }
        self.pending = self.pending.saturating_sub(1);
        if ok {
            // Nothing that still fails in this cycle takes it back.
            self.cycle = 0;
        } else if self.pending == 0 {
            self.known = Some(false);
        }
    }

    /// Unknown before the first cycle ended.
    pub(super) fn value(&self) -> Option<bool> {
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_success_of_a_cycle_is_enough() {
        let mut up = Up::default();
        up.begin(1, 2);
        assert_eq!(up.value(), None);
        up.end(1, false);
        assert_eq!(up.value(), None, "the other may still succeed");
        up.end(1, true);
        assert_eq!(up.value(), Some(true));
        up.begin(2, 2);
        up.end(2, true);
        up.end(2, false);
        assert_eq!(up.value(), Some(true));
    }

    #[test]
    fn a_cycle_in_which_all_failed_is_down_until_one_succeeds() {
        let mut up = Up::default();
        up.begin(1, 2);
        up.end(1, false);
        up.end(1, false);
        assert_eq!(up.value(), Some(false));
        up.begin(2, 1);
        assert_eq!(up.value(), Some(false), "the last cycle that ended counts");
        up.end(2, true);
        assert_eq!(up.value(), Some(true));
    }

    #[test]
    fn a_cached_collector_does_not_keep_a_dead_site_up() {
        let mut up = Up::default();
        up.begin(1, 2);
        up.end(1, true);
        up.end(1, true);
        up.begin(2, 1);
        up.end(2, false);
        assert_eq!(up.value(), Some(false));
    }

    #[test]
    fn a_late_failure_of_an_older_cycle_is_no_news() {
        let mut up = Up::default();
        up.begin(1, 2);
        up.end(1, true);
        up.begin(2, 1);
        up.end(1, false);
        assert_eq!(up.value(), Some(true));
        up.begin(3, 0);
        up.end(2, false);
        assert_eq!(up.value(), Some(false));
    }
}
