//! Memory of the nights of a site's pools, and of its time zone, in the state directory.

use std::time::Duration;

use tokio::time::Instant;

use super::clock::ServerClock;
use crate::forecast::{Forecast, Pools, Reading};
use crate::netbackup::Session;
use crate::night::{Night, Zone};
use crate::state::{Content, Document, StateDir};

/// Server time between two saves of readings that change nothing else, ms. A restart loses no more, and the next poll
/// finds most of it again: used space rises during a night.
const SAVE_EVERY: i64 = 15 * 60 * 1000;

/// Time that the question for the clock may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name of the document.
const NAME: &str = "disk_pools";

#[derive(Debug)]
pub(super) struct Memory {
    state: Option<StateDir>,
    /// Made at the first run, which knows the site.
    document: Option<Document>,
    /// The document of this directory was read: before that, nothing is written over it.
    loaded: bool,
    /// None until a document was read, or where there is none.
    pools: Option<Pools>,
    zone: Option<Zone>,
    clock: ServerClock,
    /// Something changed that a restart must not lose.
    changed: bool,
    saved_at: Option<i64>,
    /// False while the last save failed.
    saved: bool,
    /// The unknown zone that the log was told of; `none` if the server tells none.
    told: Option<String>,
}

impl Memory {
    pub(super) fn new(state: Option<&StateDir>) -> Self {
        Self {
            state: state.cloned(),
            document: None,
            loaded: false,
            pools: None,
            zone: None,
            clock: ServerClock::default(),
            changed: false,
            saved_at: None,
            saved: true,
            told: None,
        }
    }

    /// Keeps it in this directory from now on. What is there already is older than what this process remembers, and joins
    /// it.
    pub(super) fn keep_in(&mut self, state: Option<&StateDir>) {
        if self.state.as_ref() != state {
            self.state = state.cloned();
            self.document = None;
            self.loaded = false;
            self.changed = true;
        }
    }

    pub(super) fn is_zone_known(&self) -> bool {
        self.zone.is_some()
    }

    /// Returns the server's time, Unix ms, and its time zone, UTC while none is known. `None` if the server does not tell
    /// the time, or the memory cannot be read yet.
    pub(super) async fn time(&mut self, session: &Session) -> Option<(i64, Zone)> {
        self.restore(session).await;
        self.pools.as_ref()?;
        // A path that hangs must not take the time of the ping.
        let until = session.deadline().min(Instant::now() + PATIENCE);
        let told = session.client().with_deadline(until).server_time().await;
        let now = match &told {
            Ok(time) if time.now.is_some() => time.now?,
            // The ping tells it, too, and every release has it.
            _ => session.ping().await.ok()?.server_time_ms(),
        };
        if self.clock.is_doubtful(now) {
            let site = session.client().site();
            tracing::warn!(
                site,
                now,
                "the server's clock is weeks ahead of its last time; no forecast until it says so twice"
            );
            return None;
        }
        let pools = self.pools.as_mut()?;
        let spelled = told.ok().and_then(|time| time.zone);
        let zone = spelled.as_deref().and_then(Zone::named);
        if zone.is_none() && self.zone.is_none() {
            self.zone = Zone::named(&pools.zone);
        }
        if let Some(zone) = zone.filter(|zone| Some(zone) != self.zone.as_ref()) {
            zone.name().clone_into(&mut pools.zone);
            self.changed = true;
            self.zone = Some(zone);
        }
        let zone = spelled.unwrap_or_else(|| "none".to_owned());
        if self.zone.is_none() && self.told.as_ref() != Some(&zone) {
            let site = session.client().site();
            tracing::info!(
                site,
                zone,
                "the server tells no time zone that is known; its nights are counted in UTC"
            );
            self.told = Some(zone);
        }
        Some((now, self.zone.clone().unwrap_or_else(Zone::utc)))
    }

    /// Reads the document once. Until then nothing is written over it, and there is no forecast unless this process
    /// remembers one.
    async fn restore(&mut self, session: &Session) {
        let (site, server) = (session.client().site(), session.client().base());
        let Some(state) = &self.state else {
            self.pools.get_or_insert_default();
            return;
        };
        let document =
            self.document.get_or_insert_with(|| Document::of_site(state, site, server, NAME));
        if self.loaded {
            return;
        }
        let content = match document.load().await {
            Ok(content) => content,
            Err(error) => {
                if std::mem::replace(&mut self.saved, false) {
                    tracing::error!(site, %error, "cannot read the saved nights of the disk pools; retrying; there is no forecast until then");
                }
                return;
            }
        };
        (self.loaded, self.saved) = (true, true);
        let kept = match content {
            Content::Missing => Pools::default(),
            Content::SetAside(aside) => {
                tracing::error!(site, aside = %aside.display(), "the saved nights of the disk pools were corrupt and were set aside; the forecast starts over");
                Pools::default()
            }
            Content::Bytes(bytes) => Pools::decode(&bytes).unwrap_or_else(|error| {
                tracing::error!(site, %error, "the saved nights of the disk pools cannot be read; the forecast starts over");
                Pools::default()
            }),
        };
        match &mut self.pools {
            Some(pools) => pools.join(kept),
            none => *none = Some(kept),
        }
    }

    /// Takes a reading of a pool, and returns its forecast; `None` for a pool more than can be remembered.
    pub(super) fn observe(
        &mut self,
        pool: &str,
        night: &Night,
        reading: Reading,
    ) -> Option<Forecast> {
        let history = self.pools.as_mut()?.history(pool)?;
        self.changed |= history.observe(night, reading);
        Some(history.forecast(night, reading))
    }

    /// Saves what changed. A disk that cannot take it is tried again at the next run.
    pub(super) async fn save(&mut self, site: &str, night: &Night, now: i64) {
        let (Some(pools), Some(document)) = (&mut self.pools, &mut self.document) else { return };
        if !self.loaded {
            return;
        }
        let due = self.saved_at.is_none_or(|at| !(at..at + SAVE_EVERY).contains(&now));
        if !(self.changed || due) {
            return;
        }
        pools.forget(night);
        match document.save(pools.encode()).await {
            Ok(()) => {
                if !std::mem::replace(&mut self.saved, true) {
                    tracing::info!(site, "the nights of the disk pools are saved again");
                }
                (self.changed, self.saved_at) = (false, Some(now));
            }
            Err(error) => {
                if std::mem::replace(&mut self.saved, false) {
                    let path = document.directory().path().display();
                    tracing::error!(site, %path, %error, "cannot save the nights of the disk pools; retrying at each run; a restart would lose what is newer");
                }
            }
        }
    }
}
