//! Sizes from the catalogue (docs/netbackup-api.md#images), for images whose backup no job told: spans of backupTime, page
//! by page, a few requests a run.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::{Duration, Instant};

use crate::netbackup::lenient;
use crate::netbackup::wire::Id;
use crate::netbackup::{Error, ErrorKind, OffsetPager, Permission, Query, Resource, Session};
use crate::slp::{ImageId, Round, SharedSizes};

pub(super) static IMAGES: Resource = Resource {
    name: "images",
    path: "/catalog/images",
    permission: Some(Permission::view("|MANAGE|IMAGES|")),
    max_limit: 100,
};

const ROWS: u64 = 100;

/// Time for which a permission that is missing is not asked for again.
const DENIED_FOR: Duration = Duration::from_secs(3600);

/// Pages of a span that are read, however many the server has.
const MAX_SPAN_PAGES: u64 = 10_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageRow {
    /// Of 1024 bytes, at the front end.
    #[serde(deserialize_with = "lenient::integer")]
    kbytes: Option<i64>,
}

/// A span of backupTime, both ends included, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: i64,
    to: i64,
    /// Rows of it that were read.
    read: u64,
}

impl Span {
    fn new(from: i64, to: i64) -> Self {
        Self { from, to, read: 0 }
    }
}

/// The images that are looked for, and the spans to be read for them.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// Images of unknown size by backupTime.
    wanted: BTreeMap<i64, Vec<ImageId>>,
    /// backupTime of each of them.
    times: HashMap<ImageId, i64>,
    /// Spans to be read, the next one last.
    spans: Vec<Span>,
    denied: Option<Instant>,
    /// A failure was said.
    failed: bool,
}

impl Catalog {
    /// Takes up the images of a round whose size is not known. One that came since the round before may be told by a
    /// job in a moment, and is left for the next round.
    pub(super) fn aim(&mut self, round: &Round, before: Option<&Round>, sizes: &SharedSizes) {
        if !self.spans.is_empty() {
            return;
        }
        self.wanted.clear();
        self.times.clear();
        let sizes = sizes.lock();
        for (id, time) in round.cataloged() {
            if before.is_none_or(|before| before.contains(id)) && sizes.is_wanted(id) {
                self.wanted.entry(time).or_default().push(id);
                self.times.insert(id, time);
            }
        }
        if let (Some((from, _)), Some((to, _))) =
            (self.wanted.first_key_value(), self.wanted.last_key_value())
        {
            self.spans.push(Span::new(*from, *to));
        }
    }

    /// Reads on, with so many requests at most.
    pub(super) async fn step(
        &mut self,
        session: &Session,
        sizes: &SharedSizes,
        requests: u32,
        now: i64,
    ) {
        if self.denied.is_some_and(|since| since.elapsed() < DENIED_FOR) {
            return;
        }
        let mut left = requests;
        while left > 0 {
            let Some(span) = self.spans.pop() else { return };
            let Err(error) = self.read(session, sizes, span, &mut left, now).await else {
                self.failed = false;
                continue;
            };
            if matches!(error.kind(), ErrorKind::BadRequest | ErrorKind::NotFound) {
                self.give_up(span, sizes, now);
            } else {
                // It is read again; what was found of it is known then.
                self.spans.push(span);
            }
            self.note(session, &error);
            return;
        }
    }

    /// Reads a span, or as much of it as the requests allow; the rest comes back on the stack.
    async fn read(
        &mut self,
        session: &Session,
        sizes: &SharedSizes,
        mut span: Span,
        left: &mut u32,
        now: i64,
    ) -> Result<(), Error> {
        let filter = format!("backupTime ge {} and backupTime le {}", iso(span.from), iso(span.to));
        let query = Query::filtered(filter);
        let mut pager = OffsetPager::new(session, &IMAGES, &query).resume_at(span.read);
        loop {
            if self.wanted.range(span.from..=span.to).next().is_none() {
                // Everything is found.
                return Ok(());
            }
            if *left == 0 {
                self.spans.push(span);
                return Ok(());
            }
            *left -= 1;
            let Some(page) = pager.next_page::<ImageRow>().await? else { break };
            for row in &page.rows {
                let Id::Text(id) = &row.id else { continue };
                // A backup that has not ended may have none yet.
                let kilobytes = row.kbytes.and_then(|count| u64::try_from(count).ok());
                if let Some(kilobytes) = kilobytes.filter(|count| *count > 0) {
                    self.found(ImageId::of(id), kilobytes, sizes, now);
                }
            }
            span.read += (page.rows.len() + page.unreadable) as u64;
            let total = page.total.and_then(|total| u64::try_from(total).ok()).unwrap_or(0);
            if pager.is_done() {
                break;
            }
            if span.read <= ROWS && self.split(span, total) {
                return Ok(());
            }
            if span.read > ROWS * MAX_SPAN_PAGES {
                break;
            }
        }
        self.give_up(span, sizes, now);
        Ok(())
    }

    fn found(&mut self, id: ImageId, kilobytes: u64, sizes: &SharedSizes, now: i64) {
        let Some(time) = self.times.remove(&id) else { return };
        if let Some(ids) = self.wanted.get_mut(&time) {
            ids.retain(|wanted| *wanted != id);
            if ids.is_empty() {
                self.wanted.remove(&time);
            }
        }
        sizes.lock().note(id, kilobytes, now);
    }

    /// Splits a span that has more pages than images are wanted of it, at the longest time without one. Returns false
    /// if it is to be read as it is.
    fn split(&mut self, span: Span, total: u64) -> bool {
        let times: Vec<i64> =
            self.wanted.range(span.from..=span.to).map(|(time, _)| *time).collect();
        let images: usize = self.wanted.range(span.from..=span.to).map(|(_, ids)| ids.len()).sum();
        let gaps = times.windows(2).enumerate().map(|(at, pair)| (pair[1] - pair[0], at));
        let (Some((_, at)), Some(first), Some(last)) = (gaps.max(), times.first(), times.last())
        else {
            return false;
        };
        if total.div_ceil(ROWS) <= images as u64 {
            return false;
        }
        self.spans.push(Span::new(times[at + 1], *last));
        self.spans.push(Span::new(*first, times[at]));
        true
    }

    /// Records what a span that is read did not have.
    fn give_up(&mut self, span: Span, sizes: &SharedSizes, now: i64) {
        let times: Vec<i64> =
            self.wanted.range(span.from..=span.to).map(|(time, _)| *time).collect();
        let mut sizes = sizes.lock();
        for time in times {
            for id in self.wanted.remove(&time).unwrap_or_default() {
                self.times.remove(&id);
                sizes.note_missing(id, now);
            }
        }
    }

    /// Says a failure once. The backlog is complete without sizes, so that nothing fails.
    fn note(&mut self, session: &Session, error: &Error) {
        if error.is_denial() {
            self.denied = Some(Instant::now());
        }
        let site = session.client().site();
        if std::mem::replace(&mut self.failed, true) {
            tracing::debug!(site, %error, "still cannot read sizes of backups in the catalogue");
        } else {
            tracing::warn!(site, %error, "cannot read sizes of backups in the catalogue; the bytes of the SLP backlog are those of backups that ended since the agent started");
        }
    }
}

/// Writes a time as filters take it.
fn iso(ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH))
}
