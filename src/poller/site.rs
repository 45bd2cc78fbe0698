//! The poller of a site: starts cycles, takes results of workers, applies updates, publishes snapshots.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::publish;
use super::schedule::Schedule;
use super::settings::{Rules, Setup, Update};
use super::slot::{CollectorSlot, RunEnd};
use super::trial::Trial;
use super::up::Up;
use super::worker::{self, RunReport, WorkerContext};
use crate::collectors::Row;
use crate::netbackup::{Client, Connection};
use crate::slp::Links;
use crate::snapshot::Publisher;
use crate::telemetry::traces::Tracer;
use crate::tenure::Tenure;

/// Pause of a key that every collector saw rejected; each further one is twice as long.
const MIN_KEY_BACKOFF: Duration = Duration::from_secs(60);

const MAX_KEY_BACKOFF: Duration = Duration::from_secs(3600);

struct SitePoller {
    client: Client,
    rules: Rules,
    table: &'static [Row],
    /// In the order of the table.
    slots: Vec<CollectorSlot>,
    opened: u64,
    links: Links,
    up: Up,
    schedule: Schedule,
    /// The next cycle was requested by an update.
    requested: bool,
    key_backoff: Duration,
    /// Deadline of a run, for the workers.
    deadline: watch::Sender<Duration>,
    tracer: Tracer,
    tenure: Arc<Tenure>,
    reports: mpsc::Sender<RunReport>,
    workers: JoinSet<()>,
    /// Start of the totals.
    origin: SystemTime,
    publisher: Publisher,
}

/// Polls until `stop`. Workers end with the poller.
pub(super) async fn run(
    setup: Setup,
    publisher: Publisher,
    mut updates: mpsc::UnboundedReceiver<(Update, oneshot::Sender<()>)>,
    stop: CancellationToken,
) {
    let (sender, mut reports) = mpsc::channel(16);
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
            Some(report) = reports.recv() => poller.end_run(report),
            () = sleep_until(poller.schedule.next()) => poller.begin_cycle(),
            () = sleep_until(poller.next_expiry()) => {
                poller.drop_stale();
                poller.publish();
            }
        }
    }
    // Requests in flight are dropped here, not when their timeouts end.
    poller.workers.shutdown().await;
}

impl SitePoller {
    fn new(setup: Setup, publisher: Publisher, reports: mpsc::Sender<RunReport>) -> Self {
        let Setup { client, rules, table, tracer, exchange, tenure, first_delay } = setup;
        let first = Instant::now() + first_delay;
        let mut poller = Self {
            slots: Vec::new(),
            opened: 0,
            links: Links::new(&exchange),
            up: Up::default(),
            schedule: Schedule::new(first, rules.polling.interval),
            requested: false,
            key_backoff: MIN_KEY_BACKOFF,
            deadline: watch::Sender::new(rules.polling.deadline()),
            workers: JoinSet::new(),
            origin: SystemTime::now(),
            client,
            rules,
            table,
            tracer,
            tenure,
            reports,
            publisher,
        };
        let rules = poller.rules.clone();
        poller.arrange_slots(&rules, first);
        poller
    }

    /// Makes a collector and its worker.
    fn open(&mut self, row: &'static Row, place: usize) -> CollectorSlot {
        // Those of collectors that were switched off.
        while self.workers.try_join_next().is_some() {}
        self.opened += 1;
        let (start, starts) = mpsc::channel(1);
        let context = WorkerContext {
            slot: self.opened,
            row,
            client: self.client.clone(),
            deadline: self.deadline.subscribe(),
            trial: row.is_tried(&self.rules.collectors).then(|| {
                let place = (self.client.site(), self.client.base());
                Trial::new(self.rules.state.as_ref(), place, row.name)
            }),
            tracer: self.tracer.clone(),
            links: self.links.clone(),
            reports: self.reports.clone(),
        };
        let collector = (row.build)(&self.rules.settings(&self.links));
        self.workers.spawn(worker::run(context, collector, starts));
        CollectorSlot::new(self.opened, row, place, start)
    }

    fn begin_cycle(&mut self) {
        self.schedule.advance();
        if self.tenure.is_over() {
            // Another agent polls by now, and this poller is about to end.
            return;
        }
        let requested = std::mem::take(&mut self.requested);
        let version = self.client.version();
        let mut core = 0;
        for slot in &mut self.slots {
            let runs = slot.begin_cycle(self.client.site(), &self.rules, version, requested);
            core += usize::from(runs && slot.row.core);
        }
        self.up.begin(core);
    }

