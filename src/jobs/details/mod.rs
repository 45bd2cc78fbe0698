//! Details that the rows of jobs tell beside their number (docs/adr/0020-jobs-in-depth.md): counters of ended leaves,
//! recent failures and what they have in common, backups that only look good, jobs that do not get on, the
//! catalogue backup, and the texts of codes. Each part owns its state; this module feeds them, and `saved` keeps them on disk.

mod catalogue;
mod changes;
mod counters;
mod failures;
mod live_metrics;
mod saved;
mod sizes;
mod stalls;
mod status_family;
mod texts;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use self::catalogue::CatalogueBackup;
use self::changes::Changes;
pub(super) use self::counters::Ended;
use self::counters::{Counters, EndedLeaf};
use self::failures::{Failure, RecentFailures};
use self::live_metrics::LiveLabels;
use self::sizes::SizeHistory;
use self::stalls::Stalls;
use self::status_family::StatusFamily;
use self::texts::{StatusText, Texts};
use super::dictionary::{Dictionary, LabelResolver};
use super::finished::FinishedJob;
use super::interner::{Interner, LabelSet, NameId};
use super::last_results::LastResultTables;
use super::live::{Live, QUEUED};
use super::row;
use super::time::{from_unix_ms, to_unix_ms};
use crate::metric::{Definition, Samples, SeriesGroups};
use crate::netbackup::wire::jobs::JobRow;

pub(super) fn definitions() -> Vec<&'static Definition> {
    let mut all = Vec::new();
    all.extend(counters::definitions());
    all.extend(live_metrics::definitions());
    all.extend(failures::definitions());
    all.extend(texts::definitions());
    all.extend(catalogue::definitions());
    all
}

#[derive(Debug)]
pub(super) struct Details {
    /// The moment at which the counters began, in whole ms, as it is saved.
    pub(super) origin: SystemTime,
    counters: Counters,
    failures: RecentFailures,
    sizes: SizeHistory,
    stalls: Stalls,
    catalogue: CatalogueBackup,
    texts: Texts,
    /// The transaction that is being restored told details.
    told: bool,
    /// The transaction that was restored before it did.
    restored: bool,
    changes: Changes,
    /// Changes that were handed over to be written, and are not acknowledged yet.
    handed_over: Option<Changes>,
}

impl Details {
    pub(super) fn new(origin: SystemTime) -> Self {
        Self {
            origin: from_unix_ms(to_unix_ms(origin)),
            counters: Counters::default(),
            failures: RecentFailures::default(),
            sizes: SizeHistory::default(),
            stalls: Stalls::default(),
            catalogue: CatalogueBackup::default(),
            texts: Texts::default(),
            told: false,
            restored: false,
            changes: Changes::default(),
            handed_over: None,
        }
    }

    /// Begins a cycle at `now`: forgets what is old.
    pub(super) fn begin(&mut self, dictionary: &mut Dictionary, now: i64) {
        self.changes.mark_counters(self.counters.prepare(dictionary));
        self.failures.forget_others(now);
        let Self { changes, failures, .. } = self;
        changes.failures.retain(|key| failures.all.contains_key(key));
        self.changes.mark_sizes(self.sizes.forget_old(now));
    }

