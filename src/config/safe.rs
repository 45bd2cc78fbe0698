//! The configuration in force, for whoever wants to look.

use std::sync::{Arc, PoisonError, RwLock};

use super::Config;

/// The configuration in force. The supervisor swaps it; everybody else takes a handle on it. The
/// lock is held only for as long as it takes to copy a pointer.
#[derive(Debug)]
pub struct SafeConfig(RwLock<Arc<Config>>);

impl SafeConfig {
    /// Starts with `config`.
    pub fn new(config: Arc<Config>) -> Self {
        Self(RwLock::new(config))
    }

    /// The configuration in force now. A later swap does not change what was handed out.
    pub fn get(&self) -> Arc<Config> {
        // A panic elsewhere cannot have left half a pointer behind: go on with what is there.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `config` in force and returns the one that was.
    pub fn swap(&self, config: Arc<Config>) -> Arc<Config> {
        let mut guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut guard, config)
    }
}
