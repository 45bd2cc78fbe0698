//! Every series of every resource is the truth.

use std::time::Duration;

use nbu_sim::{Release, Rows, Settings};

use crate::support::expected::{assert_same, differences};
use crate::support::resources::{expected, is_of_resources, since_10_5};
use crate::support::{Agent, Page, simulate};
use crate::{OFTEN, about, everything, settled, small};

/// The same number of rows for each list.
fn rows_of_each(number: usize) -> Rows {
    let lists = nbu_sim::fixtures().flat_map(|fixture| fixture.rows);
    lists.fold(Rows::default(), |rows, list| rows.with(list.name, number))
}

/// More rows of everything than fit on a page, but for the disk pools, of which 500 do.
fn many(release: Release) -> Settings {
    Settings {
        release,
        rows: rows_of_each(250).with("images", 400).with("tapes", 450),
        storage_units: 30,
        ..small()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_series_match_the_truth_in_each_release() {
    for release in Release::ALL {
        let simulator = simulate(many(release)).await;
        let agent = Agent::start(&everything(&simulator)).await;
        let page = settled(&agent).await;
        let expected = expected(&simulator.truth(), "paris", release);
        assert_same(&page.of_site("paris", is_of_resources), &expected);
        for collector in crate::COLLECTORS {
            let lacks = release == Release::R10_3 && since_10_5().contains(&collector);
            let supported = about(&page, "nbu_agent_collector_supported", collector);
            assert_eq!(supported, Some(if lacks { 0.0 } else { 1.0 }), "{collector} {release}");
            let up = about(&page, "nbu_agent_collector_up", collector);
            assert_eq!(up, (!lacks).then_some(1.0), "{collector} {release}");
        }
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_tapes_and_storage_units_are_all_counted() {
    let many = many(Release::R11_0);
    let rows = many.rows.clone().with("tapes", 10_000).with("disk-pools", 1_200);
    let big = Settings { rows, storage_units: 2_000, ..many };
    let simulator = simulate(big).await;
    let agent = Agent::start(&everything(&simulator)).await;
    let page = settled(&agent).await;
    let truth = simulator.truth();
    assert_same(
        &page.of_site("paris", is_of_resources),
        &expected(&truth, "paris", Release::R11_0),
    );
    let tapes: f64 = page.of_site("paris", |name| name == "nbu_tape_media_count").values().sum();
    assert!((tapes - 10_000.0).abs() < f64::EPSILON, "{tapes}");
    assert!(truth.disk_pools().len() > 1_000, "their list has several pages");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_server_exports_only_zeros_of_closed_sets() {
    let simulator = simulate(Settings { rows: rows_of_each(0), storage_units: 0, ..small() }).await;
    let agent = Agent::start(&everything(&simulator)).await;
    let page = settled(&agent).await;
    let shown = page.of_site("paris", is_of_resources);
    assert_same(&shown, &expected(&simulator.truth(), "paris", Release::R11_0));
    let zone = page.of_site("paris", |name| name == "nbu_server_time_zone_info");
    assert!(
        shown.iter().all(|(series, value)| *value == 0.0 || zone.contains_key(series)),
        "{shown:?}"
    );
    for metric in ["nbu_slo_count", "nbu_malware_files_scanned", "nbu_tape_robot_device_hosts"] {
        assert_eq!(page.value(metric, &[("site", "paris")]), Some(0.0), "{metric}");
    }
    // The right is one to each plan: an empty list proves nothing.
    assert_eq!(about(&page, "nbu_agent_collector_permitted", "slo"), None);
    assert_eq!(about(&page, "nbu_agent_collector_permitted", "malware"), Some(1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_cover_the_last_day_as_time_passes() {
    let simulator = simulate(small()).await;
    let agent = Agent::start(&everything(&simulator).server(OFTEN)).await;
    settled(&agent).await;
    for _ in 0..3 {
        simulator.clock().advance(Duration::from_secs(7 * 3600));
        let expected = expected(&simulator.truth(), "paris", Release::R11_0);
        let same = |page: &Page| {
            differences(&page.of_site("paris", is_of_resources), &expected).is_empty()
        };
        agent.scrape_until("the images of the last day", same).await;
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_names_lose_only_the_second_series() {
    let simulator = simulate(Settings { twins: true, ..small() }).await;
    let agent = Agent::start(&everything(&simulator)).await;
    let page = settled(&agent).await;
    let truth = simulator.truth();
    let units = truth.storage_units();
    assert_eq!(units[0].name, units[6].name, "two storage units of one name");
    let drives = truth.tape_drives();
    assert_eq!((&drives[0], &*drives[0].host), (&drives[1], "<multiple>"), "two drives alike");
    assert_same(
        &page.of_site("paris", is_of_resources),
        &expected(&truth, "paris", Release::R11_0),
    );
    let duplicates = |name| about(&page, "nbu_agent_collector_duplicate_series", name);
    assert_eq!(duplicates("tape_drives"), Some(1.0));
    assert!(duplicates("storage") >= Some(5.0), "{:?}", duplicates("storage"));
    let first = [("site", "paris"), ("name", &*units[0].name), ("type", units[0].server_type)];
    let total = units[0].total.expect("a total") as f64;
    assert_eq!(page.value("nbu_disk_capacity_bytes", &first), Some(total), "of the first one");
    for name in ["storage", "tape_drives", "disk_pools"] {
        assert_eq!(about(&page, "nbu_agent_collector_up", name), Some(1.0), "{name}");
    }
    agent.stop().await;
}
