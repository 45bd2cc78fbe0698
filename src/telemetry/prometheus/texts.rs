//! Texts of the parts of one page: of a part that changed, the points that changed are encoded, and the
//! lines of the others taken from the page as it was.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::encode::{Encoder, PointsText, RenderError};
use super::gzip::GzipPage;
use super::page::{Edits, EntryKey, Page, SharedName};
use crate::metric::{Family, Point, SeriesOrder};
use crate::snapshot::Place;
use crate::telemetry::instruments::batches;
use crate::telemetry::view::PartView;

/// Largest number of points of an entry of the page.
const CHUNK: usize = 256;

/// Size of edits that are held back to be applied together, bytes.
const MAX_PENDING: usize = 1 << 20;

/// The site of a part, empty for the agent's own, and its place there.
pub(super) type PartKey = (Arc<str>, Place);

#[derive(Debug, Default)]
pub(super) struct Texts {
    encoder: Encoder,
    page: Page,
    /// Edits that the page lacks, their size, and the parts that they are of.
    edits: Edits,
    pending: usize,
    edited: BTreeSet<PartKey>,
    parts: BTreeMap<PartKey, Shown>,
    /// Families of the page, by their names in OpenTelemetry.
    families: HashMap<&'static str, ShownFamily>,
}

/// A part as the page shows it.
#[derive(Debug)]
struct Shown {
    view: PartView,
    /// Ends of the points of each family in the texts of their entries.
    ends: Vec<Vec<u32>>,
}

/// A family of the page, with its name there.
#[derive(Debug)]
struct ShownFamily {
    name: SharedName,
    /// Number of its entries beside the head.
    entries: usize,
}

/// Source of the text of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The page, which shows it as the point with this number.
    Known(usize),
    Encoder,
}

impl Texts {
    /// Shows a part as it is in the view, or no more. Returns the number of points that were encoded. If
    /// that fails, the part is not shown.
    pub(super) fn update(
        &mut self,
        key: &PartKey,
        view: Option<PartView>,
    ) -> Result<usize, RenderError> {
        if self.pending > MAX_PENDING || !self.edited.insert(key.clone()) {
            self.apply();
            self.edited.insert(key.clone());
        }
        let old = self.parts.remove(key);
        let mut edits = Edits::new();
        let shown = view.map(|view| {
            let (ends, encoded) = self.show(key, old.as_ref(), &view, &mut edits)?;
            Ok((Shown { view, ends }, encoded))
        });
        let (shown, result) = match shown {
            None => (None, Ok(0)),
            Some(Ok((shown, encoded))) => (Some(shown), Ok(encoded)),
            Some(Err(error)) => {
                edits.clear();
                (None, Err(error))
            }
        };
        if let Some(old) = &old {
            self.remove_rest(key, old, shown.as_ref(), &mut edits);
        }
        self.count(&mut edits);
        self.pending += edits.values().flatten().map(String::len).sum::<usize>();
        self.edits.extend(edits);
        self.parts.extend(shown.map(|shown| (key.clone(), shown)));
        result
    }

    /// Returns the bytes of the page for scrapes.
    pub(super) fn bytes(&mut self) -> GzipPage {
        self.apply();
        self.page.bytes()
    }

    /// Applies the edits of several parts at once: a block with many of them is compressed once.
    fn apply(&mut self) {
        self.page.apply(std::mem::take(&mut self.edits));
        self.edited.clear();
        self.pending = 0;
    }

    /// Returns the view of a part that is shown.
    pub(super) fn shown(&self, key: &PartKey) -> Option<&PartView> {
        self.parts.get(key).map(|shown| &shown.view)
    }

