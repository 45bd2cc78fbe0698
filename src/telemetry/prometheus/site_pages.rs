//! Pages of single sites, for those who scrape sites one by one. A page is made by the next rendering after it was first
//! asked for, and kept for as long as somebody asks.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::body::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::gzip::{Deflater, GzipPage};
use super::page::{Edits, EntryKey, Page};
use super::texts::Texts;

/// Time after the last request for which the page of a site is kept.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Longest wait for the rendering that makes a page, within a scraper's own timeout of 10 s.
const RENDER_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages that are asked for. Scrapes and renderings share it without a lock.
#[derive(Debug)]
pub(super) struct SitePages {
    began: Instant,
    pages: ArcSwap<BTreeMap<Arc<str>, Arc<SitePage>>>,
    /// Number of requests for pages that are not there yet.
    wishes: watch::Sender<u64>,
    /// Notified of each rendering.
    rendered: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct SitePage {
    /// Seconds from the beginning to the last request.
    asked: AtomicU64,
    /// None until it is rendered.
    page: ArcSwapOption<GzipPage>,
}

/// The pages as the last rendering left them.
#[derive(Debug, Default)]
pub(super) struct RenderedSites(BTreeMap<Arc<str>, RenderedSite>);

#[derive(Debug, Default)]
struct RenderedSite {
    page: Page,
    entries: BTreeMap<EntryKey, Bytes>,
}

impl Default for SitePages {
    fn default() -> Self {
        let began = Instant::now();
        let (wishes, rendered) = (watch::Sender::default(), watch::Sender::default());
        Self { began, pages: ArcSwap::default(), wishes, rendered }
    }
}

impl SitePages {
    /// Returns the page of a site, which is rendered first if nobody asked for it in the last minutes; nothing if that
    /// takes too long.
    pub(super) async fn page(&self, site: &Arc<str>) -> Option<Arc<GzipPage>> {
        let deadline = Instant::now() + RENDER_TIMEOUT;
        let mut rendered = self.rendered.subscribe();
        let known = self.asked_for(site);
        loop {
            if let Some(page) = known.page.load_full() {
                return Some(page);
            }
            self.wishes.send_modify(|count| *count += 1);
            timeout_at(deadline, rendered.changed()).await.ok()?.ok()?;
        }
    }

    /// Returns the number of requests for pages that are not there yet.
    pub(super) fn wishes(&self) -> watch::Receiver<u64> {
        self.wishes.subscribe()
    }

    /// Notes a request for a page, and returns it.
    fn asked_for(&self, site: &Arc<str>) -> Arc<SitePage> {
        if !self.pages.load().contains_key(site) {
            self.pages.rcu(|pages| {
                let mut pages = BTreeMap::clone(pages);
                pages.entry(Arc::clone(site)).or_insert_with(|| self.asked_now());
                pages
            });
        }
        let known = self.pages.load().get(site).cloned();
        let known = known.unwrap_or_else(|| self.asked_now());
        known.asked.store(self.began.elapsed().as_secs(), Relaxed);
        known
    }

    fn asked_now(&self) -> Arc<SitePage> {
        let asked = AtomicU64::new(self.began.elapsed().as_secs());
        Arc::new(SitePage { asked, ..SitePage::default() })
    }

    /// Forgets the pages that nobody asks for, and returns the others.
    fn in_use(&self) -> Arc<BTreeMap<Arc<str>, Arc<SitePage>>> {
        let now = self.began.elapsed().as_secs();
        let is_kept =
            |page: &SitePage| now.saturating_sub(page.asked.load(Relaxed)) < KEPT_FOR.as_secs();
        if !self.pages.load().values().all(|page| is_kept(page)) {
            self.pages.rcu(|pages| {
                let kept = pages.iter().filter(|(_, page)| is_kept(page));
                kept.map(|(site, page)| (Arc::clone(site), Arc::clone(page)))
                    .collect::<BTreeMap<_, _>>()
            });
        }
        self.pages.load_full()
    }
}

impl RenderedSites {
    /// Brings the pages that are asked for up to date with the texts, of which those of some sites changed. Compresses
    /// most of them ahead, as `unpacked` says.
    pub(super) fn update(
        &mut self,
        wanted: &SitePages,
        (texts, changed): (&Texts, &HashSet<Arc<str>>),
        (unpacked, deflater): (usize, &mut Deflater),
    ) {
        let in_use = wanted.in_use();
        self.0.retain(|site, _| in_use.contains_key(site));
        for (site, shown) in in_use.iter() {
            if !changed.contains(site) && shown.page.load().is_some() && self.0.contains_key(site) {
                continue;
            }
            let rendered = self.0.entry(Arc::clone(site)).or_default();
            rendered.show(texts.of_site(site));
            let page = rendered.page.bytes();
            page.pack(unpacked, deflater);
            shown.page.store(Some(Arc::new(page)));
        }
        wanted.rendered.send_replace(());
    }
}

impl RenderedSite {
    /// Shows these entries; blocks of the page in which none changed stay as they are.
    fn show(&mut self, now: BTreeMap<EntryKey, Bytes>) {
        let mut before = std::mem::take(&mut self.entries);
        let mut edits = Edits::new();
        for (key, text) in &now {
            let known = before.remove(key);
            let is_same =
                |known: Bytes| known.as_ptr() == text.as_ptr() && known.len() == text.len();
            if !known.is_some_and(is_same) {
                edits.insert(key.clone(), Some(text.clone()));
            }
        }
        edits.extend(before.into_keys().map(|key| (key, None)));
        self.page.apply(edits);
        self.entries = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn page_is_kept_while_somebody_asks() {
        let (pages, mut rendered) = (SitePages::default(), RenderedSites::default());
        let (site, texts) = (Arc::<str>::from("paris"), Texts::default());
        let mut deflater = Deflater::default();
        let mut render = |pages: &SitePages| {
            rendered.update(pages, (&texts, &HashSet::new()), (0, &mut deflater));
            (pages.pages.load().len(), rendered.0.len())
        };
        assert_eq!(render(&pages), (0, 0));
        assert!(pages.page(&site).await.is_none(), "nobody renders");
        assert_eq!(render(&pages), (1, 1));
        for _ in 0..3 {
            assert!(pages.page(&site).await.is_some());
            tokio::time::advance(KEPT_FOR * 9 / 10).await;
            assert_eq!(render(&pages), (1, 1));
        }
        tokio::time::advance(KEPT_FOR / 5).await;
        assert_eq!(render(&pages), (0, 0));
    }
}
