//! Replication between sites that this agent polls both: an image that a source has replicated is looked for at its target.
//! Neither primary server knows alone that one did not arrive.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backlog::{Round, Transfer};
use super::image_id::ImageId;
use super::import::Import;

/// Images of a site that were replicated, or may have been, and are not known to be imported.
const MAX_OUTGOING: usize = 200_000;

/// Time after which an image that never was imported is given up, ms: that of most retentions.
const GIVEN_UP: i64 = 90 * 24 * 3_600_000;

/// An image that its site replicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) slp: Arc<str>,
    /// Unix ms.
    pub(super) backup_time: i64,
    /// All of its replications are complete.
    pub(super) replicated: bool,
    /// It is among the images that are not complete.
    present: bool,
    /// Servers that have imported it.
    imported_by: Vec<Arc<str>>,
}

impl Outgoing {
    fn is_imported_by(&self, servers: &BTreeSet<Arc<str>>) -> bool {
        servers.iter().all(|server| self.imported_by.contains(server))
    }
}

/// The part of a site in replication.
#[derive(Debug, Default)]
struct Site {
    /// The label `site`.
    name: String,
    /// The name that its primary server has for itself, in lower case.
    server: Option<Arc<str>>,
    /// Its last run told everything.
    known: bool,
    outgoing: HashMap<ImageId, Outgoing>,
    /// The number of images and of replicated ones when they were saved last.
    saved: (usize, usize),
    /// Servers to which an SLP replicates, as images of it were seen to arrive.
    seen: Targets,
    /// Replicas that are not complete here, with the server that they come from.
    received: HashMap<ImageId, (Arc<str>, Import)>,
}

/// Servers in lower case, by SLP.
type Targets = HashMap<Arc<str>, BTreeSet<Arc<str>>>;

/// What the sites of this process know of each other. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Exchange(Arc<Mutex<Sites>>);

#[derive(Debug, Default)]
struct Sites {
    next: u64,
    sites: BTreeMap<u64, Site>,
    /// Servers to which the SLPs of a site replicate, as they are configured.
    configured: HashMap<String, Targets>,
}

/// The seat of a site in an exchange. It leaves when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    exchange: Exchange,
    id: u64,
}

/// Images that are replicated to a site, and not imported there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) not_arrived: u64,
    pub(crate) waiting: u64,
    pub(crate) failed: u64,
    /// backupTime of the oldest of them, Unix ms.
    pub(crate) oldest: Option<i64>,
}

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, Sites> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat for a site.
    pub(crate) fn join(&self, site: &str) -> Seat {
        let mut sites = self.lock();
        sites.next += 1;
        let id = sites.next;
        sites.sites.insert(id, Site { name: site.to_owned(), ..Site::default() });
        Seat { exchange: self.clone(), id }
    }

    /// Returns whether there are sites that may replicate to each other.
    pub(crate) fn is_shared(&self) -> bool {
        self.lock().sites.len() > 1
    }

    /// Records to which servers the SLPs of a site replicate, as they are configured.
    pub(crate) fn configure(&self, site: &str, targets: HashMap<String, BTreeSet<String>>) {
        let of = |names: BTreeSet<String>| names.iter().map(|name| lower(name)).collect();
        let targets = targets.into_iter().map(|(slp, names)| (Arc::from(slp), of(names)));
        self.lock().configured.insert(site.to_owned(), targets.collect());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.exchange.lock().sites.remove(&self.id);
    }
}

fn lower(name: &str) -> Arc<str> {
    name.to_lowercase().into()
}

/// Returns the servers to which an SLP replicates: as configured, else as images of it were seen to arrive.
fn targets<'t>(
    configured: Option<&'t Targets>,
    site: &'t Site,
    slp: &str,
) -> Option<&'t BTreeSet<Arc<str>>> {
    configured.and_then(|configured| configured.get(slp)).or_else(|| site.seen.get(slp))
}

impl Sites {
    /// Returns the sites of a server, if exactly one site polls it.
    fn of_server(&self, server: &str) -> Option<u64> {
        let mut found =
            self.sites.iter().filter(|(_, site)| site.server.as_deref() == Some(server));
        let (id, _) = found.next()?;
        found.next().is_none().then_some(*id)
    }
}

impl Seat {
    fn with<T>(&self, change: impl FnOnce(&mut Site) -> T) -> Option<T> {
        self.exchange.lock().sites.get_mut(&self.id).map(change)
    }

