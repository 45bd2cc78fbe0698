//! Disk storage: pools that units share, where their sizes are told, and what is written to them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use nbu_sim::{
    Clock, DiskPoolView, Fault, PoolScript, PoolSizes, Release, Rows, Settings, Simulator,
};
use serde_json::Value;
use support::{Api, START, api, encode};

const TIB: i64 = 1 << 40;
const HOUR: u64 = 3600;
const POOLS: &str = "/storage/disk-pools";
const SERVERS: &str = "/storage/storage-servers";

fn many() -> Settings {
    let rows = Rows::default().with("disk-pools", 100);
    Settings { storage_units: 300, rows, pool_sizes: PoolSizes::Mixed, ..Settings::default() }
}

async fn rows_of(api: &Api, path: &str, limit: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    loop {
        let query = [("page[limit]", limit.to_string()), ("page[offset]", rows.len().to_string())];
        let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = api.json(path, &query).await;
        rows.extend(page["data"].as_array().unwrap().iter().cloned());
        if page["meta"]["pagination"]["next"].is_null() {
            return rows;
        }
    }
}

fn sizes(row: &Value) -> [Option<i64>; 4] {
    ["rawSizeBytes", "usableSizeBytes", "usedCapacityBytes", "availableSpaceBytes"]
        .map(|name| row["attributes"][name].as_i64())
}

fn space(pool: &DiskPoolView) -> [Option<i64>; 4] {
    let space = pool.space;
    [
        space.map(|space| space.raw),
        space.map(|space| space.usable),
        space.map(|space| space.used),
        space.map(|space| space.free),
    ]
}

#[tokio::test]
async fn pools_tell_the_truth_where_they_tell_sizes() {
    for release in Release::ALL {
        let api = api(Settings { release, ..many() }).await;
        let (listed, truth) = (rows_of(&api, POOLS, 500).await, api.sim.truth());
        let pools = truth.disk_pools();
        assert_eq!((listed.len(), pools.len()), (100, 100));
        for (row, pool) in listed.iter().zip(&pools) {
            let one = api.json(&format!("{POOLS}/{}", encode(&pool.id)), &[]).await;
            let in_list = pool.told == PoolSizes::Listed;
            let by_id = in_list || pool.told == PoolSizes::ById;
            assert_eq!(sizes(row), if in_list { space(pool) } else { [None; 4] }, "{pool:?}");
            assert_eq!(
                sizes(&one["data"]),
                if by_id { space(pool) } else { [None; 4] },
                "{pool:?}"
            );
            let attributes = &row["attributes"];
            assert_eq!(attributes["highWaterMark"], pool.high);
            assert_eq!(attributes["lowWaterMark"], pool.low);
            assert_eq!(attributes["diskPoolState"], pool.state);
            for (row, volume) in
                attributes["diskVolumes"].as_array().unwrap().iter().zip(&pool.volumes)
            {
                assert_eq!(row["state"], volume.state);
                assert_eq!(row["rawSizeBytes"].as_i64(), volume.sizes.map(|sizes| sizes.0));
                assert_eq!(row["freeSizeBytes"].as_i64(), volume.sizes.map(|sizes| sizes.1));
            }
        }
    }
}

#[tokio::test]
async fn pools_of_a_drawn_world_are_consistent() {
    let sim = api(many()).await.sim;
    let pools = sim.truth().disk_pools();
    for pool in &pools {
        let Some(space) = pool.space else {
            assert_eq!(pool.category, "CLOUD");
            assert!(pool.volumes.iter().all(|v| v.sizes.is_none_or(|s| s == (i64::MAX, i64::MAX))));
            continue;
        };
        assert_eq!(space.free, space.usable - space.used);
        assert_eq!(space.raw > space.usable, pool.category == "MSDP");
        assert!(space.used * 100 <= space.usable * pool.high, "{pool:?}");
        let told: Option<Vec<_>> = pool.volumes.iter().map(|volume| volume.sizes).collect();
        if let Some(volumes) = told {
            assert_eq!(volumes.iter().map(|sizes| sizes.0).sum::<i64>(), space.raw);
            assert_eq!(volumes.iter().map(|sizes| sizes.1).sum::<i64>(), space.free);
        } else {
            let unknown = pool.volumes.iter().any(|volume| volume.state == "UNKNOWN");
            assert!(unknown || pool.told == PoolSizes::Nowhere);
        }
    }
    for state in ["UP", "DOWN", "TRANSIENT"] {
        assert!(pools.iter().any(|pool| pool.state == state), "{state}");
    }
    for told in [PoolSizes::Listed, PoolSizes::ById, PoolSizes::Volumes, PoolSizes::Nowhere] {
        assert!(pools.iter().any(|pool| pool.told == told && pool.space.is_some()), "{told:?}");
    }
    let mut marks: Vec<_> = pools.iter().map(|pool| (pool.high, pool.low)).collect();
    marks.sort_unstable();
    marks.dedup();
    assert!(marks.len() > 3, "{marks:?}");
}