    /// Returns the keys of the parts that are shown.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PartKey> {
        self.parts.keys()
    }

    /// Returns the places of the parts of a site that are shown.
    pub(super) fn places(&self, site: &Arc<str>) -> Vec<Place> {
        let first = (Arc::clone(site), Place::default());
        let from = self.parts.range(first..).map(|(key, _)| key);
        from.take_while(|key| key.0 == *site).map(|key| key.1).collect()
    }

    /// Removes the entries of families that are gone, or have fewer of them now.
    fn remove_rest(&self, key: &PartKey, old: &Shown, now: Option<&Shown>, edits: &mut Edits) {
        for ((definition, _), ends) in old.view.content().zip(&old.ends) {
            let mut shown = now.iter().flat_map(|now| now.view.content().zip(&now.ends));
            let same = shown.find(|((other, _), _)| std::ptr::eq(*other, definition));
            let left = same.map_or(0, |(_, ends)| ends.len().div_ceil(CHUNK));
            for chunk in left..ends.len().div_ceil(CHUNK) {
                edits.insert(self.entry(key, definition.name, chunk), None);
            }
        }
    }

    fn entry(&self, key: &PartKey, family: &str, chunk: usize) -> EntryKey {
        let family = self.families.get(family).map(|family| family.name.clone());
        let family = family.unwrap_or_default();
        EntryKey { family, site: SharedName(Arc::clone(&key.0)), place: key.1, chunk }
    }

    /// Makes the edits that show a view. Returns the ends of its points, and how many were encoded.
    fn show(
        &mut self,
        key: &PartKey,
        old: Option<&Shown>,
        view: &PartView,
        edits: &mut Edits,
    ) -> Result<(Vec<Vec<u32>>, usize), RenderError> {
        let known = |family: &Family| {
            let mut shown = old.iter().flat_map(|old| (0..).zip(old.view.families.iter()));
            let place = shown.find(|(_, known)| std::ptr::eq(known.definition, family.definition));
            place.and_then(|(place, known)| {
                Some((known, *old?.view.series_limits.get(place)?, place))
            })
        };
        let families = || view.families.iter().zip(&view.series_limits);
        let plans: Vec<Vec<Source>> = families()
            .map(|(family, limit)| {
                let known =
                    known(family).map_or(&[][..], |(known, limit, _)| &known.points[..limit]);
                plan(&SeriesOrder::of(family.definition), known, &family.points[..*limit])
            })
            .collect();
        let fresh = (0..).zip(&plans).flat_map(|(family, plan)| {
            let fresh = (0..).zip(plan).filter(|(_, source)| **source == Source::Encoder);
            fresh.map(move |(place, _)| (family, place))
        });
        let mut texts: Vec<Vec<PointsText>> = plans.iter().map(|_| Vec::new()).collect();
        let mut encoded = 0;
        for batch in batches(view.site.as_ref(), &view.families, fresh) {
            for (pick, text) in batch.picks.iter().zip(self.encoder.encode(&batch)?) {
                encoded += pick.points.len();
                let name = batch.definition(pick).name;
                let family = self.families.entry(name).or_insert_with(|| ShownFamily {
                    name: SharedName(text.name.as_str().into()),
                    entries: 0,
                });
                if family.entries == 0 {
                    edits.insert(EntryKey::head(&family.name), Some(text.head.clone()));
                }
                texts[pick.family].push(text);
            }
        }
        let mut ends = Vec::with_capacity(plans.len());
        for (((family, _), plan), texts) in families().zip(&plans).zip(&texts) {
            let known = known(family).and_then(|(.., place)| old?.ends.get(place));
            let known = known.map_or(&[][..], Vec::as_slice);
            let texts = texts.iter().flat_map(PointsText::points);
            ends.push(self.write(key, family, plan, known, texts, edits));
        }
        Ok((ends, encoded))
    }

    /// Makes the edits of one family. Returns the ends of its points.
    fn write<'t>(
        &self,
        key: &PartKey,
        family: &Family,
        plan: &[Source],
        known_ends: &[u32],
        mut texts: impl Iterator<Item = &'t str>,
        edits: &mut Edits,
    ) -> Vec<u32> {
        let name = family.definition.name;
        let mut ends = Vec::with_capacity(plan.len());
        let mut open = (usize::MAX, "");
        for (chunk, sources) in plan.chunks(CHUNK).enumerate() {
            let first = chunk * CHUNK;
            let known = known_ends.chunks(CHUNK).nth(chunk);
            let is_same = known.is_some_and(|known| known.len() == sources.len())
                && sources.iter().zip(first..).all(|(source, at)| *source == Source::Known(at));
            if let Some(known) = known.filter(|_| is_same) {
                ends.extend_from_slice(known);
                continue;
            }
            let mut text = String::new();
            for source in sources {
                match *source {
                    Source::Encoder => text.push_str(texts.next().unwrap_or_default()),
                    Source::Known(place) => {
                        if open.0 != place / CHUNK {
                            let entry = self.entry(key, name, place / CHUNK);
                            open = (place / CHUNK, self.page.text(&entry));
                        }
                        let before = (place % CHUNK != 0).then(|| known_ends.get(place - 1));
                        let from = before.flatten().map_or(0, |end| *end as usize);
                        let to = known_ends.get(place).map_or(0, |end| *end as usize);
                        text.push_str(open.1.get(from..to).unwrap_or_default());
                    }
                }
                // An entry of four GiB does not fit into memory often enough.
                ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            }
            edits.insert(self.entry(key, name, chunk), Some(text));
        }
        ends.shrink_to_fit();
        ends
    }

    /// Counts the entries of each family, and removes the heads of families that have none any more.
    fn count(&mut self, edits: &mut Edits) {
        let mut changes: BTreeMap<SharedName, (usize, usize)> = BTreeMap::new();
        for (key, text) in edits.iter().filter(|(key, _)| !key.is_head()) {
            let (come, gone) = changes.entry(key.family.clone()).or_default();
            let (was, is) = (!self.page.text(key).is_empty(), text.is_some());
            *come += usize::from(is && !was);
            *gone += usize::from(was && !is);
        }
        for family in self.families.values_mut() {
            let Some((come, gone)) = changes.get(&family.name) else { continue };
            let before = family.entries;
            family.entries = before + come - gone;
            if before > 0 && family.entries == 0 {
                edits.insert(EntryKey::head(&family.name), None);
            }
        }
    }
}

