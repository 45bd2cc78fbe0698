//! The slot of a collector at a site: its run, the release's support for it, and its samples.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::exported::Exported;
use super::health::Health;
use super::settings::Rules;
use super::worker::{Failure, RunReport, Start};
use crate::collectors::{Cadence, Collected, Row};
use crate::netbackup::ApiVersion;
use crate::snapshot::{CollectorState, CollectorStatus};

/// The pause of a collector that is left out: so many times `server.cacheTTL`. Servers record refused requests.
const LEFT_OUT: u32 = 12;

/// Use of the result of a run that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RunResultPolicy {
    Accept,
    /// An update met the run: a failure says nothing about it, is not counted, and the run is repeated.
    IgnoreFailure,
    /// The settings of the collector changed: the run was cancelled, and is repeated in any case.
    Discard,
}

enum Run {
    Idle,
    Running {
        cancel: CancellationToken,
        on_result: RunResultPolicy,
        /// It goes on where the run before stopped (a backfill step): it is not late.
        continuing: bool,
    },
}

/// Support of a resource by the server's release, with the API version for which it was checked;
/// without one it is checked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    Unknown,
    Yes(Option<ApiVersion>),
    No(Option<ApiVersion>),
}

/// Effect of a run that ended on its site.
pub(super) enum RunEnd {
    /// None: the run is repeated.
    Discarded,
    /// Samples may have changed; another run is under way, and counts.
    Continued,
    /// The release lacks the resource: the collector exports nothing.
    Unsupported,
    /// The run was counted; `ok` if all parts succeeded.
    Completed { ok: bool },
}

/// Collector of a site.
pub(super) struct CollectorSlot {
    /// Tells the slot from one of the same name that was switched off.
    pub(super) id: u64,
    pub(super) row: &'static Row,
    /// Place of its row in the table.
    pub(super) place: usize,
    start: mpsc::Sender<Start>,
    run: Run,
    support: Support,
    /// Settings for the collector's next run.
    pending_settings: Option<Rules>,
    /// End of the last run, if it succeeded completely: a collector that failed is due at once.
    last_success_at: Option<Instant>,
    /// It is tried, and was never permitted: it is asked for again now and then.
    left_out: bool,
    pub(super) exported: Exported,
    pub(super) health: Health,
}

impl CollectorSlot {
    /// `start` leads to the worker.
    pub(super) fn new(
        id: u64,
        row: &'static Row,
        place: usize,
        start: mpsc::Sender<Start>,
    ) -> Self {
        Self {
            id,
            row,
            place,
            start,
            run: Run::Idle,
            support: Support::Unknown,
            pending_settings: None,
            last_success_at: None,
            left_out: false,
            exported: Exported::default(),
            health: Health::default(),
        }
    }

    /// Starts a run if the collector is due in a cycle that starts now. Returns whether a run is under
    /// way. A run of an earlier cycle counts as skipped, unless an update `requested` the cycle.
    pub(super) fn begin_cycle(
        &mut self,
        site: &str,
        rules: &Rules,
        version: Option<ApiVersion>,
        requested: bool,
    ) -> bool {
        match &self.run {
            Run::Idle => self.is_due(rules, version) && self.start(false),
            Run::Running { continuing, .. } => {
                if !requested && !continuing {
                    self.health.skipped += 1;
                    let collector = self.row.name;
                    tracing::debug!(
                        site,
                        collector,
                        "previous run still in progress; skipping this cycle"
                    );
                }
                true
            }
        }
    }

    /// Returns whether the collector is due in a cycle that starts now. A resource that the release
    /// lacks is asked for again only when the server speaks another version.
    fn is_due(&self, rules: &Rules, version: Option<ApiVersion>) -> bool {
        if version.is_some() && self.support == Support::No(version) {
            return false;
        }
        let soon = Instant::now() + rules.polling.interval / 2;
        self.last_success_at.is_none_or(|since| since + self.pause(rules) <= soon)
    }

    /// Starts a run. Returns `false` if the worker is gone.
    fn start(&mut self, continuing: bool) -> bool {
        let cancel = CancellationToken::new();
        let start = Start { cancel: cancel.clone(), settings: self.pending_settings.clone() };
        let started = self.start.try_send(start).is_ok();
        if started {
            self.pending_settings = None;
            self.run = Run::Running { cancel, on_result: RunResultPolicy::Accept, continuing };
        }
        started
    }

    /// Applies the result of a run. The server speaks `version`. A collector that is `tried` is left out where it
    /// was never permitted.
    pub(super) fn end_run(
        &mut self,
        site: &str,
        mut report: RunReport,
        version: Option<ApiVersion>,
        tried: bool,
    ) -> RunEnd {
        let policy = match std::mem::replace(&mut self.run, Run::Idle) {
            Run::Running { on_result, .. } => on_result,
            Run::Idle => RunResultPolicy::Discard,
        };
        let (problems, unfinished) = match (policy, report.result.take()) {
            (RunResultPolicy::Discard, _) | (_, None) => {
                self.start(false);
                return RunEnd::Discarded;
            }
            // If this very version had the resource before, something else is wrong.
            (RunResultPolicy::Accept, Some(Err(Failure::Missing(_))))
                if self.support != Support::Yes(version) =>
            {
                self.mark_unsupported(site, version);
                return RunEnd::Unsupported;
            }
            (_, Some(Ok(collected))) => {
                let unfinished = collected.unfinished;
                (self.accept(collected, version), unfinished)
            }
            (_, Some(Err(Failure::Missing(Some(error))))) => (vec![Failure::Api(error)], false),
            (_, Some(Err(failure))) => (vec![failure], false),
        };
        let ok = problems.is_empty();
        if ok && unfinished {
            self.start(true);
            return RunEnd::Continued;
        }
        if !ok && policy == RunResultPolicy::IgnoreFailure {
            self.start(false);
            return RunEnd::Continued;
        }
        self.exported.hold_expiry = false;
        let denied = !ok && problems.iter().all(Failure::is_permission);
        self.left_out = tried && denied && !report.worked && self.health.succeeded == 0;
        if self.left_out {
            self.last_success_at = Some(Instant::now());
            self.health.leave_out(site, self.row, &problems);
            return RunEnd::Completed { ok };
        }
        self.last_success_at = ok.then(Instant::now);
        let series = self.exported.series();
        self.health.note(site, self.row.name, &report, &problems, series);
        RunEnd::Completed { ok }
    }

