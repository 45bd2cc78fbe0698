//! Differences that an audit finds, and those that are none.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::*;
use crate::jobs::ChangeField;
use crate::jobs::row::DONE;
use crate::metric::Value;
use crate::netbackup::wire::jobs::JobRow;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

const INTERVAL: Duration = Duration::from_secs(3600);

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000;

/// Returns the agent's time at the end of an audit.
fn ended_at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
}

/// Returns a finished job, of which an audit reads the number and the times.
fn row(id: i64, end: i64) -> JobRow<'static> {
    let text = format!("{{\"jobId\":{id},\"try\":1,\"status\":0,\"jobType\":\"BACKUP\"}}");
    let read: JobRow<'_> = serde_json::from_str(&text).expect("a row");
    JobRow {
        job_id: read.job_id,
        job_type: Some(Cow::Borrowed("BACKUP")),
        state: Some(Cow::Borrowed(DONE)),
        end_time: Some(end),
        last_update_time: Some(end),
        policy_type: None,
        policy_name: None,
        client_name: None,
        status: Some(0),
        try_count: Some(1),
        kilobytes_transferred: None,
        number_of_files: None,
        dedup_ratio: None,
        start_time: None,
        child_count: None,
        job_queue_reason: None,
        percent_complete: None,
        ..JobRow::default()
    }
}

/// Returns the jobs of a day, one a minute, as the server lists them.
fn listed() -> Vec<Listed> {
    let job = |id: i64| {
        let end = NOON - 24 * HOUR + id * MINUTE;
        Listed { id, end, changed: end }
    };
    (1..=1440).map(job).collect()
}

/// Returns a ledger with a window of a day that knows these jobs.
fn ledger(jobs: impl IntoIterator<Item = Listed>) -> Ledger {
    let mut ledger = Ledger::new(NOON, Duration::from_secs(86_400), SystemTime::UNIX_EPOCH);
    ledger.begin(NOON, Duration::ZERO);
    let span = ledger.next_backfill().expect("a window to be read");
    for job in jobs {
        ledger.apply_backfilled(&row(job.id, job.end));
    }
    ledger.finish_backfill(span.from);
    ledger.finish_walk(ChangeField::LastUpdate);
    ledger
}

/// A server that lists `jobs` and counts them, or more.
struct Server {
    jobs: Vec<Listed>,
    counted_beyond: usize,
    queries: usize,
}

impl Server {
    fn new(jobs: Vec<Listed>) -> Self {
        Self { jobs, counted_beyond: 0, queries: 0 }
    }

    /// Answers an audit from its beginning to its end.
    fn audit(&mut self, audit: &mut Audit, ledger: &mut Ledger, now: i64) -> Option<AuditResult> {
        ledger.begin(now, Duration::ZERO);
        ledger.finish_walk(ChangeField::LastUpdate);
        while let Some(query) = audit.next(ledger, INTERVAL) {
            self.queries += 1;
            match query {
                AuditQuery::Page(page) => {
                    let inside =
                        |job: &&Listed| page.span.from < job.end && job.end <= page.span.to;
                    let mut rows: Vec<Listed> = self.jobs.iter().filter(inside).copied().collect();
                    rows.sort_by_key(|job| job.end);
                    let whole = rows.len() <= PAGE;
                    rows.truncate(PAGE);
                    audit.page(ledger, &rows, whole);
                }
                AuditQuery::Count { span, .. } => {
                    let inside = |job: &&Listed| span.from < job.end && job.end <= span.to;
                    let listed = self.jobs.iter().filter(inside).count();
                    audit.count(ledger, Some(listed + self.counted_beyond));
                }
            }
            if let Some(result) = audit.finish(ledger, ended_at()) {
                return Some(result);
            }
        }
        None
    }
}

fn next_at(audit: &mut Audit, ledger: &mut Ledger, now: i64) -> Option<AuditQuery> {
    ledger.begin(now, Duration::ZERO);
    ledger.finish_walk(ChangeField::LastUpdate);
    audit.next(ledger, INTERVAL)
}

fn recorded(audit: &Audit, name: &str) -> Option<f64> {
    let mut samples = Samples::new();
    audit.record(&mut samples);
    let (families, _) = samples.finish();
    let family = families.iter().find(|family| family.definition.prometheus_name() == name)?;
    match &family.points.first()?.value {
        Value::Number(value) => Some(*value),
        Value::Distribution(_) => None,
    }
}

#[test]
fn complete_ledger_shows_no_difference_for_a_few_questions() {
    let mut server = Server::new(listed());
    let (mut ledger, mut audit) = (ledger(listed()), Audit::default());
    assert_eq!(recorded(&audit, "nbu_jobs_audit_difference"), None);
    let result = server.audit(&mut audit, &mut ledger, NOON).expect("an audit");
    assert_eq!((result.difference, result.standing), (0, vec![]));
    assert_eq!(server.queries, 7);
    assert_eq!(recorded(&audit, "nbu_jobs_audit_difference"), Some(0.0));
    assert_eq!(recorded(&audit, "nbu_jobs_audit_purged"), Some(0.0));
    assert_eq!(recorded(&audit, "nbu_jobs_audit_last_timestamp_seconds"), Some(2e9));
    // Not again before an hour is over.
    assert_eq!(next_at(&mut audit, &mut ledger, NOON + HOUR - 1), None);
    assert!(next_at(&mut audit, &mut ledger, NOON + HOUR).is_some());
}

