//! Renders the exposition off the request path: of the sites the series that changed, at a pace; of the
//! agent itself the series that changed, at each scrape.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gzip::{Deflater, GzipPage};
use super::site_pages::{RenderedSites, SitePages};
use super::texts::{PartKey, Texts};
use crate::metric::Family;
use crate::snapshot::{Changes, Snapshot, Store};
use crate::telemetry::self_metrics::SelfMetrics;
use crate::telemetry::view::{Dropped, ExportView, PartView};

/// Least time between two renderings.
const MIN_RENDER_INTERVAL: Duration = Duration::from_secs(1);

/// ... where the second one shows what was not there before.
const MIN_FIRST_INTERVAL: Duration = Duration::from_millis(50);

/// Text of changed blocks that is left to the next scrape to be compressed, bytes: it takes a millisecond. Most
/// pages change more often than they are scraped.
const MAX_UNPACKED: usize = 1 << 20;

/// Times of a rendering that pass before the next one: at most a fifth of the time goes into it.
const MAX_RENDER_SHARE: u32 = 4;

#[derive(Debug)]
pub struct Renderer {
    store: Arc<Store>,
    agent: Arc<SelfMetrics>,
    /// Only renderings hold the lock, never scrapes.
    sites: Mutex<Rendered>,
    /// The agent's own part. Scrapes hold the lock.
    own: Mutex<Own>,
    page: ArcSwap<GzipPage>,
    site_pages: SitePages,
}

/// Body of a scrape, and the page that it keeps in memory until it is sent.
#[derive(Debug)]
pub struct ScrapeBody {
    pub chunks: Vec<Bytes>,
    pub page: Arc<GzipPage>,
}

/// The agent's own part as the last scrape showed it.
#[derive(Debug, Default)]
struct Own {
    texts: Texts,
    deflater: Deflater,
}

/// Result of the last rendering.
#[derive(Debug, Default)]
struct Rendered {
    texts: Texts,
    deflater: Deflater,
    site_pages: RenderedSites,
    snapshots: HashMap<Arc<str>, Arc<Snapshot>>,
    /// Series of each metric, over all sites, before any are dropped.
    sizes: HashMap<&'static str, usize>,
    drops: bool,
}

impl Renderer {
    /// Creates a renderer whose page is empty until the first rendering.
    pub fn new(store: Arc<Store>, agent: Arc<SelfMetrics>) -> Arc<Self> {
        let (sites, own, page, site_pages) = Default::default();
        Arc::new(Self { store, agent, sites, own, page, site_pages })
    }

    /// Renders now what changed since the last time, and puts the page together. Blocks for about
    /// 3 us for each series that changed; returns how long it took.
    pub fn render(&self) -> Duration {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let limit = self.agent.cardinality_limit();
        let (snapshots, by_rules) = self.agent.drop_filter().apply(self.store.snapshots());
        let (series, cut) = sites.update(&snapshots, limit);
        let page = sites.texts.bytes();
        page.pack(MAX_UNPACKED, &mut sites.deflater);
        self.page.store(Arc::new(page));
        sites.show_single(&self.site_pages);
        let names: Vec<_> = cut.iter().map(|(d, n)| format!("{} ({n})", d.name)).collect();
        let took = started.elapsed();
        match self.agent.set_rendered(took, series, cut, by_rules) {
            Some(true) => tracing::warn!(
                metrics = names.join(", "),
                limit,
                "dropping series: raise metrics.cardinalityLimit, or collect less"
            ),
            Some(false) => tracing::info!("no longer dropping series"),
            None => {}
        }
        took
    }

