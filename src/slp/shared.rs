//! Knowledge that collectors share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exchange::Exchange;
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

/// Knowledge that the collectors of a site share with each other, and with those of other sites.
#[derive(Debug, Clone, Default)]
pub struct Links {
    pub(crate) sizes: SharedSizes,
    pub(crate) exchange: Exchange,
}

impl Links {
    /// Makes those of a site that takes part in an exchange.
    pub fn new(exchange: &Exchange) -> Self {
        Self { sizes: SharedSizes::default(), exchange: exchange.clone() }
    }
}
