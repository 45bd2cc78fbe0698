//! Expected series of disk pools and storage servers, from what the simulated world has.

use nbu_sim::{DiskPoolView, PoolSizes, Truth};

use super::resources::Shown;

/// Sizes of a pool that can be known from what its server tells.
#[derive(Clone, Copy)]
struct Known {
    capacity: i64,
    raw: i64,
    used: i64,
    free: i64,
}

fn known(pool: &DiskPoolView) -> Option<Known> {
    // A pool that is not set up says 0 of 0.
    let space = pool.space.filter(|space| space.raw > 0)?;
    match pool.told {
        PoolSizes::Nowhere | PoolSizes::Mixed => None,
        PoolSizes::Listed | PoolSizes::ById => Some(Known {
            capacity: space.usable,
            raw: space.raw,
            used: space.used,
            free: space.free,
        }),
        PoolSizes::Volumes => {
            let volumes: Option<Vec<(i64, i64)>> =
                pool.volumes.iter().map(|volume| volume.sizes).collect();
            let volumes = volumes.filter(|volumes| !volumes.is_empty())?;
            let raw: i64 = volumes.iter().map(|(raw, _)| raw).sum();
            let free: i64 = volumes.iter().map(|(_, free)| free).sum();
            Some(Known { capacity: raw, raw, used: raw - free, free })
        }
    }
}

/// Adds the series of disk pools but the forecast, which takes nights.
pub fn disk_pools(truth: &Truth, shown: &mut Shown<'_>) {
    shown.add("nbu_server_time_zone_info", &[("zone", "UTC"), ("source", "server")], 1.0);
    let pools = truth.disk_pools();
    for (place, pool) in pools.iter().enumerate() {
        volumes(pool, shown);
        let labels = [
            ("pool_name", &*pool.name),
            ("storage_category", pool.category),
            ("server_type", pool.server_type),
        ];
        for state in ["UP", "DOWN", "TRANSIENT"] {
            let labels = [labels[0], labels[1], labels[2], ("state", state)];
            shown.add("nbu_disk_pool_state", &labels, f64::from(u8::from(pool.state == state)));
        }
        let cloud = pool.category.starts_with("CLOUD");
        if !cloud {
            shown.add("nbu_disk_pool_high_watermark_ratio", &labels, pool.high as f64 / 100.0);
            shown.add("nbu_disk_pool_low_watermark_ratio", &labels, pool.low as f64 / 100.0);
        }
        if pool.category == "OPEN_STORAGE" {
            let is_other =
                |other: &DiskPoolView| other.appliance == pool.appliance && known(other).is_some();
            let repeated = pool.appliance.is_some()
                && known(pool).is_some()
                && pools[..place].iter().any(is_other);
            shown.add("nbu_disk_pool_space_repeated", &labels, f64::from(u8::from(repeated)));
        }
        let Some(sizes) = known(pool).filter(|_| !cloud) else { continue };
        for (name, bytes) in [
            ("nbu_disk_pool_capacity_bytes", sizes.capacity),
            ("nbu_disk_pool_raw_bytes", sizes.raw),
            ("nbu_disk_pool_used_bytes", sizes.used),
            ("nbu_disk_pool_free_bytes", sizes.free),
            ("nbu_disk_pool_headroom_bytes", sizes.capacity * pool.high / 100 - sizes.used),
        ] {
            shown.add(name, &labels, bytes as f64);
        }
    }
}

fn volumes(pool: &DiskPoolView, shown: &mut Shown<'_>) {
    let of_pool = [("pool_name", &*pool.name), ("storage_category", pool.category)];
    for state in ["UP", "DOWN", "UNKNOWN"] {
        let labels = [of_pool[0], of_pool[1], ("state", state)];
        let volumes = pool.volumes.iter().filter(|volume| volume.state == state).count();
        shown.add("nbu_disk_pool_volume_count", &labels, volumes as f64);
    }
    for volume in &pool.volumes {
        let labels =
            [of_pool[0], ("server_type", pool.server_type), ("volume", volume.name.as_str())];
        shown.add("nbu_disk_volume_up", &labels, f64::from(u8::from(volume.state == "UP")));
        let sizes = volume.sizes.filter(|(raw, _)| *raw != i64::MAX);
        if let Some((raw, free)) = sizes.filter(|_| pool.told != PoolSizes::Nowhere) {
            shown.add("nbu_disk_volume_capacity_bytes", &labels, raw as f64);
            shown.add("nbu_disk_volume_free_bytes", &labels, free as f64);
        }
    }
}

/// Adds the series of storage servers.
pub fn servers(truth: &Truth, shown: &mut Shown<'_>) {
    for server in truth.storage_servers() {
        let labels = [
            ("storage_server", &*server.name),
            ("server_type", server.server_type),
            ("storage_category", server.category),
        ];
        shown.add("nbu_storage_server_up", &labels, f64::from(u8::from(server.state == "UP")));
        if let Some(version) = server.version {
            let labels = [labels[0], labels[1], labels[2], ("version", version)];
            shown.add("nbu_storage_server_info", &labels, 1.0);
        }
        let Some(msdp) = server.msdp else { continue };
        for (size, bytes) in [
            ("raw", msdp.raw),
            ("reserved", msdp.reserved),
            ("size", msdp.size),
            ("used", msdp.used),
            ("available", msdp.available),
        ] {
            shown.add("nbu_msdp_bytes", &[labels[0], ("size", size)], bytes as f64);
        }
        shown.add("nbu_msdp_catalog_logical_bytes", &[labels[0]], msdp.logical as f64);
        shown.add("nbu_msdp_dedup_rate", &[labels[0]], msdp.saved_percent);
    }
}
