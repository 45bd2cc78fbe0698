//! The sizes on disk, as one document of a site and server. A disk that fails costs no number: the sizes stay in memory.

use std::io;

use crate::metric::{Metric, Samples, flag};
use crate::slp::{self, Seat, SharedSizes};
use crate::state::{Content, Document, StateDir};

pub(super) static SAVED: Metric<0> = Metric::gauge(
    "nbu.slp.state_saved",
    "",
    &[],
    "1 if the sizes of backups under an SLP are on disk; 0 if they cannot be saved or read now (after a restart they would be read from the catalogue again). Absent without state.directory.",
);

/// The document of a site.
#[derive(Debug)]
pub(super) struct Disk {
    directory: StateDir,
    document: Document,
    /// It was read, so that it may be replaced.
    read: bool,
    /// The last load or save succeeded.
    healthy: bool,
}

impl Disk {
    /// Names the document; nothing is read yet. What is in memory already is newer than what another directory holds.
    pub(super) fn new(directory: &StateDir, site: &str, server: &str, resumes: bool) -> Self {
        let document = Document::of_site(directory, site, server, "slp");
        Self { directory: directory.clone(), document, read: !resumes, healthy: true }
    }

    pub(super) fn directory(&self) -> &StateDir {
        &self.directory
    }

    /// Reads the sizes of before, if that was not done yet.
    pub(super) async fn load(&mut self, site: &str, sizes: &SharedSizes, seat: &Seat) {
        if self.read {
            return;
        }
        match self.document.load().await {
            Ok(content) => {
                self.read = true;
                restore(site, &content, sizes, seat);
                self.note(site, Ok(()));
            }
            Err(error) => self.note(site, Err(&error)),
        }
    }

    /// Saves the sizes and the images that are replicated, if they changed.
    pub(super) async fn save(&mut self, site: &str, sizes: &SharedSizes, seat: &Seat) {
        if !self.read {
            return;
        }
        let bytes = {
            let mut sizes = sizes.lock();
            let changed = seat.take_changed() | sizes.take_changed();
            if changed { slp::to_bytes(&sizes, seat) } else { None }
        };
        let Some(bytes) = bytes else { return };
        let result = self.document.save(bytes).await;
        if result.is_err() {
            sizes.lock().mark_changed();
        }
        self.note(site, result.as_ref().copied());
    }

    fn note(&mut self, site: &str, result: Result<(), &io::Error>) {
        let directory = self.directory.path().display();
        match (std::mem::replace(&mut self.healthy, result.is_ok()), result) {
            (false, Ok(())) => {
                tracing::info!(site, "the sizes of backups under an SLP can be saved again");
            }
            (true, Err(error)) => tracing::error!(
                site, %directory, %error,
                "cannot read or save the sizes of backups under an SLP; they stay in memory, and a restart reads them \
                 from the catalogue again; retrying at each run"
            ),
            _ => {}
        }
    }

    pub(super) fn record(&self, samples: &mut Samples) {
        samples.record(&SAVED, [], flag(self.read && self.healthy));
    }
}

fn restore(site: &str, content: &Content, sizes: &SharedSizes, seat: &Seat) {
    let error = match content {
        Content::Missing => return,
        Content::SetAside(aside) => {
            let aside = aside.display();
            tracing::error!(site, %aside, "the saved sizes of backups were corrupt and were set aside; reading them from the catalogue");
            return;
        }
        Content::Bytes(bytes) => {
            let mut sizes = sizes.lock();
            match slp::from_bytes(bytes, &mut sizes, seat) {
                Ok(()) => {
                    tracing::info!(site, sizes = sizes.len(), "sizes of backups restored");
                    return;
                }
                Err(error) => error,
            }
        }
    };
    tracing::error!(site, %error, "cannot use the saved sizes of backups; reading them from the catalogue, and replacing the file");
}
