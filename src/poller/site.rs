//! The poller of one site: starts cycles, takes the results of the workers, and publishes snapshots.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::schedule::Schedule;
use super::slot::{CollectorSlot, RunResultPolicy};
use super::up::Up;
use super::worker::{self, Context, Failure, Outcome};
use super::{Rules, Setup, Update, publish};
use crate::collectors::Row;
use crate::metric::Samples;
use crate::netbackup::Client;
use crate::snapshot::{Part, Publisher, Snapshot};
use crate::telemetry::traces::Tracer;

/// A key that every collector saw refused is not presented again for this long at first.
pub(super) const MIN_KEY_BACKOFF: Duration = Duration::from_secs(60);

/// ... and for this long at most.
const MAX_KEY_BACKOFF: Duration = Duration::from_secs(3600);

pub(super) struct SitePoller {
    pub(super) client: Client,
    pub(super) rules: Rules,
    pub(super) table: &'static [Row],
    /// In the order of the table.
    pub(super) slots: Vec<CollectorSlot>,
    opened: u64,
    pub(super) up: Up,
    pub(super) schedule: Schedule,
    /// An update, and not the clock, wants the next cycle.
    pub(super) requested: bool,
    pub(super) key_backoff: Duration,
    /// How long a run may take, for the workers.
    pub(super) limit: watch::Sender<Duration>,
    tracer: Tracer,
    outcomes: mpsc::Sender<Outcome>,
    workers: JoinSet<()>,
    origin: SystemTime,
    publisher: Publisher,
    site: Arc<str>,
    server: Arc<str>,
}

/// Polls until told to stop. Workers end with the poller.
pub(super) async fn run(
    setup: Setup,
    publisher: Publisher,
    mut updates: mpsc::UnboundedReceiver<(Update, oneshot::Sender<()>)>,
    stop: CancellationToken,
) {
    let (sender, mut outcomes) = mpsc::channel(16);
    let mut poller = SitePoller::new(setup, publisher, sender);
    poller.publish();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some((update, done)) = updates.recv() => {
                poller.apply(update).await;
                // The receiver may be gone: nobody has to wait for it.
                let _ = done.send(());
            }
            Some(outcome) = outcomes.recv() => poller.take(outcome),
            () = sleep_until(poller.schedule.next()) => poller.begin_cycle(),
            () = sleep_until(poller.next_expiry()) => poller.expire(),
        }
    }
    // Requests in flight are dropped here, not when their timeouts end.
    poller.workers.shutdown().await;
}

impl SitePoller {
    fn new(setup: Setup, publisher: Publisher, outcomes: mpsc::Sender<Outcome>) -> Self {
        let Setup { client, rules, table, tracer, first_delay } = setup;
        let mut poller = Self {
            site: Arc::from(client.site()),
            server: Arc::from(client.base()),
            slots: Vec::new(),
            opened: 0,
            up: Up::default(),
            schedule: Schedule::new(Instant::now() + first_delay, rules.polling.interval),
            requested: false,
            key_backoff: MIN_KEY_BACKOFF,
            limit: watch::Sender::new(rules.polling.deadline()),
            workers: JoinSet::new(),
            origin: SystemTime::now(),
            client,
            rules,
            table,
            tracer,
            outcomes,
            publisher,
        };
        let enabled = table.iter().filter(|row| (row.enabled)(&poller.rules.collectors));
        for row in enabled.collect::<Vec<_>>() {
            let slot = poller.open(row);
            poller.slots.push(slot);
        }
        poller
    }

    /// Makes a collector and its worker.
    pub(super) fn open(&mut self, row: &'static Row) -> CollectorSlot {
        // Those of collectors that were switched off.
        while self.workers.try_join_next().is_some() {}
        self.opened += 1;
        let (start, starts) = mpsc::channel(1);
        let context = Context {
            slot: self.opened,
            row,
            client: self.client.clone(),
            limit: self.limit.subscribe(),
            tracer: self.tracer.clone(),
            outcomes: self.outcomes.clone(),
        };
        let collector = (row.build)(&self.rules.settings());
        self.workers.spawn(worker::run(context, collector, starts));
        CollectorSlot::new(self.opened, row, start)
    }

    fn begin_cycle(&mut self) {
        self.schedule.advance();
        let requested = std::mem::take(&mut self.requested);
        let mut core = 0;
        let version = self.client.version();
        for slot in &mut self.slots {
            if slot.is_running() {
                core += usize::from(slot.row.core);
                if !requested && !slot.continuing {
                    slot.tally.skipped += 1;
                    tracing::debug!(site = %self.site, collector = slot.row.name, "previous run still in progress; skipping this cycle");
                }
            } else if slot.is_due(&self.rules, version) && slot.start() {
                core += usize::from(slot.row.core);
            }
        }
        self.up.begin(core);
    }

