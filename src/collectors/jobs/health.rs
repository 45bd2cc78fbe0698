//! The metrics and log lines about a ledger on disk.

use std::io;
use std::path::Path;

use super::disk::{Found, Saved};
use crate::metric::{Definition, Metric, Samples};
use crate::state::Resumed;

static SAVED: Metric<0> = Metric::gauge(
    "nbu.agent.state.saved",
    "",
    &[],
    "1 if the exported totals are on disk; 0 if state cannot be saved (a restart would return to older totals) or not yet be read (totals are absent until then).",
);
static ERRORS: Metric<0> = Metric::counter(
    "nbu.agent.state.errors",
    "{error}",
    &[],
    "Errors of reading or saving job state, and state files that were set aside.",
);
static SET_ASIDE: Metric<0> = Metric::gauge(
    "nbu.agent.state.set.aside",
    "{file}",
    &[],
    "State files of the site that were set aside since the agent started, because they were corrupt, of another site, of an unknown version, or replaced by state in memory.",
);
static SIZE: Metric<0> =
    Metric::gauge("nbu.agent.state.size", "By", &[], "Size of the site's state on disk.");

pub(super) fn definitions() -> [&'static Definition; 4] {
    [SAVED.definition(), ERRORS.definition(), SET_ASIDE.definition(), SIZE.definition()]
}

#[derive(Debug, Default)]
pub(super) struct Health {
    unsaved: bool,
    unread: bool,
    errors: u64,
    set_aside: u64,
    size: u64,
}

impl Health {
    pub(super) fn loaded(&mut self, site: &str, found: &Found) {
        match found {
            Found::Nothing => tracing::info!(site, "no saved job ledger; totals start at 0"),
            Found::Ledger(ledger, Resumed { loaded, last_in_force, .. }) => {
                self.size = loaded.length;
                let (jobs, frames) = (ledger.remembered(), loaded.frames);
                tracing::info!(site, jobs, frames, "job ledger restored");
                if loaded.cut > 0 {
                    tracing::warn!(
                        site,
                        bytes = loaded.cut,
                        "truncated last save of the job ledger dropped; re-reading it from the \
                         server"
                    );
                }
                if !last_in_force {
                    tracing::info!(
                        site,
                        "another server was polled for this site in the meantime; its totals \
                         start at 0"
                    );
                }
            }
            Found::SetAside { error, path, aside } => {
                self.errors += 1;
                self.set_aside += 1;
                tracing::error!(
                    site, state = %path.display(), %error, aside = %aside.display(),
                    "cannot use the saved job ledger; it was set aside, and the totals of this \
                     site start at 0"
                );
            }
        }
        if std::mem::take(&mut self.unread) {
            tracing::info!(site, "the saved job ledger can be read again");
        }
    }

    pub(super) fn load_failed(&mut self, site: &str, directory: &Path, error: &io::Error) {
        self.errors += 1;
        let directory = directory.display();
        if std::mem::replace(&mut self.unread, true) {
            tracing::debug!(site, %directory, %error, "still cannot read the saved job ledger");
        } else {
            tracing::error!(
                site, %directory, %error,
                "cannot read the saved job ledger; totals are not exported until it is read; \
                 retrying at each poll"
            );
        }
    }

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
                        "another file was in place of this job ledger's; it was set aside"
                    );
                }
                if std::mem::take(&mut self.unsaved) {
                    tracing::info!(site, "the job ledger can be saved again");
                }
            }
            Err(error) => {
                self.errors += 1;
                if std::mem::replace(&mut self.unsaved, true) {
                    tracing::debug!(site, %directory, %error, "still cannot save the job ledger");
                } else {
                    tracing::error!(
                        site, %directory, %error,
                        "cannot save the job ledger; counting continues, but a restart would \
                         return to the totals on disk; retrying at each poll"
                    );
                }
            }
        }
    }

    pub(super) fn file_gone(&mut self, site: &str, reason: &str) {
        self.errors += 1;
        tracing::warn!(site, "the state file {reason} by another process; writing it again");
    }

    pub(super) fn record(&self, samples: &mut Samples, read: bool) {
        let saved = read && !self.unsaved;
        samples.record(&SAVED, [], f64::from(u8::from(saved)));
        samples.record(&SIZE, [], self.size as f64);
        samples.record(&ERRORS, [], self.errors as f64);
        samples.record(&SET_ASIDE, [], self.set_aside as f64);
    }
}
