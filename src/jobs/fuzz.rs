//! Fuzz target of the ledger on disk.

use std::time::{Duration, SystemTime};

use super::{Actions, Ledger};

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000;

const DAY: Duration = Duration::from_secs(86_400);

/// Restores a ledger from transactions, each with its length (two bytes, the lower first) before it. One that is
/// consistent is the same when it is saved and restored again, and goes on.
pub(crate) fn ledger(data: &[u8]) {
    let Some(mut ledger) = restored(transactions(data)) else { return };
    let saved = |ledger: &Ledger| ledger.all_records(SystemTime::UNIX_EPOCH).collect::<Vec<_>>();
    let records = saved(&ledger);
    let again = restored(records.iter().map(Vec::as_slice));
    let again = again.map(|ledger| ledger.summary());
    assert_eq!(again.map(|it| (it.finished_jobs, it.outcomes)), {
        let it = ledger.summary();
        Some((it.finished_jobs, it.outcomes))
    });
    let actions = Actions::default();
    for now in [NOON, NOON + 60_000, NOON - 60_000, NOON + 40 * 86_400_000] {
        ledger.begin(now, Duration::from_secs(60));
        let _ = (ledger.next_late_walk(), ledger.next_backfill());
        let _ = (ledger.window_samples(&actions), ledger.total_samples(&actions));
        let _ = (ledger.counter_samples(&actions), ledger.last_samples(&actions));
        let _ = (ledger.failure_samples(), ledger.own_samples(0));
        ledger.changed_records(SystemTime::UNIX_EPOCH);
        ledger.mark_saved();
    }
}

fn transactions(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let (transaction, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        data = rest;
        Some(transaction)
    })
}

fn restored<'a>(transactions: impl IntoIterator<Item = &'a [u8]>) -> Option<Ledger> {
    let mut ledger = Ledger::new(NOON, DAY, SystemTime::UNIX_EPOCH);
    for transaction in transactions {
        ledger.restore(transaction).ok()?;
    }
    ledger.finish_restore().ok()?;
    Some(ledger)
}
