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
mod owner;
mod site;
mod site_file;
mod terms;
mod worker;

use std::path::PathBuf;

pub use directory::StateDir;
pub use error::Error;

pub(crate) use directory::{WeakStateDir, timed_out};
pub(crate) use document::{Content, Document};
pub(crate) use frames::{Header, OpenError};
pub(crate) use journal::{AppendError, Loaded, header, read};
pub(crate) use maintenance::{Maintenance, StateFile};
pub(crate) use owner::{Owner, Term};
pub(crate) use site::{Resumed, SiteFiles};
pub(crate) use worker::{Pending, Worker};

/// Settings of the state directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The directory; nothing is kept where there is none.
    pub directory: Option<PathBuf>,
    /// The name of this agent among those that share the sites and the directory.
    pub member: Option<String>,
    /// The directory is that of several agents.
    pub shared: bool,
}

impl Config {
    /// Returns whose the directory is, where this agent leads in a term with this number.
    pub(crate) fn owner(&self, term: Option<u64>) -> Owner {
        match (term, &self.member) {
            (Some(number), _) => Owner::Leader(Term { number, shared: self.shared }),
            (None, Some(member)) => Owner::Member(member.clone()),
            (None, None) => Owner::Alone,
        }
    }
}
