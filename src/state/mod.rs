//! What outlives the process: one directory, which belongs to one agent at a time.

mod directory;
mod error;
mod instance;

use std::path::PathBuf;

pub use directory::{Directory, Earlier};
pub use error::Error;

/// Where state is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The directory; nothing is kept where there is none.
    pub directory: Option<PathBuf>,
}
