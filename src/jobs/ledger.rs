//! The ledger of one site: rows in, each completion counted once (docs/adr/0010-job-ledger.md).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::classes::{Classes, Labels, Reader};
use super::completion::Completion;
use super::gauges::{Gauges, Window};
use super::keys::{Job, Keys};
use super::lasts::{AHEAD, Lasts, Named};
use super::live::Live;
use super::names::Names;
use super::record::{self, Changes, HandedOver};
use super::totals::Totals;
use super::{Actions, DONE, PerName};
use crate::netbackup::wire::jobs::JobRow;

/// What the first cycle finds to have ended so much later than now was there before it began.
const FUTURE: i64 = 2_000;

/// A span of time to be read, Unix ms by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Where it begins.
    pub from: i64,
    /// Where it ends.
    pub to: i64,
}

/// A job that was seen unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Tries up to its last completion, 1 where there was none.
    pub(super) tries: u16,
    /// When it was seen last, by the server's clock.
    pub(super) seen: i64,
}

/// Where the ledger stands. Times are the server's, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The time of the present cycle.
    pub(super) now: i64,
    /// Every change before it was read.
    pub(super) watermark: i64,
    /// Every completion that ended after it is among the keys, unless it was not seen yet.
    pub(super) horizon: i64,
    /// When a look for late rows was begun last. A start takes one whenever that was.
    #[serde(skip)]
    pub(super) late_at: Option<i64>,
    /// What is left of it.
    pub(super) late: Option<Span>,
    /// Time that was lost, in all.
    pub(super) gap: i64,
    /// Up to where time was found lost already.
    pub(super) gap_until: i64,
    /// The gauges' window is whole.
    pub(super) whole: bool,
}

/// How a row was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// By its change.
    Changed,
    /// In a span that is read backwards.
    Filled,
}

/// What a finished row is to the ledger.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The completion that is known already; other things of it may have changed.
    Same,
    /// One that counts, with the retries since the last one.
    New(u64),
    /// One that ended in a span that is filled: it belongs to the window alone.
    Old,
    /// It says nothing: older than what is known of the job, or than what the keys cover.
    Nothing,
}

/// The job ledger of one site.
#[derive(Debug)]
pub struct Ledger {
    pub(super) names: Names,
    pub(super) classes: Classes,
    pub(super) keys: Keys,
    pub(super) known: HashMap<i64, Known>,
    pub(super) totals: Totals,
    pub(super) position: Position,
    pub(super) changes: Changes,
    pub(super) handed_over: Option<HandedOver>,
    /// Of clients and of policies, where they are wanted.
    pub(super) lasts: Vec<Lasts>,
    pub(super) gauges: Gauges,
    /// What the gauges hold.
    pub(super) window: Window,
    /// The length of that window.
    pub(super) length: Duration,
    /// The length that is wanted; a longer one is filled before it is in force.
    pub(super) wanted: Duration,
    /// What is being read backwards.
    pub(super) filling: Option<Span>,
    /// Cycles since the ledger began, or was restored.
    pub(super) cycles: u64,
    /// When the present one began, by our clock.
    pub(super) began: Instant,
    /// Jobs that were found finished in this cycle.
    pub(super) touched: HashSet<i64>,
    pub(super) live: Option<Live>,
    /// When the records were written from which it was restored, by our clock.
    pub(super) written: Option<SystemTime>,
}

impl Ledger {
    /// An empty ledger that begins at `now`, the server's time; it counts from `origin` on, ours.
    pub fn new(now: i64, wanted: Duration, origin: SystemTime) -> Self {
        let position = Position {
            now,
            watermark: now,
            horizon: now,
            late_at: None,
            late: None,
            gap: 0,
            gap_until: i64::MIN,
            whole: false,
        };
        Self {
            names: Names::default(),
            classes: Classes::default(),
            keys: Keys::default(),
            known: HashMap::new(),
            totals: Totals::new(whole_ms(origin)),
            position,
            changes: Changes::default(),
            handed_over: None,
            lasts: Vec::new(),
            gauges: Gauges::default(),
            window: Window::ending(now, wanted),
            length: wanted,
            wanted,
            filling: None,
            cycles: 0,
            began: Instant::now(),
            touched: HashSet::new(),
            live: None,
            written: None,
        }
    }

