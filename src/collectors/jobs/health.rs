//! The metrics and log lines about a ledger on disk.

use std::io;
use std::path::Path;

use super::disk::{Found, Saved};
use crate::metric::{Definition, Metric, Samples};

static SAVED: Metric<0> = Metric::gauge(
    "nbu.agent.state.saved",
    "",
    &[],
    "1 where the totals on show are on disk; 0 where state cannot be read or saved: a restart would go back, and totals are shown once state was read.",
);
static ERRORS: Metric<0> = Metric::counter(
    "nbu.agent.state.errors",
    "{error}",
    &[],
    "State of jobs that could not be read or saved, or was set aside.",
);
static SET_ASIDE: Metric<0> = Metric::gauge(
    "nbu.agent.state.set.aside",
    "{file}",
    &[],
    "State files of the site that were set aside since the agent started: damaged, foreign or unknown ones, or in the way of a ledger in memory.",
);
static SIZE: Metric<0> =
    Metric::gauge("nbu.agent.state.size", "By", &[], "Size of the site's state on disk.");

pub(super) fn definitions() -> [&'static Definition; 4] {
    [SAVED.definition(), ERRORS.definition(), SET_ASIDE.definition(), SIZE.definition()]
}

/// The state of the state: how reading and saving went.
#[derive(Debug, Default)]
pub(super) struct Health {
    unsaved: bool,
    unread: bool,
    errors: u64,
    set_aside: u64,
    size: u64,
}

impl Health {
    /// Notes that the file was read, or that there is none which can be used.
    pub(super) fn loaded(&mut self, site: &str, found: &Found) {
        match found {
            Found::Nothing => {}
            Found::Ledger { ledger, loaded, totals_go_on } => {
                self.size = loaded.length;
                let (jobs, frames) = (ledger.remembered(), loaded.frames);
                tracing::info!(site, jobs, frames, "the job ledger goes on where it was saved");
                if loaded.cut > 0 {
                    tracing::warn!(
                        site,
                        bytes = loaded.cut,
                        "the last save of the job ledger was cut, and is made up for from the server"
                    );
                }
                if !totals_go_on {
                    tracing::info!(
                        site,
                        "another server was polled for this site meanwhile: its totals begin at 0"
                    );
                }
            }
            Found::SetAside { error, path, aside } => {
                self.errors += 1;
                self.set_aside += 1;
                tracing::error!(
                    site, state = %path.display(), %error, aside = %aside.display(),
                    "the saved job ledger cannot be used: it was set aside, and the totals of this site begin at 0"
                );
            }
        }
        if std::mem::take(&mut self.unread) {
            tracing::info!(site, "the state of the job ledger can be read again");
        }
    }

    /// Notes that the file cannot be read now.
    pub(super) fn load_failed(&mut self, site: &str, directory: &Path, error: &io::Error) {
        self.errors += 1;
        let directory = directory.display();
        if std::mem::replace(&mut self.unread, true) {
            tracing::debug!(site, %directory, %error, "the state of the job ledger still cannot be read");
        } else {
            tracing::error!(
                site, %directory, %error,
                "the state of the job ledger cannot be read now: totals are not shown before it is; it is tried again at each poll"
            );
        }
    }

    /// Notes how a save ended.
    pub(super) fn saved(&mut self, site: &str, directory: &Path, result: io::Result<Saved>) {
        let directory = directory.display();
        match result {
            Ok(saved) => {
                self.size = saved.length;
                if let Some(aside) = saved.aside {
                    self.set_aside += 1;
                    self.errors += 1;
                    tracing::warn!(
                        site, aside = %aside.display(),
                        "another state file was in the way of the job ledger in memory, and was set aside"
                    );
                }
                if std::mem::take(&mut self.unsaved) {
                    tracing::info!(site, "the job ledger is saved again");
                }
            }
            Err(error) => {
                self.errors += 1;
                if std::mem::replace(&mut self.unsaved, true) {
                    tracing::debug!(site, %directory, %error, "the job ledger still cannot be saved");
                } else {
                    tracing::error!(
                        site, %directory, %error,
                        "the job ledger cannot be saved: its numbers go on, but a restart would go back to what is on disk; it is tried again at each poll"
                    );
                }
            }
        }
    }

    /// Notes that the file has to be written as a whole.
    pub(super) fn file_gone(&mut self, site: &str, reason: &str) {
        self.errors += 1;
        tracing::warn!(site, "the state file {reason} by somebody else: it is written again");
    }

    /// Notes that a file that has grown could not be written as a whole; it is appended to.
    pub(super) fn compaction_failed(site: &str, error: &io::Error) {
        tracing::debug!(site, %error, "the state file cannot be rewritten now, and is appended to");
    }

    pub(super) fn record(&self, samples: &mut Samples, read: bool) {
        let saved = read && !self.unsaved;
        samples.record(&SAVED, [], f64::from(u8::from(saved)));
        samples.record(&SIZE, [], self.size as f64);
        samples.record(&ERRORS, [], self.errors as f64);
        samples.record(&SET_ASIDE, [], self.set_aside as f64);
    }
}