/// Says for each new point whether its text is known. Both lists are in this order.
fn plan(order: &SeriesOrder, known: &[Point], new: &[Point]) -> Vec<Source> {
    let mut at = 0;
    let mut source = |point: &Point| {
        while let Some(other) = known.get(at) {
            match order.compare(other, point) {
                Ordering::Less => at += 1,
                Ordering::Greater => return Source::Encoder,
                Ordering::Equal => {
                    at += 1;
                    let is_same = other.value == point.value;
                    return if is_same { Source::Known(at - 1) } else { Source::Encoder };
                }
            }
        }
        Source::Encoder
    };
    new.iter().map(&mut source).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::metric::{Distribution, Metric, Samples};
    use crate::snapshot::Part;

    static DISK: Metric<2> = Metric::gauge("nbu.disk", "By", &["size", "name"], "Bytes.");
    static RUNS: Metric<0> = Metric::counter("nbu.runs", "{run}", &[], "Runs.");
    static TOOK: Metric<1> = Metric::histogram("nbu.took", "s", &[1.0, 5.0], &["what"], "Took.");

    fn part(site: &str, samples: Samples) -> (PartKey, PartView) {
        let part = Part {
            collector: "test",
            place: Place::default(),
            families: Arc::new(samples.finish().0),
            origin: SystemTime::UNIX_EPOCH,
        };
        let site: Arc<str> = site.into();
        ((Arc::clone(&site), part.place), PartView::whole(Some(&site), &part))
    }

    fn samples(names: &[&str]) -> Samples {
        let mut samples = Samples::new();
        for name in names {
            samples.record(&DISK, ["free", name], 1.5);
        }
        samples.record(&RUNS, [], 3.0);
        let mut took = Distribution::new(&[1.0, 5.0]);
        took.observe(&[1.0, 5.0], 0.5);
        took.observe(&[1.0, 5.0], 9.0);
        samples.distribution(&TOOK, ["poll"], took);
        samples
    }

    fn text(texts: &mut Texts) -> String {
        let page = texts.bytes().plain(&GzipPage::default()).concat();
        String::from_utf8(page).unwrap()
    }

    fn shown(parts: impl IntoIterator<Item = (PartKey, PartView)>) -> String {
        let mut texts = Texts::default();
        for (key, view) in parts {
            texts.update(&key, Some(view)).unwrap();
        }
        text(&mut texts)
    }

    #[test]
    fn all_metric_kinds_render_with_ordered_labels() {
        let expected = r#"# HELP nbu_disk_bytes Bytes.
# TYPE nbu_disk_bytes gauge
nbu_disk_bytes{name="a\"b",site="paris",size="free"} 1.5
# HELP nbu_runs_total Runs.
# TYPE nbu_runs_total counter
nbu_runs_total{site="paris"} 3
# HELP nbu_took_seconds Took.
# TYPE nbu_took_seconds histogram
nbu_took_seconds_bucket{site="paris",what="poll",le="1"} 1
nbu_took_seconds_bucket{site="paris",what="poll",le="5"} 1
nbu_took_seconds_bucket{site="paris",what="poll",le="+Inf"} 2
nbu_took_seconds_sum{site="paris",what="poll"} 9.5
nbu_took_seconds_count{site="paris",what="poll"} 2
"#;
        assert_eq!(shown([part("paris", samples(&["a\"b"]))]), expected);
    }

    #[test]
    fn sites_share_the_head_of_a_family() {
        let text = shown([part("tokyo", samples(&["a"])), part("paris", samples(&["a"]))]);
        assert_eq!(text.matches("# TYPE nbu_disk_bytes gauge").count(), 1);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("nbu_disk")).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("paris") && lines[1].contains("tokyo"));
    }

    #[test]
    fn no_number_of_series_overflows() {
        for count in [0, 1, 2, 3, 127, 128, 129, 255, 256, 257, 5000] {
            let names: Vec<String> = (0..count).map(|i| format!("n{i}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let text = shown([part("paris", samples(&names))]);
            assert!(!text.contains("overflow"), "{count}");
            let shown = text.lines().filter(|line| line.starts_with("nbu_disk_bytes{")).count();
            assert_eq!(shown, count);
        }
    }

    fn random_samples(random: &mut fastrand::Rng) -> Samples {
        let mut samples = Samples::new();
        let many = if random.u8(0..4) == 0 { 700 } else { 5 };
        for _ in 0..random.usize(0..many) {
            let name = format!("n{}\\\n\"", random.usize(0..many));
            let size = ["free", "used", ""][random.usize(0..3)];
            samples.record(&DISK, [size, &name], f64::from(random.u8(0..3)));
        }
        if random.bool() {
            samples.record(&RUNS, [], f64::from(random.u8(0..2)));
        }
        for what in ["poll", "render"] {
            let mut took = Distribution::new(&[1.0, 5.0]);
            took.observe(&[1.0, 5.0], f64::from(random.u8(0..3)));
            if random.bool() {
                samples.distribution(&TOOK, [what], took);
            }
        }
        samples
    }

    #[test]
    fn changed_page_equals_one_that_is_new() {
        let mut random = fastrand::Rng::with_seed(13);
        let (mut texts, mut now) = (Texts::default(), BTreeMap::new());
        for round in 0..150 {
            let site = ["oslo", "paris", "tokyo"][random.usize(0..3)];
            let (key, mut view) = part(site, random_samples(&mut random));
            if random.u8(0..3) == 0 {
                // As the cardinality limit cuts it.
                let cut = |limit: &mut usize| *limit = random.usize(0..=*limit);
                view.series_limits.iter_mut().for_each(cut);
            }
            let view = (random.u8(0..5) > 0).then_some(view);
            texts.update(&key, view.clone()).unwrap();
            match view {
                Some(view) => now.insert(key, view),
                None => now.remove(&key),
            };
            if random.bool() {
                assert!(text(&mut texts) == shown(now.clone()), "round {round}");
            }
        }
    }

    #[test]
    fn only_changed_points_are_encoded() {
        let names: Vec<String> = (0..1_000).map(|i| format!("n{i:04}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut texts = Texts::default();
        let mut update = |names: &[&str]| {
            let (key, view) = part("paris", samples(names));
            texts.update(&key, Some(view)).unwrap()
        };
        assert_eq!(update(&names), 1_002);
        assert_eq!(update(&names), 0);
        names.remove(3);
        names.push("n0500-new");
        assert_eq!(update(&names), 1);
    }
}
