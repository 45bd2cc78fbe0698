//! Texts of the parts of one page: of the parts that changed, the points that changed are encoded, and the
//! lines of the others taken from the page as it was.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use axum::body::Bytes;

use super::encode::{Encoder, PointsText, RenderError};
use super::gzip::GzipPage;
use super::page::{Edits, EntryKey, Page, SharedName};
use crate::metric::{Family, Point, SeriesOrder};
use crate::snapshot::Place;
use crate::telemetry::instruments::{BATCH, batches};
use crate::telemetry::view::PartView;

/// Largest number of points of an entry of the page.
const CHUNK: usize = 256;

/// Number of parts that are compared before the points that changed are encoded together: they are held twice
/// meanwhile.
const AT_ONCE: usize = 256;

/// Size of edits that are held back to be applied together, bytes.
const MAX_PENDING: usize = 1 << 20;

/// The site of a part, empty for the agent's own, and its place there.
pub(super) type PartKey = (Arc<str>, Place);

#[derive(Debug, Default)]
pub(super) struct Texts {
    encoder: Encoder,
    page: Page,
    /// Edits that the page lacks, and their size.
    edits: Edits,
    pending: usize,
    parts: BTreeMap<PartKey, Shown>,
    /// Sites of which entries changed since somebody asked.
    changed: HashSet<Arc<str>>,
    /// Families of the page, by their names in OpenTelemetry.
    families: HashMap<&'static str, ShownFamily>,
}

/// A part as the page shows it.
#[derive(Debug)]
struct Shown {
    view: PartView,
    /// Of its families.
    texts: Vec<FamilyText>,
}

/// Text of the points of one family of a part.
#[derive(Debug, Default)]
struct FamilyText {
    /// Of [`CHUNK`] points each, shared with the page.
    entries: Vec<Bytes>,
    /// Ends of the points in them.
    ends: Vec<u32>,
}

/// A family of the page, with its name there.
#[derive(Debug)]
struct ShownFamily {
    name: SharedName,
    head: Bytes,
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

/// Texts of the points of a part that changed, a list for each of its families.
type FreshTexts = Vec<Vec<PointsText>>;

/// A part that changed, compared with what is shown of it.
#[derive(Debug)]
struct Change {
    key: PartKey,
    old: Option<Shown>,
    view: PartView,
    /// Sources of the points of each family.
    plans: Vec<Vec<Source>>,
}

impl Change {
    fn new(key: PartKey, old: Option<Shown>, view: PartView) -> Self {
        let families = view.families.iter().zip(&view.series_limits);
        let plans = families.map(|(family, limit)| {
            let known = old.as_ref().and_then(|old| old.points(family));
            plan(
                &SeriesOrder::of(family.definition),
                known.unwrap_or_default(),
                &family.points[..*limit],
            )
        });
        let plans = plans.collect();
        Self { key, old, view, plans }
    }

    /// Returns the places of the points that have to be encoded, by family and point.
    fn fresh(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..).zip(&self.plans).flat_map(|(family, plan)| {
            let fresh = (0..).zip(plan).filter(|(_, source)| **source == Source::Encoder);
            fresh.map(move |(place, _)| (family, place))
        })
    }
}

impl Shown {
    fn place(&self, family: &Family) -> Option<usize> {
        let is_it = |known: &Family| std::ptr::eq(known.definition, family.definition);
        self.view.families.iter().position(is_it)
    }

    /// Returns the points that are shown of a family.
    fn points(&self, family: &Family) -> Option<&[Point]> {
        let place = self.place(family)?;
        let limit = *self.view.series_limits.get(place)?;
        Some(&self.view.families[place].points[..limit])
    }

    /// Takes the text that is shown of a family.
    fn take_text(&mut self, family: &Family) -> Option<FamilyText> {
        let place = self.place(family)?;
        self.texts.get_mut(place).map(std::mem::take)
    }
}