    /// Records a completion that is counted, or was only seen in the first window.
    pub(super) fn record(
        &mut self,
        row: &JobRow<'_>,
        job: &FinishedJob,
        (names, labels): (&mut Interner, LabelSet),
        ended: &Ended,
    ) {
        let Ended { counted, latest, .. } = *ended;
        self.changes.catalogue |= self.catalogue.record(row, job, latest);
        if !job.leaf {
            return;
        }
        let on_tape = is_on_tape(row);
        let family = StatusFamily::of(row.status, on_tape);
        if family.is_some_and(StatusFamily::is_failure) {
            let place = |text: &Option<_>| row::text(text).into();
            let failure = Failure {
                status: row.status,
                on_tape,
                storage_unit: place(&row.destination_storage_unit_name),
                media_server: place(&row.destination_media_server_name),
                policy: names.share(job.policy),
                client: names.share(job.client),
            };
            let key = (job.end, job.id);
            if job.end <= latest {
                self.failures.add(key, failure);
                self.changes.mark_failure(key);
            }
        }
        let mut false_greens = Vec::new();
        if counted {
            let (kinds, history) = self.sizes.judge(row, job);
            false_greens = kinds;
            self.changes.mark_sizes(history);
        }
        let leaf = EndedLeaf { row, job, family, false_greens: &false_greens, ended };
        self.changes.mark_counters(self.counters.record(names, labels, &leaf));
    }

    /// Looks at the live jobs, all of them, at `now`.
    pub(super) fn see_live(&mut self, live: &Live, names: &mut Interner, now: i64) {
        self.changes.mark_stalls(self.stalls.see(live, now));
        for job in live.jobs.values() {
            self.changes.mark_counters(self.counters.meet_job_type(names, &job.job_type));
            if &*job.state == QUEUED {
                self.texts.meet_reason(job.reason);
            }
        }
    }

    /// Adds the samples of the live jobs at `now`, with explicit zeros for the `known` actions.
    pub(super) fn record_live(
        &self,
        live: &Live,
        labels: LiveLabels<'_>,
        times: (i64, Duration),
        samples: &mut Samples,
    ) {
        let details = (&self.counters, &self.stalls);
        live_metrics::record(live, details, labels, times, samples);
        self.texts.reason_samples(samples);
    }

    /// Returns the names to which counters refer.
    pub(super) fn names(&self) -> impl Iterator<Item = NameId> {
        self.counters.names()
    }

    /// Returns those of the codes with which jobs ended for whose text the server is to be asked, at most so many.
    pub(super) fn unknown_statuses(
        &self,
        statuses: &BTreeSet<i64>,
        now: i64,
        limit: usize,
    ) -> Vec<i64> {
        self.texts.unknown(statuses, now, limit)
    }

    /// Records the server's answer to the question for the text of a code.
    pub(super) fn note_status_text(&mut self, status: i64, text: Option<&str>, now: i64) {
        let text = text.filter(|text| !text.is_empty()).map(Into::into);
        self.texts.answers.insert(status, StatusText { text, at: now });
        self.changes.mark_text(status);
    }

    /// Returns the counters in groups, those in which nothing changed as they were.
    pub(super) fn counter_samples(&mut self, resolver: LabelResolver<'_>) -> SeriesGroups {
        self.counters.samples(resolver)
    }

    /// Adds the failures of the last hour.
    pub(super) fn record_failures(
        &self,
        now: i64,
        names: &LastResultTables,
        samples: &mut Samples,
    ) {
        self.failures.record(now, names, samples);
    }

    /// Adds what is known whether the server answers or not; `statuses` are those with which jobs ended.
    pub(super) fn record_kept(&self, statuses: &BTreeSet<i64>, now: i64, samples: &mut Samples) {
        self.texts.samples(statuses, samples);
        self.catalogue.samples(now, samples);
    }

    /// Begins the counters at 0, at `origin`.
    pub(super) fn restart(&mut self, origin: SystemTime) {
        self.origin = from_unix_ms(to_unix_ms(origin));
        self.counters = Counters::default();
    }
}

/// The longest barcode of a tape, letters.
const BARCODE: usize = 8;

/// Returns whether a job wrote to tape: the id of its medium is a barcode, and not that of a disk, which begins with
/// `@`, nor the name of a server (docs/netbackup-api.md#jobs-places).
fn is_on_tape(row: &JobRow<'_>) -> bool {
    let medium = row::text(&row.destination_media_id);
    let is_barcode = medium.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (1..=BARCODE).contains(&medium.len())
        && is_barcode
        && medium != row::text(&row.destination_media_server_name)
}
