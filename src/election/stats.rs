//! The numbers of a candidate.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::record::{Record, RequestError};

/// Numbers of a candidate for the metrics and the landing page.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<Numbers>);

#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// As they stand in the Lease, once it was read.
    pub(crate) transitions: Option<u64>,
    pub(crate) holder: Option<String>,
    /// Why the last request failed, if it did.
    pub(crate) error: Option<String>,
}

impl Stats {
    pub(crate) fn numbers(&self) -> Numbers {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn see(&self, record: &Record) {
        let mut numbers = self.lock();
        numbers.transitions = record.transitions;
        numbers.holder.clone_from(&record.holder);
    }

    /// Notes the result of a request. Returns whether the one before had another.
    pub(super) fn note<T>(&self, result: &Result<T, RequestError>) -> bool {
        let mut numbers = self.lock();
        let was_failing = numbers.error.is_some();
        match result {
            Ok(_) => (numbers.succeeded, numbers.error) = (numbers.succeeded + 1, None),
            Err(error) => {
                numbers.failed += 1;
                numbers.error = Some(error.0.clone());
            }
        }
        was_failing != result.is_err()
    }
}
