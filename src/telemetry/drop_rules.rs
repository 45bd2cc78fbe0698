//! Series that no export has, because the configuration says so (`metrics.drop`).
//!
//! Rules are applied once to each part that changed, between the store and the export view, and the page and the push
//! share the result (docs/adr/0030-drop-rules.md).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use wildmatch::WildMatch;

use super::view::Dropped;
use crate::metric::{Definition, Family, Point};
use crate::snapshot::{Part, Place, Snapshot};

/// A rule: the series of these metrics that have all of these labels. Names and values may have `*` and `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DropRule {
    pub name: String,
    pub labels: Vec<(String, String)>,
}

impl DropRule {
    /// Returns true if the rule is about a metric, by its name in Prometheus or in OpenTelemetry.
    pub fn names(&self, definition: &Definition) -> bool {
        let glob = WildMatch::new(&self.name);
        glob.matches(&definition.prometheus_name()) || glob.matches(definition.name)
    }
}

/// A rule as it concerns the series of one metric: what their site and their attributes must be, by place.
#[derive(Debug, Default)]
struct Matcher {
    sites: Vec<WildMatch>,
    attributes: Vec<(usize, WildMatch)>,
}

impl Matcher {
    /// Returns nothing if the metric lacks a label of the rule, or is none of the rule's.
    fn new(rule: &DropRule, definition: &Definition) -> Option<Self> {
        let mut matcher = Self::default();
        if !rule.names(definition) {
            return None;
        }
        for (label, value) in &rule.labels {
            let glob = WildMatch::new(value);
            if label == "site" {
                matcher.sites.push(glob);
            } else {
                let place = definition.attributes.iter().position(|name| name == label)?;
                matcher.attributes.push((place, glob));
            }
        }
        Some(matcher)
    }

    fn is_about(&self, site: &str) -> bool {
        self.sites.iter().all(|glob| glob.matches(site))
    }

    fn matches(&self, point: &Point) -> bool {
        let is_so = |(place, glob): &(usize, WildMatch)| {
            point.attributes.get(*place).is_some_and(|value| glob.matches(value))
        };
        self.attributes.iter().all(is_so)
    }
}

/// Rules in force, with what they leave of the snapshots.
#[derive(Debug, Default)]
pub struct DropFilter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rules: Vec<DropRule>,
    /// By the name of the metric, for those that were met.
    matchers: HashMap<&'static str, Vec<Matcher>>,
    sites: BTreeMap<Arc<str>, Filtered>,
}

/// A snapshot, and what is left of it.
#[derive(Debug)]
struct Filtered {
    whole: Arc<Snapshot>,
    left: Arc<Snapshot>,
    /// The losses of each part, in their order.
    dropped: Vec<Dropped>,
}