    /// Which clients and policies have numbers of their own from now on. What is known of those that
    /// had them before stays; the others learn of the window's jobs.
    pub fn select(&mut self, clients: &PerName, policies: &PerName) {
        let mut before = std::mem::take(&mut self.lasts);
        for (named, rules) in [(Named::Client, clients), (Named::Policy, policies)] {
            let place = before.iter().position(|table| table.named() == named);
            let table = place.map(|place| before.swap_remove(place));
            if rules.enabled {
                let mut table = table.unwrap_or_else(|| Lasts::new(named, rules));
                table.reconfigure(rules);
                table.set_now(self.position.now);
                table.refill(self.keys.iter().filter_map(|job| self.completion(job)));
                self.lasts.push(table);
            }
        }
        self.refold();
    }

    /// What is known of the last jobs of clients or policies, where it is wanted.
    pub(super) fn lasts(&self, named: Named) -> Option<&Lasts> {
        self.lasts.iter().find(|table| table.named() == named)
    }

    pub(super) fn lasts_mut(&mut self, named: Named) -> Option<&mut Lasts> {
        self.lasts.iter_mut().find(|table| table.named() == named)
    }

    /// Takes a row in that changed. One that is not DONE is passed over: INCOMPLETE is not finished.
    pub fn changed(&mut self, row: &JobRow<'_>) {
        self.take(row, Found::Changed);
    }

    /// Takes a row in that was read backwards.
    pub fn filled(&mut self, row: &JobRow<'_>) {
        self.take(row, Found::Filled);
    }

    fn take(&mut self, row: &JobRow<'_>, found: Found) {
        if row.state.as_deref() != Some(DONE) {
            return;
        }
        // One without an end is placed where it changed last.
        let Some(end) = row.end_time.or(row.last_update_time) else { return };
        let before = self.keys.get(row.job_id).copied();
        let verdict = self.judge(row, end, before.as_ref(), found);
        if verdict == Verdict::Nothing {
            return;
        }
        let job = self.job(row, end);
        if found == Found::Changed {
            self.touched.insert(job.id);
        }
        if before != Some(job) {
            if let Some(before) = before.filter(|before| self.is_shown(before)) {
                self.gauges.take(&before);
            }
            self.keys.insert(job);
            self.changes.job(job.id);
            if self.is_shown(&job) {
                self.gauges.add(&job);
            }
        }
        if verdict != Verdict::Same {
            self.complete(&job, &verdict);
        }
        if self.known.remove(&job.id).is_some() {
            self.changes.known(job.id);
        }
    }

