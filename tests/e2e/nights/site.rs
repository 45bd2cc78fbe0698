//! A site in New York and what is written to its pools.

use std::time::Duration;

use nbu_sim::{Batch, Clock, PoolScript, Rows, Settings, Simulator};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// 2026-02-23T00:00:00Z, a Sunday evening at the site. Its clocks go forward two weeks later.
pub const BEGIN: i64 = 1_771_804_800_000;

pub const DAYS: i64 = 33;

/// Time between two polls.
pub const STEP: i64 = 15 * MINUTE;

/// The pool that fills.
pub const FILLS: &str = "dp-advdisk-01";

/// The pools that follow a script.
pub const SCRIPTED: [&str; 6] =
    ["dp-msdp-01", FILLS, "dp-msdp-02", "dp-advdisk-02", "dp-appliance-a-01", "dp-appliance-a-02"];

const TIB: i64 = 1 << 40;

/// Factors of weekdays with a full backup on Friday.
const FULL_ON_FRIDAY: [f64; 7] = [1.0, 1.0, 1.0, 1.0, 6.0, 1.0, 1.0];

fn scripts() -> Vec<PoolScript> {
    let [saves, fills, fulls, high, shared, still] = SCRIPTED.map(PoolScript::of);
    vec![
        // 20 TiB a night, 120 on Friday, in 24 TiB: what is stored is a twentieth.
        saves
            .size(24 * TIB)
            .used(12 * TIB)
            .marks(98, 80)
            .nightly(20 * TIB)
            .weekdays(FULL_ON_FRIDAY)
            .varies(0.2)
            .saving(0.95)
            .cleaned(12 * TIB / 7),
        // Grows by two thirds of a TiB a day.
        fills
            .size(60 * TIB)
            .used(43 * TIB)
            .marks(98, 80)
            .nightly(12 * TIB / 10)
            .weekdays([1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0])
            .varies(0.2)
            .cleaned(9 * TIB / 10),
        fulls
            .size(100 * TIB)
            .used(50 * TIB)
            .marks(95, 75)
            .nightly(4 * TIB)
            .weekdays(FULL_ON_FRIDAY)
            .varies(0.2)
            .saving(0.5)
            .cleaned(24 * TIB / 7),
        high.size(100 * TIB).used(91 * TIB).marks(98, 80).nightly(TIB).varies(0.1).cleaned(TIB),
        shared
            .size(200 * TIB)
            .used(120 * TIB)
            .marks(95, 80)
            .nightly(3 * TIB)
            .weekdays(FULL_ON_FRIDAY)
            .varies(0.3)
            .cleaned(36 * TIB / 7),
        still.size(100 * TIB).used(40 * TIB).marks(98, 80),
    ]
}

pub fn settings() -> Settings {
    Settings {
        seed: 11,
        clock: Clock::manual(BEGIN),
        time_zone: "America/New_York".parse().expect("a zone"),
        pool_scripts: scripts(),
        rows: Rows::default().with("disk-pools", 12),
        storage_units: 12,
        jobs_in_history: 5,
        live_jobs: 0,
        jobs_per_hour: 0.0,
        ..Settings::default()
    }
}

/// Submits the backups of this time: in the night, every half hour two to each unit on a pool that follows a script.
/// They end with 129 from the time on from which their pool took no more.
pub fn submit(simulator: &Simulator, now: i64) {
    let truth = simulator.truth();
    if now % (30 * MINUTE) != 0 || (6..20).contains(&hour(now)) {
        return;
    }
    for (number, unit) in (0..).zip(truth.storage_units()) {
        let pool = unit.pool.and_then(|pool| truth.disk_pool(&pool));
        let Some(pool) = pool.filter(|pool| pool.written.is_some()) else { continue };
        let is_full = pool.full_from_ms.is_some_and(|from| from <= now);
        let batch = Batch::of(2).storage_unit(&unit.name).policy(number).client(u32::from(number));
        let batch = batch.running_for(Duration::from_secs(300));
        simulator.submit(&if is_full { batch.status(129) } else { batch });
    }
}

/// Local time of New York, Unix ms of its clock.
fn local(at: i64) -> i64 {
    // Until 2026-03-08T07:00:00Z five hours behind, then four.
    at - if at < 1_772_953_200_000 { 300 } else { 240 } * MINUTE
}

fn hour(at: i64) -> i64 {
    local(at).rem_euclid(DAY) / (60 * MINUTE)
}

/// Returns a moment as a person at the site reads it.
pub fn day(at: i64) -> String {
    let (local, begin) = (local(at), local(BEGIN).div_euclid(DAY) * DAY);
    let (day, rest) = ((local - begin).div_euclid(DAY), local.rem_euclid(DAY));
    let weekday = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let name = weekday[usize::try_from(day.rem_euclid(7)).expect("a day of the week")];
    format!("day {day} ({name}) {:02}:{:02}", rest / (60 * MINUTE), rest / MINUTE % 60)
}
