//! The walks over the images that are not complete: four lists, one after the other, as a round. A round that takes
//! more than a run may goes on in the next one; its numbers are those of a backlog only when all four are read.

use tokio::time::Instant;

use super::rows::{self, SlpImageRow};
use crate::netbackup::{
    Cursor, CursorPager, Error, ErrorKind, Permission, Query, Resource, Session,
};
use crate::slp::Round;

pub(super) static SLP_IMAGES: Resource = Resource {
    name: "slp_images",
    path: "/catalog/slp-images",
    permission: Some(Permission::view("|MANAGE|STORAGE-LIFECYCLE-IMAGES|")),
    max_limit: 1000,
};

/// Rows a page: half of the documented maximum, which the server's databases answer in good time.
const ROWS: u32 = 500;

/// The states of images that are not complete; a filter takes one. The bar is a part of the value.
const STATES: [&str; 4] =
    ["NOT_STARTED", "IN_PROCESS", "NOT_STARTED|INACTIVE", "IN_PROCESS|INACTIVE"];

/// Pages of a round; a longer one does not end.
const MAX_ROUND_PAGES: u32 = 4_000;

/// A round under way.
#[derive(Debug)]
struct Place {
    round: Round,
    /// The list that is read, by its place in [`STATES`].
    list: usize,
    /// The position in it; none at its beginning.
    after: Option<Cursor>,
    /// Pages that were read.
    pages: u32,
}

#[derive(Debug, Default)]
pub(super) struct Walk {
    place: Option<Place>,
    /// The server refused a filter on an inactive state, which was said.
    refused: bool,
}

/// The limits on the requests of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) pages: u32,
    pub(super) until: Instant,
}

/// The result of a run of a walk.
#[derive(Debug)]
pub(super) struct Step {
    /// The round that is complete.
    pub(super) complete: Option<Round>,
    /// Pages that were asked for.
    pub(super) pages: u32,
    pub(super) error: Option<Error>,
}

impl Walk {
    /// Reads on, or begins the round after `last`.
    pub(super) async fn step(
        &mut self,
        session: &Session,
        last: Option<&Round>,
        limits: Limits,
    ) -> Step {
        let mut step = Step { complete: None, pages: 0, error: None };
        let resumes = self.place.as_ref().is_some_and(|place| place.after.is_some());
        let mut result = self.read(session, last, limits, &mut step).await;
        if let Err(error) = &result {
            let refused = matches!(error.kind(), ErrorKind::BadRequest | ErrorKind::NotFound);
            if resumes && refused && step.pages == 1 {
                // The server does not know the position any more.
                self.place = None;
                result = self.read(session, last, limits, &mut step).await;
            }
        }
        match result {
            Ok(complete) => step.complete = complete,
            Err(error) => {
                if error.kind() == ErrorKind::Paging {
                    self.place = None;
                }
                step.error = Some(error);
            }
        }
        step
    }

    async fn read(
        &mut self,
        session: &Session,
        last: Option<&Round>,
        limits: Limits,
        step: &mut Step,
    ) -> Result<Option<Round>, Error> {
        let place = self.place.get_or_insert_with(|| Place {
            round: last.map_or_else(Round::first, Round::next),
            list: 0,
            after: None,
            pages: 0,
        });
        while let Some(state) = STATES.get(place.list) {
            if step.pages >= limits.pages || Instant::now() >= limits.until {
                return Ok(None);
            }
            if place.pages >= MAX_ROUND_PAGES {
                let detail = format!("the list does not end within {MAX_ROUND_PAGES} pages");
                return Err(session.error(&SLP_IMAGES, ErrorKind::Paging, detail));
            }
            let filter = format!("slpImageState eq '{state}'");
            let query = Query::filtered(filter).limited(ROWS);
            let mut pager = CursorPager::new(session, &SLP_IMAGES, &query);
            if let Some(after) = place.after.clone() {
                pager = pager.resume(after);
            }
            let begins = place.after.is_none();
            match read_list(session, &mut pager, place, limits, step).await {
                Ok(true) => (place.list, place.after) = (place.list + 1, None),
                Ok(false) => return Ok(None),
                Err(error) => {
                    let is_filter = error.kind() == ErrorKind::BadRequest && begins;
                    if !(is_filter && state.ends_with("INACTIVE")) {
                        return Err(error);
                    }
                    if !std::mem::replace(&mut self.refused, true) {
                        let site = session.client().site();
                        tracing::warn!(site, state, %error, "the server does not list images by this state; those of inactive SLPs are not counted");
                    }
                    (place.list, place.after) = (place.list + 1, None);
                }
            }
        }
        Ok(self.place.take().map(|place| place.round))
    }
}

/// Reads a list to its end, or as far as the limits allow. Returns whether it is read.
async fn read_list(
    session: &Session,
    pager: &mut CursorPager,
    place: &mut Place,
    limits: Limits,
    step: &mut Step,
) -> Result<bool, Error> {
    loop {
        step.pages += 1;
        let Some(page) = pager.next_page::<SlpImageRow<'_>>().await? else { return Ok(true) };
        for record in &page.rows {
            match rows::image(record) {
                Some(image) => place.round.add(&image),
                None => session.note_unreadable(&SLP_IMAGES, &record.id, "backupId: missing"),
            }
        }
        place.pages += 1;
        if pager.is_done() {
            return Ok(true);
        }
        place.after = pager.position().cloned();
        if step.pages >= limits.pages || Instant::now() >= limits.until {
            return Ok(false);
        }
        if place.pages >= MAX_ROUND_PAGES {
            return Ok(false);
        }
    }
}