    /// Says that nothing new is known of the site: the others leave it out.
    pub(crate) fn lose(&self) {
        self.with(|site| site.known = false);
    }

    /// Takes over a round that is complete. `server` is the name that the primary server has for itself, and `now`
    /// its time, Unix ms.
    pub(crate) fn take(&self, round: &Round, server: &str, now: i64) {
        let server = lower(server);
        self.with(|site| {
            site.known = false;
            site.server = Some(server);
            for entry in site.outgoing.values_mut() {
                entry.present = false;
            }
            let mut received = HashMap::new();
            for (id, transfer) in round.transfers() {
                match transfer {
                    Transfer::Out { slp, backup_time, replicated } => {
                        let known =
                            site.outgoing.len() < MAX_OUTGOING || site.outgoing.contains_key(&id);
                        if known {
                            let entry = site.outgoing.entry(id).or_insert_with(|| Outgoing {
                                slp: slp.into(),
                                backup_time,
                                replicated,
                                present: true,
                                imported_by: Vec::new(),
                            });
                            (entry.replicated, entry.present) = (replicated, true);
                        }
                    }
                    Transfer::In { origin, import } => {
                        received.insert(id, (lower(origin), import));
                    }
                }
            }
            site.received = received;
        });
        self.forget(now);
        self.learn();
    }

    /// Forgets the images that are imported everywhere, and very old ones.
    fn forget(&self, now: i64) {
        let mut sites = self.exchange.lock();
        let Sites { sites, configured, .. } = &mut *sites;
        let Some(own) = sites.get_mut(&self.id) else { return };
        let mut outgoing = std::mem::take(&mut own.outgoing);
        outgoing.retain(|_, entry| {
            let targets = targets(configured.get(&own.name), own, &entry.slp);
            let done = targets.is_some_and(|targets| entry.is_imported_by(targets));
            now - entry.backup_time < GIVEN_UP && (entry.present || !done)
        });
        own.outgoing = outgoing;
    }

    /// Learns from what other sites received: it was replicated, and that is where its SLP replicates to.
    fn learn(&self) {
        let mut sites = self.exchange.lock();
        let Some(mut own) = sites.sites.remove(&self.id) else { return };
        for other in sites.sites.values() {
            let Some(server) = &other.server else { continue };
            for (id, (origin, _)) in &other.received {
                if Some(origin) != own.server.as_ref() {
                    continue;
                }
                if let Some(entry) = own.outgoing.get_mut(id) {
                    entry.replicated |= !entry.present;
                    let slp = Arc::clone(&entry.slp);
                    own.seen.entry(slp).or_default().insert(Arc::clone(server));
                }
            }
        }
        sites.sites.insert(self.id, own);
    }

    /// Returns the images whose replication has to be looked up here, with their backupTime.
    pub(crate) fn unverified(&self) -> HashMap<ImageId, i64> {
        let found = self.with(|site| {
            let left =
                site.outgoing.iter().filter(|(_, entry)| !entry.present && !entry.replicated);
            left.map(|(id, entry)| (*id, entry.backup_time)).collect()
        });
        found.unwrap_or_default()
    }

    /// Records whether an image that left the backlog was replicated.
    pub(crate) fn verify(&self, id: ImageId, replicated: bool) {
        self.with(|site| {
            if let (Some(entry), true) = (site.outgoing.get_mut(&id), replicated) {
                entry.replicated = true;
            } else {
                site.outgoing.remove(&id);
            }
        });
    }

    /// Says that everything about the site's own images is known.
    pub(crate) fn know(&self) {
        self.with(|site| site.known = true);
    }

    /// Returns the images that other sites replicated to this one and of which nothing is seen here, with their
    /// backupTime.
    pub(crate) fn unseen(&self) -> HashMap<ImageId, i64> {
        let mut unseen = HashMap::new();
        self.each_expected(|_, id, entry, received| {
            if received.is_none() {
                unseen.insert(id, entry.backup_time);
            }
        });
        unseen
    }

