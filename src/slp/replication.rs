//! Replication between sites that this agent polls both: an image that a source has replicated is looked for at its target.
//! Neither primary server knows alone that one did not arrive.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::backlog::{Round, Transfer};
use super::exchange::{Exchange, Outgoing, Site, Sites, lower, targets};
use super::image_id::ImageId;
use super::import::Import;

/// Images of a site that were replicated, or may have been, and are not known to be imported.
const MAX_OUTGOING: usize = 200_000;

/// Time after which an image that never was imported is given up, ms: that of most retentions.
const GIVEN_UP: i64 = 90 * 24 * 3_600_000;

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
    /// The time at which the first of them was seen to be replicated, Unix ms.
    pub(crate) waits_since: Option<i64>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.exchange.lock().seats.remove(&self.id);
    }
}

impl Seat {
    /// Takes a seat for a site.
    pub(crate) fn take_at(exchange: &Exchange, site: &str) -> Self {
        let mut sites = exchange.lock();
        sites.next += 1;
        let id = sites.next;
        sites.seats.insert(id, Site { name: site.to_owned(), ..Site::default() });
        Self { exchange: exchange.clone(), id }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Site) -> T) -> Option<T> {
        self.exchange.lock().seats.get_mut(&self.id).map(change)
    }

    /// Says that nothing new is known of the site: the others leave it out.
    pub(crate) fn lose(&self) {
        self.with(|site| site.published = None);
    }

    /// Takes over a round that is complete. `server` is the name that the primary server has for itself, and `now`
    /// its time, Unix ms.
    pub(crate) fn take(&self, round: &Round, server: &str, now: i64) {
        let server = lower(server);
        self.with(|site| {
            site.now = now;
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
                                replicated: None,
                                present: true,
                                imported_by: Vec::new(),
                            });
                            entry.present = true;
                            entry.replicated = replicated.then(|| entry.replicated.unwrap_or(now));
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
        let Sites { seats, configured, .. } = &mut *sites;
        let Some(own) = seats.get_mut(&self.id) else { return };
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
        let Some(mut own) = sites.seats.remove(&self.id) else { return };
        for other in sites.seats.values() {
            let Some(server) = &other.server else { continue };
            for (id, (origin, _)) in &other.received {
                if Some(origin) != own.server.as_ref() {
                    continue;
                }
                if let Some(entry) = own.outgoing.get_mut(id) {
                    entry.arrived(own.now);
                    let slp = Arc::clone(&entry.slp);
                    own.seen.entry(slp).or_default().insert(Arc::clone(server));
                }
            }
        }
        sites.seats.insert(self.id, own);
    }

    /// Returns the images whose replication has to be looked up here, with their backupTime.
    pub(crate) fn unverified(&self) -> HashMap<ImageId, i64> {
        let found = self.with(|site| {
            let left = site
                .outgoing
                .iter()
                .filter(|(_, entry)| !entry.present && entry.replicated.is_none());
            left.map(|(id, entry)| (*id, entry.backup_time)).collect()
        });
        found.unwrap_or_default()
    }

    /// Records whether an image that left the backlog was replicated.
    pub(crate) fn verify(&self, id: ImageId, replicated: bool) {
        self.with(|site| {
            if let (Some(entry), true) = (site.outgoing.get_mut(&id), replicated) {
                entry.replicated.get_or_insert(site.now);
            } else {
                site.outgoing.remove(&id);
            }
        });
    }

    /// Says that everything about the site's own images is known.
    pub(crate) fn know(&self) {
        self.with(|site| {
            let replicated = site.outgoing.iter().filter(|(_, entry)| entry.replicated.is_some());
            let replicated = replicated.map(|(id, entry)| (*id, entry.clone()));
            site.published = Some(replicated.collect());
        });
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

    /// Records that images were imported here, each with the name of the server that it comes from.
    pub(crate) fn imported(&self, images: &[(ImageId, String)]) {
        let mut sites = self.exchange.lock();
        let Some(own) = sites.seats.get(&self.id) else { return };
        let Some(server) = own.server.clone() else { return };
        let seen = own.received.iter().filter(|(_, (_, import))| *import == Import::Done);
        let seen = seen.map(|(id, (origin, _))| (*id, Arc::clone(origin)));
        let done: Vec<_> =
            seen.chain(images.iter().map(|(id, origin)| (*id, lower(origin)))).collect();
        let own_id = self.id;
        for (_, site) in sites.seats.iter_mut().filter(|(id, _)| **id != own_id) {
            for (id, _) in done.iter().filter(|(_, origin)| Some(origin) == site.server.as_ref()) {
                let Some(entry) = site.outgoing.get_mut(id) else { continue };
                entry.arrived(site.now);
                let slp = Arc::clone(&entry.slp);
                if !entry.imported_by.contains(&server) {
                    entry.imported_by.push(Arc::clone(&server));
                }
                if let Some(entry) = site.published.as_mut().and_then(|all| all.get_mut(id)) {
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
            pending.waits_since = pending.waits_since.into_iter().chain(entry.replicated).min();
        });
        all
    }

    /// Returns the sites that replicate to this one, with nothing pending.
    fn sources(&self) -> BTreeMap<String, Pending> {
        let sites = self.exchange.lock();
        let Some(server) = sites.seats.get(&self.id).and_then(|own| own.server.clone()) else {
            return BTreeMap::new();
        };
        if sites.of_server(&server) != Some(self.id) {
            return BTreeMap::new();
        }
        let others = sites.seats.iter().filter(|(id, site)| {
            let alone = site.server.as_ref().and_then(|name| sites.of_server(name)) == Some(**id);
            let configured = sites.configured.get(&site.name).into_iter().flat_map(HashMap::values);
            let mut targets = configured.chain(site.seen.values()).flatten();
            **id != self.id
                && site.published.is_some()
                && alone
                && targets.any(|target| *target == server)
        });
        others.map(|(_, site)| (site.name.clone(), Pending::default())).collect()
    }

    /// Calls `visit` for each image that another site has replicated to this one and that was not imported, as far as
    /// is known, with its import here.
    fn each_expected(&self, mut visit: impl FnMut(&str, ImageId, &Outgoing, Option<Import>)) {
        let sources = self.sources();
        let sites = self.exchange.lock();
        let Some(own) = sites.seats.get(&self.id) else { return };
        let Some(server) = &own.server else { return };
        for site in sites.seats.values().filter(|site| sources.contains_key(&site.name)) {
            for (id, entry) in site.published.iter().flatten() {
                let targets = targets(sites.configured.get(&site.name), site, &entry.slp);
                let is_target = targets.is_some_and(|targets| targets.contains(server));
                if !is_target || entry.imported_by.contains(server) {
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
            let replicated =
                site.outgoing.values().filter(|entry| entry.replicated.is_some()).count();
            let now = (site.outgoing.len(), replicated);
            std::mem::replace(&mut site.saved, now) != now
        });
        changed.unwrap_or_default()
    }

    /// Returns the images that are to be saved: id, SLP, backupTime, and since when they are replicated.
    pub(super) fn saved(&self) -> Vec<(ImageId, Arc<str>, i64, Option<i64>)> {
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
    pub(super) fn restore(
        &self,
        saved: impl Iterator<Item = (ImageId, Arc<str>, i64, Option<i64>)>,
    ) {
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

#[cfg(test)]
#[path = "replication_tests.rs"]
mod tests;