    fn take(&mut self, outcome: Outcome) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == outcome.slot) else {
            // Its collector was switched off meanwhile.
            return;
        };
        let policy = slot.end_run();
        let (Some(result), true) = (outcome.result, policy != RunResultPolicy::Discard) else {
            slot.start();
            return;
        };
        let version = self.client.version();
        let missing =
            matches!(result, Err(Failure::Missing(_))) && policy == RunResultPolicy::Accept;
        if missing && slot.mark_unsupported(&self.site, version) {
            self.back_off_rejected_key();
            self.publish();
            return;
        }
        let (problems, unfinished) = match result {
            Ok(collected) => {
                let unfinished = collected.unfinished;
                (slot.accept(collected, version), unfinished)
            }
            Err(Failure::Missing(Some(error))) => (vec![Failure::Api(error)], false),
            Err(failure) => (vec![failure], false),
        };
        if problems.is_empty() && unfinished {
            // To all others it is the same run still.
            slot.continuing = slot.start();
            self.publish();
            return;
        }
        if policy == RunResultPolicy::IgnoreFailure && !problems.is_empty() {
            slot.start();
        } else {
            slot.note(&self.site, &problems, outcome.ended, outcome.took);
            if slot.row.core {
                self.up.end(problems.is_empty());
            }
            self.back_off_rejected_key();
        }
        self.publish();
    }

    /// When every collector sees 401, it is the key that is refused, not a permission.
    fn back_off_rejected_key(&mut self) {
        if self.slots.iter().any(|slot| slot.status.ok == Some(true)) {
            self.key_backoff = MIN_KEY_BACKOFF;
        } else if self.slots.iter().any(|slot| slot.unauthorized)
            && self.slots.iter().all(|slot| slot.unauthorized || slot.is_unsupported())
        {
            self.client.refuse_key(self.key_backoff);
            tracing::warn!(
                site = %self.site, server = %self.server, seconds = self.key_backoff.as_secs(),
                "the server rejects the API key for every resource; not sending it again until \
                 this time has passed; replace or renew apiKey"
            );
            self.key_backoff = (self.key_backoff * 2).min(MAX_KEY_BACKOFF);
            for slot in &mut self.slots {
                slot.unauthorized = false;
                // It is the key: of permissions nothing is known.
                slot.tally.permitted = None;
            }
        }
    }

    /// Returns whether what is known of the server itself is too old to be shown.
    pub(super) fn is_stale(&self) -> bool {
        match self.server_expiry() {
            Some(expiry) => expiry <= Instant::now(),
            None => self.up.value() == Some(false),
        }
    }

    /// Returns when what is known of the server itself is too old, if it ever answered.
    fn server_expiry(&self) -> Option<Instant> {
        Some(self.client.last_success()? + self.rules.polling.stale_after)
    }

    fn next_expiry(&self) -> Instant {
        // Far away where nothing is shown: Instant has no "never".
        let now = Instant::now();
        let never = now + Duration::from_secs(86_400);
        let next = self.slots.iter().filter_map(|slot| slot.next_expiry(&self.rules)).min();
        let server = self.server_expiry().filter(|expiry| *expiry > now);
        next.into_iter().chain(server).min().unwrap_or(never)
    }

    fn expire(&mut self) {
        self.drop_stale();
        self.publish();
    }

    /// Whether anything was stale.
    pub(super) fn drop_stale(&mut self) -> bool {
        let mut any = false;
        for slot in &mut self.slots {
            if slot.expire(&self.rules) {
                any = true;
                tracing::warn!(site = %self.site, collector = slot.row.name, "collector samples expired; no longer exporting them");
            }
        }
        any
    }

    pub(super) fn publish(&self) {
        let mut samples = Samples::new();
        publish::record(self, &mut samples);
        let mut parts = vec![Part {
            collector: "site",
            families: Arc::new(samples.finish().0),
            origin: self.origin,
        }];
        for slot in &self.slots {
            parts.extend(slot.shown().map(|shown| Part {
                collector: slot.row.name,
                families: Arc::clone(&shown.families),
                origin: shown.origin.unwrap_or(self.origin),
            }));
        }
        self.publisher.publish(Snapshot {
            site: Arc::clone(&self.site),
            server: Arc::clone(&self.server),
            parts,
            up: self.up.value(),
            api_version: self.client.version().map(|version| version.to_string()),
            collectors: self.slots.iter().map(|slot| slot.status.clone()).collect(),
        });
    }
}
