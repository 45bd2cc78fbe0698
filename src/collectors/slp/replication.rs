//! Replication to and from other sites that this agent polls (docs/adr/0022-slp-backlog.md).

use std::collections::HashSet;

use serde::Deserialize;

use super::lookup::Lookup;
use crate::metric::Samples;
use crate::netbackup::lenient;
use crate::netbackup::{Error, Query, Resource, Session};
use crate::slp::{self, Exchange, ImageId, Import, Round, Seat};

/// Needs no permission.
static SERVER_INFO: Resource =
    Resource { name: "server_info", path: "/security/serverinfo", permission: None, max_limit: 0 };

/// Requests of a run.
pub(super) const MAX_REQUESTS: u32 = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServerInfo {
    #[serde(deserialize_with = "lenient::owned_text")]
    server_name: Option<String>,
}

/// The part of a site in replication.
#[derive(Debug)]
pub(super) struct Replication {
    exchange: Exchange,
    seat: Seat,
    server: Option<String>,
    /// Looks up own images that left the backlog.
    outgoing: Lookup,
    /// Looks up replicas that were not seen here.
    incoming: Lookup,
    /// Replicas that were looked up here and are not there.
    absent: HashSet<ImageId>,
    /// A run is under way, or was dropped.
    running: bool,
    /// A failure was said.
    failed: bool,
}

impl Replication {
    pub(super) fn new(exchange: &Exchange, site: &str) -> Self {
        Self {
            exchange: exchange.clone(),
            seat: Seat::take_at(exchange, site),
            server: None,
            outgoing: Lookup::default(),
            incoming: Lookup::default(),
            absent: HashSet::new(),
            running: false,
            failed: false,
        }
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Returns whether there is another site to replicate with.
    pub(super) fn is_shared(&self) -> bool {
        self.exchange.is_shared()
    }

    /// Begins a run. One before that was dropped on its way has told nothing.
    pub(super) fn begin(&mut self) {
        if std::mem::replace(&mut self.running, true) {
            self.seat.lose();
        }
    }

    /// Ends a run; nothing new is known if it failed.
    pub(super) fn end(&mut self, failed: bool) {
        self.running = false;
        if failed {
            self.seat.lose();
        }
    }

    /// Applies a round that is complete. Returns the samples; none where not everything is known.
    pub(super) async fn apply(
        &mut self,
        session: &Session,
        round: &Round,
        now: i64,
    ) -> Option<Samples> {
        match self.try_apply(session, round, now).await {
            Ok(samples) => {
                self.failed = false;
                samples
            }
            Err(error) => {
                self.seat.lose();
                self.outgoing.reset();
                self.incoming.reset();
                let site = session.client().site();
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(site, %error, "cannot compare replicated images with other sites now; retrying at each run");
                }
                None
            }
        }
    }

    async fn try_apply(
        &mut self,
        session: &Session,
        round: &Round,
        now: i64,
    ) -> Result<Option<Samples>, Error> {
        if self.server.is_none() {
            let info = session.get(&SERVER_INFO, &Query::all()).await?.read::<ServerInfo>()?;
            self.server = info.server_name.filter(|name| !name.is_empty());
        }
        let Some(server) = &self.server else { return Ok(None) };
        self.seat.take(round, server, now);
        self.seat.imported(&[]);
        let mut left = MAX_REQUESTS;
        self.outgoing.aim(self.seat.unverified());
        let mut verified = Vec::new();
        let gone = self.outgoing.step(session, &mut left, |image| {
            verified.push((image.id, image.is_replicated() == Some(true)));
        });
        let gone = gone.await?;
        for (id, replicated) in verified.into_iter().chain(gone.into_iter().map(|id| (id, false))) {
            self.seat.verify(id, replicated);
        }
        if self.seat.unverified().is_empty() {
            self.seat.know();
        } else {
            self.seat.lose();
        }
        self.look_for_replicas(session, &mut left).await?;
        let unseen = self.seat.unseen();
        self.absent.retain(|id| unseen.contains_key(id));
        let known = unseen.keys().all(|id| self.absent.contains(id));
        Ok(known.then(|| slp::replication_samples(&self.seat.pending(), now)))
    }

    /// Looks for replicas that were not seen here: first those that were never looked for, then the others again.
    async fn look_for_replicas(&mut self, session: &Session, left: &mut u32) -> Result<(), Error> {
        for again in [false, true] {
            let mut unseen = self.seat.unseen();
            unseen.retain(|id, _| self.absent.contains(id) == again);
            self.incoming.aim(unseen);
            let (mut found, mut odd) = (Vec::new(), Vec::new());
            let gone = self.incoming.step(session, left, |image| {
                // One that is complete without being imported did not arrive as far as anybody can tell.
                match image.origin.filter(|_| image.import() == Import::Done) {
                    Some(origin) => found.push((image.id, origin.to_owned())),
                    None => odd.push(image.id),
                }
            });
            let gone = gone.await?;
            self.seat.imported(&found);
            self.absent.extend(gone.into_iter().chain(odd));
        }
        Ok(())
    }
}
