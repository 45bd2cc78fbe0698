//! The ledger of one site: rows in, each completion counted once (docs/adr/0010-job-ledger.md).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use super::completion::Completion;
use super::effect::{Effect, RowSource};
use super::finished::{FinishedJob, FinishedJobs};
use super::gauges::{Gauges, Window};
use super::interner::Interner;
use super::label_sets::{LabelResolver, LabelSet, LabelSets};
use super::last_results::{AHEAD, LastResults, Subject};
use super::live::Live;
use super::persist::{self, Changes, HandedOver};
use super::totals::Totals;
use super::unfinished::UnfinishedJob;
use super::{Actions, DONE, NameFilterConfig};
use crate::netbackup::wire::jobs::JobRow;

/// A span of time to be read, Unix ms by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub from: i64,
    /// Where it ends.
    pub to: i64,
}

/// Where the ledger stands. Times are the server's, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The time of the present cycle.
    pub(super) now: i64,
    /// When the ledger began.
    pub(super) began: i64,
    /// Every change before it was read.
    pub(super) watermark: i64,
    /// Changes since then were asked for by endTime alone, if any: they are read again by
    /// lastUpdateTime once the server takes that.
    pub(super) by_end_since: Option<i64>,
    /// The time of the last cycle that had read every change; none before the first.
    pub(super) current_at: Option<i64>,
    /// Every completion that ended after it, and changed before the watermark, is among the keys.
    pub(super) horizon: i64,
    /// When a look for late rows was begun last. A start takes one whenever that was.
    pub(super) late_at: Option<i64>,
    /// What is left of it.
    pub(super) late: Option<Span>,
    /// Length of the window in force, ms; none before the first was complete.
    pub(super) in_force: Option<i64>,
    /// Every job with a higher number began to be listed after it was set; unknown before the server
    /// told the highest one.
    pub(super) highest_id: Option<i64>,
    /// The highest number of a job that was met.
    pub(super) met_id: i64,
    /// Time that was lost, in all.
    pub(super) gap: i64,
    /// Up to where time was source lost already.
    pub(super) gap_until: i64,
    /// An outage of which it is not known yet what the server purged meanwhile.
    pub(super) outage: Option<Span>,
}

/// The job ledger of one site.
#[derive(Debug)]
pub struct Ledger {
    pub(super) names: Interner,
    pub(super) label_sets: LabelSets,
    pub(super) finished: FinishedJobs,
    pub(super) unfinished: HashMap<i64, UnfinishedJob>,
    pub(super) totals: Totals,
    pub(super) position: Position,
    pub(super) changes: Changes,
    pub(super) handed_over: Option<HandedOver>,
    /// Of clients and of policies, where they are wanted.
    pub(super) last_results: Vec<LastResults>,
    pub(super) gauges: Gauges,
    /// What the gauges hold.
    pub(super) window: Window,
    /// The length that is wanted; a longer one is in force once the keys cover it.
    pub(super) wanted: Duration,
    /// Down to where the keys are to reach, while they are read backwards.
    pub(super) fill_from: Option<i64>,
    /// Spans to be read again although the keys cover them.
    pub(super) rereads: Vec<Span>,
    /// A poll failed since the last that was complete, or none was yet.
    pub(super) interrupted: bool,
    /// When the present cycle began, by our clock.
    pub(super) cycle_began: Instant,
    /// Since when the wanted window is not complete, by our clock.
    pub(super) incomplete_since: Option<Instant>,
    /// Jobs that were source finished in this cycle.
    pub(super) touched: HashSet<i64>,
    pub(super) live: Option<Live>,
    /// When the records were written from which it was restored, by our clock.
    pub(super) saved_at: Option<SystemTime>,
}