impl DropFilter {
    /// Puts rules in force.
    pub fn set(&self, rules: &[DropRule]) {
        let mut state = self.state();
        if state.rules != rules {
            *state = State { rules: rules.to_vec(), ..State::default() };
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is left of snapshots, and how many series of each metric are dropped. What did not change since the
    /// last time, here or for another reader, is the same as then.
    pub(super) fn apply(&self, snapshots: Vec<Arc<Snapshot>>) -> (Vec<Arc<Snapshot>>, Dropped) {
        let state = &mut *self.state();
        if state.rules.is_empty() {
            return (snapshots, Dropped::new());
        }
        let mut before = std::mem::take(&mut state.sites);
        let mut dropped: BTreeMap<&'static str, (&'static Definition, usize)> = BTreeMap::new();
        let mut left = Vec::with_capacity(snapshots.len());
        for whole in snapshots {
            let filtered = match before.remove(&whole.site) {
                Some(known) if Arc::ptr_eq(&known.whole, &whole) => known,
                known => state.filter(whole, known.as_ref()),
            };
            for (definition, count) in filtered.dropped.iter().flatten() {
                dropped.entry(definition.name).or_insert((definition, 0)).1 += count;
            }
            left.push(Arc::clone(&filtered.left));
            state.sites.insert(Arc::clone(&filtered.whole.site), filtered);
        }
        (left, dropped.into_values().collect())
    }
}

impl State {
    fn filter(&mut self, whole: Arc<Snapshot>, known: Option<&Filtered>) -> Filtered {
        let known_parts = known.map_or(&[][..], |known| &known.whole.parts);
        let places: HashMap<Place, usize> =
            (0..).zip(known_parts).map(|(at, part)| (part.place, at)).collect();
        let mut parts = Vec::with_capacity(whole.parts.len());
        let mut dropped = Vec::with_capacity(whole.parts.len());
        for part in &whole.parts {
            let at = places.get(&part.place).copied();
            let at = at.filter(|at| Arc::ptr_eq(&known_parts[*at].families, &part.families));
            let (families, lost) = match known.zip(at) {
                Some((known, at)) => {
                    (Arc::clone(&known.left.parts[at].families), known.dropped[at].clone())
                }
                None => self.filter_part(&whole.site, part),
            };
            parts.push(Part { families, ..part.clone() });
            dropped.push(lost);
        }
        let is_whole = dropped.iter().all(Vec::is_empty);
        let left = if is_whole {
            Arc::clone(&whole)
        } else {
            Arc::new(Snapshot { parts, ..Snapshot::clone(&whole) })
        };
        Filtered { whole, left, dropped }
    }