    fn end_run(&mut self, report: RunReport) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == report.slot) else {
            // Its collector was switched off meanwhile.
            return;
        };
        let tried = slot.row.is_tried(&self.rules.collectors);
        match slot.end_run(self.client.site(), report, self.client.version(), tried) {
            RunEnd::Discarded => return,
            RunEnd::Continued => {}
            RunEnd::Unsupported => self.back_off_rejected_key(),
            RunEnd::Completed { ok } => {
                if slot.row.core {
                    self.up.end(ok);
                }
                self.back_off_rejected_key();
            }
        }
        self.publish();
    }

    /// Pauses the key if every collector got 401: then the key is rejected, and no permission missing.
    fn back_off_rejected_key(&mut self) {
        if self.slots.iter().any(|slot| slot.health.up() == Some(true)) {
            self.key_backoff = MIN_KEY_BACKOFF;
        } else if self.slots.iter().any(|slot| slot.health.unauthorized)
            && self.slots.iter().all(|slot| slot.health.unauthorized || slot.is_unsupported())
        {
            self.client.refuse_key(self.key_backoff);
            tracing::warn!(
                site = self.client.site(),
                server = self.client.base(),
                seconds = self.key_backoff.as_secs(),
                "the server rejects the API key for every resource; not sending it again until \
                 this time has passed; replace or renew apiKey"
            );
            self.key_backoff = (self.key_backoff * 2).min(MAX_KEY_BACKOFF);
            for slot in &mut self.slots {
                slot.health.unauthorized = false;
                // It is the key: nothing is known of permissions.
                slot.health.permitted = None;
                slot.try_again();
            }
        }
    }

    /// Puts an update in force and publishes. The parts that do not change are left alone, and no
    /// count, memory or sample is lost.
    async fn apply(&mut self, update: Update) {
        let at = Instant::now() + update.delay;
        let before = std::mem::replace(&mut self.rules, update.rules);
        if let Some(connection) = update.connection {
            self.reconnect(connection, at).await;
        }
        if before.polling != self.rules.polling {
            self.reschedule(&before, at);
        }
        self.arrange_slots(&before, at);
        // Unsupported collectors are tried again: the site may have been updated before its reload.
        let unsupported = self.slots.iter_mut().filter(|slot| slot.is_unsupported());
        if unsupported.map(CollectorSlot::mark_due).count() > 0 {
            self.request_cycle(at);
        }
        self.drop_stale();
        self.publish();
    }

    /// Replaces the connection; runs under way go on over the new one. Everything is read at once,
    /// also cached resources: another key may see something else.
    async fn reconnect(&mut self, connection: Connection, at: Instant) {
        let same_key = self.client.has_key_of(&connection);
        self.client.replace(connection).await;
        if self.client.key_refused_until().is_none() {
            self.key_backoff = MIN_KEY_BACKOFF;
        }
        for slot in &mut self.slots {
            slot.ignore_failure();
            slot.mark_due();
            slot.health.unauthorized = false;
            if !same_key && slot.row.resource.is_of_key() {
                slot.forget();
            }
        }
        self.request_cycle(at);
    }

    fn reschedule(&mut self, before: &Rules, at: Instant) {
        let (old, new) = (&before.polling, &self.rules.polling);
        if old.deadline() != new.deadline() {
            self.deadline.send_replace(new.deadline());
            self.slots.iter_mut().for_each(CollectorSlot::ignore_failure);
        }
        self.slots.iter_mut().for_each(CollectorSlot::keep_until_next_run);
        if old.interval != new.interval {
            self.schedule.reschedule(new.interval, at);
        }
    }

    /// Keeps the slots of collectors that stay enabled, opens new ones at once, and closes the others.
    fn arrange_slots(&mut self, before: &Rules, at: Instant) {
        let mut previous = std::mem::take(&mut self.slots);
        let (table, enabled) = (self.table, Arc::clone(&self.rules.collectors));
        let client = self.client.clone();
        let enabled = (0..)
            .zip(table)
            .filter(|(_, row)| row.is_enabled(&enabled) && client.can_ask(row.resource));
        for (place, row) in enabled {
            let known = previous.iter().position(|slot| slot.row.name == row.name);
            let slot = if let Some(known) = known {
                let mut slot = previous.swap_remove(known);
                let settings = self.rules.settings(&self.links);
                if !(row.same)(&before.settings(&self.links), &settings) {
                    slot.reconfigure(&self.rules);
                    self.request_cycle(at);
                }
                slot
            } else {
                self.request_cycle(at);
                self.open(row, place)
            };
            self.slots.push(slot);
        }
        previous.into_iter().for_each(CollectorSlot::close);
    }

    /// Requests a cycle at `at`, unless one comes before.
    fn request_cycle(&mut self, at: Instant) {
        self.requested = true;
        self.schedule.run_no_later_than(at);
    }

    /// Returns whether version and response time of the server are stale.
    fn is_stale(&self) -> bool {
        match self.server_expiry() {
            Some(expiry) => expiry <= Instant::now(),
            None => self.up.value() == Some(false),
        }
    }

    /// Returns when they are stale, if the server ever answered.
    fn server_expiry(&self) -> Option<Instant> {
        Some(self.client.last_success()? + self.rules.polling.stale_after)
    }

    fn next_expiry(&self) -> Instant {
        // Instant has no "never".
        let now = Instant::now();
        let never = now + Duration::from_secs(86_400);
        let next = self.slots.iter().filter_map(|slot| slot.next_expiry(&self.rules)).min();
        let server = self.server_expiry().filter(|expiry| *expiry > now);
        next.into_iter().chain(server).min().unwrap_or(never)
    }

    fn drop_stale(&mut self) {
        for slot in &mut self.slots {
            if slot.expire(&self.rules) {
                tracing::warn!(
                    site = self.client.site(),
                    collector = slot.row.name,
                    "collector samples expired; no longer exporting them"
                );
            }
        }
    }

    fn publish(&self) {
        let (up, stale) = (self.up.value(), self.is_stale());
        let snapshot = publish::snapshot(&self.client, &self.slots, up, stale, self.origin);
        self.publisher.publish(snapshot);
    }
}
