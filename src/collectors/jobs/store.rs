//! The ledger on disk: loaded before the first question, saved before its numbers are shown.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::mpsc;

use crate::jobs::Ledger;
use crate::metric::{Definition, Metric, Samples};
use crate::state::{Directory, Header, Journal, Loaded, OpenError};

static SAVED: Metric<0> = Metric::gauge(
    "nbu.agent.state.saved",
    "",
    &[],
    "1 where the totals on show are on disk; 0 where saving failed, and a restart would go back.",
);
static ERRORS: Metric<0> = Metric::counter(
    "nbu.agent.state.errors",
    "{error}",
    &[],
    "State of jobs that could not be saved, or was set aside.",
);
static SIZE: Metric<0> =
    Metric::gauge("nbu.agent.state.size", "By", &[], "Size of the site's state on disk.");

pub(super) fn definitions() -> [&'static Definition; 3] {
    [SAVED.definition(), ERRORS.definition(), SIZE.definition()]
}

/// Where one site's ledger is kept.
pub(super) struct Store {
    directory: Directory,
    /// Shared with the task that writes: one that was given up on may still be at it.
    journal: Arc<Mutex<Journal>>,
    saved: bool,
    errors: u64,
}

impl Store {
    /// The store of a site with this server; nothing is read yet.
    pub(super) fn new(directory: &Directory, site: &str, server: &str) -> Self {
        let header = Header { site: site.to_owned(), server: server.to_owned() };
        let journal = Journal::new(directory.site_file(site, server), header);
        let directory = directory.clone();
        Self { directory, journal: Arc::new(Mutex::new(journal)), saved: true, errors: 0 }
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The ledger of before, if there is one that can be read; `empty` takes its records.
    pub(super) async fn load(&mut self, site: &str, empty: Ledger) -> Option<Ledger> {
        let journal = Arc::clone(&self.journal);
        let loaded = tokio::task::spawn_blocking(move || load(&mut lock(&journal), empty)).await;
        let error = match loaded {
            Ok(Ok(None)) => return None,
            Ok(Ok(Some((ledger, loaded)))) => {
                let jobs = ledger.remembered();
                tracing::info!(
                    site,
                    jobs,
                    frames = loaded.frames,
                    "the job ledger goes on where it was saved"
                );
                if loaded.cut > 0 {
                    tracing::warn!(
                        site,
                        bytes = loaded.cut,
                        "the last save of the job ledger was cut, and is made up for from the server"
                    );
                }
                return Some(ledger);
            }
            Ok(Err(error)) => error.to_string(),
            // A panic is in the log already.
            Err(_) => {
                "reading it is a bug in the agent: please report it, with the file".to_owned()
            }
        };
        self.errors += 1;
        let path = lock(&self.journal).path().to_owned();
        match Directory::set_aside(&path) {
            Ok(aside) => tracing::error!(
                site, state = %path.display(), %error, aside = %aside.display(),
                "the saved job ledger cannot be used: it was set aside, and the totals of this site begin at 0"
            ),
            Err(failed) => tracing::error!(
                site, state = %path.display(), %error, %failed,
                "the saved job ledger cannot be used, nor set aside: the totals of this site begin at 0, and replace it"
            ),
        }
        None
    }

    /// Saves what changed. Where that fails, the numbers are shown all the same, and the next cycle
    /// tries again.
    pub(super) async fn save(&mut self, ledger: &mut Ledger, site: &str) {
        if !ledger.can_be_saved() {
            return;
        }
        let now = SystemTime::now();
        let all = !ledger.knows_what_changed() || lock(&self.journal).wants_rewrite();
        let result = if all {
            self.rewrite(ledger, now).await
        } else {
            let records = ledger.changed_records(now);
            let journal = Arc::clone(&self.journal);
            run(move || lock(&journal).append(&records)).await
        };
        match result {
            Ok(()) => {
                ledger.saved();
                if !std::mem::replace(&mut self.saved, true) {
                    tracing::info!(site, "the job ledger is saved again");
                }
            }
            Err(error) => {
                ledger.unsaved();
                self.errors += 1;
                let (path, was) = (lock(&self.journal).path().to_owned(), self.saved);
                self.saved = false;
                if was {
                    tracing::error!(
                        site, state = %path.display(), %error,
                        "the job ledger cannot be saved: its numbers go on, but a restart would go back to what is on disk; it is tried again at each poll"
                    );
                } else {
                    tracing::debug!(site, state = %path.display(), %error, "the job ledger still cannot be saved");
                }
            }
        }
    }

    /// Writes everything. The parts are made here, where the ledger is, and written there, where it
    /// may block.
    async fn rewrite(&self, ledger: &Ledger, now: SystemTime) -> io::Result<()> {
        let (sender, mut parts) = mpsc::channel::<Option<Vec<u8>>>(4);
        let journal = Arc::clone(&self.journal);
        let write = run(move || {
            let mut ended = false;
            let parts = std::iter::from_fn(|| match parts.blocking_recv() {
                Some(Some(part)) => Some(Ok(part)),
                Some(None) => {
                    ended = true;
                    None
                }
                None if ended => None,
                // Whoever made them is gone: half of the ledger must not replace the whole.
                None => Some(Err(io::Error::other("given up"))),
            });
            lock(&journal).rewrite(parts)
        });
        let make = async {
            for part in ledger.all_records(now) {
                if sender.send(Some(part)).await.is_err() {
                    // The write failed, and says why.
                    return;
                }
            }
            let _ = sender.send(None).await;
        };
        let (result, ()) = tokio::join!(write, make);
        result
    }

    pub(super) fn record(&self, samples: &mut Samples) {
        samples.record(&SAVED, [], f64::from(u8::from(self.saved)));
        samples.record(&SIZE, [], lock(&self.journal).length() as f64);
        samples.record(&ERRORS, [], self.errors as f64);
    }
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn load(journal: &mut Journal, mut ledger: Ledger) -> Result<Option<(Ledger, Loaded)>, OpenError> {
    let take = |frame: &[u8]| ledger.restore(frame).map_err(|error| error.to_string());
    let Some(loaded) = journal.open(take)? else { return Ok(None) };
    ledger.restored().map_err(|error| OpenError::Damaged(error.to_string()))?;
    Ok(Some((ledger, loaded)))
}
