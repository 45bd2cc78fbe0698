//! Images that are looked up among the complete ones, for replication between sites: spans of backupTime, a few pages a
//! run.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::rows::{self, SlpImageRow};
use super::walk::SLP_IMAGES;
use crate::netbackup::{Cursor, CursorPager, Error, Query, Session};
use crate::slp::{Image, ImageId};

const ROWS: u32 = 500;

/// Longest time between two images of a span, ms.
const GAP: i64 = 30 * 60_000;

/// Images that are looked for.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    wanted: HashMap<ImageId, i64>,
    /// Spans to be read, both ends included; the next one last.
    spans: Vec<(i64, i64)>,
    /// The position in the next span; none at its beginning.
    after: Option<Cursor>,
}

impl Lookup {
    /// Looks for these images, unless it still looks for others.
    pub(super) fn aim(&mut self, wanted: HashMap<ImageId, i64>) {
        if !self.is_done() {
            return;
        }
        let times: BTreeSet<i64> = wanted.values().copied().collect();
        for time in times {
            match self.spans.last_mut() {
                Some((_, to)) if time - *to <= GAP => *to = time,
                _ => self.spans.push((time, time)),
            }
        }
        self.wanted = wanted;
    }

    pub(super) fn is_done(&self) -> bool {
        self.spans.is_empty()
    }

    /// Reads on, with so many pages at most, and calls `found` for each image that it finds. Returns the images of the
    /// spans that are read which are not there.
    pub(super) async fn step(
        &mut self,
        session: &Session,
        pages: &mut u32,
        mut found: impl FnMut(&Image<'_>),
    ) -> Result<Vec<ImageId>, Error> {
        let mut missing = Vec::new();
        while let Some((from, to)) = self.spans.last().copied() {
            let filter = format!(
                "slpImageState eq 'COMPLETE' and backupTime ge {} and backupTime le {}",
                iso(from),
                iso(to)
            );
            let query = Query::filtered(filter).limited(ROWS);
            let mut pager = CursorPager::new(session, &SLP_IMAGES, &query);
            if let Some(after) = self.after.take() {
                pager = pager.resume(after);
            }
            loop {
                if *pages == 0 {
                    self.after = pager.position().cloned();
                    return Ok(missing);
                }
                *pages -= 1;
                let Some(page) = pager.next_page::<SlpImageRow<'_>>().await? else { break };
                for image in page.rows.iter().filter_map(rows::image) {
                    if self.wanted.remove(&image.id).is_some() {
                        found(&image);
                    }
                }
                if pager.is_done() {
                    break;
                }
            }
            self.spans.pop();
            let gone = self.wanted.iter().filter(|(_, time)| (from..=to).contains(*time));
            let gone: Vec<ImageId> = gone.map(|(id, _)| *id).collect();
            for id in &gone {
                self.wanted.remove(id);
            }
            missing.extend(gone);
        }
        Ok(missing)
    }

    /// Forgets what it looks for: a position may not hold any more.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Writes a time as filters take it.
fn iso(ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH))
}
