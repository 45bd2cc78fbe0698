//! The ledger on disk: loaded before its totals are exported, saved before its samples are. A disk that does not
//! answer in time delays neither: what was started is checked again at the next poll.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::disk::{self, Found, Saved};
use super::health::Health;
use crate::jobs::Ledger;
use crate::metric::Samples;
use crate::state::{Header, Pending, SiteFiles, StateDir, Worker, timed_out};

/// The time that a poll waits for the disk.
const DISK_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Store {
    pub(super) directory: StateDir,
    header: Header,
    /// The thread that owns the files, once nobody before has them.
    files: Option<Worker<SiteFiles>>,
    /// The ledger of before was read, or is not wanted: only then totals can be exported and saved.
    pub(super) read: bool,
    loading: Option<Pending<io::Result<Found>>>,
    saving: Option<Pending<io::Result<Saved>>>,
    health: Health,
}

impl Store {
    /// Makes the store of a site with this server; nothing is read yet. A ledger that is in memory already
    /// does not resume, but takes the place of what is there.
    pub(super) fn new(directory: &StateDir, site: &str, server: &str, resumes: bool) -> Self {
        Self {
            directory: directory.clone(),
            header: Header { site: site.to_owned(), server: server.to_owned() },
            files: None,
            read: !resumes,
            loading: None,
            saving: None,
            health: Health::default(),
        }
    }

    /// Reads the ledger of before, if that was not done yet; `empty` takes its records. `None` if there is
    /// none, or it cannot be read now and is tried again at the next poll.
    pub(super) async fn load(&mut self, empty: impl FnOnce() -> Ledger) -> Option<Ledger> {
        if self.read {
            return None;
        }
        let found = self.try_load(empty).await;
        let site = &self.header.site;
        match found {
            Ok(found) => {
                self.read = true;
                self.health.loaded(site, &found);
                if let Found::Ledger(ledger, _) = found { Some(*ledger) } else { None }
            }
            Err(error) => {
                self.health.load_failed(site, self.directory.path(), &error);
                None
            }
        }
    }

    async fn try_load(&mut self, empty: impl FnOnce() -> Ledger) -> io::Result<Found> {
        if self.loading.is_none() {
            let empty = empty();
            let pending = self.files().await?.start(|files| disk::load(files, empty));
            self.loading = Some(pending);
        }
        take(&mut self.loading, DISK_TIMEOUT).await
    }

    /// Saves the changes. If that fails, or takes too long, the next poll tries again.
    pub(super) async fn save(&mut self, ledger: &mut Ledger) {
        if !self.read {
            return;
        }
        let result = self.try_save(ledger).await;
        self.health.saved(&self.header.site, self.directory.path(), result);
    }

    async fn try_save(&mut self, ledger: &mut Ledger) -> io::Result<Saved> {
        if self.saving.is_some() {
            // One that was too late; how it ended is known first, so that none is lost or overtaken.
            let late = self.finish(ledger, Duration::ZERO).await;
            if self.saving.is_some() {
                return late;
            }
        }
        let mut saved = if ledger.knows_what_changed() {
            self.append(ledger).await?
        } else {
            self.rewrite(ledger).await?
        };
        if let Some(reason) = saved.gone {
            self.health.file_gone(&self.header.site, reason);
            saved = self.rewrite(ledger).await?;
        } else if saved.has_grown {
            // All is saved already: the file is only made smaller.
            match self.rewrite(ledger).await {
                Ok(compacted) => saved = compacted,
                Err(error) => {
                    let site = &self.header.site;
                    tracing::debug!(site, %error, "cannot rewrite the state file now; appending to it");
                }
            }
        }
        Ok(saved)
    }

    /// Waits for the save that was started, and tells the ledger how it ended.
    async fn finish(&mut self, ledger: &mut Ledger, limit: Duration) -> io::Result<Saved> {
        let result = take(&mut self.saving, limit).await;
        if self.saving.is_none() {
            match &result {
                Ok(saved) if saved.gone.is_none() => ledger.mark_saved(),
                Ok(_) => ledger.mark_all_dirty(),
                Err(_) => ledger.mark_not_saved(),
            }
        }
        result
    }

    async fn rewrite(&mut self, ledger: &mut Ledger) -> io::Result<Saved> {
        self.start_rewrite(ledger).await?;
        self.finish(ledger, DISK_TIMEOUT).await
    }

    async fn append(&mut self, ledger: &mut Ledger) -> io::Result<Saved> {
        let files = self.files().await?;
        let records = ledger.changed_records(SystemTime::now());
        self.saving = Some(files.start(move |files| disk::append(files, &records)));
        self.finish(ledger, DISK_TIMEOUT).await
    }

    /// Starts to write everything. The parts are made here, where the ledger is, and written there, where it
    /// may block.
    async fn start_rewrite(&mut self, ledger: &mut Ledger) -> io::Result<()> {
        let (sender, parts) = mpsc::channel(4);
        let pending = self.files().await?.start(move |files| disk::rewrite(files, parts));
        self.saving = Some(pending);
        for part in ledger.all_records(SystemTime::now()) {
            match timeout(DISK_TIMEOUT, sender.send(Some(part))).await {
                Ok(Ok(())) => {}
                // The write failed, and says why.
                Ok(Err(_)) => return Ok(()),
                // It is given up with the sender.
                Err(_) => return Err(timed_out()),
            }
        }
        ledger.hand_over_all();
        // If there is no room for the end either, the write is given up, and what was handed over comes back.
        let _ = timeout(DISK_TIMEOUT, sender.send(None)).await;
        Ok(())
    }

    /// Returns the thread that owns the files; the one before may still wait for the disk.
    async fn files(&mut self) -> io::Result<&Worker<SiteFiles>> {
        let files = if let Some(files) = self.files.take() {
            files
        } else {
            if !self.directory.is_open() {
                return Err(timed_out());
            }
            let claim = SiteFiles::claim(&self.directory, self.header.clone());
            let files = timeout(DISK_TIMEOUT, claim).await.map_err(|_| self.directory.not_had())?;
            Worker::spawn("state", files)?
        };
        Ok(self.files.insert(files))
    }

    pub(super) fn record(&self, samples: &mut Samples) {
        self.health.record(samples, self.read);
    }
}

/// Waits for what was started; it stays started if it is not done by then.
async fn take<R>(started: &mut Option<Pending<io::Result<R>>>, limit: Duration) -> io::Result<R> {
    let Some(pending) = started else { return Err(timed_out()) };
    let Some(result) = pending.wait(limit).await else { return Err(timed_out()) };
    *started = None;
    result?
}
