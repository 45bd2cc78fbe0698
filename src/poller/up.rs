//! `nbu_up`: success of storage or jobs in the last cycle.

/// Results of the core collectors in the current cycle.
#[derive(Debug, Default)]
pub(super) struct Up {
    pending: usize,
    succeeded: bool,
    known: Option<bool>,
}

impl Up {
    /// Begins a cycle with this many core collectors under way, including those of an earlier cycle.
    /// A cycle without any (all are cached) changes nothing.
    pub(super) fn begin(&mut self, running: usize) {
        if running > 0 {
            self.pending = running;
            self.succeeded = false;
        }
    }

    /// Ends the run of a core collector. One success makes the site up at once; it is down when the
    /// last one of the cycle failed and none succeeded.
    pub(super) fn end(&mut self, ok: bool) {
        self.pending = self.pending.saturating_sub(1);
        self.succeeded |= ok;
        if self.succeeded {
            self.known = Some(true);
        } else if self.pending == 0 {
            self.known = Some(false);
        }
    }

    /// Returns the value; `None` before the first cycle ended.
    pub(super) fn value(&self) -> Option<bool> {
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_is_up_after_one_success_in_a_cycle() {
        let mut up = Up::default();
        up.begin(2);
        assert_eq!(up.value(), None);
        up.end(false);
        assert_eq!(up.value(), None, "the other may still succeed");
        up.end(true);
        assert_eq!(up.value(), Some(true));
        up.begin(2);
        up.end(true);
        up.end(false);
        assert_eq!(up.value(), Some(true));
    }

    #[test]
    fn site_is_down_after_failed_cycle_until_success() {
        let mut up = Up::default();
        up.begin(2);
        up.end(false);
        up.end(false);
        assert_eq!(up.value(), Some(false));
        up.begin(1);
        assert_eq!(up.value(), Some(false), "the last cycle that ended counts");
        up.end(true);
        assert_eq!(up.value(), Some(true));
    }

    #[test]
    fn cached_collector_does_not_keep_dead_site_up() {
        let mut up = Up::default();
        up.begin(2);
        up.end(true);
        up.end(true);
        up.begin(1);
        up.end(false);
        assert_eq!(up.value(), Some(false));
    }

    #[test]
    fn slow_success_does_not_flap() {
        let mut up = Up::default();
        up.begin(2);
        up.end(true);
        // The other one is late: it still runs when the next cycle starts.
        up.begin(2);
        up.end(false);
        assert_eq!(up.value(), Some(true), "the late one may still succeed");
        up.end(true);
        assert_eq!(up.value(), Some(true));
    }
}
