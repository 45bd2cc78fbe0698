//! The time for which this agent may poll and export, where several take turns (docs/adr/0032-election.md).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// A moment of this machine's boot-time clock, which goes on while the machine is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    pub(crate) fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Self(Duration::new(seconds, nanos))
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// Returns the time from an earlier moment to this one; none if that one is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The time for which this agent may poll and export. Whoever lets something out of the process asks it first.
#[derive(Debug)]
pub struct Tenure {
    /// Nanoseconds of the boot-time clock; [`FOREVER`] without an end.
    until: AtomicU64,
}

const FOREVER: u64 = u64::MAX;

impl Default for Tenure {
    /// Makes one without an end.
    fn default() -> Self {
        Self { until: AtomicU64::new(FOREVER) }
    }
}

impl Tenure {
    /// Makes one that ends after this time.
    pub fn lasting(time: Duration) -> Self {
        Self::until(Moment::now().after(time))
    }

    /// Makes one that ends then.
    pub(crate) fn until(end: Moment) -> Self {
        let tenure = Self::over();
        tenure.extend(end);
        tenure
    }

    /// Makes one that is over.
    pub fn over() -> Self {
        Self { until: AtomicU64::new(0) }
    }

    /// Returns the time that is left; `None` if it has no end.
    pub(crate) fn left(&self) -> Option<Duration> {
        match self.until.load(Ordering::Acquire) {
            FOREVER => None,
            until => Some(Duration::from_nanos(until).saturating_sub(Moment::now().0)),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Returns the deadline, or the end of the tenure if that is earlier; `None` if it is over.
    pub(crate) fn cut(&self, deadline: Instant) -> Option<Instant> {
        match self.left() {
            Some(left) if left.is_zero() => None,
            Some(left) => Some(deadline.min(Instant::now() + left)),
            None => Some(deadline),
        }
    }

    /// Returns its end.
    #[cfg(test)]
    pub(crate) fn ends(&self) -> Moment {
        Moment(Duration::from_nanos(self.until.load(Ordering::Acquire)))
    }

    /// Lets it last until then.
    pub(crate) fn extend(&self, until: Moment) {
        let until = u64::try_from(until.0.as_nanos()).unwrap_or(FOREVER - 1);
        self.until.store(until, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenure_lasts_as_long_as_it_was_extended() {
        assert_eq!((Tenure::default().left(), Tenure::default().is_over()), (None, false));
        let tenure = Tenure::lasting(Duration::from_secs(60));
        let left = tenure.left().unwrap();
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
        tenure.extend(Moment::now());
        assert!(tenure.is_over());
        assert!(Tenure::over().is_over());
        tenure.extend(Moment::now().after(Duration::MAX));
        assert!(!tenure.is_over());
        tenure.end();
        assert_eq!(tenure.left(), Some(Duration::ZERO));
    }
}
