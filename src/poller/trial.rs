//! Collectors that are on because nobody switched them off: whether one ever worked at its server.

use crate::state::{Content, Document, StateDir};

/// Memory of a collector that is tried: once it has worked, a missing permission is one.
#[derive(Debug)]
pub(super) struct Trial {
    document: Option<Document>,
    /// The document was read, or there is none to read.
    read: bool,
    worked: bool,
}

impl Trial {
    /// Keeps the memory in this directory, for the collector of this name at the server of a site.
    pub(super) fn new(
        directory: Option<&StateDir>,
        (site, server): (&str, &str),
        collector: &str,
    ) -> Self {
        let name = format!("{collector}.worked");
        let document = directory.map(|directory| Document::of_site(directory, site, server, &name));
        Self { read: document.is_none(), document, worked: false }
    }

    /// Returns whether it has worked, in this process or one before. A disk that does not respond is asked again
    /// the next time.
    pub(super) async fn worked(&mut self) -> bool {
        if !self.read
            && !self.worked
            && let Some(document) = &mut self.document
            && let Ok(content) = document.load().await
        {
            self.read = true;
            self.worked = matches!(content, Content::Bytes(_));
            if self.worked {
                self.document = None;
            }
        }
        self.worked
    }

    /// Remembers that it works. Without a disk that takes it, until the process ends; each success tries again.
    pub(super) async fn note_success(&mut self) {
        // What is on disk need not be written again.
        self.worked().await;
        self.worked = true;
        if let Some(document) = &mut self.document
            && document.save(b"1".to_vec()).await.is_ok()
        {
            self.document = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn success_is_remembered_for_its_site_server_and_collector() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDir::open(folder.path()).unwrap();
        for (step, expected) in [false, true].into_iter().enumerate() {
            let mut trial = Trial::new(Some(&directory), ("x", "https://a"), "one");
            assert_eq!(trial.worked().await, expected, "{step}");
            trial.note_success().await;
            assert!(trial.worked().await);
            for (place, name) in [
                (("x", "https://b"), "one"),
                (("y", "https://a"), "one"),
                (("x", "https://a"), "two"),
            ] {
                assert!(!Trial::new(Some(&directory), place, name).worked().await);
            }
        }
        assert!(!Trial::new(None, ("x", "https://a"), "one").worked().await);
    }
}