#[tokio::test]
async fn units_repeat_the_space_of_their_pool() {
    let api = api(many()).await;
    let truth = api.sim.truth();
    let pools: BTreeMap<String, DiskPoolView> =
        truth.disk_pools().into_iter().map(|pool| (pool.id.clone(), pool)).collect();
    let units = truth.storage_units();
    let rows = rows_of(&api, "/storage/storage-units", 500).await;
    assert_eq!((rows.len(), units.len()), (300, 300));
    for (row, unit) in rows.iter().zip(&units) {
        let id = row["relationships"]["diskPool"]["data"]["id"].as_str();
        assert_eq!(id.is_none(), matches!(unit.category, "TAPE" | "BASIC_DISK"), "{row}");
        let pool = id.map(|id| &pools[id]);
        assert_eq!(pool.map(|pool| &pool.name), unit.pool.as_ref());
        let Some(pool) = pool else { continue };
        assert!(pool.units.contains(&unit.name));
        assert_eq!((pool.category, pool.server_type), (unit.category, unit.server_type));
        match pool.space {
            None => assert_eq!((unit.free, unit.total), (Some(i64::MAX), Some(i64::MAX))),
            Some(space) => assert_eq!(
                (unit.free, unit.used, unit.total),
                (Some(space.free), Some(space.used), Some(space.usable))
            ),
        }
    }
    assert!(pools.values().filter(|pool| pool.units.len() > 2).count() > 20);
}

#[tokio::test]
async fn pools_of_an_appliance_report_one_space() {
    let sim = api(many()).await.sim;
    let truth = sim.truth();
    let mut spaces: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for pool in truth.disk_pools().into_iter().filter(|pool| pool.appliance.is_some()) {
        spaces.entry(pool.appliance.clone()).or_default().push(pool.space);
    }
    assert!(spaces.len() > 10);
    for (appliance, spaces) in spaces.iter().take(16) {
        assert_eq!((spaces.len(), spaces[0]), (2, spaces[1]), "{appliance:?}");
    }
    let own = truth.storage_units().into_iter().filter(|unit| unit.category == "BASIC_DISK");
    let own: i64 = own.filter_map(|unit| unit.total).sum();
    let pools: i64 = truth.disk_pools().iter().filter_map(|p| p.space).map(|s| s.usable).sum();
    let (usable, used) = truth.disk_space();
    let twice: i64 = spaces.values().filter_map(|s| *s.get(1)?).map(|s| s.usable).sum();
    assert_eq!(usable, pools - twice + own);
    assert!(used > 0 && used < usable);
}

#[tokio::test]
async fn storage_servers_tell_the_truth() {
    let api = api(Settings { null_details: true, ..many() }).await;
    let (rows, servers) = (rows_of(&api, SERVERS, 20).await, api.sim.truth().storage_servers());
    assert_eq!(rows.len(), servers.len());
    assert!(rows[0]["attributes"]["nbuStatusCode"].is_null());
    assert!(servers[0].status_code.is_some());
    for (row, server) in rows.iter().zip(&servers) {
        let row = &row["attributes"];
        assert_eq!(row["name"], *server.name);
        assert_eq!(row["storageServerState"], server.state);
        assert_eq!(row["nbuHostVersion"].as_str(), server.version);
        let msdp = &row["msdpAttributes"];
        assert_eq!(msdp.is_null(), server.msdp.is_none());
        assert_eq!(server.msdp.is_some(), server.category == "MSDP");
        let Some(store) = server.msdp else { continue };
        let details = &msdp["storagePoolDetails"];
        let read = |name: &str| details[name].as_i64().unwrap();
        assert_eq!(
            (read("rawSizeBytes"), read("reservedSpaceBytes"), read("sizeBytes")),
            (store.raw, store.reserved, store.size)
        );
        assert_eq!(read("usedSpaceBytes") + read("availableSpaceBytes"), store.size);
        assert_eq!(store.raw - store.reserved, store.size);
        assert_eq!(msdp["catalogLogicalSizeBytes"], store.logical);
        assert_eq!(msdp["catalogFilesCount"], store.files);
        assert_eq!(msdp["deduplicationRatioPercentage"], store.saved_percent);
        assert!(store.logical > store.used);
    }
    let minimal = api.json(SERVERS, &[("fieldset[storageServer]", "minimal")]).await;
    assert!(minimal["data"][0]["attributes"]["msdpAttributes"].is_null());
    for limit in ["0", "101"] {
        assert_eq!(api.error(SERVERS, &[("page[limit]", limit)]).await.0, 400);
    }
}

