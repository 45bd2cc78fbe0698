//! A resource that is forbidden, fails or answers nonsense hides no other, and falsifies nothing.

use std::collections::BTreeSet;
use std::path::Path;

use nbu_otel_agent::collectors::{self, TABLE};
use nbu_otel_agent::config::switches;
use nbu_sim::{Fault, Fixture, Paging, Release, Rows, Settings};

use crate::support::expected::assert_same;
use crate::support::resources::{ALL_ON, COLLECTORS, RESOURCES, Tried, expected, is_of_resources};
use crate::support::{Agent, Config, Page, simulate};
use crate::{OFTEN, about, everything, settled, small};

/// The switch of what is asked about the key: no list, so that tests/resources/api_key.rs has it.
const KEY_SWITCH: &str = "apiKey";

/// Returns the text of a file of the repository.
fn document(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Scrapes until this collector has failed.
async fn failed(agent: &Agent, collector: &str) -> Page {
    let down = |page: &Page| about(page, "nbu_agent_collector_up", collector) == Some(0.0);
    agent.scrape_until(&format!("{collector} fails"), down).await
}

#[test]
fn every_switch_of_a_collector_is_tried() {
    let tried = RESOURCES.iter().map(|resource| resource.switch);
    let tried: BTreeSet<&str> = tried.chain([KEY_SWITCH]).collect();
    assert_eq!(BTreeSet::from_iter(switches()), tried.into_iter().map(str::to_owned).collect());
}

#[test]
fn each_switch_enables_the_rows_that_name_it() {
    let rows = |on: &[String]| -> Vec<&str> {
        let switched_on = on.iter().cloned().collect();
        let config = collectors::Config { switched_on, ..collectors::Config::default() };
        TABLE.iter().filter(|row| row.is_enabled(&config)).map(|row| row.name).collect()
    };
    let always = rows(&[]);
    assert_eq!(always, ["jobs", "storage"]);
    let lists = || switches().into_iter().filter(|switch| switch != KEY_SWITCH);
    assert_eq!(rows(&[KEY_SWITCH.to_owned()])[always.len()..], ["api_key"]);
    for switch in lists() {
        let of_it = RESOURCES.iter().filter(|resource| resource.switch == switch);
        let of_it: Vec<_> = of_it.map(|resource| resource.collector).collect();
        assert_eq!(rows(&[switch])[always.len()..], of_it);
    }
    assert_eq!(rows(&switches()).len(), TABLE.len(), "a row has a switch that is none");
    assert_eq!(rows(&lists().collect::<Vec<_>>())[always.len()..], COLLECTORS);
}

#[test]
fn demo_of_the_stack_switches_every_collector_on() {
    let demo = document("deploy/demo/config.yaml");
    for name in switches().iter().map(String::as_str).chain(["perClient", "perPolicy"]) {
        assert!(demo.contains(&format!("  {name}: {{ enabled: true")), "{name}");
    }
}

#[test]
fn documented_permissions_are_those_that_doctor_grants() {
    let page = document("docs/operations.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).collect();
    for collector in TABLE {
        let names = |row: &str| row[2..].split([',', ' ']).any(|name| name == collector.name);
        let row = rows.iter().find(|row| names(row.split(" |").next().unwrap()));
        let row = row.unwrap_or_else(|| panic!("no row has the permission of {}", collector.name));
        let switch = collector.switch.map(|switch| format!("`collectors.{switch}`"));
        assert!(row.contains(switch.as_deref().unwrap_or("always on")), "{row}");
        let named = row.replace("\\|", "|");
        let named: BTreeSet<&str> =
            named.split('`').filter(|it| it.starts_with('|') && !it.contains(' ')).collect();
        let granted = collector.permissions().map(|permission| permission.namespace);
        assert_eq!(named, granted.collect(), "{row}");
        for permission in collector.permissions() {
            let operation = permission.to_string();
            let operation = operation.split(['(', ')']).nth(1).unwrap().to_owned();
            assert!(operation == "VIEW" || row.contains(&operation), "{row}");
        }
    }
    for Tried { collector, fixture, .. } in RESOURCES.iter() {
        let row = TABLE.iter().find(|row| row.name == *collector).unwrap();
        let granted = row.resource.permission.unwrap().namespace;
        // The simulator grants all plans or none.
        assert!(*collector == "slo" || granted == fixture.permission, "{granted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_resource_is_reported_and_hides_no_other() {
    let namespaces: BTreeSet<&str> =
        RESOURCES.iter().map(|resource| resource.fixture.permission).collect();
    // Not as often as elsewhere: there are many sites.
    let often = "collectionInterval: 1s, cacheTTL: 1s, staleAfter: 10m, scrapingInterval: 24h";
    let mut config = Config::new().server(often).with(&ALL_ON);
    let mut simulators = Vec::new();
    for namespace in namespaces {
        let simulator = simulate(small()).await;
        simulator.deny(namespace);
        config = config.site(namespace, &simulator);
        simulators.push((namespace, simulator));
    }
    let agent = Agent::start(&config).await;
    for (site, simulator) in &simulators {
        let denied: Vec<_> =
            RESOURCES.iter().filter(|resource| resource.fixture.permission == *site).collect();
        let mut others = expected(&simulator.truth(), site, Release::R11_0);
        others.retain(|(name, _), _| !denied.iter().any(|denied| denied.is_of(name)));
        let done = |page: &Page| page.of_site(site, is_of_resources).len() >= others.len();
        let page = agent.scrape_until(&format!("what {site} does not forbid"), done).await;
        assert_same(&page.of_site(site, is_of_resources), &others);
        let forbidden = |page: &Page| {
            denied.iter().all(|Tried { collector, .. }| {
                let labels = [("site", *site), ("collector", *collector)];
                page.value("nbu_agent_collector_permitted", &labels) == Some(0.0)
                    && page.value("nbu_agent_collector_up", &labels) == Some(0.0)
            })
        };
        agent.scrape_until(&format!("what {site} forbids"), forbidden).await;
        assert_eq!(page.value("nbu_agent_api_key_refused", &[("site", site)]), Some(0.0));
    }
    for (site, simulator) in &simulators {
        simulator.permit(site);
    }
    for (site, simulator) in &simulators {
        let all = expected(&simulator.truth(), site, Release::R11_0);
        let back = |page: &Page| page.of_site(site, is_of_resources) == all;
        agent.scrape_until(&format!("everything of {site}"), back).await;
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_resource_keeps_samples_until_stale() {
    let simulator = simulate(small()).await;
    let config = everything(&simulator).server(&OFTEN.replace("10m", "6s"));
    let agent = Agent::start(&config).await;
    let before = settled(&agent).await;
    for Tried { path, .. } in RESOURCES.iter() {
        simulator.faults().add(Fault::on(path).status(500));
    }
    let down = |page: &Page| {
        COLLECTORS.iter().all(|name| about(page, "nbu_agent_collector_up", name) == Some(0.0))
    };
    let page = agent.scrape_until("all of them fail", down).await;
    assert_eq!(page.of_site("paris", is_of_resources), before.of_site("paris", is_of_resources));
    for Tried { collector, .. } in RESOURCES.iter() {
        let kind = [("site", "paris"), ("collector", collector), ("kind", "server_error")];
        assert!(page.value("nbu_agent_collector_errors_total", &kind) >= Some(1.0), "{collector}");
        assert_eq!(about(&page, "nbu_agent_collector_supported", collector), Some(1.0));
    }
    let gone = |page: &Page| page.of_site("paris", is_of_resources).is_empty();
    let page = agent.scrape_until("the stale samples are gone", gone).await;
    assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0), "of storage and jobs alone");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_list_is_no_list() {
    let rows = Rows::default().with("tapes", 300).with("scans", 300);
    let simulator = simulate(Settings { rows, ..small() }).await;
    for path in ["/storage/tape-media", "/malware"] {
        simulator.faults().add(Fault::on(path).from_page(3).status(500));
    }
    let agent = Agent::start(&everything(&simulator)).await;
    failed(&agent, "tape_media").await;
    let page = failed(&agent, "malware").await;
    let partial =
        |name: &str| name.starts_with("nbu_tape_media_") || name.starts_with("nbu_malware_");
    assert!(page.of_site("paris", partial).is_empty());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_without_list_fails_and_keeps_samples() {
    let simulator = simulate(small()).await;
    let agent = Agent::start(&everything(&simulator).server(OFTEN)).await;
    let before = settled(&agent).await;
    let core = ["/admin/jobs", "/storage/storage-units"];
    let is_shown = |name: &str| is_of_resources(name) || name.starts_with("nbu_disk_");
    for body in [r#"{"errorCode":8,"errorMessage":"not now"}"#, "{}", r#"{"data":null}"#] {
        for path in RESOURCES.iter().map(|resource| resource.path).chain(core) {
            simulator.faults().add(Fault::on(path).json(body));
        }
        let down = |page: &Page| {
            let mut collectors = COLLECTORS.iter().chain(&["jobs", "storage"]);
            collectors.all(|name| about(page, "nbu_agent_collector_up", name) == Some(0.0))
        };
        let page = agent.scrape_until(&format!("{body} fails"), down).await;
        assert_eq!(page.of_site("paris", is_shown), before.of_site("paris", is_shown), "{body}");
        assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(0.0), "{body}");
        for collector in COLLECTORS.iter().chain(&["jobs", "storage"]) {
            let kind = [("site", "paris"), ("collector", *collector), ("kind", "body")];
            let errors = page.value("nbu_agent_collector_errors_total", &kind);
            assert!(errors >= Some(1.0), "{collector} {body}");
        }
        simulator.faults().clear();
        let up = |page: &Page| {
            let mut collectors = COLLECTORS.iter().chain(&["jobs", "storage"]);
            collectors.all(|name| about(page, "nbu_agent_collector_up", name) == Some(1.0))
        };
        agent.scrape_until("all is well again", up).await;
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn list_without_meta_is_read_to_its_end() {
    let simulator = simulate(small()).await;
    let by_offset = |fixture: &Fixture| matches!(fixture.paging, Paging::Offset(..));
    // The counts of images are in `meta`.
    let lists =
        RESOURCES.iter().filter(|list| by_offset(list.fixture) && list.collector != "catalog");
    for path in lists.map(|list| list.path).chain(["/storage/storage-units"]) {
        simulator.faults().add(Fault::on(path).short_pages(2));
        simulator.faults().add(Fault::on(path).without_meta());
    }
    let agent = Agent::start(&everything(&simulator)).await;
    let page = settled(&agent).await;
    let expected = expected(&simulator.truth(), "paris", Release::R11_0);
    assert_same(&page.of_site("paris", is_of_resources), &expected);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_status_removes_only_its_series() {
    for (fault, up) in [
        (Fault::on("/catalog/images").filter("NOT_REVIEWED").bad_filter(), 1.0),
        (Fault::on("/catalog/images").filter("'CLEAN'").bad_filter(), 1.0),
        (Fault::on("/catalog/images").filter("'CLEAN'").status(500), 0.0),
    ] {
        let simulator = simulate(small()).await;
        simulator.faults().add(fault);
        let agent = Agent::start(&everything(&simulator)).await;
        let done = |page: &Page| about(page, "nbu_agent_collector_up", "catalog") == Some(up);
        let page = agent.scrape_until("the catalogue is asked", done).await;
        let shown = page.of_site("paris", |name| name.starts_with("nbu_catalog_images_"));
        let all = expected(&simulator.truth(), "paris", Release::R11_0);
        let all = all.iter().filter(|((name, _), _)| name.starts_with("nbu_catalog_images_"));
        assert!(shown.len() >= all.clone().count() - 6, "{shown:?}");
        assert!(shown.len() < all.clone().count(), "{shown:?}");
        for (series, value) in all {
            assert!(
                shown.get(series).is_none_or(|shown| shown.to_bits() == value.to_bits()),
                "{series:?}"
            );
        }
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_records_are_counted_and_skipped() {
    let simulator = simulate(small()).await;
    // The counts of images need no record.
    let lists = RESOURCES.iter().filter(|resource| resource.collector != "catalog");
    for Tried { path, .. } in lists.clone() {
        simulator.faults().add(Fault::on(path).garbage_record());
    }
    let agent = Agent::start(&everything(&simulator)).await;
    let page = settled(&agent).await;
    for resource in lists {
        let Tried { collector, .. } = resource;
        let skipped = about(&page, "nbu_agent_collector_unreadable_records_total", collector);
        assert_eq!(skipped, Some(1.0), "{collector}");
        assert_eq!(about(&page, "nbu_agent_collector_up", collector), Some(1.0), "{collector}");
        assert!(!page.of_site("paris", |name| resource.is_of(name)).is_empty(), "{collector}");
    }
    let slos = simulator.truth().slos().len() as f64;
    assert_eq!(page.value("nbu_slo_count", &[("site", "paris")]), Some(slos - 1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn null_and_mistyped_attributes_fail_no_collector() {
    for fault in [Fault::null_attributes, Fault::wrong_types] {
        let simulator = simulate(small()).await;
        for Tried { path, .. } in RESOURCES.iter() {
            simulator.faults().add(fault(Fault::on(path)));
        }
        let agent = Agent::start(&everything(&simulator)).await;
        let page = settled(&agent).await;
        for collector in COLLECTORS {
            assert_eq!(about(&page, "nbu_agent_collector_up", collector), Some(1.0), "{collector}");
        }
        let scans = simulator.truth().scans();
        let files: i64 = scans.iter().skip(1).map(|scan| scan.scanned).sum();
        let shown = page.value("nbu_malware_files_scanned", &[("site", "paris")]);
        assert_eq!(shown, Some(files as f64), "the scan that does not tell adds nothing");
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_value_is_exported_unchanged() {
    let simulator = simulate(small()).await;
    for Tried { path, .. } in RESOURCES.iter() {
        simulator.faults().add(Fault::on(path).unknown_enum());
    }
    let agent = Agent::start(&everything(&simulator)).await;
    let page = settled(&agent).await;
    for (metric, label) in [
        ("nbu_alerts_count", "severity"),
        ("nbu_alerts_count", "category"),
        ("nbu_malware_scan_count", "status"),
        ("nbu_tape_drives_count", "status"),
        ("nbu_tape_drives_count", "drive_type"),
        ("nbu_tape_media_count", "media_type"),
        ("nbu_tape_media_count", "robot_type"),
        ("nbu_tape_pool_partially_full", "pool_type"),
        ("nbu_disk_pool_volume_count", "state"),
        ("nbu_disk_pool_volume_count", "storage_category"),
    ] {
        let series = page.of_site("paris", |name| name == metric);
        let new = (label.to_owned(), "SOMETHING_NEW".to_owned());
        assert!(series.keys().any(|(_, labels)| labels.contains(&new)), "{metric} {label}");
    }
    let known = expected(&simulator.truth(), "paris", Release::R11_0);
    let drives: f64 = page.of_site("paris", |name| name == "nbu_tape_drives_count").values().sum();
    let all = known.iter().filter(|((name, _), _)| name == "nbu_tape_drives_count");
    assert_eq!(Some(drives), Some(all.map(|(_, value)| value).sum()), "no drive is lost");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn record_on_two_pages_counts_once() {
    let simulator = simulate(small()).await;
    // The counts of images need no record, and drives that are shared are alike.
    let lists = RESOURCES.iter();
    let lists = lists.filter(|list| !["catalog", "tape_drives"].contains(&list.collector));
    for Tried { path, .. } in lists {
        simulator.faults().add(Fault::on(path).duplicate_rows());
    }
    let agent = Agent::start(&everything(&simulator)).await;
    let page = settled(&agent).await;
    let expected = expected(&simulator.truth(), "paris", Release::R11_0);
    assert_same(&page.of_site("paris", is_of_resources), &expected);
    agent.stop().await;
}
