//! What survives a restart: the state directory, and journals in it (docs/adr/0011-state.md). Knows
//! nothing of what is kept.

mod directory;
mod error;
mod instance;
mod journal;

use std::path::PathBuf;

pub use directory::{Directory, Earlier};
pub use error::Error;
pub use journal::{Header, Journal, Loaded, OpenError};

/// Where state is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The directory; nothing is kept where there is none.
    pub directory: Option<PathBuf>,
}