    /// Records that images were imported here.
    pub(crate) fn imported(&self, ids: &[ImageId]) {
        let mut sites = self.exchange.lock();
        let Some(own) = sites.sites.get(&self.id) else { return };
        let Some(server) = own.server.clone() else { return };
        let done = own.received.iter().filter(|(_, (_, import))| *import == Import::Done);
        let done: Vec<ImageId> = done.map(|(id, _)| *id).chain(ids.iter().copied()).collect();
        let own_id = self.id;
        for (_, site) in sites.sites.iter_mut().filter(|(id, _)| **id != own_id) {
            for id in &done {
                let Some(entry) = site.outgoing.get_mut(id) else { continue };
                entry.replicated |= !entry.present;
                let slp = Arc::clone(&entry.slp);
                if !entry.imported_by.contains(&server) {
                    entry.imported_by.push(Arc::clone(&server));
                }
                site.seen.entry(slp).or_default().insert(Arc::clone(&server));
            }
        }
    }

    /// Returns what is replicated to this site and not imported, by the site that it comes from. Sites that do not
    /// replicate to this one, or of which not everything is known, are not among them.
    pub(crate) fn pending(&self) -> BTreeMap<String, Pending> {
        let mut all = self.sources();
        self.each_expected(|site, _, entry, received| {
            let Some(pending) = all.get_mut(site) else { return };
            match received {
                Some(Import::Done) => return,
                Some(Import::Waits) => pending.waiting += 1,
                Some(Import::Failed) => pending.failed += 1,
                None => pending.not_arrived += 1,
            }
            pending.oldest = pending.oldest.into_iter().chain([entry.backup_time]).min();
        });
        all
    }

    /// Returns the sites that replicate to this one, with nothing pending.
    fn sources(&self) -> BTreeMap<String, Pending> {
        let sites = self.exchange.lock();
        let Some(server) = sites.sites.get(&self.id).and_then(|own| own.server.clone()) else {
            return BTreeMap::new();
        };
        if sites.of_server(&server) != Some(self.id) {
            return BTreeMap::new();
        }
        let others = sites.sites.iter().filter(|(id, site)| {
            let alone = site.server.as_ref().and_then(|name| sites.of_server(name)) == Some(**id);
            let configured = sites.configured.get(&site.name).into_iter().flat_map(HashMap::values);
            let mut targets = configured.chain(site.seen.values()).flatten();
            **id != self.id && site.known && alone && targets.any(|target| *target == server)
        });
        others.map(|(_, site)| (site.name.clone(), Pending::default())).collect()
    }

    /// Calls `visit` for each image that another site has replicated to this one and that was not imported, as far as
    /// is known, with its import here.
    fn each_expected(&self, mut visit: impl FnMut(&str, ImageId, &Outgoing, Option<Import>)) {
        let sources = self.sources();
        let sites = self.exchange.lock();
        let Some(own) = sites.sites.get(&self.id) else { return };
        let Some(server) = &own.server else { return };
        for site in sites.sites.values().filter(|site| sources.contains_key(&site.name)) {
            for (id, entry) in &site.outgoing {
                let targets = targets(sites.configured.get(&site.name), site, &entry.slp);
                let is_target = targets.is_some_and(|targets| targets.contains(server));
                if !entry.replicated || !is_target || entry.imported_by.contains(server) {
                    continue;
                }
                let received = own.received.get(id);
                let received = received.filter(|(origin, _)| Some(origin) == site.server.as_ref());
                visit(&site.name, *id, entry, received.map(|(_, import)| *import));
            }
        }
    }

    /// Returns whether there are other images to be saved than at the last call.
    pub(crate) fn take_changed(&self) -> bool {
        let changed = self.with(|site| {
            let replicated = site.outgoing.values().filter(|entry| entry.replicated).count();
            let now = (site.outgoing.len(), replicated);
            std::mem::replace(&mut site.saved, now) != now
        });
        changed.unwrap_or_default()
    }

    /// Returns the images that are to be saved: id, SLP, backupTime, replicated or not.
    pub(super) fn saved(&self) -> Vec<(ImageId, Arc<str>, i64, bool)> {
        let saved = self.with(|site| {
            let all = site.outgoing.iter();
            all.map(|(id, entry)| {
                (*id, Arc::clone(&entry.slp), entry.backup_time, entry.replicated)
            })
            .collect()
        });
        saved.unwrap_or_default()
    }

    /// Adds what was saved.
    pub(super) fn restore(&self, saved: impl Iterator<Item = (ImageId, Arc<str>, i64, bool)>) {
        self.with(|site| {
            for (id, slp, backup_time, replicated) in saved.take(MAX_OUTGOING) {
                site.outgoing.entry(id).or_insert(Outgoing {
                    slp,
                    backup_time,
                    replicated,
                    present: false,
                    imported_by: Vec::new(),
                });
            }
        });
    }
}