impl Texts {
    /// Shows parts as they are in the views, or no more. The points that changed in several parts of a site are
    /// encoded together. Returns their number. Parts for which that fails are handed to `failed` with the name of
    /// their collector, and are not shown.
    pub(super) fn update_all(
        &mut self,
        parts: impl IntoIterator<Item = (PartKey, Option<PartView>)>,
        mut failed: impl FnMut(&PartKey, &'static str, RenderError),
    ) -> usize {
        let mut changes: Vec<Change> = Vec::new();
        let (mut fresh, mut encoded) = (0, 0);
        for (key, view) in parts {
            let is_other_site = changes.last().is_some_and(|last| last.key.0 != key.0);
            if is_other_site || fresh >= BATCH || changes.len() >= AT_ONCE {
                encoded += self.show(std::mem::take(&mut changes), &mut failed);
                fresh = 0;
            }
            let old = self.parts.remove(&key);
            match (old, view) {
                (Some(old), None) => self.hide(&key, &old),
                (None, None) => {}
                (old, Some(view)) => {
                    let change = Change::new(key, old, view);
                    fresh += change.fresh().count();
                    changes.push(change);
                }
            }
        }
        encoded + self.show(changes, &mut failed)
    }

    /// Returns the bytes of the page for scrapes.
    pub(super) fn bytes(&mut self) -> GzipPage {
        self.apply();
        self.page.bytes()
    }

    /// Applies the edits of several parts at once: a block with many of them is put together once.
    fn apply(&mut self) {
        self.page.apply(std::mem::take(&mut self.edits));
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

    /// Returns the sites of which entries changed since the last call.
    pub(super) fn take_changed(&mut self) -> HashSet<Arc<str>> {
        std::mem::take(&mut self.changed)
    }

    /// Returns the entries of a site, and the heads of their families.
    pub(super) fn of_site(&self, site: &Arc<str>) -> BTreeMap<EntryKey, Bytes> {
        let mut entries = BTreeMap::new();
        let first = (Arc::clone(site), Place::default());
        let parts = self.parts.range(first..).take_while(|(key, _)| key.0 == *site);
        for ((_, place), shown) in parts {
            for (family, text) in shown.view.families.iter().zip(&shown.texts) {
                let Some(of_page) = self.families.get(family.definition.name) else { continue };
                let (family, site, place) = (&of_page.name, SharedName(Arc::clone(site)), *place);
                if !text.entries.is_empty() {
                    entries.insert(EntryKey::head(family), of_page.head.clone());
                }
                for (chunk, text) in text.entries.iter().enumerate() {
                    let (family, site) = (family.clone(), site.clone());
                    entries.insert(EntryKey { family, site, place, chunk }, text.clone());
                }
            }
        }
        entries
    }

    /// Returns the parts of a site that are shown, by their places.
    pub(super) fn of(&self, site: &Arc<str>) -> impl Iterator<Item = (&PartKey, &PartView)> {
        let first = (Arc::clone(site), Place::default());
        let from = self.parts.range(first..).map(|(key, shown)| (key, &shown.view));
        from.take_while(|(key, _)| key.0 == *site)
    }

    /// Makes the edits that show parts of one site as they changed. Returns the number of points that were
    /// encoded.
    fn show(
        &mut self,
        changes: Vec<Change>,
        failed: &mut impl FnMut(&PartKey, &'static str, RenderError),
    ) -> usize {
        match self.encode(&changes) {
            Ok((texts, encoded)) => {
                for (change, texts) in changes.into_iter().zip(texts) {
                    self.write(change, &texts);
                }
                encoded
            }
            Err(error) if changes.len() == 1 => {
                for (Change { key, old, view, .. }, error) in changes.into_iter().zip([error]) {
                    failed(&key, view.collector, error);
                    if let Some(old) = old {
                        self.hide(&key, &old);
                    }
                }
                0
            }
            // One part costs no other.
            Err(_) => changes.into_iter().map(|change| self.show(vec![change], failed)).sum(),
        }
    }

    /// Encodes the points of each part that changed. Also returns how many there are.
    fn encode(&mut self, changes: &[Change]) -> Result<(Vec<FreshTexts>, usize), RenderError> {
        let no_texts = |change: &Change| change.plans.iter().map(|_| Vec::new()).collect();
        let mut texts: Vec<FreshTexts> = changes.iter().map(no_texts).collect();
        let mut encoded = 0;
        let site = changes.first().and_then(|change| change.view.site.as_ref());
        let parts = changes.iter().map(|change| (&change.view.families, change.fresh()));
        for batch in batches(site, parts) {
            for (pick, text) in batch.picks.iter().zip(self.encoder.encode(&batch)?) {
                encoded += pick.len();
                texts[pick.part][pick.family].push(text);
            }
        }
        Ok((texts, encoded))
    }

    /// Makes the edits that show a part, with the texts of its points that changed.
    fn write(&mut self, change: Change, texts: &FreshTexts) {
        let Change { key, mut old, view, plans } = change;
        self.note_change(&key);
        let mut shown = Vec::with_capacity(plans.len());
        for ((family, plan), texts) in view.families.iter().zip(&plans).zip(texts) {
            let known = old.as_mut().and_then(|old| old.take_text(family)).unwrap_or_default();
            let is_same = known.ends.len() == plan.len()
                && (0..).zip(plan).all(|(at, source)| *source == Source::Known(at));
            shown.push(if is_same {
                known
            } else {
                self.write_family(&key, family, plan, &known, texts)
            });
        }
        if let Some(old) = old {
            self.hide(&key, &old);
        }
        self.parts.insert(key, Shown { view, texts: shown });
        if self.pending > MAX_PENDING {
            self.apply();
        }
    }

    /// Makes the edits of one family of a part. Returns its text.
    fn write_family(
        &mut self,
        key: &PartKey,
        family: &Family,
        plan: &[Source],
        known: &FamilyText,
        texts: &[PointsText],
    ) -> FamilyText {
        let name = family.definition.name;
        if let Some(text) = texts.first() {
            self.families.entry(name).or_insert_with(|| ShownFamily {
                name: SharedName(text.name.as_str().into()),
                head: Bytes::copy_from_slice(text.head.as_bytes()),
                entries: 0,
            });
        }
        let Some(of_page) = self.families.get_mut(name) else { return FamilyText::default() };
        let mut lines = texts.iter().flat_map(PointsText::points);
        let mut entries = Vec::with_capacity(plan.len().div_ceil(CHUNK));
        let mut ends = Vec::with_capacity(plan.len());
        let (site, place) = (SharedName(Arc::clone(&key.0)), key.1);
        let entry = |chunk: usize| EntryKey {
            family: of_page.name.clone(),
            site: site.clone(),
            place,
            chunk,
        };
        for (chunk, sources) in plan.chunks(CHUNK).enumerate() {
            let first = chunk * CHUNK;
            let known_ends = known.ends.chunks(CHUNK).nth(chunk);
            let is_same = known_ends.is_some_and(|known| known.len() == sources.len())
                && (first..).zip(sources).all(|(at, source)| *source == Source::Known(at));
            if let Some((known_ends, text)) =
                known_ends.zip(known.entries.get(chunk)).filter(|_| is_same)
            {
                ends.extend_from_slice(known_ends);
                entries.push(text.clone());
                continue;
            }
            let text_of = |source: &Source| match *source {
                Source::Encoder => lines.next().unwrap_or_default().as_bytes(),
                Source::Known(place) => known.point(place),
            };
            let points: Vec<&[u8]> = sources.iter().map(text_of).collect();
            let mut length = 0;
            ends.extend(points.iter().map(|point| {
                length += point.len();
                // An entry of four GiB does not fit into memory often enough.
                u32::try_from(length).unwrap_or(u32::MAX)
            }));
            let text = Bytes::from(points.concat());
            self.pending += text.len();
            self.edits.insert(entry(chunk), Some(text.clone()));
            entries.push(text);
        }
        for chunk in entries.len()..known.entries.len() {
            self.edits.insert(entry(chunk), None);
        }
        of_page.recount(known.entries.len(), entries.len(), &mut self.edits);
        FamilyText { entries, ends }
    }

    /// Makes the edits that remove what is left of a part that was shown.
    fn hide(&mut self, key: &PartKey, old: &Shown) {
        self.note_change(key);
        for (family, text) in old.view.families.iter().zip(&old.texts) {
            let Some(of_page) = self.families.get_mut(family.definition.name) else { continue };
            for chunk in 0..text.entries.len() {
                let (family, site) = (of_page.name.clone(), SharedName(Arc::clone(&key.0)));
                self.edits.insert(EntryKey { family, site, place: key.1, chunk }, None);
            }
            of_page.recount(text.entries.len(), 0, &mut self.edits);
        }
    }

    fn note_change(&mut self, key: &PartKey) {
        if !self.changed.contains(&key.0) {
            self.changed.insert(Arc::clone(&key.0));
        }
    }
}

impl ShownFamily {
    /// Counts entries that came and went. The head is on the page as long as there is any.
    fn recount(&mut self, gone: usize, come: usize, edits: &mut Edits) {
        let before = self.entries;
        self.entries = before + come - gone;
        if (before == 0) != (self.entries == 0) {
            let head = (before == 0).then(|| self.head.clone());
            edits.insert(EntryKey::head(&self.name), head);
        }
    }
}

impl FamilyText {
    /// Returns the text of a point.
    fn point(&self, place: usize) -> &[u8] {
        let before = (!place.is_multiple_of(CHUNK)).then(|| self.ends.get(place - 1)).flatten();
        let from = before.map_or(0, |end| *end as usize);
        let to = self.ends.get(place).map_or(0, |end| *end as usize);
        self.entries.get(place / CHUNK).and_then(|text| text.get(from..to)).unwrap_or_default()
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

    impl Texts {
        /// Shows a part as it is in the view, or no more. Returns the number of points that were encoded. If
        /// that fails, the part is not shown.
        fn update(&mut self, key: &PartKey, view: Option<PartView>) -> Result<usize, RenderError> {
            let mut failure = None;
            let encoded =
                self.update_all([(key.clone(), view)], |_, _, error| failure = Some(error));
            failure.map_or(Ok(encoded), Err)
        }
    }

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

    fn group(number: usize, samples: Samples) -> (PartKey, PartView) {
        let ((site, mut place), mut view) = part("paris", samples);
        place.group = number;
        view.place = place;
        ((site, place), view)
    }

    #[test]
    fn parts_that_change_together_show_what_they_show_alone() {
        let mut random = fastrand::Rng::with_seed(17);
        let (mut texts, mut now) = (Texts::default(), BTreeMap::new());
        for round in 0..100 {
            let mut updates = Vec::new();
            for number in 0..random.usize(1..9) {
                let mut samples = Samples::new();
                for _ in 0..random.usize(0..90) {
                    // Those of one part lie between those of the others.
                    let name = format!("n{:03}", 8 * random.usize(0..40) + number);
                    samples.record(&DISK, ["free", &name], f64::from(random.u8(0..3)));
                }
                let mut took = Distribution::new(&[1.0, 5.0]);
                took.observe(&[1.0, 5.0], f64::from(random.u8(0..3)));
                samples.distribution(&TOOK, [&number.to_string()], took);
                let (key, view) = group(number, samples);
                updates.push((key, (random.u8(0..6) > 0).then_some(view)));
            }
            texts.update_all(updates.clone(), |_, _, error| panic!("{error}"));
            for (key, view) in updates {
                match view {
                    Some(view) => now.insert(key, view),
                    None => now.remove(&key),
                };
            }
            assert!(text(&mut texts) == shown(now.clone()), "round {round}");
        }
    }

    #[test]
    fn series_of_two_parts_is_shown_by_both() {
        let parts = [0, 1].map(|number| group(number, samples(&["a"])));
        let mut texts = Texts::default();
        let together = parts.clone().map(|(key, view)| (key, Some(view)));
        texts.update_all(together, |_, _, error| panic!("{error}"));
        assert_eq!(text(&mut texts), shown(parts));
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