impl Ledger {
    /// An empty ledger that begins at `now`, the server's time; it counts from `origin` on, ours.
    pub fn new(now: i64, wanted: Duration, origin: SystemTime) -> Self {
        let position = Position {
            now,
            began: now,
            watermark: now,
            by_end_since: None,
            current_at: None,
            horizon: now,
            late_at: None,
            late: None,
            in_force: None,
            highest_id: None,
            met_id: 0,
            gap: 0,
            gap_until: i64::MIN,
            outage: None,
        };
        Self {
            names: Interner::default(),
            label_sets: LabelSets::default(),
            finished: FinishedJobs::default(),
            unfinished: HashMap::new(),
            totals: Totals::new(whole_ms(origin)),
            position,
            changes: Changes::default(),
            handed_over: None,
            last_results: Vec::new(),
            gauges: Gauges::default(),
            window: Window { from: now, to: now },
            wanted,
            fill_from: None,
            rereads: Vec::new(),
            interrupted: true,
            cycle_began: Instant::now(),
            incomplete_since: Some(Instant::now()),
            touched: HashSet::new(),
            live: None,
            saved_at: None,
        }
    }

    /// Which clients and policies have numbers of their own from now on. What is known of those that
    /// had them before stays; the others learn of the window's jobs.
    pub fn select(&mut self, clients: &NameFilterConfig, policies: &NameFilterConfig) {
        let mut before = std::mem::take(&mut self.last_results);
        for (subject, rules) in [(Subject::Client, clients), (Subject::Policy, policies)] {
            let place = before.iter().position(|table| table.subject() == subject);
            let table = place.map(|place| before.swap_remove(place));
            if rules.enabled {
                let mut table = table.unwrap_or_else(|| LastResults::new(subject, rules));
                table.reconfigure(rules);
                table.set_now(self.position.now);
                self.last_results.push(table);
            }
        }
        self.refill_last_results();
        self.refold();
    }

    /// Has clients and policies that are newly selected learn of the window's jobs.
    pub(super) fn refill_last_results(&mut self) {
        let mut last_results = std::mem::take(&mut self.last_results);
        for table in &mut last_results {
            table.refill(self.finished.iter().filter_map(|job| self.completion(job)));
        }
        self.last_results = last_results;
    }

    /// What is known of the last jobs of clients or policies, where it is wanted.
    pub(super) fn last_results_of(&self, subject: Subject) -> Option<&LastResults> {
        self.last_results.iter().find(|table| table.subject() == subject)
    }

    pub(super) fn last_results_mut(&mut self, subject: Subject) -> Option<&mut LastResults> {
        self.last_results.iter_mut().find(|table| table.subject() == subject)
    }

    /// Takes a row in that changed. One that is not DONE is passed over: INCOMPLETE is not finished.
    pub fn apply_changed(&mut self, row: &JobRow<'_>) {
        self.apply(row, RowSource::Incremental);
    }

    /// Takes a row in that was read backwards.
    pub fn apply_backfilled(&mut self, row: &JobRow<'_>) {
        self.apply(row, RowSource::Backfill);
    }

    fn apply(&mut self, row: &JobRow<'_>, source: RowSource) {
        self.position.met_id = self.position.met_id.max(row.job_id);
        if row.state.as_deref() != Some(DONE) {
            return;
        }
        // One without an end is placed where it changed last.
        let Some(end) = row.end_time.or(row.last_update_time) else { return };
        let before = self.finished.get(row.job_id).copied();
        let effect = self.effect_of(row, end, before.as_ref(), source);
        if effect == Effect::Ignored {
            return;
        }
        let job = self.job(row, end);
        if source == RowSource::Incremental {
            self.touched.insert(job.id);
        }
        if before != Some(job) {
            if let Some(before) = before.filter(|before| self.is_shown(before)) {
                self.gauges.take(&before);
            }
            self.finished.insert(job);
            self.changes.job(job.id);
            if self.is_shown(&job) {
                self.gauges.add(&job);
            }
        }
        if effect != Effect::Duplicate {
            // A cycle takes a while: what the server changed since it began is no end in the future.
            let present = self.position.now.max(row.last_update_time.unwrap_or(i64::MIN));
            self.complete(&job, &effect, present.saturating_add(AHEAD));
        }
        if self.unfinished.remove(&job.id).is_some() {
            self.changes.unfinished(job.id);
        }
    }