    /// Returns the families that are left of a part, which are the same if it loses nothing, and what it loses.
    fn filter_part(&mut self, site: &str, part: &Part) -> (Arc<Vec<Family>>, Dropped) {
        let mut dropped = Dropped::new();
        let mut families: Option<Vec<Family>> = None;
        for (at, family) in part.families.iter().enumerate() {
            let definition = family.definition;
            let rules = &self.rules;
            let matchers = self.matchers.entry(definition.name).or_insert_with(|| {
                rules.iter().filter_map(|rule| Matcher::new(rule, definition)).collect()
            });
            let matchers: Vec<&Matcher> = matchers.iter().filter(|it| it.is_about(site)).collect();
            let is_dropped = |point: &&Point| matchers.iter().any(|it| it.matches(point));
            let count = if matchers.is_empty() {
                0
            } else if matchers.iter().any(|it| it.attributes.is_empty()) {
                family.points.len()
            } else {
                family.points.iter().filter(is_dropped).count()
            };
            if count == 0 {
                if let Some(families) = &mut families {
                    families.push(family.clone());
                }
                continue;
            }
            dropped.push((definition, count));
            let families = families.get_or_insert_with(|| part.families[..at].to_vec());
            if count < family.points.len() {
                let points = family.points.iter().filter(|point| !is_dropped(point)).cloned();
                families.push(Family { definition, points: points.collect() });
            }
        }
        (families.map_or_else(|| Arc::clone(&part.families), Arc::new), dropped)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::metric::{Metric, Samples};

    static BYTES: Metric<1> = Metric::gauge("test.disk", "By", &["client"], "help");
    static RUNS: Metric<0> = Metric::counter("test.runs", "", &[], "help");

    fn part(group: usize, clients: &[&str]) -> Part {
        let mut samples = Samples::new();
        for client in clients {
            samples.record(&BYTES, [client], 1.0);
        }
        samples.record(&RUNS, [], 2.0);
        Part {
            collector: "test",
            place: Place { group, ..Place::default() },
            families: Arc::new(samples.finish().0),
            origin: SystemTime::UNIX_EPOCH,
        }
    }

    fn snapshot(site: &str, parts: Vec<Part>) -> Arc<Snapshot> {
        Arc::new(Snapshot { parts, ..Snapshot::unpolled(site, "") })
    }

    fn filter(rules: &[(&str, &[(&str, &str)])]) -> DropFilter {
        let filter = DropFilter::default();
        let pair = |(label, value): &(&str, &str)| ((*label).to_owned(), (*value).to_owned());
        let rules = rules.iter().map(|(name, labels)| DropRule {
            name: (*name).to_owned(),
            labels: labels.iter().map(pair).collect(),
        });
        filter.set(&rules.collect::<Vec<_>>());
        filter
    }

    /// Returns the series that are left of a site with three clients, and how many are dropped.
    fn left(rules: &[(&str, &[(&str, &str)])]) -> (Vec<String>, usize) {
        let site = snapshot("paris", vec![part(0, &["db1", "db2", "web"])]);
        let (left, dropped) = filter(rules).apply(vec![site]);
        let families = left[0].parts.iter().flat_map(|part| part.families.iter());
        let points = families.flat_map(|family| family.points.iter().map(move |it| (family, it)));
        let series = points.map(|(family, point)| {
            let client = point.attributes.first().map_or("", |client| client);
            format!("{} {client}", family.definition.name).trim_end().to_owned()
        });
        (series.collect(), dropped.iter().map(|(_, count)| count).sum())
    }

    #[test]
    fn rules_drop_the_series_that_match_all_their_labels() {
        let all = ["test.disk db1", "test.disk db2", "test.disk web", "test.runs"];
        for (rule, labels, expected) in [
            ("test_disk_bytes", &[][..], &all[3..]),
            ("test.disk", &[], &all[3..]),
            ("test_disk", &[], &all[..]),
            ("test_*", &[], &[]),
            ("*", &[("client", "db?")], &all[2..]),
            ("test_disk*", &[("client", "*"), ("site", "par*")], &all[3..]),
            ("test_disk*", &[("client", "*"), ("site", "tokyo")], &all[..]),
            ("*", &[("site", "paris")], &[]),
            ("*", &[("nothing", "*")], &all[..]),
            ("test_disk*", &[("client", "DB1")], &all[..]),
        ] {
            let (series, dropped) = left(&[(rule, labels)]);
            assert_eq!(series, expected, "{rule} {labels:?}");
            assert_eq!(dropped, 4 - expected.len(), "{rule} {labels:?}");
        }
        let (series, dropped) = left(&[("test_disk*", &[("client", "web")]), ("test_runs*", &[])]);
        assert_eq!((series, dropped), (vec![all[0].to_owned(), all[1].to_owned()], 2));
    }

    #[test]
    fn parts_that_did_not_change_are_filtered_once() {
        let filter = filter(&[("test_disk*", &[("client", "db*")])]);
        let (first, second) = (part(0, &["db1", "web"]), part(1, &["web"]));
        let before = snapshot("paris", vec![first.clone(), second.clone()]);
        let (one, _) = filter.apply(vec![Arc::clone(&before)]);
        let (same, _) = filter.apply(vec![before]);
        assert!(Arc::ptr_eq(&one[0], &same[0]));
        assert!(Arc::ptr_eq(&one[0].parts[1].families, &second.families), "it lost nothing");
        let after = snapshot("paris", vec![first, part(1, &["db7"])]);
        let (other, dropped) = filter.apply(vec![after]);
        assert!(Arc::ptr_eq(&one[0].parts[0].families, &other[0].parts[0].families));
        assert_eq!(dropped, [(BYTES.definition(), 2)]);
    }

    #[test]
    fn snapshots_are_whole_again_without_rules() {
        let filter = filter(&[("*", &[])]);
        let whole = snapshot("paris", vec![part(0, &["db1"])]);
        let (left, dropped) = filter.apply(vec![Arc::clone(&whole)]);
        assert_eq!((left[0].parts[0].families.len(), dropped.len()), (0, 2));
        filter.set(&[]);
        let (left, dropped) = filter.apply(vec![Arc::clone(&whole)]);
        assert!(Arc::ptr_eq(&left[0], &whole) && dropped.is_empty());
    }
}
