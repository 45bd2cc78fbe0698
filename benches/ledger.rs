//! The job ledger: what a cycle costs on a window of 100,000 jobs, and what a job of it takes.
//!
//! Budgets: a cycle with 100 changed jobs under 5 ms, whatever the window; about 100 bytes a job,
//! which is printed before the benches run. Decoding the pages is in `decode`.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a bench may, and prints what it measured"
)]

use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use nbu_otel_agent::jobs::{Actions, ChangeField, Ledger, Live};
use nbu_otel_agent::netbackup::wire::jobs::JobRow;

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000;
const DAY: Duration = Duration::from_secs(86_400);

const TYPES: [&str; 6] = ["BACKUP", "RESTORE", "DUPLICATE", "IMPORT", "VERIFY", "ARCHIVE"];
const POLICY_TYPES: [&str; 8] =
    ["STANDARD", "VMWARE", "MS_WINDOWS", "ORACLE", "NDMP", "NBU_CATALOG", "HYPERV", "SQL_SERVER"];
const STATUSES: [i64; 8] = [0, 0, 0, 0, 1, 13, 58, 150];

fn row(id: i64, end: i64, state: &'static str) -> JobRow<'static> {
    let pick = |many: usize| usize::try_from(id).unwrap_or(0) % many;
    JobRow {
        job_id: id,
        job_type: Some(Cow::Borrowed(TYPES[pick(6)])),
        policy_type: Some(Cow::Borrowed(POLICY_TYPES[pick(8)])),
        policy_name: Some(Cow::Owned(format!("policy-{}", pick(500)))),
        client_name: Some(Cow::Owned(format!("client-{}.example.com", pick(5_000)))),
        state: Some(Cow::Borrowed(state)),
        status: Some(STATUSES[pick(8)]),
        try_count: Some(1),
        kilobytes_transferred: Some(id * 17),
        number_of_files: Some(id),
        dedup_ratio: Some(97.5),
        start_time: Some(end - 600_000),
        end_time: (state == "DONE").then_some(end),
        last_update_time: Some(end),
        child_count: Some(0),
        job_queue_reason: None,
        percent_complete: Some(50),
        ..JobRow::default()
    }
}

/// A ledger with so many jobs in its window of a day.
fn filled(jobs: i64) -> Ledger {
    let mut ledger = Ledger::new(NOON, DAY, SystemTime::UNIX_EPOCH);
    ledger.begin(NOON, Duration::ZERO);
    ledger.next_backfill();
    let between = 86_400_000 / jobs;
    for id in 0..jobs {
        ledger.apply_backfilled(&row(id, NOON - id * between, "DONE"));
    }
    ledger.finish_backfill(NOON - 90_000_000);
    ledger.finish_walk(ChangeField::LastUpdate);
    ledger.hand_over_all();
    ledger.mark_saved();
    ledger
}

fn resident() -> u64 {
    let pages = procfs::process::Process::myself().and_then(|me| me.statm());
    pages.map_or(0, |statm| statm.resident * procfs::page_size())
}

fn memory() {
    for jobs in [100_000, 1_000_000] {
        let before = resident();
        let ledger = filled(jobs);
        let bytes = resident().saturating_sub(before);
        let each = bytes as f64 / jobs as f64;
        eprintln!("a ledger of {jobs} jobs: {} KiB resident, {each:.0} bytes a job", bytes / 1024);
        black_box(ledger);
    }
}

fn cycle(criterion: &mut Criterion) {
    memory();
    let actions = Actions::default();
    let mut group = criterion.benchmark_group("ledger");
    for jobs in [1_000, 100_000] {
        let mut ledger = filled(jobs);
        let (mut now, mut next) = (NOON, jobs);
        group.bench_function(format!("cycle_100_changed_of_{jobs}"), |bencher| {
            bencher.iter_batched(
                || {
                    now += 60_000;
                    next += 100;
                    let changed: Vec<_> =
                        (next - 100..next).map(|id| row(id, now - 1_000, "DONE")).collect();
                    let live: Vec<_> = (1..=50).map(|id| row(next + id, now, "ACTIVE")).collect();
                    (now, changed, live)
                },
                |(now, changed, rows)| {
                    ledger.begin(now, Duration::from_secs(60));
                    black_box((ledger.walk_from(ChangeField::LastUpdate), ledger.next_late_walk()));
                    for row in &changed {
                        ledger.apply_changed(row);
                    }
                    let mut live = Live::default();
                    for row in &rows {
                        live.add(row);
                    }
                    ledger.apply_live(live);
                    ledger.finish_walk(ChangeField::LastUpdate);
                    black_box(ledger.live_samples(&actions, (DAY, DAY)));
                    black_box(ledger.window_samples(&actions));
                    black_box(ledger.total_samples(&actions));
                    black_box(ledger.changed_records(SystemTime::UNIX_EPOCH));
                    ledger.mark_saved();
                },
                BatchSize::PerIteration,
            );
        });
    }
    let ledger = filled(100_000);
    group.bench_function("records_of_100000", |bencher| {
        bencher.iter(|| {
            ledger.all_records(SystemTime::UNIX_EPOCH).map(|part| part.len()).sum::<usize>()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = cycle
}
criterion_main!(benches);