#[tokio::test]
async fn storage_servers_hide_msdp_where_they_are_told_to() {
    let api = api(Settings { hide_msdp_attributes: true, ..many() }).await;
    let rows = rows_of(&api, SERVERS, 100).await;
    assert!(rows.iter().all(|row| row["attributes"].get("msdpAttributes").is_none()));
    assert!(api.sim.truth().storage_servers()[0].msdp.is_some());
}

/// A simulator in Berlin from a Monday at noon, UTC.
async fn scripted(scripts: Vec<PoolScript>) -> Simulator {
    let settings = Settings {
        time_zone: "Europe/Berlin".parse().unwrap(),
        pool_scripts: scripts,
        jobs_in_history: 10,
        jobs_per_hour: 0.0,
        live_jobs: 0,
        // 2026-09-21T12:00:00Z.
        clock: Clock::manual(START - 8_000_000),
        ..Settings::default()
    };
    Simulator::start(settings).await.unwrap()
}

fn used(sim: &Simulator, pool: &str) -> i64 {
    sim.truth().disk_pool(pool).unwrap().space.unwrap().used
}

#[tokio::test]
async fn scripted_pool_rises_by_night_and_falls_by_day() {
    let script = PoolScript::of("dp-msdp-01").size(100 * TIB).used(60 * TIB).marks(95, 70);
    let sim = scripted(vec![script.nightly(20 * TIB).saving(0.95).cleaned(TIB / 2)]).await;
    let clock = sim.clock();
    let hours = |hours: u64| clock.advance(Duration::from_secs(hours * HOUR));
    let near = |bytes: f64| {
        let off = (used(&sim, "dp-msdp-01") as f64 / TIB as f64 - bytes).abs();
        assert!(off < 1e-9, "{off}");
    };
    near(60.0);
    // 20:00 in Berlin is 18:00 in UTC.
    hours(6);
    near(60.0);
    hours(5);
    near(60.5);
    hours(5);
    near(61.0);
    hours(7);
    near(60.75);
    hours(7);
    near(60.5);
    hours(10 + 14);
    near(61.0);
    let pool = sim.truth().disk_pool("dp-msdp-01").unwrap();
    assert_eq!((pool.written, pool.full_from_ms), (Some(40 * TIB), None));
    assert_eq!((pool.high, pool.low, pool.state), (95, 70, "UP"));
    let store = sim.truth().storage_servers()[0].msdp.unwrap();
    assert!((store.saved_percent - 95.0).abs() < 1e-9);
    assert!((store.logical as f64 / store.used as f64 - 20.0).abs() < 1e-6);
}

#[tokio::test]
async fn pool_that_fills_stays_at_its_mark() {
    let script = PoolScript::of("dp-advdisk-01").size(50 * TIB).used(44 * TIB).marks(98, 80);
    let sim = scripted(vec![script.nightly(TIB).nightly_from(2, 2 * TIB)]).await;
    let mut before = used(&sim, "dp-advdisk-01");
    let mut full = None;
    for _ in 0..8 * 24 * 60 {
        sim.clock().advance(Duration::from_secs(60));
        let truth = sim.truth();
        let pool = truth.disk_pool("dp-advdisk-01").unwrap();
        let now = pool.space.unwrap().used;
        assert!(now >= before && now <= 49 * TIB);
        before = now;
        if full.is_none() && now == 49 * TIB {
            full = Some(truth.server_time());
        }
        assert_eq!(pool.full_from_ms.is_some(), full.is_some(), "{}", truth.server_time());
        if let Some(full) = full {
            assert_eq!(pool.full_from_ms, Some(full));
            assert_eq!(pool.written, Some(5 * TIB));
        }
    }
    // 44, 45, 46, 48, 49 in the middle of the fourth night.
    assert_eq!(full, Some(START - 8_000_000 + (3 * 24 + 6 + 5) * 3_600_000));
}

#[tokio::test]
async fn weekdays_and_chance_change_the_nights() {
    let quiet =
        PoolScript::of("dp-advdisk-01").nightly(TIB).weekdays([1.0, 1.0, 1.0, 1.0, 5.0, 0.0, 0.0]);
    let noisy = PoolScript::of("dp-msdp-01").nightly(TIB).varies(0.3);
    let sim = scripted(vec![quiet, noisy]).await;
    let written = |pool: &str| sim.truth().disk_pool(pool).unwrap().written.unwrap();
    let mut nights = [Vec::new(), Vec::new()];
    let mut before = [0, 0];
    for _ in 0..14 {
        sim.clock().advance(Duration::from_secs(24 * HOUR));
        for (index, pool) in ["dp-advdisk-01", "dp-msdp-01"].iter().enumerate() {
            let now = written(pool);
            nights[index].push((now - before[index]) as f64 / TIB as f64);
            before[index] = now;
        }
    }
    assert_eq!(nights[0][..8], [1.0, 1.0, 1.0, 1.0, 5.0, 0.0, 0.0, 1.0]);
    assert!(nights[1].iter().all(|night| (0.7..=1.3).contains(night)));
    assert!(nights[1].windows(2).all(|pair| (pair[0] - pair[1]).abs() > 1e-6));
}

