//! Jobs of the window by client. Their series are kept in groups, so that a job costs only the series of the
//! group of its client, and the label of a client is looked up once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::dictionary::LabelResolver;
use super::groups::group_of;
use super::interner::{LabelSetId, NameId};
use super::last_results::LastResults;
use super::row::{self, Actions};
use crate::metric::{Definition, Family, Metric, Samples};

static CLIENT_JOBS_COUNT: Metric<3> = Metric::gauge(
    "nbu.client.jobs.count",
    "{job}",
    &["client", "action", "status"],
    "Jobs of the client that ended in the window. Only for clients that collectors.perClient selects.",
);

pub(super) fn definitions() -> [&'static Definition; 1] {
    [CLIENT_JOBS_COUNT.definition()]
}

/// Clients of a group, about: a client has some five series.
const GROUP_SIZE: usize = 32;

#[derive(Debug, Default)]
pub(super) struct ClientSums {
    /// Jobs of each client by label set; none is zero.
    counts: HashMap<NameId, BTreeMap<LabelSetId, i64>>,
    /// State that the series were made of.
    made_of: MadeOf,
    /// Label of each client and its group, as far as it has one.
    places: HashMap<NameId, Option<Place>>,
    groups: Vec<Group>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct MadeOf {
    /// Of the labels.
    version: u64,
    actions: Actions,
}

#[derive(Debug, Clone)]
struct Place {
    label: Arc<str>,
    group: usize,
}

#[derive(Debug, Default)]
struct Group {
    clients: BTreeSet<NameId>,
    families: Arc<Vec<Family>>,
    is_stale: bool,
}

impl ClientSums {
    /// Adds a job (1), or subtracts one that was added before (-1).
    pub(super) fn change(&mut self, client: NameId, label_set: LabelSetId, sign: i64) {
        let counts = self.counts.entry(client).or_default();
        let count = counts.entry(label_set).or_default();
        *count += sign;
        if *count == 0 {
            counts.remove(&label_set);
        }
        let is_gone = counts.is_empty();
        if let Some(Some(place)) = self.places.get(&client) {
            let group = &mut self.groups[place.group];
            group.is_stale = true;
            if is_gone {
                group.clients.remove(&client);
            }
        }
        if is_gone {
            // Its number may be given to another name.
            self.counts.remove(&client);
            self.places.remove(&client);
        }
    }

