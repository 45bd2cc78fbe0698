//! The hub of one site: it starts cycles, takes what the workers bring, and publishes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::up::Up;
use super::worker::{self, Context, Failure, Outcome};
use super::{Config, Setup, site_metrics};
use crate::collectors::{Cadence, Collected, Row};
use crate::metric::{Family, Samples};
use crate::netbackup::{Client, ErrorKind};
use crate::snapshot::{CollectorStatus, Part, Publisher, Snapshot};

/// A key that every collector saw refused is not presented again for this long at first.
const LEAST_KEY_BACKOFF: Duration = Duration::from_secs(60);

/// ... and for this long at most.
const MOST_KEY_BACKOFF: Duration = Duration::from_secs(3600);

/// Samples of one part of a collector, and when they are too old to be shown.
struct Shown {
    families: Arc<Vec<Family>>,
    expires: Instant,
}

/// One collector as the hub sees it.
pub(super) struct Lane {
    pub(super) row: &'static Row,
    start: mpsc::Sender<()>,
    running: bool,
    due: Instant,
    shown: BTreeMap<&'static str, Shown>,
    pub(super) status: CollectorStatus,
    pub(super) tally: Tally,
    refused: bool,
}

/// Numbers of one collector, kept through its failures.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) duration: Option<Duration>,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) unreadable: u64,
    pub(super) duplicates: usize,
    pub(super) permitted: Option<bool>,
}

impl Lane {
    /// How many series it shows.
    pub(super) fn samples(&self) -> usize {
        self.shown.values().flat_map(|shown| shown.families.iter()).map(|f| f.points.len()).sum()
    }
}

pub(super) struct Hub {
    pub(super) client: Client,
    polling: Config,
    pub(super) lanes: Vec<Lane>,
    pub(super) up: Up,
    cycle: u64,
    key_backoff: Duration,
    origin: SystemTime,
    publisher: Publisher,
    site: Arc<str>,
    server: Arc<str>,
}

/// Polls until told to stop. Workers end with the hub.
pub(super) async fn run(setup: Setup, publisher: Publisher, stop: CancellationToken) {
    let (sender, mut outcomes) = mpsc::channel(16);
    let mut workers = JoinSet::new();
    let first = Instant::now() + setup.first_delay;
    let mut hub = Hub::start(setup, publisher, &sender, &mut workers);
    drop(sender);
    hub.publish();
    let mut next = first;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(outcome) = outcomes.recv() => hub.take(outcome),
            () = sleep_until(next) => {
                next = hub.after(next);
                hub.begin_cycle();
            }
            () = sleep_until(hub.next_expiry()) => hub.expire(),
        }
    }
    // Requests in flight are dropped here, not when their timeouts end.
    workers.shutdown().await;
}

impl Hub {
    fn start(
        setup: Setup,
        publisher: Publisher,
        outcomes: &mpsc::Sender<Outcome>,
        workers: &mut JoinSet<()>,
    ) -> Self {
        let mut lanes = Vec::new();
        for (index, (row, collector)) in setup.collectors.into_iter().enumerate() {
            let (start, starts) = mpsc::channel(1);
            let context = Context {
                index,
                row,
                client: setup.client.clone(),
                deadline: setup.polling.deadline(),
                tracer: setup.tracer.clone(),
                outcomes: outcomes.clone(),
            };
            workers.spawn(worker::run(context, collector, starts));
            lanes.push(Lane {
                row,
                start,
                running: false,
                due: Instant::now(),
                shown: BTreeMap::new(),
                status: CollectorStatus { collector: row.name, ..CollectorStatus::default() },
                tally: Tally::default(),
                refused: false,
            });
        }
        Self {
            site: Arc::from(setup.client.site()),
            server: Arc::from(setup.client.base()),
            client: setup.client,
            polling: setup.polling,
            lanes,
            up: Up::default(),
            cycle: 0,
            key_backoff: LEAST_KEY_BACKOFF,
            origin: SystemTime::now(),
            publisher,
        }
    }

    /// When the cycle after the one at `this` starts. The second one comes after a random share of
    /// the interval, so that sites that started together spread out; a late one is skipped.
    fn after(&self, this: Instant) -> Instant {
        let share = if self.cycle == 0 { 0.5 + fastrand::f64() / 2.0 } else { 1.0 };
        let mut next = this + self.polling.interval.mul_f64(share);
        let now = Instant::now();
        while next <= now {
            next += self.polling.interval;
        }
        next
    }

    fn begin_cycle(&mut self) {
        self.cycle += 1;
        let soon = Instant::now() + self.polling.interval / 2;
        let mut core = 0;
        for lane in &mut self.lanes {
            if lane.running {
                core += usize::from(lane.row.core);
                lane.tally.skipped += 1;
                tracing::debug!(site = %self.site, collector = lane.row.name, "still running: this cycle is skipped");
            } else if lane.due <= soon && lane.start.try_send(()).is_ok() {
                lane.running = true;
                core += usize::from(lane.row.core);
            }
        }
        self.up.begin(core);
    }