    /// Renders whenever `changes` (of the store) says so, until `stop`: the first change after a quiet time
    /// at once, further ones at a pace, and soon those that somebody may wait for. Likewise for a page of a single site
    /// that somebody waits for.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut changes: watch::Receiver<Changes>,
        stop: CancellationToken,
    ) {
        let mut rendered = Changes::default();
        let mut wishes = self.site_pages.wishes();
        let mut heard = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.wait_for(|now| *now != rendered) => match changed {
                    Ok(now) => rendered = *now,
                    Err(_) => return,
                },
                // The sender lives as long as the renderer.
                _ = wishes.wait_for(|count| *count != heard) => {}
            }
            heard = *wishes.borrow_and_update();
            let began = Instant::now();
            let took = self.render_off_thread().await;
            let soon = began + took + MIN_FIRST_INTERVAL.max(took * MAX_RENDER_SHARE);
            let later = soon.max(began + MIN_RENDER_INTERVAL);
            let first = async {
                tokio::time::sleep_until(soon).await;
                // Without a store there is nothing to wait for.
                tokio::select! {
                    _ = changes.wait_for(|now| now.firsts != rendered.firsts) => {}
                    _ = wishes.wait_for(|count| *count != heard) => {}
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(later) => {}
                () = first => {}
            }
        }
    }

    pub async fn render_off_thread(self: &Arc<Self>) -> Duration {
        let renderer = Arc::clone(self);
        tokio::task::spawn_blocking(move || renderer.render()).await.unwrap_or(MIN_RENDER_INTERVAL)
    }

    /// Returns the bytes of one scrape. Takes no lock that a poll or a rendering holds; blocks for the
    /// fraction of a millisecond that the agent's own part takes, and for the one or two that the compression of
    /// what changed takes.
    pub fn scrape(&self, gzip: bool) -> ScrapeBody {
        self.body(self.page.load_full(), true, gzip)
    }

    /// Returns the bytes of a scrape of the agent alone.
    pub(crate) fn scrape_agent(&self, gzip: bool) -> ScrapeBody {
        self.body(Arc::default(), true, gzip)
    }

    /// Returns the bytes of a scrape of one site, without the agent's own part.
    pub(crate) fn scrape_site(&self, page: Arc<GzipPage>, gzip: bool) -> ScrapeBody {
        self.body(page, false, gzip)
    }

    /// Returns the page of one site. Waits for it for some seconds if nobody asked for it in the last minutes.
    pub(crate) async fn site_page(&self, site: &Arc<str>) -> Option<Arc<GzipPage>> {
        self.site_pages.page(site).await
    }

    /// Returns a page, and after it the agent's own part, if that is wanted.
    fn body(&self, page: Arc<GzipPage>, with_own: bool, gzip: bool) -> ScrapeBody {
        self.agent.count_scrape(gzip);
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let Own { texts, deflater } = &mut *own;
        let own = if with_own {
            let part = self.agent.part();
            show(texts, [(("".into(), part.place), Some(PartView::whole(None, &part)))]);
            texts.bytes()
        } else {
            GzipPage::default()
        };
        let chunks = if gzip { page.gzip(&own, deflater) } else { page.plain(&own) };
        ScrapeBody { chunks, page }
    }
}

impl Rendered {
    /// Takes over what changed. Returns how many series are shown, and which are dropped.
    fn update(&mut self, now: &[Arc<Snapshot>], limit: usize) -> (usize, Dropped) {
        let changed = self.note(now);
        let exceeds = self.sizes.values().any(|size| *size > limit);
        if !exceeds && !self.drops {
            for site in changed {
                let changed = self.changed_parts(&site);
                show(&mut self.texts, changed);
            }
            return (self.sizes.values().sum(), Dropped::new());
        }
        // Who is cut by how much depends on all sites.
        let (view, dropped) = ExportView::build(now, None, limit);
        let series = view.total();
        let shown = self.texts.keys().cloned().collect();
        self.show(view.parts, shown);
        self.drops = exceeds;
        (series, dropped)
    }