#[tokio::test]
async fn night_of_changed_clocks_is_as_large_as_others() {
    let settings = Settings {
        time_zone: "Europe/Berlin".parse().unwrap(),
        pool_scripts: vec![PoolScript::of("dp-advdisk-01").nightly(TIB)],
        // 2026-10-24T12:00:00Z: in the night the clocks go back, and it has eleven hours.
        clock: Clock::manual(1_792_843_200_000),
        ..Settings::default()
    };
    let sim = Simulator::start(settings).await.unwrap();
    let start = used(&sim, "dp-advdisk-01");
    sim.clock().advance(Duration::from_secs(6 * HOUR + 5 * HOUR + HOUR / 2));
    assert_eq!(used(&sim, "dp-advdisk-01") - start, TIB / 2);
    sim.clock().advance(Duration::from_secs(24 * HOUR));
    assert_eq!(used(&sim, "dp-advdisk-01") - start, TIB * 29 / 20);
}

#[tokio::test]
async fn script_of_unknown_pool_is_refused() {
    let pool_scripts = vec![PoolScript::of("dp-msdp-01"), PoolScript::of("dp-gone")];
    let refused = Simulator::start(Settings { pool_scripts, ..Settings::default() }).await;
    assert!(refused.unwrap_err().to_string().contains("dp-gone"));
}

#[tokio::test]
async fn states_of_pools_and_servers_can_be_set() {
    let sim = scripted(vec![PoolScript::of("dp-msdp-01")]).await;
    assert!(sim.set_disk_pool_state("dp-msdp-01", "TRANSIENT"));
    let states = || {
        let pool = sim.truth().disk_pool("dp-msdp-01").unwrap();
        (pool.state, pool.volumes[0].state)
    };
    assert_eq!(states(), ("TRANSIENT", "UP"));
    assert!(sim.set_disk_pool_state("dp-msdp-01", "DOWN"));
    assert_eq!(states(), ("DOWN", "DOWN"));
    assert!(sim.set_storage_server_state("msdp01.example.com", "DOWN"));
    assert_eq!(sim.truth().storage_servers()[0].state, "DOWN");
    assert!(!sim.set_disk_pool_state("x", "UP") && !sim.set_storage_server_state("x", "UP"));
}

#[tokio::test]
async fn single_pools_can_fail_while_the_list_is_well() {
    let api = api(Settings::default()).await;
    api.sim.faults().add(Fault::below(POOLS).status(503));
    api.sim.faults().add(Fault::on("/storage/disk-pools/PureDisk:dp-msdp-01").null_attributes());
    assert_eq!(api.json(POOLS, &[]).await["data"].as_array().unwrap().len(), 6);
    assert_eq!(api.error(&format!("{POOLS}/PureDisk%3Adp-msdp-01"), &[]).await.0, 503);
    api.sim.faults().clear();
    api.sim.faults().add(Fault::below(POOLS).null_attributes());
    let one = api.json(&format!("{POOLS}/PureDisk%3Adp-msdp-01"), &[]).await;
    assert!(one["data"]["attributes"]["usableSizeBytes"].is_null());
    assert_eq!(one["data"]["id"], "PureDisk:dp-msdp-01");
}

#[tokio::test]
async fn server_time_tells_the_zone_or_something_odd() {
    let berlin = || "Europe/Berlin".parse::<nbu_sim::ServerZone>().unwrap();
    let told = async |time_zone| {
        let api = api(Settings { time_zone, ..Settings::default() }).await;
        let answer = api.get("/security/servertime", &[]).await;
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    let (status, body) = told(berlin()).await;
    assert_eq!((status, &body["timeZoneId"]), (200, &"Europe/Berlin".into()));
    assert_eq!(body["serverTime"], START);
    assert_eq!(told(berlin().told_as("Mars/Olympus")).await.1["timeZoneId"], "Mars/Olympus");
    let (status, body) = told(berlin().untold()).await;
    assert_eq!((status, body.get("timeZoneId"), &body["serverTime"]), (200, None, &START.into()));
    assert_eq!(told(berlin().without_path()).await.0, 404);
}