#[test]
fn pages_of_every_audit_are_at_least_half_full() {
    let ledger = ledger(listed());
    let window = ledger.audited(NOON).expect("a window");
    for pass in 0..100 {
        for query in sample(&ledger, window, pass) {
            let AuditQuery::Page(page) = query else { panic!("a count") };
            assert!(known_in(&ledger, page.span) >= PAGE / 2, "pass {pass}: {page:?}");
        }
    }
}

#[test]
fn lost_slice_is_reread_after_the_second_audit() {
    let lost = |job: &Listed| (NOON - 12 * HOUR..NOON - 8 * HOUR).contains(&job.end);
    let kept = listed().into_iter().filter(|job| !lost(job));
    let (mut ledger, mut audit) = (ledger(kept), Audit::default());
    let mut server = Server::new(listed());
    let first = server.audit(&mut audit, &mut ledger, NOON).expect("an audit");
    assert!(first.difference >= 50, "{first:?}");
    assert_eq!(first.standing, []);
    let second = server.audit(&mut audit, &mut ledger, NOON + HOUR).expect("an audit");
    assert!(second.difference >= 50, "{second:?}");
    assert!(!second.standing.is_empty());
    for span in &second.standing {
        assert!(span.to > NOON - 12 * HOUR && span.from < NOON - 8 * HOUR, "{span:?}");
    }
}

#[test]
fn single_lost_job_is_found_by_count_once_counts_agreed() {
    let mut server = Server::new(listed());
    let mut audit = Audit::default();
    server.audit(&mut audit, &mut ledger(listed()), NOON).expect("an audit");
    let mut ledger = ledger(listed().into_iter().filter(|job| job.id != 700));
    for (audits, standing) in [(1, false), (2, true)] {
        let now = NOON + audits * HOUR;
        let result = server.audit(&mut audit, &mut ledger, now).expect("an audit");
        assert_eq!((result.difference, result.example), (1, Some(700)));
        assert_eq!(!result.standing.is_empty(), standing);
    }
    assert!(server.queries <= 7 + 2 * (7 + 10), "{} queries", server.queries);
}

#[test]
fn count_that_never_agreed_is_no_difference() {
    let mut server = Server { counted_beyond: 500, ..Server::new(listed()) };
    let (mut ledger, mut audit) = (ledger(listed()), Audit::default());
    for audits in 0..3 {
        let result = server.audit(&mut audit, &mut ledger, NOON + audits * HOUR).expect("an audit");
        assert_eq!(result.difference, 0);
    }
    assert_eq!(server.queries, 3 * 7);
}

#[test]
fn purged_jobs_are_counted_apart() {
    let purged = |job: &Listed| job.end < NOON - 12 * HOUR;
    let mut server = Server::new(listed().into_iter().filter(|job| !purged(job)).collect());
    let (mut ledger, mut audit) = (ledger(listed()), Audit::default());
    let result = server.audit(&mut audit, &mut ledger, NOON).expect("an audit");
    assert_eq!(result.difference, 0);
    assert!(recorded(&audit, "nbu_jobs_audit_purged") >= Some(200.0));
}

#[test]
fn row_that_changed_lately_is_no_difference() {
    let mut jobs = listed();
    let (mut ledger, mut audit) = (ledger(jobs.clone()), Audit::default());
    for job in &mut jobs {
        job.id += 10_000;
        job.changed = NOON - 9 * MINUTE;
    }
    let result = Server::new(jobs).audit(&mut audit, &mut ledger, NOON).expect("an audit");
    assert_eq!(result.difference, 0);
}

#[test]
fn shorter_interval_counts_from_the_last_audit() {
    let (mut ledger, mut audit) = (ledger(listed()), Audit::default());
    let mut server = Server::new(listed());
    server.audit(&mut audit, &mut ledger, NOON).expect("an audit");
    assert_eq!(next_at(&mut audit, &mut ledger, NOON + 20 * MINUTE), None);
    assert!(audit.next(&ledger, INTERVAL / 3).is_some());
}

#[test]
fn failed_query_postpones_the_audit_by_minutes() {
    let (mut ledger, mut audit) = (ledger(listed()), Audit::default());
    assert!(next_at(&mut audit, &mut ledger, NOON).is_some());
    audit.failed();
    assert_eq!(next_at(&mut audit, &mut ledger, NOON + 4 * MINUTE), None);
    assert!(next_at(&mut audit, &mut ledger, NOON + 5 * MINUTE).is_some());
    // Left over once it goes on, twice it is given up.
    audit.postpone();
    assert!(next_at(&mut audit, &mut ledger, NOON + 6 * MINUTE).is_some());
    audit.postpone();
    assert_eq!(next_at(&mut audit, &mut ledger, NOON + 7 * MINUTE), None);
}

#[test]
fn many_jobs_of_one_instant_end_the_search_by_count() {
    let end = NOON - HOUR;
    let alike = |id| Listed { id, end, changed: end };
    let all: Vec<Listed> = (1..=1000).map(alike).collect();
    let mut server = Server::new(all.clone());
    let mut audit = Audit::default();
    server.audit(&mut audit, &mut ledger(all.clone()), NOON).expect("an audit");
    let mut lacking = ledger(all.into_iter().filter(|job| job.id != 1));
    let result = server.audit(&mut audit, &mut lacking, NOON + HOUR).expect("an audit");
    assert_eq!(result.example, Some(1));
    assert!(server.queries < 40, "{} queries", server.queries);
}
