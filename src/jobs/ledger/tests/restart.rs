//! A restart with other settings shows what a reload to them shows.

use fastrand::Rng;

use super::*;
use crate::jobs::NameFilterConfig;

const CLIENTS: [&str; 4] = ["db1", "db2", "web1", "mail"];

fn some_row(rng: &mut Rng, now: i64) -> JobRow<'static> {
    let id = rng.i64(1..=60);
    let end = now - rng.i64(0..=4 * HOUR);
    let client = CLIENTS[rng.usize(0..CLIENTS.len())];
    JobRow {
        client_name: Some(Cow::Borrowed(client)),
        status: Some([0, 0, 1, 13, 190, 196][rng.usize(0..6)]),
        active_try_start_time: Some(NOON - 10 * HOUR + id + rng.i64(0..HOUR)),
        kilobytes_data_transferred: Some(rng.i64(0..10)),
        parent_job_id: Some(rng.i64(0..2)),
        policy_type: Some(Cow::Borrowed(["STANDARD", "NBU_CATALOG"][rng.usize(0..2)])),
        schedule_type: Some(Cow::Borrowed(["FULL_BACKUP", "USER_BACKUP", ""][rng.usize(0..3)])),
        backup_id: Some(Cow::Borrowed(["db1_1", ""][rng.usize(0..2)])),
        destination_storage_unit_name: Some(Cow::Borrowed(["u1", "u2", ""][rng.usize(0..3)])),
        destination_media_server_name: Some(Cow::Borrowed("m1")),
        try_count: Some(rng.i64(1..=3)),
        start_time: Some(NOON - 10 * HOUR + id),
        ..row(id, end)
    }
}

fn rules(rng: &mut Rng) -> NameFilterConfig {
    let enabled = rng.u32(0..4) > 0;
    let allowlist = CLIENTS.iter().filter(|_| rng.bool()).map(|name| (*name).to_owned()).collect();
    NameFilterConfig { enabled, allowlist, ..NameFilterConfig::default() }
}

fn all() -> NameFilterConfig {
    let allowlist = vec!["*".to_owned()];
    NameFilterConfig { enabled: true, allowlist, ..NameFilterConfig::default() }
}

fn window(rng: &mut Rng) -> Duration {
    Duration::from_secs(60 * [1, 10, 59, 60, 61, 90, 120, 121, 180, 300][rng.usize(0..10)])
}

/// Runs a cycle; what is random in it comes from `rng`.
fn cycle(ledger: &mut Ledger, rng: &mut Rng, now: i64) {
    let shown = ledger.progress.now;
    ledger.begin(now, Duration::from_millis((now - shown).max(0).unsigned_abs()));
    if rng.bool()
        && let Some(span) = ledger.next_backfill()
    {
        ledger.apply_backfilled(&row(100 + rng.i64(0..9), span.from + 1 + rng.i64(0..HOUR)));
        ledger.finish_backfill(if rng.bool() { span.from } else { span.from.midpoint(span.to) });
    }
    for _ in 0..rng.u32(0..6) {
        let row = some_row(rng, now);
        ledger.apply_changed(&row);
    }
    if rng.u32(0..3) > 0 {
        let live: Vec<_> = (0..rng.i64(0..4))
            .map(|_| unfinished(rng.i64(1..=60), "ACTIVE", rng.i64(1..=3)))
            .collect();
        sweep(ledger, &live);
    }
    if rng.u32(0..4) > 0 {
        ledger.finish_walk(UPDATE);
    } else {
        ledger.progress.gap.interrupt();
    }
    if rng.u32(0..4) == 0 {
        ledger.progress.ids.highest.get_or_insert(200);
    }
}

