//! Series in groups, so that what changed costs only its own series, and little for those of its group.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use super::row::Actions;
use crate::metric::{Definition, Family, Point, Samples, SeriesGroups, SeriesOrder};

/// Things with series, by key, each always in the same group until there are too many or too few for so many
/// groups.
#[derive(Debug)]
pub(super) struct Groups<K> {
    /// Keys of a group, about.
    size: usize,
    /// Empty while nothing is known of the keys.
    all: Vec<Group<K>>,
    /// Keys that changed, came or went since the last refresh.
    changed: BTreeSet<K>,
    /// Those that the series show.
    actions: Actions,
}

/// A number for what some keys have in common. Others may have the same one.
type Tag = u32;

/// Series of one metric that were made anew, and whose they are.
type Tagged = (&'static Definition, Vec<(Tag, Point)>);

#[derive(Debug)]
struct Group<K> {
    keys: Vec<(Tag, K)>,
    /// By the names of the metrics.
    families: Arc<Vec<Family>>,
    /// Those of the points of each family.
    tags: Vec<Vec<Tag>>,
}

impl<K: Ord + Clone> Groups<K> {
    pub(super) fn of_size(size: usize) -> Self {
        Self { size, all: Vec::new(), changed: BTreeSet::new(), actions: Actions::default() }
    }

    /// Notes that something changed, came or went.
    pub(super) fn mark(&mut self, key: K) {
        if !self.all.is_empty() {
            self.changed.insert(key);
        }
    }

    /// Notes that anything may have changed.
    pub(super) fn mark_all(&mut self) {
        self.all.clear();
        self.changed.clear();
    }

    /// Returns the series of each group, those of groups in which nothing changed as they were, unless the
    /// actions did. `all` are the keys there are; `place` returns what keys have in common, which tells their series
    /// from those of others; `record` adds the series of all keys of some places, and removes those that have none
    /// any more.
    pub(super) fn refresh<P: Hash>(
        &mut self,
        actions: &Actions,
        all: impl ExactSizeIterator<Item = K>,
        place: impl Fn(&K) -> Option<P>,
        record: impl Fn(&mut BTreeSet<K>, &mut Samples),
    ) -> SeriesGroups {
        if self.actions != *actions {
            self.actions = actions.clone();
            self.mark_all();
        }
        let (count, room) = (all.len(), self.all.len() * self.size);
        if count > 2 * room || count < room / 4 || room == 0 {
            let groups = count.div_ceil(self.size).next_power_of_two();
            self.all.clear();
            self.all.resize_with(groups, Group::default);
            self.changed = all.collect();
        }
        let groups = self.all.len();
        let stale = std::mem::take(&mut self.changed).into_iter().filter_map(|key| {
            let (group, tag) = place(&key).and_then(|common| group_of(&common, groups))?;
            Some((group, tag, key))
        });
        let mut stale: Vec<(usize, Tag, K)> = stale.collect();
        // Group by group: all keys may have changed, and a set for each takes more than its series.
        stale.sort_unstable_by_key(|(group, ..)| *group);
        let mut stale = stale.into_iter().peekable();
        while let Some((group, tag, key)) = stale.next() {
            let mut keys = BTreeMap::from([(tag, BTreeSet::from([key]))]);
            while let Some((_, tag, key)) = stale.next_if(|(of, ..)| *of == group) {
                keys.entry(tag).or_default().insert(key);
            }
            if let Some(group) = self.all.get_mut(group) {
                group.refresh(keys, &record);
            }
        }
        self.all.iter().map(|group| Arc::clone(&group.families)).collect()
    }
}

impl<K: Ord> Group<K> {
    /// Makes the series of keys anew, of which some changed, and keeps the others.
    fn refresh(
        &mut self,
        mut stale: BTreeMap<Tag, BTreeSet<K>>,
        record: impl Fn(&mut BTreeSet<K>, &mut Samples),
    ) {
        let (known, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.keys)
            .into_iter()
            .partition(|(tag, _)| stale.contains_key(tag));
        self.keys = others;
        for (tag, key) in known {
            stale.entry(tag).or_default().insert(key);
        }
        let mut samples = Samples::new();
        let mut fresh: BTreeMap<&str, Tagged> = BTreeMap::new();
        let mut places: Vec<_> = stale.iter_mut().collect();
        // Most often the order of their series, which are sorted then.
        places.sort_unstable_by(|(_, one), (_, other)| one.first().cmp(&other.first()));
        for (tag, keys) in places {
            record(keys, &mut samples);
            for Family { definition, points } in samples.take() {
                let (_, of_metric) =
                    fresh.entry(definition.name).or_insert((definition, Vec::new()));
                of_metric.extend(points.into_iter().map(|point| (*tag, point)));
            }
        }
        self.replace(fresh, |tag| stale.contains_key(&tag));
        for (tag, keys) in stale {
            self.keys.extend(keys.into_iter().map(|key| (tag, key)));
        }
    }

    /// Shows series in place of those whose tag is stale.
    fn replace(&mut self, mut fresh: BTreeMap<&str, Tagged>, is_stale: impl Fn(Tag) -> bool) {
        let known = self.families.iter().zip(&self.tags).map(|(family, tags)| {
            let fresh = fresh.remove(family.definition.name).map(|(_, series)| series);
            (family, merge(family, tags, fresh.unwrap_or_default(), &is_stale))
        });
        let known: Vec<_> = known.collect();
        if fresh.is_empty() && known.iter().all(|(_, merged)| merged.is_none()) {
            return;
        }
        let known = known.into_iter().zip(std::mem::take(&mut self.tags));
        let mut all: Vec<(Family, Vec<Tag>)> = known
            .map(|((family, merged), tags)| merged.unwrap_or_else(|| (family.clone(), tags)))
            .collect();
        let none = |definition| Family { definition, points: Vec::new() };
        let new = fresh
            .into_values()
            .filter_map(|(definition, series)| merge(&none(definition), &[], series, &is_stale));
        all.extend(new);
        all.retain(|(family, _)| !family.points.is_empty());
        all.sort_unstable_by_key(|(family, _)| family.definition.name);
        let (families, tags) = all.into_iter().unzip();
        (self.families, self.tags) = (Arc::new(families), tags);
    }
}

impl<K> Default for Group<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), families: Arc::default(), tags: Vec::new() }
    }
}

