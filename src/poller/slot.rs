//! One collector of a site: its run, its samples, its counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Rules;
use super::worker::{Failure, Start};
use crate::collectors::{Cadence, Collected, Part, Row};
use crate::metric::Family;
use crate::netbackup::{ApiVersion, ErrorKind};
use crate::snapshot::CollectorStatus;

/// Samples of one part of a collector, and when they were collected.
pub(super) struct Shown {
    pub(super) families: Arc<Vec<Family>>,
    /// Since when totals among them count, where they remember it themselves.
    pub(super) origin: Option<SystemTime>,
    collected: Instant,
}

/// What becomes of a run that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunResultPolicy {
    /// What it brings is taken.
    Accept,
    /// An update met it. A failure says nothing of what holds now: it is not counted, and the run is
    /// repeated.
    IgnoreFailure,
    /// The settings of its collector changed: it was cancelled, and is repeated whatever it brings.
    Discard,
}

struct Run {
    cancel: CancellationToken,
    policy: RunResultPolicy,
}

/// One collector.
pub(super) struct CollectorSlot {
    /// Tells it from one of the same name that was switched off.
    pub(super) id: u64,
    pub(super) row: &'static Row,
    start: mpsc::Sender<Start>,
    run: Option<Run>,
    /// The run goes on where one before stopped: it polls, and is not late.
    pub(super) continuing: bool,
    /// Settings that the collector is to hear of before its next run.
    pending_settings: Option<Rules>,
    /// When the last run ended, if it succeeded whole: what failed is due at once.
    last_success_at: Option<Instant>,
    shown: BTreeMap<&'static str, Shown>,
    /// Whether the samples are kept however old, until a run that is due has ended.
    hold_expiry: bool,
    pub(super) status: CollectorStatus,
    pub(super) tally: Tally,
    pub(super) unauthorized: bool,
    /// The API version of which `status.supported` was learnt.
    support_checked_for: Option<ApiVersion>,
}

/// Numbers of one collector, kept through its failures.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) duration: Option<Duration>,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) duplicates: usize,
    pub(super) permitted: Option<bool>,
}