/// Returns everything that is exported, except for the live jobs: a restart has not read them yet.
fn shown(ledger: &mut Ledger) -> Vec<(&'static str, String)> {
    let actions = Actions::default();
    let totals = [
        ledger.total_samples(&actions),
        ledger.counter_samples(&actions),
        ledger.last_samples(&actions),
    ];
    let totals = totals.into_iter().flatten().map(|(groups, _)| groups);
    let groups = ledger.window_samples(&actions).into_iter().chain(totals).flatten();
    let others = [Some(ledger.own_samples(0)), ledger.failure_samples()];
    let others = others.into_iter().flatten().flat_map(|samples| samples.finish().0);
    let families = groups.flat_map(|group| group.to_vec()).chain(others);
    // By our clock, which goes on meanwhile.
    let families = families.filter(|family| family.definition.name != "nbu.jobs.window.incomplete");
    let mut all: Vec<_> = families
        .flat_map(|family| {
            let name = family.definition.name;
            family.points.into_iter().map(move |point| (name, format!("{point:?}")))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn restart_exports_what_a_reload_exports() {
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let mut now = NOON;
        let mut ledger = Ledger::new(now, window(&mut rng), SystemTime::UNIX_EPOCH);
        ledger.select(&rules(&mut rng), &all(), &rules(&mut rng));
        for _ in 0..rng.u32(1..8) {
            cycle(&mut ledger, &mut rng, now);
            now += rng.i64(0..40 * MINUTE);
        }
        let (wanted, clients, workloads) = (window(&mut rng), rules(&mut rng), rules(&mut rng));
        let mut again = Ledger::new(0, wanted, SystemTime::now());
        again.select(&clients, &all(), &workloads);
        let written = SystemTime::UNIX_EPOCH;
        ledger.all_records(written).for_each(|part| again.restore(&part).unwrap());
        again.finish_restore().unwrap();
        ledger.set_window(wanted);
        ledger.select(&clients, &all(), &workloads);
        // A poll that failed and a restart are alike: what happened meanwhile is not known.
        ledger.progress.gap.interrupt();
        for step in 0..4 {
            let mut same = rng.clone();
            cycle(&mut ledger, &mut rng, now);
            cycle(&mut again, &mut same, now);
            assert_eq!(again.unfinished, ledger.unfinished, "seed {seed}, step {step}");
            let (expected, shown) = (shown(&mut ledger), shown(&mut again));
            assert_eq!(shown, expected, "seed {seed}, step {step}");
            now += rng.i64(0..40 * MINUTE);
        }
    }
}

#[test]
fn unused_names_are_forgotten_on_disk() {
    let mut ledger = ledger();
    let mut log: Vec<Vec<u8>> = ledger.all_records(SystemTime::UNIX_EPOCH).collect();
    ledger.hand_over_all();
    ledger.mark_saved();
    let mut most = 0;
    for day in 1..=30_i64 {
        let now = later(&mut ledger, 24 * 60);
        for machine in 0..200 {
            // One of the machines comes back each week.
            let name = if machine == 0 { day % 7 } else { 1000 * day + machine };
            let job = JobRow {
                client_name: Some(Cow::Owned(format!("vm-{name}"))),
                ..row(1000 * day + machine, now - machine)
            };
            ledger.apply_changed(&job);
        }
        ledger.finish_walk(UPDATE);
        log.push(ledger.changed_records(SystemTime::UNIX_EPOCH));
        ledger.mark_saved();
        most = most.max(ledger.dictionary.names.len());
    }
    assert!(most < 2000, "{most} numbers for the names of 6,000 machines");
    let mut again = Ledger::new(0, ledger.window.configured, SystemTime::now());
    for records in &log {
        again.restore(records).unwrap();
    }
    again.finish_restore().unwrap();
    assert_eq!(again.finished.len(), ledger.finished.len());
    for job in ledger.finished.iter() {
        let found = again.finished.get(job.id).expect("the job");
        assert_eq!(
            again.dictionary.names.get(found.client),
            ledger.dictionary.names.get(job.client)
        );
        assert_eq!(again.dictionary.names.get(found.policy), "nightly");
    }
    assert_eq!(counted(&mut again), counted(&mut ledger));
}
