//! Renders the exposition off the request path: of the sites the parts that changed, at most once a
//! second; of the agent its own small part, at each scrape.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::encode::{self, FamilyText};
use super::gzip::{Chunks, GzipSegment};
use crate::snapshot::Store;
use crate::telemetry::self_metrics::SelfMetrics;
use crate::telemetry::view::{ExportView, PartView};

/// Least time between two renderings that snapshots asked for.
const MIN_RENDER_INTERVAL: Duration = Duration::from_secs(1);

/// Times of a rendering that pass before the next one: at most a fifth of the time goes into it.
const MAX_RENDER_SHARE: u32 = 4;

#[derive(Debug)]
pub struct Renderer {
    store: Arc<Store>,
    agent: Arc<SelfMetrics>,
    /// Result of the last rendering, by part. Only renderings hold the lock, never scrapes.
    rendered: Mutex<Rendered>,
    page: ArcSwap<GzipSegment>,
}

/// Identity of a part: site, collector, and place among the collector's parts.
type Key = (Option<Arc<str>>, &'static str, usize);

/// Texts of each part, and the view that they were made of.
type Rendered = HashMap<Key, (PartView, Vec<FamilyText>)>;

impl Renderer {
    /// Creates a renderer whose page is empty until the first rendering.
    pub fn new(store: Arc<Store>, agent: Arc<SelfMetrics>) -> Arc<Self> {
        Arc::new(Self {
            store,
            agent,
            rendered: Mutex::default(),
            page: ArcSwap::new(Arc::new(GzipSegment::first(Vec::new()))),
        })
    }

    /// Renders now what changed since the last time, and puts the page together. Blocks for about
    /// 3 us for each series that changed and 0.3 us for each there is; returns how long it took.
    pub fn render(&self) -> Duration {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let limit = self.agent.cardinality_limit();
        let (view, dropped) = ExportView::build(&self.store.snapshots(), None, limit);
        let series = view.total();
        let (order, fresh) = update(view, std::mem::take(&mut *rendered));
        *rendered = fresh;
        let texts = order.iter().filter_map(|key| rendered.get(key)).flat_map(|(_, b)| b);
        self.page.store(Arc::new(GzipSegment::first(encode::page(texts))));
        let names: Vec<_> = dropped.iter().map(|(d, n)| format!("{} ({n})", d.name)).collect();
        let took = started.elapsed();
        match self.agent.set_rendered(took, series, dropped) {
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

    /// Renders whenever `changes` (of the store) says so, until `stop`.
    pub async fn run(self: Arc<Self>, mut changes: watch::Receiver<u64>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            let took = self.render_off_thread().await;
            let pace = MIN_RENDER_INTERVAL.max(took * MAX_RENDER_SHARE);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pace) => {}
            }
        }
    }

    pub async fn render_off_thread(self: &Arc<Self>) -> Duration {
        let renderer = Arc::clone(self);
        tokio::task::spawn_blocking(move || renderer.render()).await.unwrap_or(MIN_RENDER_INTERVAL)
    }

    /// Returns the bytes of one scrape. Takes no lock that a poll or a rendering holds; blocks for the
    /// fraction of a millisecond that the agent's own part takes.
    pub fn scrape(&self, gzip: bool) -> Chunks {
        self.agent.count_scrape(gzip);
        let own = texts(&PartView::whole(None, &self.agent.part()));
        let own = encode::page(own.iter());
        let page = self.page.load();
        if gzip { page.gzip(own) } else { page.plain(own) }
    }
}

/// Renders the parts of a view that are not rendered yet; returns their order and all texts.
fn update(view: ExportView, mut old: Rendered) -> (Vec<Key>, Rendered) {
    let mut order = Vec::with_capacity(view.parts.len());
    let mut fresh = Rendered::with_capacity(view.parts.len());
    for part in view.parts {
        // Several parts of one collector follow each other in a stable order.
        let mut key = (part.site.clone(), part.collector, 0);
        while fresh.contains_key(&key) {
            key.2 += 1;
        }
        let known = old.remove(&key).filter(|(before, _)| before.same_as(&part));
        let texts = known.map_or_else(|| texts(&part), |(_, texts)| texts);
        order.push(key.clone());
        fresh.insert(key, (part, texts));
    }
    (order, fresh)
}

fn texts(part: &PartView) -> Vec<FamilyText> {
    encode::render(part).unwrap_or_else(|error| {
        tracing::error!(%error, site = part.site.as_deref(), part = part.collector, "metrics are missing from the exposition");
        Vec::new()
    })
}