impl CollectorSlot {
    /// One that did not run yet, and whose worker listens to `start`.
    pub(super) fn new(id: u64, row: &'static Row, start: mpsc::Sender<Start>) -> Self {
        Self {
            id,
            row,
            start,
            run: None,
            continuing: false,
            pending_settings: None,
            last_success_at: None,
            shown: BTreeMap::new(),
            hold_expiry: false,
            status: CollectorStatus { collector: row.name, ..CollectorStatus::default() },
            tally: Tally::default(),
            unauthorized: false,
            support_checked_for: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Whether a cycle that starts now takes it along. What the server does not have is asked for
    /// again only when it speaks another version.
    pub(super) fn is_due(&self, rules: &Rules, version: Option<ApiVersion>) -> bool {
        if self.is_unsupported() && version.is_some() && self.support_checked_for == version {
            return false;
        }
        let soon = Instant::now() + rules.polling.interval / 2;
        self.last_success_at.is_none_or(|since| since + self.pause(rules) <= soon)
    }

    /// Starts a run; whether it did.
    pub(super) fn start(&mut self) -> bool {
        let cancel = CancellationToken::new();
        let start = Start { cancel: cancel.clone(), settings: self.pending_settings.clone() };
        let started = self.start.try_send(start).is_ok();
        if started {
            self.pending_settings = None;
            self.run = Some(Run { cancel, policy: RunResultPolicy::Accept });
        }
        started
    }

    /// The run ended.
    pub(super) fn end_run(&mut self) -> RunResultPolicy {
        self.continuing = false;
        self.run.take().map_or(RunResultPolicy::Discard, |run| run.policy)
    }

    /// The run under way, if any, is not to be held responsible for a failure.
    pub(super) fn ignore_failure(&mut self) {
        if let Some(run) = &mut self.run {
            run.policy = run.policy.max(RunResultPolicy::IgnoreFailure);
        }
    }

    /// The collector has other settings from its next run on, which is due. What it shows stays on
    /// show until then.
    pub(super) fn reconfigure(&mut self, rules: &Rules) {
        self.pending_settings = Some(rules.clone());
        self.mark_due();
        if let Some(run) = &mut self.run {
            run.policy = RunResultPolicy::Discard;
            run.cancel.cancel();
        }
    }

    /// Asked again at the next cycle, whatever its cadence, and whether or not the server had it.
    pub(super) fn mark_due(&mut self) {
        self.last_success_at = None;
        self.support_checked_for = None;
    }

    /// Whether the server is known not to have what the collector reads.
    pub(super) fn is_unsupported(&self) -> bool {
        self.status.supported == Some(false)
    }

    /// The server does not have it: what was shown of it is gone, and nothing is counted. False where
    /// the server did have it in this very version, so that something else is wrong.
    pub(super) fn mark_unsupported(&mut self, site: &str, version: Option<ApiVersion>) -> bool {
        if self.status.supported == Some(true) && self.support_checked_for == version {
            return false;
        }
        if !self.is_unsupported() {
            let version = version.map(|known| known.to_string()).unwrap_or_default();
            tracing::info!(
                site,
                collector = self.row.name,
                resource = self.row.resource.path,
                api_version = version,
                "not supported by this NetBackup release; pausing the collector until the version \
                 or the configuration changes"
            );
        }
        self.shown.clear();
        self.unauthorized = false;
        self.last_success_at = None;
        self.support_checked_for = version;
        self.status = CollectorStatus {
            collector: self.row.name,
            supported: Some(false),
            ..CollectorStatus::default()
        };
        true
    }

    /// The collector is switched off.
    pub(super) fn close(self) {
        if let Some(run) = &self.run {
            run.cancel.cancel();
        }
    }

    /// The samples of a collector that works are not stale for a change of the rules alone: it was
    /// not due before.
    pub(super) fn keep_until_next_run(&mut self) {
        self.hold_expiry = self.status.ok == Some(true);
    }

    fn pause(&self, rules: &Rules) -> Duration {
        match self.row.cadence {
            Cadence::EveryPoll => Duration::ZERO,
            Cadence::Slow => rules.polling.cache_ttl,
        }
    }

    /// The age at which its samples are too old to be shown. What is asked for seldom must not be
    /// stale before it is asked for again.
    fn stale_after(&self, rules: &Rules) -> Duration {
        let polling = &rules.polling;
        polling.stale_after.max(self.pause(rules) + 2 * polling.interval)
    }

    /// When the next of its samples are too old; `None` where none will be.
    pub(super) fn next_expiry(&self, rules: &Rules) -> Option<Instant> {
        let oldest = self.shown.values().map(|shown| shown.collected).min();
        oldest.filter(|_| !self.hold_expiry).map(|collected| collected + self.stale_after(rules))
    }

    /// Drops what is too old; whether there was any.
    pub(super) fn expire(&mut self, rules: &Rules) -> bool {
        let (now, age, before) = (Instant::now(), self.stale_after(rules), self.shown.len());
        if !self.hold_expiry {
            self.shown.retain(|_, shown| shown.collected + age > now);
        }
        self.shown.len() < before
    }

    /// What it has on show.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Shown> {
        self.shown.values()
    }

    /// How many series it shows.
    pub(super) fn samples(&self) -> usize {
        self.shown().flat_map(|shown| shown.families.iter()).map(|f| f.points.len()).sum()
    }

    /// Takes the parts that succeeded; returns what did not. The server speaks `version`.
    pub(super) fn accept(
        &mut self,
        collected: Collected,
        version: Option<ApiVersion>,
    ) -> Vec<Failure> {
        let mut problems = Vec::new();
        if collected.permitted.is_some() {
            self.tally.permitted = collected.permitted;
        }
        self.shown.retain(|part, _| collected.parts.iter().any(|(named, _)| named == part));
        let mut duplicates = 0;
        let failed = collected.parts.iter().any(|(_, part)| matches!(part, Part::Failed(_)));
        if !failed {
            self.status.supported = Some(true);
            self.support_checked_for = version;
        }
        for (name, part) in collected.parts {
            let (samples, origin) = match part {
                Part::Fresh(samples) => (samples, None),
                Part::Totals(samples, origin) => (samples, Some(origin)),
                Part::Failed(error) => {
                    problems.push(Failure::Api(error));
                    continue;
                }
                Part::Kept => continue,
            };
            let (families, dropped) = samples.finish();
            duplicates += dropped;
            // What did not change is not rendered anew.
            let same = self.shown.remove(name).filter(|shown| *shown.families == families);
            let families = same.map_or_else(|| Arc::new(families), |shown| shown.families);
            self.shown.insert(name, Shown { families, origin, collected: Instant::now() });
        }
        self.tally.duplicates = duplicates;
        // Parts that fail for one reason are one problem.
        problems.dedup_by_key(|problem| problem.cause());
        problems
    }

    /// Counts a run and logs where its state changed.
    pub(super) fn note(
        &mut self,
        site: &str,
        problems: &[Failure],
        ended: SystemTime,
        took: Duration,
    ) {
        let collector = self.row.name;
        let was = self.status.ok;
        self.unauthorized = problems.iter().any(|problem| {
            matches!(problem, Failure::Api(error) if error.kind() == ErrorKind::Unauthorized)
        });
        if problems.iter().any(Failure::is_permission) {
            self.tally.permitted = Some(false);
        }
        self.status.ok = Some(problems.is_empty());
        self.last_success_at = problems.is_empty().then(Instant::now);
        self.hold_expiry = false;
        self.tally.duration = Some(took);
        if problems.is_empty() {
            self.tally.succeeded += 1;
            self.status.last_success = Some(ended);
            self.status.error = None;
            let (series, ms) = (self.samples(), took.as_millis());
            match was {
                Some(true) => tracing::debug!(site, collector, series, ms, "collected"),
                Some(false) => tracing::info!(site, collector, series, ms, "collector recovered"),
                None => tracing::info!(site, collector, series, ms, "first collection complete"),
            }
            return;
        }
        self.tally.failed += 1;
        for problem in problems {
            *self.tally.errors.entry(problem.kind()).or_default() += 1;
            if was == Some(false) {
                tracing::debug!(site, collector, kind = problem.kind(), error = %problem, "collector still failing");
            } else {
                tracing::warn!(site, collector, kind = problem.kind(), error = %problem, "collector failed; exporting its last samples until they are stale");
            }
        }
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        self.status.error = Some(texts.join("; "));
    }
}