    /// Returns the series of each group, those of groups in which nothing changed as they were.
    pub(super) fn refresh<'s>(
        &'s mut self,
        resolver: LabelResolver<'_>,
        last_results: &LastResults,
    ) -> impl Iterator<Item = Arc<Vec<Family>>> + use<'s> {
        let (version, actions) = (last_results.version, resolver.actions);
        let (count, room) = (self.counts.len(), self.groups.len() * GROUP_SIZE);
        let is_same = self.made_of.version == version && self.made_of.actions == *actions;
        if !is_same || count > 2 * room || count < room / 4 {
            self.made_of = MadeOf { version, actions: actions.clone() };
            self.places.clear();
            self.groups.clear();
            self.groups.resize_with(count.div_ceil(GROUP_SIZE).next_power_of_two(), Group::default);
        }
        self.find_places(resolver, last_results);
        for group in self.groups.iter_mut().filter(|group| group.is_stale) {
            let mut counts: BTreeMap<(&str, &str, Option<i64>), i64> = BTreeMap::new();
            for client in &group.clients {
                let Some(Some(place)) = self.places.get(client) else { continue };
                for (label_set, jobs) in self.counts.get(client).into_iter().flatten() {
                    if let Some((action, _, status)) = resolver.labels(*label_set) {
                        *counts.entry((&place.label, action, status)).or_default() += jobs;
                    }
                }
            }
            let mut samples = Samples::new();
            for ((client, action, status), jobs) in counts {
                let labels = [client, action, &row::status_label(status)];
                samples.record(&CLIENT_JOBS_COUNT, labels, jobs as f64);
            }
            group.families = Arc::new(samples.finish().0);
            group.is_stale = false;
        }
        self.groups.iter().map(|group| Arc::clone(&group.families))
    }

    /// Finds label and group of the clients that are new.
    fn find_places(&mut self, resolver: LabelResolver<'_>, last_results: &LastResults) {
        if self.places.len() == self.counts.len() {
            return;
        }
        for client in self.counts.keys() {
            let Entry::Vacant(unknown) = self.places.entry(*client) else { continue };
            let label = last_results.label(resolver.dictionary.names.get(*client));
            let place = label.and_then(|label| {
                let (group, _) = group_of(&label, self.groups.len())?;
                self.groups[group].clients.insert(*client);
                self.groups[group].is_stale = true;
                Some(Place { label: label.into(), group })
            });
            unknown.insert(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::jobs::dictionary::Dictionary;
    use crate::jobs::finished::FinishedJob;
    use crate::jobs::interner::LabelSet;
    use crate::jobs::last_results::{LastResultTables, NameFilterConfig};
    use crate::jobs::schedule::ScheduleClass;

    fn text(
        sums: &mut ClientSums,
        resolver: LabelResolver<'_>,
        results: &LastResults,
    ) -> Vec<String> {
        let groups = sums.refresh(resolver, results);
        let mut all: Vec<_> = groups
            .flat_map(|group| {
                group.iter().flat_map(|family| family.points.clone()).collect::<Vec<_>>()
            })
            .map(|point| format!("{point:?}"))
            .collect();
        all.sort();
        all
    }

    fn job(dictionary: &mut Dictionary, rng: &mut Rng) -> FinishedJob {
        let client = format!("{}-{}", ["client", "Client"][rng.usize(0..2)], rng.u8(0..200));
        let label_set = LabelSet {
            job_type: dictionary.names.intern(["BACKUP", "RESTORE"][rng.usize(0..2)]),
            policy_type: dictionary.names.intern("STANDARD"),
            status: Some(rng.i64(0..3)),
        };
        FinishedJob {
            id: rng.i64(..),
            start: 0,
            end: 1_000,
            kilobytes: 0,
            files: 0,
            dedup: 0.0,
            tries: 1,
            label_set: dictionary.label_sets.intern(label_set),
            client: dictionary.names.intern(&client),
            policy: dictionary.names.intern("p"),
            workload: dictionary.names.intern(&client),
            class: ScheduleClass::Full,
            image: true,
            leaf: true,
            resumed: false,
        }
    }

    fn select(tables: &mut LastResultTables, limit: usize) {
        let allowlist = vec!["client-?".to_owned(), "client-1*".to_owned()];
        let clients = NameFilterConfig { enabled: true, allowlist, limit, ..Default::default() };
        tables.select(&clients, &NameFilterConfig::default(), &NameFilterConfig::default(), 2_000);
    }

    #[test]
    fn groups_equal_series_made_anew_after_any_change() {
        for seed in 0..20 {
            let mut rng = Rng::with_seed(seed);
            let mut tables = LastResultTables::default();
            select(&mut tables, 40);
            let (mut dictionary, mut sums) = (Dictionary::default(), ClientSums::default());
            let mut jobs = Vec::new();
            for _ in 0..200 {
                for _ in 0..rng.usize(0..8) {
                    let job = job(&mut dictionary, &mut rng);
                    tables.0[0].record(&dictionary.completion(&job).unwrap());
                    sums.change(job.client, job.label_set, 1);
                    jobs.push(job);
                }
                for _ in 0..rng.usize(0..6).min(jobs.len()) {
                    let job = jobs.swap_remove(rng.usize(0..jobs.len()));
                    sums.change(job.client, job.label_set, -1);
                }
                match rng.u8(0..30) {
                    0 => select(&mut tables, rng.usize(1..60)),
                    // The numbers of names that are gone are given again.
                    1 => dictionary.forget_unused(jobs.iter(), std::iter::empty()),
                    _ => {}
                }
                let actions = [("BACKUP".to_owned(), "RESTORE".to_owned())];
                let actions = Actions(actions.into_iter().filter(|_| rng.u8(0..9) == 0).collect());
                let (resolver, results) = (dictionary.resolver(&actions), &tables.0[0]);
                let mut anew = ClientSums::default();
                for job in &jobs {
                    anew.change(job.client, job.label_set, 1);
                }
                let (anew, now) =
                    (text(&mut anew, resolver, results), text(&mut sums, resolver, results));
                assert_eq!(now, anew, "seed {seed}");
            }
        }
    }
}