    fn judge(&self, row: &JobRow<'_>, end: i64, before: Option<&Job>, found: Found) -> Verdict {
        let tries = super::tries(row);
        let since = |tries_before: u16| Verdict::New(u64::from(tries.saturating_sub(tries_before)));
        if let Some(before) = before {
            let start = row.start_time.unwrap_or(0);
            return if before.start != 0 && start != 0 && before.start != start {
                // The number of a job before a reset of the catalogue.
                since(1)
            } else if tries > before.tries
                || (before.resumed && end != before.end && tries == before.tries)
            {
                since(before.tries)
            } else if tries < before.tries {
                Verdict::Nothing
            } else {
                Verdict::Same
            };
        }
        if let Some(known) = self.known.get(&row.job_id) {
            return since(known.tries);
        }
        let filling = self.filling.is_some_and(|span| span.from < end && end <= span.to);
        // The server's clock was set back before the ledger began: this is of before, too.
        let first = self.cycles <= 1 && !self.position.whole;
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX / 4);
        let in_future = first && end > self.position.now + passed + FUTURE;
        match found {
            _ if in_future => Verdict::Old,
            _ if end <= self.position.horizon && !filling => Verdict::Nothing,
            Found::Changed if end > self.position.horizon => since(1),
            _ => Verdict::Old,
        }
    }

    fn job(&mut self, row: &JobRow<'_>, end: i64) -> Job {
        let labels = Labels {
            job_type: self.names.intern(super::name_or_unknown(row.job_type.as_deref())),
            policy_type: self.names.intern(super::name_or_unknown(row.policy_type.as_deref())),
            status: row.status,
        };
        Job {
            id: row.job_id,
            start: row.start_time.unwrap_or(0),
            end,
            kilobytes: row.kilobytes_transferred.unwrap_or(0),
            files: row.number_of_files.unwrap_or(0),
            dedup: row.dedup_ratio.unwrap_or(f64::INFINITY),
            tries: super::tries(row),
            class: self.classes.intern(labels),
            client: self.names.intern(row.client_name.as_deref().unwrap_or_default()),
            policy: self.names.intern(row.policy_name.as_deref().unwrap_or_default()),
            leaf: super::is_leaf(row),
            resumed: false,
        }
    }

    /// A job of the keys as the completion that it is.
    pub(super) fn completion(&self, job: &Job) -> Option<Completion<'_>> {
        let labels = self.classes.get(job.class)?;
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

    fn complete(&mut self, job: &Job, verdict: &Verdict) {
        let mut lasts = std::mem::take(&mut self.lasts);
        if let Some(completion) = self.completion(job) {
            for table in &mut lasts {
                table.record(&completion);
            }
        }
        self.lasts = lasts;
        let Some(labels) = self.classes.get(job.class) else { return };
        let pair = (labels.job_type, labels.policy_type);
        let changed = match verdict {
            Verdict::New(retries) => {
                self.totals.count(job, pair, *retries, self.position.now + AHEAD);
                true
            }
            Verdict::Old => self.totals.seen(job.class, pair, job.leaf),
            Verdict::Same | Verdict::Nothing => false,
        };
        if changed {
            self.changes.total(job.class, pair);
        }
    }

    /// Takes a whole sweep of the live jobs in, after the finished ones of the same cycle.
    pub fn sweep(&mut self, mut live: Live) {
        let now = self.position.now;
        let mut ended = Vec::new();
        for (id, job) in live.iter() {
            let key = self.keys.get(id).copied();
            if key.is_some_and(|key| self.touched.contains(&id) && key.tries >= job.tries) {
                // It ended after the sweep had met it.
                ended.push(id);
                continue;
            }
            if let Some(key) = key.filter(|key| !key.resumed) {
                if self.is_shown(&key) {
                    self.gauges.take(&key);
                }
                self.keys.set_resumed(id, true);
                self.changes.job(id);
            }
            let known = self.known.entry(id).or_insert_with(|| {
                self.changes.known(id);
                Known { tries: key.map_or(1, |key| key.tries), seen: now }
            });
            known.seen = now;
        }
        for id in ended {
            live.remove(id);
        }
        self.live = Some(live);
    }

    /// Whether the gauges count a job.
    fn is_shown(&self, job: &Job) -> bool {
        !job.resumed && self.window.holds(job.end)
    }

    /// How many ended jobs are remembered.
    pub fn remembered(&self) -> usize {
        self.keys.len()
    }

    /// Its numbers as labels.
    pub(super) fn reader<'l>(&'l self, actions: &'l Actions) -> Reader<'l> {
        Reader { names: &self.names, classes: &self.classes, actions }
    }

    /// The actions that have explicit zeros: those of the window and of the live jobs.
    pub(super) fn actions(&self, actions: &Actions) -> BTreeSet<String> {
        let mut all = self.gauges.actions(self.reader(actions));
        all.extend(self.live.iter().flat_map(|live| live.actions(actions)));
        all
    }
}

/// As it will be when it comes back from disk.
fn whole_ms(time: SystemTime) -> SystemTime {
    record::from_ms(record::to_ms(time))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
