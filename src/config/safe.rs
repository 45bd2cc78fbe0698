//! The holder of the configuration in force.

use std::sync::{Arc, PoisonError, RwLock};

use super::Config;
use crate::http;

/// The configuration in force. The supervisor swaps it; everybody else takes a handle on it. A configuration is
/// validated before it gets here, and the lock is held for as long as it takes to copy a pointer.
#[derive(Debug, Default)]
pub struct SafeConfig(RwLock<Option<Arc<Config>>>);

impl SafeConfig {
    /// Holds `config` from the start.
    pub fn new(config: Arc<Config>) -> Self {
        Self(RwLock::new(Some(config)))
    }

    /// Returns the configuration in force, once there is one. A later swap does not change what was handed out.
    pub fn get(&self) -> Option<Arc<Config>> {
        // A panic elsewhere cannot have left half a pointer behind: go on with what is there.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `config` in force and returns the one before it.
    pub fn swap(&self, config: Arc<Config>) -> Option<Arc<Config>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).replace(config)
    }
}

impl http::Settings for SafeConfig {
    fn endpoint(&self) -> Option<http::Config> {
        self.get().map(|config| config.http.clone())
    }
}