    /// Drops everything that was exported, and counts nothing.
    fn mark_unsupported(&mut self, site: &str, version: Option<ApiVersion>) {
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
        self.exported = Exported::default();
        self.support = Support::No(version);
        self.health.reset();
        self.last_success_at = None;
    }

    /// Takes the parts that succeeded. Returns the failures of the others.
    fn accept(&mut self, collected: Collected, version: Option<ApiVersion>) -> Vec<Failure> {
        if collected.permitted.is_some() {
            self.health.permitted = collected.permitted;
        }
        let (errors, duplicates) = self.exported.replace(collected.parts);
        self.health.duplicates = duplicates;
        if errors.is_empty() {
            self.support = Support::Yes(version);
        }
        let mut problems: Vec<Failure> = errors.into_iter().map(Failure::Api).collect();
        // Parts that fail for one reason are one problem.
        problems.dedup_by_key(|problem| problem.cause());
        problems
    }

    /// Ignores a failure of the run under way, if there is one.
    pub(super) fn ignore_failure(&mut self) {
        if let Run::Running { on_result, .. } = &mut self.run {
            *on_result = RunResultPolicy::IgnoreFailure.max(*on_result);
        }
    }

    /// Gives the collector other settings from its next run on, which is due; its samples stay till then.
    pub(super) fn reconfigure(&mut self, rules: &Rules) {
        self.pending_settings = Some(rules.clone());
        self.mark_due();
        self.discard_run();
    }

    /// Drops the samples, also those that a run under way would bring: they are about something else now.
    pub(super) fn forget(&mut self) {
        self.exported = Exported::default();
        self.discard_run();
    }

    fn discard_run(&mut self) {
        if let Run::Running { cancel, on_result, .. } = &mut self.run {
            *on_result = RunResultPolicy::Discard;
            cancel.cancel();
        }
    }

    /// Makes the collector due at the next cycle, even if the release lacks its resource.
    pub(super) fn mark_due(&mut self) {
        self.last_success_at = None;
        match &mut self.support {
            Support::Unknown => {}
            Support::Yes(version) | Support::No(version) => *version = None,
        }
    }

    /// Stops the collector for good.
    pub(super) fn close(self) {
        if let Run::Running { cancel, .. } = &self.run {
            cancel.cancel();
        }
    }

    /// Keeps the samples of a healthy collector until its next run: changed intervals must not
    /// expire them retroactively.
    pub(super) fn keep_until_next_run(&mut self) {
        if self.health.up() == Some(true) {
            self.exported.hold_expiry = true;
        }
    }

    /// Makes a collector that was left out due at the next cycle.
    pub(super) fn try_again(&mut self) {
        if self.left_out {
            self.last_success_at = None;
        }
    }

    fn pause(&self, rules: &Rules) -> Duration {
        if self.left_out {
            return rules.polling.cache_ttl * LEFT_OUT;
        }
        match self.row.cadence {
            Cadence::EveryPoll => Duration::ZERO,
            Cadence::Slow => rules.polling.cache_ttl,
            Cadence::Every(times) => rules.polling.cache_ttl * times,
        }
    }

    /// Returns the age at which samples are stale, which comes after the next run at a slow cadence.
    fn stale_after(&self, rules: &Rules) -> Duration {
        let polling = &rules.polling;
        polling.stale_after.max(self.pause(rules) + 2 * polling.interval)
    }

    /// Returns when the next samples are stale, if any will be.
    pub(super) fn next_expiry(&self, rules: &Rules) -> Option<Instant> {
        self.exported.next_expiry(self.stale_after(rules))
    }

    /// Drops stale samples. Returns whether there were any.
    pub(super) fn expire(&mut self, rules: &Rules) -> bool {
        self.exported.expire(self.stale_after(rules))
    }

    /// Returns whether the server's release has the resource; `None` while unknown.
    pub(super) fn supported(&self) -> Option<bool> {
        match self.support {
            Support::Unknown => None,
            Support::Yes(_) => Some(true),
            Support::No(_) => Some(false),
        }
    }

    pub(super) fn is_unsupported(&self) -> bool {
        self.supported() == Some(false)
    }

    /// Returns the entry for the status page.
    pub(super) fn status(&self) -> CollectorStatus {
        let state = if self.is_unsupported() {
            CollectorState::Unsupported
        } else {
            self.health.state.clone()
        };
        let last_success = self.health.last_success;
        CollectorStatus { collector: self.row.name, state, last_success }
    }
}
