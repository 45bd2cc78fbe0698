//! Snapshots: immutable views of one server each, and the store of the latest one of each site.
//!
//! A site has one writer, its poller. The supervisor alone says which sites there are. Readers
//! (renderer, OTLP source, readiness, status page) take `Arc`s and hold no lock while they work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::metric::Family;

/// Place of a part in the order of a site: that of its collector, its name there, and its number among
/// several of that name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub collector: usize,
    pub name: &'static str,
    pub group: usize,
}

/// Samples that one collector (or the poller itself) contributed.
#[derive(Debug, Clone)]
pub struct Part {
    pub collector: &'static str,
    /// Its place among the parts of the site; no two have the same, and it stays the same.
    pub place: Place,
    /// Sorted, free of duplicates. Shared, since most parts outlive many snapshots.
    pub families: Arc<Vec<Family>>,
    /// Start of the totals among them: the start time of their OTLP points.
    pub origin: SystemTime,
}

/// State of a collector after its last run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CollectorState {
    /// No run has ended yet.
    #[default]
    Pending,
    Up,
    /// Carries the error.
    Failing(String),
    /// The server's release lacks the resource.
    Unsupported,
    /// Nobody asked for it, and the role of the key does not permit it.
    LeftOut,
}

/// Status of one collector of a site, for people.
#[derive(Debug, Clone)]
pub struct CollectorStatus {
    pub collector: &'static str,
    pub state: CollectorState,
    pub last_success: Option<SystemTime>,
}

/// State of one site at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub site: Arc<str>,
    /// Address of the server, for people.
    pub server: Arc<str>,
    /// Samples by contributor.
    pub parts: Vec<Part>,
    /// Storage or jobs succeeded in the last cycle; none before the first cycle ended.
    pub up: Option<bool>,
    /// The negotiated version.
    pub api_version: Option<String>,
    /// The enabled collectors.
    pub collectors: Vec<CollectorStatus>,
}

impl Snapshot {
    /// Returns the snapshot of a site that was not polled yet.
    pub fn unpolled(site: &str, server: &str) -> Self {
        Self {
            site: Arc::from(site),
            server: Arc::from(server),
            parts: Vec::new(),
            up: None,
            api_version: None,
            collectors: Vec::new(),
        }
    }

    /// Returns whether each enabled collector ended at least one run, or has no resource to read.
    pub(crate) fn is_settled(&self) -> bool {
        !self.collectors.is_empty()
            && self.collectors.iter().all(|status| status.state != CollectorState::Pending)
    }
}

type Sites = BTreeMap<Arc<str>, watch::Receiver<Arc<Snapshot>>>;

/// The latest snapshot of every site.
#[derive(Debug, Default)]
pub struct Store {
    sites: ArcSwap<Sites>,
    /// Notified of every publication and every change of the sites.
    changed: Arc<watch::Sender<Changes>>,
}

/// Numbers of changes of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) all: u64,
    /// Those that show what was not there before, for which somebody may wait: the first samples of a
    /// part, and other sites.
    pub(crate) firsts: u64,
}

impl Store {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Returns a publisher for a site, and the receiver for the map of sites.
    pub fn publisher(&self, first: Snapshot) -> (Publisher, watch::Receiver<Arc<Snapshot>>) {
        let (latest, receiver) = watch::channel(Arc::new(first));
        (Publisher { latest, changed: Arc::clone(&self.changed) }, receiver)
    }

    /// Replaces the map of sites. Only the supervisor calls this; sites that are not in the map are no
    /// longer served, whatever their pollers still publish.
    pub fn set_sites(&self, sites: Sites) {
        self.sites.store(Arc::new(sites));
        note(&self.changed, true);
    }

    /// Returns the latest snapshot of each site, by name.
    pub fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.sites.load().values().map(|latest| Arc::clone(&latest.borrow())).collect()
    }

    /// Returns the names of the sites.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.sites.load().keys().cloned().collect()
    }

    /// Returns a receiver that is notified of each publication and each change of the sites.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Changes> {
        self.changed.subscribe()
    }
}

fn note(changed: &watch::Sender<Changes>, is_first: bool) {
    changed.send_modify(|changes| {
        changes.all += 1;
        changes.firsts += u64::from(is_first);
    });
}

/// The write end of one site.
#[derive(Debug)]
pub struct Publisher {
    latest: watch::Sender<Arc<Snapshot>>,
    changed: Arc<watch::Sender<Changes>>,
}

impl Publisher {
    /// Replaces the latest snapshot of the site.
    pub fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        let before = self.latest.send_replace(Arc::clone(&snapshot));
        // Both are in the same order.
        let mut known = before.parts.iter();
        let all_known =
            snapshot.parts.iter().all(|part| known.any(|known| known.place == part.place));
        note(&self.changed, !all_known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poller_of_removed_site_publishes_to_nobody() {
        let store = Store::new();
        let (publisher, receiver) = store.publisher(Snapshot::unpolled("paris", "https://nbu"));
        store.set_sites(BTreeMap::from([(Arc::from("paris"), receiver)]));
        assert_eq!(store.snapshots().len(), 1);
        store.set_sites(BTreeMap::new());
        let mut late = Snapshot::unpolled("paris", "https://nbu");
        late.up = Some(true);
        publisher.publish(late);
        assert!(store.snapshots().is_empty());
    }
}
