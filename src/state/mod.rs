//! The state directory, which survives a restart, and the journals in it (docs/adr/0011-state.md).
//! Independent of their content.

mod atomic;
mod directory;
mod document;
mod error;
mod frames;
mod instance;
mod journal;
mod lock;
mod maintenance;
mod site;
mod site_file;
mod worker;

use std::path::PathBuf;

pub use directory::{StateDir, WeakStateDir};
pub use document::{Content, Document, timed_out};
pub use error::Error;
pub use frames::{Header, OpenError};
pub use journal::{AppendError, Journal, Loaded, header, read};
pub use maintenance::{Maintenance, StateFile};
pub use site::{Resumed, SiteFiles};
pub use worker::{Pending, Worker};

/// The place where state is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The directory; nothing is kept where there is none.
    pub directory: Option<PathBuf>,
}