    fn take(&mut self, outcome: Outcome) {
        let lane = &mut self.lanes[outcome.index];
        let pause = match lane.row.cadence {
            Cadence::EveryPoll => Duration::ZERO,
            Cadence::Slow => self.polling.cache_ttl,
        };
        // What is asked for seldom must not be stale before it is asked for again.
        let stale_after = self.polling.stale_after.max(pause + 2 * self.polling.interval);
        lane.running = false;
        lane.tally.duration = Some(outcome.took);
        let mut problems = match outcome.result {
            Ok(collected) => lane.accept(collected, stale_after),
            Err(failure) => vec![failure],
        };
        // Parts that fail for one reason are one problem.
        problems.dedup_by_key(|problem| problem.cause());
        let ok = problems.is_empty();
        lane.due = Instant::now() + if ok { pause } else { Duration::ZERO };
        lane.note(&self.site, &problems, outcome.ended, outcome.took);
        if lane.row.core {
            self.up.end(ok);
        }
        self.judge_key();
        self.publish();
    }

    /// When every collector sees 401, it is the key that is refused, not a permission.
    fn judge_key(&mut self) {
        if self.lanes.iter().any(|lane| lane.status.ok == Some(true)) {
            self.key_backoff = LEAST_KEY_BACKOFF;
        } else if self.lanes.iter().all(|lane| lane.refused) {
            self.client.refuse_key(self.key_backoff);
            tracing::warn!(
                site = %self.site, server = %self.server, seconds = self.key_backoff.as_secs(),
                "the server refuses the API key for every resource: it is not sent again before this time has passed; replace apiKey, or have it renewed"
            );
            self.key_backoff = (self.key_backoff * 2).min(MOST_KEY_BACKOFF);
            for lane in &mut self.lanes {
                lane.refused = false;
                // It is the key: of permissions nothing is known.
                lane.tally.permitted = None;
            }
        }
    }

    /// Whether what is known of the server itself is too old to be shown.
    pub(super) fn is_stale(&self) -> bool {
        self.up.value() == Some(false) && self.lanes.iter().all(|lane| lane.shown.is_empty())
    }

    fn next_expiry(&self) -> Instant {
        let shown = self.lanes.iter().flat_map(|lane| lane.shown.values());
        // Far away where nothing is shown: Instant has no "never".
        let never = Instant::now() + Duration::from_secs(86_400);
        shown.map(|part| part.expires).min().unwrap_or(never)
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let mut gone = false;
        for lane in &mut self.lanes {
            let before = lane.shown.len();
            lane.shown.retain(|_, part| part.expires > now);
            if lane.shown.len() < before {
                gone = true;
                tracing::warn!(site = %self.site, collector = lane.row.name, "its last samples are stale and no longer exported");
            }
        }
        if gone {
            self.publish();
        }
    }

    fn publish(&self) {
        let mut samples = Samples::new();
        site_metrics::record(self, &mut samples);
        let mut parts = vec![Part {
            collector: "site",
            families: Arc::new(samples.finish().0),
            origin: self.origin,
        }];
        for lane in &self.lanes {
            parts.extend(lane.shown.values().map(|shown| Part {
                collector: lane.row.name,
                families: Arc::clone(&shown.families),
                origin: self.origin,
            }));
        }
        self.publisher.publish(Snapshot {
            site: Arc::clone(&self.site),
            server: Arc::clone(&self.server),
            parts,
            up: self.up.value(),
            api_version: self.client.version().map(|version| version.to_string()),
            collectors: self.lanes.iter().map(|lane| lane.status.clone()).collect(),
        });
    }
}

impl Lane {
    /// Takes the parts that succeeded; returns what did not.
    fn accept(&mut self, collected: Collected, stale_after: Duration) -> Vec<Failure> {
        let mut problems = Vec::new();
        self.tally.unreadable += collected.unreadable;
        if collected.permitted.is_some() {
            self.tally.permitted = collected.permitted;
        }
        let mut duplicates = 0;
        for (part, result) in collected.parts {
            match result {
                Ok(samples) => {
                    let (families, dropped) = samples.finish();
                    duplicates += dropped;
                    let expires = Instant::now() + stale_after;
                    self.shown.insert(part, Shown { families: Arc::new(families), expires });
                }
                Err(error) => problems.push(Failure::Api(error)),
            }
        }
        self.tally.duplicates = duplicates;
        problems
    }

    /// Counts a run and logs where its state changed.
    fn note(&mut self, site: &str, problems: &[Failure], ended: SystemTime, took: Duration) {
        let collector = self.row.name;
        let was = self.status.ok;
        self.refused = problems.iter().any(|problem| {
            matches!(problem, Failure::Api(error) if error.kind() == ErrorKind::Unauthorized)
        });
        if problems.iter().any(Failure::is_permission) {
            self.tally.permitted = Some(false);
        }
        self.status.ok = Some(problems.is_empty());
        if problems.is_empty() {
            self.tally.succeeded += 1;
            self.status.last_success = Some(ended);
            self.status.error = None;
            let (series, ms) = (self.samples(), took.as_millis());
            match was {
                Some(true) => tracing::debug!(site, collector, series, ms, "collected"),
                Some(false) => tracing::info!(site, collector, series, ms, "works again"),
                None => tracing::info!(site, collector, series, ms, "first collection is complete"),
            }
            return;
        }
        self.tally.failed += 1;
        for problem in problems {
            *self.tally.errors.entry(problem.kind()).or_default() += 1;
            if was == Some(false) {
                tracing::debug!(site, collector, kind = problem.kind(), error = %problem, "still fails");
            } else {
                tracing::warn!(site, collector, kind = problem.kind(), error = %problem, "fails; its last samples are kept until they are stale");
            }
        }
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        self.status.error = Some(texts.join("; "));
    }
}
