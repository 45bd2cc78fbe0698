//! Renders the exposition off the request path: the sites' part once for each change of the
//! store, at most once a second; the agent's own small part at each scrape.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::agent::AgentState;
use super::exposition::{Exposition, Piece};
use super::frame::{Catalog, Frame};
use crate::metric::Scope;
use crate::snapshot::Store;

/// Least time between two renderings that snapshots asked for.
const PACE: Duration = Duration::from_secs(1);

/// The renderer of one process.
pub struct Renderer {
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    agent: Arc<AgentState>,
    limit: watch::Sender<usize>,
    /// Held by renderings only, on blocking threads; scrapes never wait for it.
    sites: Mutex<Exposition>,
    /// The agent's own part; scrapes take turns here, for the fraction of a millisecond it takes.
    own: Mutex<Exposition>,
    page: ArcSwap<Piece>,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renderer")
    }
}

impl Renderer {
    /// A renderer whose page is empty until the first rendering.
    pub fn new(catalog: Arc<Catalog>, store: Arc<Store>, agent: Arc<AgentState>) -> Arc<Self> {
        Arc::new(Self {
            sites: Mutex::new(Exposition::new(Arc::clone(&catalog), &[Scope::Site])),
            own: Mutex::new(Exposition::new(Arc::clone(&catalog), &[Scope::Agent])),
            catalog,
            store,
            agent,
            limit: watch::Sender::new(usize::MAX),
            page: ArcSwap::new(Arc::new(Piece::first(Vec::new()))),
        })
    }

    /// Sets the cardinality limit; it holds from the next rendering on.
    pub fn set_limit(&self, limit: usize) {
        self.limit.send_replace(limit);
    }

    /// Renders now. Blocks for as long as it takes: tens of milliseconds for 10,000 series.
    pub fn render(&self) {
        let mut exposition = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let limit = *self.limit.borrow();
        let (frame, dropped) = Frame::build(&self.catalog, &self.store.snapshots(), None, limit);
        let series = frame.total();
        match exposition.render(Arc::new(frame)) {
            Ok(text) => self.page.store(Arc::new(Piece::first(text))),
            Err(error) => tracing::error!(%error, "the exposition keeps its last state"),
        }
        let names: Vec<_> = dropped.iter().map(|(d, n)| format!("{} ({n})", d.name)).collect();
        match self.agent.set_rendered(started.elapsed(), series, dropped) {
            Some(true) => tracing::warn!(
                metrics = names.join(", "),
                limit,
                "series are dropped: raise metrics.cardinalityLimit or narrow what is collected"
            ),
            Some(false) => tracing::info!("no series are dropped any more"),
            None => {}
        }
    }

    /// Renders whenever the store changed, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.store.subscribe();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            changes.mark_unchanged();
            self.render_off_thread().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }

    /// Renders on a blocking thread and waits for it.
    pub async fn render_off_thread(self: &Arc<Self>) {
        let renderer = Arc::clone(self);
        let _ = tokio::task::spawn_blocking(move || renderer.render()).await;
    }

    /// The bytes of one scrape. Takes no lock that a poll or a rendering holds; blocks for the
    /// fraction of a millisecond that the agent's own part takes.
    pub fn scrape(&self, gzip: bool) -> Vec<u8> {
        self.agent.count_scrape(gzip);
        let own = self.render_own();
        let page = self.page.load();
        if gzip { page.gzip(&Piece::last(own)) } else { [page.text.as_slice(), &own].concat() }
    }

    fn render_own(&self) -> Vec<u8> {
        let part = self.agent.part();
        let (frame, _) = Frame::build(&self.catalog, &[], Some(&part), *self.limit.borrow());
        let mut exposition = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        exposition.render(Arc::new(frame)).unwrap_or_else(|error| {
            tracing::error!(%error, "the agent's own metrics are missing from this scrape");
            Vec::new()
        })
    }
}
