//! Sizes of pools, wherever the server tells them.

use std::collections::BTreeMap;
use std::time::Duration;

use nbu_sim::{Fault, PoolSizes, Release, Rows, Settings, Simulator};

use crate::support::expected::{assert_same, differences};
use crate::support::exposition::Series;
use crate::support::resources::expected;
use crate::support::runs::{Runs, client, series};
use crate::support::simulate;
use crate::{POOLS, is_of_pools, quiet};

const MODES: [PoolSizes; 5] =
    [PoolSizes::Listed, PoolSizes::ById, PoolSizes::Volumes, PoolSizes::Nowhere, PoolSizes::Mixed];

fn site(pool_sizes: PoolSizes) -> Settings {
    Settings { pool_sizes, rows: Rows::default().with("disk-pools", 24), ..quiet() }
}

fn pools(simulator: &Simulator) -> Runs {
    let key = &simulator.settings().api_key;
    Runs::kept_in("disk_pools", &client("paris", &simulator.base_url(), key), None)
}

/// Returns what the server's pools are, of all sites alike.
fn truth(simulator: &Simulator) -> BTreeMap<Series, f64> {
    let mut all = expected(&simulator.truth(), "paris", simulator.release());
    all.retain(|(name, _), _| is_of_pools(name));
    all
}

fn is_of(series: &Series, pool: &str) -> bool {
    series.1.iter().any(|(label, value)| label == "pool_name" && value == pool)
}

/// Sizes of a pool, and what follows from them.
fn is_size(name: &str) -> bool {
    name.starts_with("nbu_disk_pool_") && name.ends_with("_bytes")
}

#[tokio::test]
async fn sizes_equal_the_truth_wherever_they_are_told() {
    for release in Release::ALL {
        for mode in MODES {
            let simulator = simulate(Settings { release, ..site(mode) }).await;
            let mut pools = pools(&simulator);
            for hours in [0, 5, 31] {
                simulator.clock().advance(Duration::from_secs(hours * 3600));
                let shown = series("paris", &pools.run().await);
                let expected = truth(&simulator);
                assert_same(&shown, &expected);
            }
        }
    }
}

#[tokio::test]
async fn twins_keep_their_own_sizes() {
    for mode in MODES {
        let simulator = simulate(Settings { twins: true, ..site(mode) }).await;
        let shown = series("paris", &pools(&simulator).run().await);
        let pools = simulator.truth().disk_pools();
        assert_eq!(pools[0].name, pools[1].name);
        assert_ne!(pools[0].server_type, pools[1].server_type);
        // Counts of volumes have no type: those of both add up, as in the truth.
        assert_eq!(differences(&shown, &truth(&simulator)), [""; 0], "{mode:?}");
    }
}

#[tokio::test]
async fn failed_question_hides_only_its_pool() {
    for fault in [Fault::status as fn(Fault, u16) -> Fault, |fault, _| fault.invalid_json()] {
        let simulator = simulate(site(PoolSizes::ById)).await;
        let mut pools = pools(&simulator);
        let known: Vec<_> = simulator.truth().disk_pools();
        let known: Vec<_> = known.iter().filter(|pool| pool.space.is_some()).collect();
        let hidden = known[1];
        simulator.faults().add(fault(Fault::on(&format!("{POOLS}/{}", hidden.id)), 500));
        for _ in 0..3 {
            let shown = series("paris", &pools.run().await);
            let mut expected = truth(&simulator);
            let before = expected.len();
            expected.retain(|series, _| !(is_of(series, &hidden.name) && is_size(&series.0)));
            assert_eq!(before - expected.len(), 5, "capacity, raw, used, free, headroom");
            if hidden.category == "OPEN_STORAGE" {
                expected.retain(|(name, _), _| name != "nbu_disk_pool_space_repeated");
            }
            assert_eq!(differences(&shown, &expected), [""; 0]);
        }
        simulator.faults().clear();
        assert_same(&series("paris", &pools.run().await), &truth(&simulator));
    }
}

#[tokio::test]
async fn question_without_answer_hides_only_its_pool() {
    let simulator = simulate(site(PoolSizes::ById)).await;
    let mut pools = pools(&simulator);
    let known = simulator.truth().disk_pools();
    let hidden = known.iter().find(|pool| pool.space.is_some()).unwrap();
    simulator.faults().add(Fault::on(&format!("{POOLS}/{}", hidden.id)).hang());
    let shown = series("paris", &pools.run().await);
    let mut expected = truth(&simulator);
    expected.retain(|series, _| !(is_of(series, &hidden.name) && is_size(&series.0)));
    assert_eq!(differences(&shown, &expected), [""; 0]);
}

#[tokio::test]
async fn pool_without_sizes_by_id_is_asked_once() {
    let simulator = simulate(site(PoolSizes::Volumes)).await;
    let mut pools = pools(&simulator);
    let asked = |simulator: &Simulator| {
        let below = format!("{POOLS}/");
        simulator.requests().iter().filter(|request| request.path.starts_with(&below)).count()
    };
    let clouds = |simulator: &Simulator| {
        let pools = simulator.truth().disk_pools();
        pools.iter().filter(|pool| pool.category == "CLOUD").count()
    };
    for _ in 0..3 {
        pools.run().await;
    }
    assert_eq!(asked(&simulator), 24 - clouds(&simulator), "cloud has none, and is not asked");
}

#[tokio::test]
async fn pools_without_ids_keep_their_own_sizes() {
    let simulator = simulate(site(PoolSizes::Listed)).await;
    let row = |name: &str, used: i64| {
        format!(
            r#"{{"type":"diskPool","attributes":{{"name":"{name}","sType":"PureDisk","storageCategory":"MSDP",
            "usableSizeBytes":1000,"rawSizeBytes":1100,"usedCapacityBytes":{used},"availableSpaceBytes":{},
            "highWaterMark":98,"lowWaterMark":80}}}}"#,
            1000 - used
        )
    };
    let body = format!(
        r#"{{"data":[{},{}],"meta":{{"pagination":{{"offset":0,"limit":100,"count":2,"hasNext":false}}}}}}"#,
        row("one", 100),
        row("two", 900)
    );
    simulator.faults().add(Fault::on(POOLS).json(&body));
    let shown = series("paris", &pools(&simulator).run().await);
    for (name, used) in [("one", 100.0), ("two", 900.0)] {
        let own: Vec<_> = shown
            .iter()
            .filter(|(series, _)| is_of(series, name) && series.0 == "nbu_disk_pool_used_bytes")
            .map(|(_, value)| *value)
            .collect();
        assert_eq!(own, [used], "{name}");
        let headroom = shown
            .iter()
            .find(|(series, _)| is_of(series, name) && series.0 == "nbu_disk_pool_headroom_bytes");
        assert_eq!(headroom.map(|(_, value)| *value), Some(980.0 - used), "{name}");
    }
}