    /// Returns the parts of a site that are not shown as they are, and those that are gone.
    fn changed_parts(&self, site: &Arc<str>) -> Vec<(PartKey, Option<PartView>)> {
        let snapshot = self.snapshots.get(site);
        let mut parts: Vec<_> = snapshot.iter().flat_map(|snapshot| &snapshot.parts).collect();
        parts.sort_by_key(|part| part.place);
        let mut shown = self.texts.of(site).peekable();
        let mut changed = Vec::new();
        for part in parts {
            while let Some((key, _)) = shown.next_if(|((_, place), _)| *place < part.place) {
                changed.push((key.clone(), None));
            }
            let known = shown.next_if(|((_, place), _)| *place == part.place);
            if !known.is_some_and(|(_, view)| view.is_whole(part)) {
                let key = (Arc::clone(site), part.place);
                changed.push((key, Some(PartView::whole(Some(site), part))));
            }
        }
        changed.extend(shown.map(|(key, _)| (key.clone(), None)));
        changed
    }

    /// Brings the pages of single sites up to date.
    fn show_single(&mut self, pages: &SitePages) {
        let changed = self.texts.take_changed();
        let Self { texts, deflater, site_pages, .. } = self;
        site_pages.update(pages, (texts, &changed), (MAX_UNPACKED, deflater));
    }

    /// Takes over snapshots and the sizes of metrics. Returns the sites that changed.
    fn note(&mut self, now: &[Arc<Snapshot>]) -> BTreeSet<Arc<str>> {
        let there: HashMap<&Arc<str>, &Arc<Snapshot>> =
            now.iter().map(|snapshot| (&snapshot.site, snapshot)).collect();
        let is_same = |site: &Arc<str>, known: &Arc<Snapshot>| {
            there.get(site).is_some_and(|now| Arc::ptr_eq(now, known))
        };
        let old: HashMap<_, _> =
            self.snapshots.extract_if(|site, known| !is_same(site, known)).collect();
        let new = now.iter().filter(|snapshot| !self.snapshots.contains_key(&snapshot.site));
        let new: Vec<_> =
            new.map(|snapshot| (Arc::clone(&snapshot.site), Arc::clone(snapshot))).collect();
        for (site, snapshot) in &old {
            for family in changed_families(snapshot, there.get(site).copied()) {
                let size = self.sizes.entry(family.definition.name).or_default();
                *size = size.saturating_sub(family.points.len());
            }
        }
        for (site, snapshot) in &new {
            for family in changed_families(snapshot, old.get(site)) {
                *self.sizes.entry(family.definition.name).or_default() += family.points.len();
            }
        }
        let changed = old.into_keys().chain(new.iter().map(|(site, _)| Arc::clone(site))).collect();
        self.snapshots.extend(new);
        changed
    }

    /// Shows these parts, in place of those that are shown under these keys.
    fn show(&mut self, views: Vec<PartView>, mut shown: BTreeSet<PartKey>) {
        let mut changed = Vec::new();
        for view in views {
            let key = (view.site.clone().unwrap_or_default(), view.place);
            shown.remove(&key);
            if !self.texts.shown(&key).is_some_and(|known| known.same_as(&view)) {
                changed.push((key, Some(view)));
            }
        }
        show(&mut self.texts, changed.into_iter().chain(shown.into_iter().map(|key| (key, None))));
    }
}

/// Returns the families of a snapshot, without those of parts that the other snapshot has at the same place.
fn changed_families<'s>(
    snapshot: &'s Snapshot,
    other: Option<&'s Arc<Snapshot>>,
) -> impl Iterator<Item = &'s Family> {
    let others = other.map_or(&[][..], |other| &other.parts);
    let others = others.iter().map(Some).chain(std::iter::repeat(None));
    let changed = snapshot.parts.iter().zip(others).filter(|(part, other)| {
        !other.is_some_and(|other| Arc::ptr_eq(&part.families, &other.families))
    });
    changed.flat_map(|(part, _)| part.families.iter())
}

fn show(texts: &mut Texts, parts: impl IntoIterator<Item = (PartKey, Option<PartView>)>) {
    texts.update_all(parts, |(site, _), part, error| {
        tracing::error!(%error, site = &**site, part, "metrics are missing from the exposition");
    });
}
