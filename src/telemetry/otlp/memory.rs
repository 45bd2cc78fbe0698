//! Memory of the increments that were pushed, and its file in the state directory. A push may wait
//! for a save, but is never given up for one.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::delta::Delta;
use crate::state::{Content, Document, StateDir};

/// The name of the file, without its ending.
const NAME: &str = "otlp-delta";

/// The time for which increments wait for a file that cannot be read; then they begin anew.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Memory of the push. It belongs to the process: an exporter that is replaced passes it on.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) delta: Delta,
    file: Option<File>,
}

#[derive(Debug)]
struct File {
    document: Document,
    /// Since when it could not be read; none once it was.
    unread: Option<Instant>,
    /// False while the last save failed.
    saved: bool,
}

impl Memory {
    /// Keeps it in this directory from now on, or in none.
    pub(super) fn keep_in(&mut self, directory: Option<&StateDir>) {
        let before = self.file.as_ref().map(|file| file.document.directory());
        if before == directory {
            return;
        }
        // What this process remembers is newer than what another directory holds, unless another agent was the leader
        // in between.
        let is_first = self.file.is_none() && !self.delta.in_use
            || directory.is_some_and(StateDir::is_of_several_leaders);
        self.file = directory.map(|directory| File {
            document: Document::new(directory, NAME),
            unread: is_first.then(Instant::now),
            saved: true,
        });
    }

    /// Keeps it in this directory no longer.
    pub(super) fn forget(&mut self, directory: &StateDir) {
        if self.file.as_ref().is_some_and(|file| file.document.directory() == directory) {
            self.file = None;
        }
    }

    /// Reads the file, if that is still to be done. Returns true as long as increments have to wait for it.
    pub(super) async fn load(&mut self, limit: Duration) -> bool {
        let Some(file) = &mut self.file else { return false };
        let Some(since) = file.unread else { return false };
        let loaded = timeout(limit, file.document.load()).await;
        let error = match loaded.unwrap_or_else(|late| Err(late.into())) {
            Ok(content) => {
                file.unread = None;
                self.restore(content);
                return false;
            }
            Err(error) => error,
        };
        if since.elapsed() < LOAD_TIMEOUT {
            file.note(Err(error), "read");
            return true;
        }
        tracing::error!(
            %error,
            "cannot read the saved OTLP push state; increments start over, and what was added \
             while the agent was down is not pushed"
        );
        file.unread = None;
        false
    }

    fn restore(&mut self, content: Content) {
        match content {
            Content::Missing => {}
            Content::SetAside(aside) => tracing::error!(
                aside = %aside.display(),
                "the saved OTLP push state was corrupt and was set aside; increments start over"
            ),
            Content::Bytes(bytes) => match Delta::decode(&bytes) {
                Ok(delta) => {
                    let (series, unsure) = (delta.series(), delta.outbox.len());
                    tracing::info!(series, unsure, "OTLP push state restored");
                    self.delta = delta;
                }
                Err(error) => tracing::error!(
                    %error,
                    "cannot use the saved OTLP push state; increments start over"
                ),
            },
        }
    }

    /// Saves it within `limit`, if it is kept in a file. If that fails, the push goes on, and a restart may
    /// repeat or lose what was not saved.
    pub(super) async fn save(&mut self, limit: Duration) {
        let file = self.file.as_mut().filter(|file| self.delta.in_use && file.unread.is_none());
        let Some(file) = file else { return };
        let Some(bytes) = self.delta.encode() else { return };
        let result = timeout(limit, file.document.save(bytes)).await;
        file.note(result.unwrap_or_else(|late| Err(late.into())), "saved");
    }

    /// Returns whether what is pushed is on disk; `None` without a file or increments.
    pub(super) fn is_saved(&self) -> Option<bool> {
        let file = self.file.as_ref().filter(|_| self.delta.in_use)?;
        Some(file.saved && file.unread.is_none())
    }
}

impl File {
    fn note(&mut self, result: io::Result<()>, what: &str) {
        match (std::mem::replace(&mut self.saved, result.is_ok()), result) {
            (false, Ok(())) => tracing::info!("the OTLP push state can be saved again"),
            (true, Err(error)) => tracing::error!(
                %error,
                directory = %self.document.directory().path().display(),
                "the OTLP push state cannot be {what}; pushing continues, but a restart may count \
                 increments twice; retrying with each push"
            ),
            _ => {}
        }
    }
}