/// Puts fresh series in place of those of a family whose tag is stale. Series that were there before keep the labels
/// that they share with others. Returns `None` if nothing changed.
fn merge(
    known: &Family,
    tags: &[Tag],
    mut fresh: Vec<(Tag, Point)>,
    is_stale: impl Fn(Tag) -> bool,
) -> Option<(Family, Vec<Tag>)> {
    let Family { definition, points } = known;
    let order = SeriesOrder::of(definition);
    fresh.sort_by(|(_, one), (_, other)| order.compare(one, other));
    // The series of two places are told apart by it.
    fresh.dedup_by(|(_, later), (_, first)| later.attributes == first.attributes);
    let (mut at, mut same) = (0, 0);
    for (_, point) in &mut fresh {
        // Most often the next one that is known.
        if points.get(at).is_some_and(|known| order.compare(known, point).is_lt()) {
            at += points[at..].partition_point(|known| order.compare(known, point).is_lt());
        }
        if let Some(known) = points.get(at).filter(|known| known.attributes == point.attributes) {
            same += usize::from(known.value == point.value);
            point.attributes = Arc::clone(&known.attributes);
            at += 1;
        }
    }
    let stale = tags.iter().filter(|tag| is_stale(**tag)).count();
    if (same, stale) == (fresh.len(), fresh.len()) {
        return None;
    }
    let kept = tags.iter().zip(points).filter(|(tag, _)| !is_stale(**tag));
    let mut all: Vec<(Tag, Point)> = Vec::with_capacity(points.len() - stale + fresh.len());
    all.extend(kept.map(|(tag, point)| (*tag, point.clone())));
    all.extend(fresh);
    // Two lists in order.
    all.sort_by(|(_, one), (_, other)| order.compare(one, other));
    let (tags, points) = all.into_iter().unzip();
    Some((Family { definition, points }, tags))
}

