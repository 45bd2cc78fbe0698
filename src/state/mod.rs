//! The state directory, which survives a restart, and the journals in it (docs/adr/0011-state.md).
//! Independent of their content.

mod atomic;
mod directory;
mod document;
mod error;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod instance;
mod journal;
mod lock;
mod maintenance;
mod site;
mod site_file;
mod worker;

use std::path::PathBuf;

pub use directory::StateDir;
pub use error::Error;

pub(crate) use directory::{WeakStateDir, timed_out};
pub(crate) use document::{Content, Document};
pub(crate) use frames::{Header, OpenError};
pub(crate) use journal::{AppendError, Loaded, header, read};
pub(crate) use maintenance::{Maintenance, StateFile};
pub(crate) use site::{Resumed, SiteFiles};
pub(crate) use worker::{Pending, Worker};

/// Settings of the state directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The directory; nothing is kept where there is none.
    pub directory: Option<PathBuf>,
    /// The name of this agent among those that share the directory.
    pub member: Option<String>,
}
