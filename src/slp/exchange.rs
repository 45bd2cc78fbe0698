//! The place where the sites of this process meet: what each replicates, and what it receives.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::image_id::ImageId;
use super::import::Import;

/// An image that its site replicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) slp: Arc<str>,
    /// Unix ms.
    pub(super) backup_time: i64,
    /// The server's time at which all of its replications were seen to be complete, Unix ms.
    pub(super) replicated: Option<i64>,
    /// It is among the images that are not complete.
    pub(super) present: bool,
    /// Servers that have imported it.
    pub(super) imported_by: Vec<Arc<str>>,
}

impl Outgoing {
    /// Records that it was seen at another server: what left the backlog was replicated.
    pub(super) fn arrived(&mut self, now: i64) {
        if !self.present {
            self.replicated.get_or_insert(now);
        }
    }

    pub(super) fn is_imported_by(&self, servers: &BTreeSet<Arc<str>>) -> bool {
        servers.iter().all(|server| self.imported_by.contains(server))
    }
}

/// The part of a site in replication.
#[derive(Debug, Default)]
pub(super) struct Site {
    /// The label `site`.
    pub(super) name: String,
    /// The name that its primary server has for itself, in lower case.
    pub(super) server: Option<Arc<str>>,
    /// Images that are replicated, as other sites see them; none where the last run did not tell everything. A run changes it at
    /// once: others may look at any moment.
    pub(super) published: Option<HashMap<ImageId, Outgoing>>,
    /// The server's time of its last round, Unix ms.
    pub(super) now: i64,
    pub(super) outgoing: HashMap<ImageId, Outgoing>,
    /// The number of images and of replicated ones when they were saved last.
    pub(super) saved: (usize, usize),
    /// Servers to which an SLP replicates, as images of it were seen to arrive.
    pub(super) seen: Targets,
    /// Replicas that are not complete here, with the server that they come from.
    pub(super) received: HashMap<ImageId, (Arc<str>, Import)>,
}

/// Servers in lower case, by SLP.
pub(super) type Targets = HashMap<Arc<str>, BTreeSet<Arc<str>>>;

/// Meeting place of the sites of this process: what they know of each other. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Exchange(Arc<Mutex<Sites>>);

#[derive(Debug, Default)]
pub(super) struct Sites {
    pub(super) next: u64,
    pub(super) seats: BTreeMap<u64, Site>,
    /// Servers to which the SLPs of a site replicate, as they are configured.
    pub(super) configured: HashMap<String, Targets>,
}

impl Exchange {
    pub(super) fn lock(&self) -> MutexGuard<'_, Sites> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether there are sites that may replicate to each other.
    pub(crate) fn is_shared(&self) -> bool {
        self.lock().seats.len() > 1
    }

    /// Records to which servers the SLPs of a site replicate, as they are configured.
    pub(crate) fn configure(&self, site: &str, targets: HashMap<String, BTreeSet<String>>) {
        let of = |names: BTreeSet<String>| names.iter().map(|name| lower(name)).collect();
        let targets = targets.into_iter().map(|(slp, names)| (Arc::from(slp), of(names)));
        self.lock().configured.insert(site.to_owned(), targets.collect());
    }
}

pub(super) fn lower(name: &str) -> Arc<str> {
    name.to_lowercase().into()
}

/// Returns the servers to which an SLP replicates: as configured, else as images of it were seen to arrive.
pub(super) fn targets<'t>(
    configured: Option<&'t Targets>,
    site: &'t Site,
    slp: &str,
) -> Option<&'t BTreeSet<Arc<str>>> {
    configured.and_then(|configured| configured.get(slp)).or_else(|| site.seen.get(slp))
}

impl Sites {
    /// Returns the sites of a server, if exactly one site polls it.
    pub(super) fn of_server(&self, server: &str) -> Option<u64> {
        let mut found =
            self.seats.iter().filter(|(_, site)| site.server.as_deref() == Some(server));
        let (id, _) = found.next()?;
        found.next().is_none().then_some(*id)
    }
}