/// Returns the group of what keys have in common, among so many, and its tag there; `None` if there is none.
pub(super) fn group_of(common: &impl Hash, groups: usize) -> Option<(usize, Tag)> {
    let mut hasher = DefaultHasher::new();
    common.hash(&mut hasher);
    let hash = hasher.finish();
    let group = usize::try_from(hash >> 32).unwrap_or_default().checked_rem(groups)?;
    #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
    Some((group, hash as Tag))
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::metric::Metric;

    static SUM: Metric<1> = Metric::gauge("test.sum", "", &["place"], "help");
    static ODD: Metric<1> = Metric::gauge("test.odd", "", &["place"], "help");

    /// Numbers by key; twenty keys have one place.
    #[derive(Default)]
    struct Numbers(BTreeMap<u32, f64>);

    impl Numbers {
        fn refresh(&self, groups: &mut Groups<u32>) -> SeriesGroups {
            let place = |key: &u32| Some(key / 20);
            groups.refresh(&Actions::default(), self.0.keys().copied(), place, |keys, samples| {
                keys.retain(|key| self.0.contains_key(key));
                let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
                for key in keys.iter() {
                    *sums.entry(key / 20).or_default() += self.0[key];
                }
                for (place, sum) in sums {
                    let label = format!("{:02}", place * 7 % 50);
                    samples.record(&SUM, [&label], sum);
                    samples.record(&ODD, [&label], (sum % 2.0 > 0.5).then_some(sum));
                }
            })
        }
    }

    fn points(groups: &SeriesGroups) -> Vec<(&'static str, &Point)> {
        let families = groups.iter().flat_map(|group| group.iter());
        let points = families.flat_map(|family| {
            assert!(!family.points.is_empty());
            family.points.iter().map(|point| (family.definition.name, point))
        });
        let mut points: Vec<_> = points.collect();
        points.sort_by_key(|(name, point)| (*name, Arc::clone(&point.attributes)));
        points
    }

    #[test]
    fn groups_equal_series_made_anew_after_any_change() {
        let mut rng = Rng::with_seed(13);
        let (mut numbers, mut groups) = (Numbers::default(), Groups::of_size(64));
        for step in 0..2_000 {
            for _ in 0..rng.usize(0..4) {
                let key = rng.u32(0..1_000);
                match rng.u8(0..4) {
                    0 => _ = numbers.0.remove(&key),
                    _ => _ = numbers.0.insert(key, f64::from(rng.u8(0..9))),
                }
                groups.mark(key);
            }
            let shown = numbers.refresh(&mut groups);
            let anew = numbers.refresh(&mut Groups::of_size(64));
            assert_eq!(points(&shown), points(&anew), "step {step}");
            for family in shown.iter().flat_map(|group| group.iter()) {
                let order = SeriesOrder::of(family.definition);
                assert!(family.points.is_sorted_by(|one, other| order.compare(one, other).is_lt()));
            }
        }
    }

    #[test]
    fn unchanged_series_share_labels_with_those_before() {
        let (mut numbers, mut groups) = (Numbers::default(), Groups::of_size(64));
        numbers.0.extend((0..1_000).map(|key| (key, 2.0)));
        let before = numbers.refresh(&mut groups);
        groups.mark(77);
        let same = numbers.refresh(&mut groups);
        assert!(before.iter().zip(&same).all(|(one, other)| Arc::ptr_eq(one, other)));
        numbers.0.insert(77, 4.0);
        groups.mark(77);
        let after = numbers.refresh(&mut groups);
        let changed: Vec<_> =
            before.iter().zip(&after).filter(|(one, other)| !Arc::ptr_eq(one, other)).collect();
        assert_eq!(changed.len(), 1);
        let (one, other) = (&changed[0].0[0].points, &changed[0].1[0].points);
        assert_eq!(
            one.iter().zip(other).filter(|(one, other)| one.value != other.value).count(),
            1
        );
        assert!(
            one.iter()
                .zip(other)
                .all(|(one, other)| { Arc::ptr_eq(&one.attributes, &other.attributes) })
        );
    }
}