    fn job(&mut self, row: &JobRow<'_>, end: i64) -> FinishedJob {
        let labels = LabelSet {
            job_type: self.names.intern(super::name_or_unknown(row.job_type.as_deref())),
            policy_type: self.names.intern(super::name_or_unknown(row.policy_type.as_deref())),
            status: row.status,
        };
        FinishedJob {
            id: row.job_id,
            start: row.start_time.unwrap_or(0),
            end,
            // A negative one is a mistake of the server, and would take from the sums.
            kilobytes: row.kilobytes_transferred.unwrap_or(0).max(0),
            files: row.number_of_files.unwrap_or(0).max(0),
            dedup: row.dedup_ratio.unwrap_or(f64::INFINITY),
            tries: super::tries(row),
            label_set: self.label_sets.intern(labels),
            client: self.names.intern(row.client_name.as_deref().unwrap_or_default()),
            policy: self.names.intern(row.policy_name.as_deref().unwrap_or_default()),
            leaf: super::is_leaf(row),
            resumed: false,
        }
    }

    /// A job of the keys as the completion that it is.
    pub(super) fn completion(&self, job: &FinishedJob) -> Option<Completion<'_>> {
        let labels = self.label_sets.get(job.label_set)?;
        Some(Completion {
            job_id: job.id,
            tries: i64::from(job.tries),
            start: Some(job.start).filter(|start| *start != 0),
            end: job.end,
            job_type: self.names.get(labels.job_type),
            policy_type: self.names.get(labels.policy_type),
            status: labels.status,
            leaf: job.leaf,
            kilobytes: job.kilobytes,
            files: job.files,
            client: self.names.get(job.client),
            policy: self.names.get(job.policy),
        })
    }

    fn complete(&mut self, job: &FinishedJob, effect: &Effect, latest: i64) {
        let mut last_results = std::mem::take(&mut self.last_results);
        if let Some(completion) = self.completion(job) {
            for table in &mut last_results {
                table.record(&completion);
            }
        }
        self.last_results = last_results;
        let Some(labels) = self.label_sets.get(job.label_set) else { return };
        let pair = (labels.job_type, labels.policy_type);
        let changed = match effect {
            Effect::Counted(retries) => {
                self.totals.count(job, pair, *retries, latest);
                true
            }
            Effect::WindowOnly => self.totals.seen(job.label_set, pair, job.leaf),
            Effect::Duplicate | Effect::Ignored => false,
        };
        if changed {
            self.changes.total(job.label_set, pair);
        }
    }

    /// Forgets the names that no job and no label refers to any more.
    pub(super) fn forget_names(&mut self) {
        let mut used = vec![false; self.names.len()];
        let labels = self.label_sets.since(0).flat_map(|(_, of)| [of.job_type, of.policy_type]);
        let jobs = self.finished.iter().flat_map(|job| [job.client, job.policy]);
        for name in labels.chain(jobs) {
            if let Some(used) = used.get_mut(name.0 as usize) {
                *used = true;
            }
        }
        self.names.keep(&used);
    }

    /// Whether the gauges count a job.
    pub(super) fn is_shown(&self, job: &FinishedJob) -> bool {
        !job.resumed && self.window.holds(job.end)
    }

    /// How many ended jobs are remembered.
    pub fn remembered(&self) -> usize {
        self.finished.len()
    }

    /// Its numbers as labels.
    pub(super) fn resolver<'l>(&'l self, actions: &'l Actions) -> LabelResolver<'l> {
        LabelResolver { names: &self.names, label_sets: &self.label_sets, actions }
    }

    /// The actions that have explicit zeros: those of the window and of the live jobs.
    pub(super) fn actions(&self, actions: &Actions) -> BTreeSet<String> {
        let mut all = self.gauges.actions(self.resolver(actions));
        all.extend(self.live.iter().flat_map(|live| live.actions(actions)));
        all
    }
}

/// As it will be when it comes back from disk.
fn whole_ms(time: SystemTime) -> SystemTime {
    persist::from_ms(persist::to_ms(time))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
