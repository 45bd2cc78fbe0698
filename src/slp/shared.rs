//! Sizes that two collectors share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sizes::Sizes;

/// Sizes of backups that the collectors of a site share: that of jobs learns them, that of SLP images needs them.
/// Clones share one.
#[derive(Debug, Clone, Default)]
pub struct SharedSizes(Arc<Mutex<Sizes>>);

impl SharedSizes {
    /// Locks for the time of a look-up, never over a request.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Sizes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
