//! The time zone of the nights, as the server tells it or not.

use nbu_otel_agent::state::StateDir;
use nbu_sim::{Fault, ServerZone, Settings, Simulator};

use crate::support::runs::{Runs, client, series};
use crate::support::simulate;
use crate::{SERVER_TIME, quiet};

async fn of_zone(time_zone: ServerZone) -> Simulator {
    simulate(Settings { time_zone, ..quiet() }).await
}

fn pools(simulator: &Simulator, state: Option<&StateDir>) -> Runs {
    let client = client("paris", &simulator.base_url(), &simulator.settings().api_key);
    Runs::kept_in("disk_pools", &client, state)
}

/// Runs, and returns (zone, source), and whether there is a headroom.
async fn told(pools: &mut Runs) -> (Option<(String, String)>, bool) {
    let shown = series("paris", &pools.run().await);
    let mut zones = shown.iter().filter(|((name, _), _)| name == "nbu_server_time_zone_info");
    let zone = zones.next().map(|((_, labels), value)| {
        assert_eq!(value.to_bits(), 1_f64.to_bits());
        let of = |wanted: &str| labels.iter().find(|(label, _)| label == wanted).unwrap().1.clone();
        (of("zone"), of("source"))
    });
    assert!(zones.next().is_none(), "one zone a site");
    let sizes = shown.keys().any(|(name, _)| name == "nbu_disk_pool_capacity_bytes");
    assert!(sizes, "the clock is no matter of sizes");
    (zone, shown.keys().any(|(name, _)| name == "nbu_disk_pool_headroom_bytes"))
}

fn known(zone: &str, source: &str) -> (Option<(String, String)>, bool) {
    (Some((zone.to_owned(), source.to_owned())), true)
}

#[tokio::test]
async fn zone_of_each_server_is_told() {
    for id in ServerZone::ids() {
        let simulator = of_zone(id.parse().unwrap()).await;
        assert_eq!(told(&mut pools(&simulator, None)).await, known(id, "server"));
    }
    for fixed in ["GMT+05:30", "GMT-3"] {
        let simulator = of_zone(ServerZone::UTC.told_as(fixed)).await;
        assert_eq!(told(&mut pools(&simulator, None)).await, known(fixed, "server"));
    }
}

#[tokio::test]
async fn unknown_zone_is_utc_and_said_to_be_assumed() {
    let tokyo: ServerZone = "Asia/Tokyo".parse().unwrap();
    for zone in [
        tokyo.clone().told_as("Mars/Olympus"),
        tokyo.clone().told_as("../../etc/localtime"),
        tokyo.clone().told_as(" "),
        tokyo.clone().untold(),
        tokyo.clone().without_path(),
    ] {
        let simulator = of_zone(zone).await;
        assert_eq!(told(&mut pools(&simulator, None)).await, known("UTC", "assumed"));
    }
}

#[tokio::test]
async fn zone_told_last_is_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    let simulator = of_zone("Asia/Tokyo".parse().unwrap()).await;
    let mut first = pools(&simulator, Some(&state));
    assert_eq!(told(&mut first).await, known("Asia/Tokyo", "server"));
    simulator.faults().add(Fault::on(SERVER_TIME).status(404));
    assert_eq!(told(&mut first).await, known("Asia/Tokyo", "server"));
    drop(first);
    assert_eq!(told(&mut pools(&simulator, Some(&state))).await, known("Asia/Tokyo", "server"));
    assert_eq!(told(&mut pools(&simulator, None)).await, known("UTC", "assumed"));
}

#[tokio::test]
async fn clock_that_is_nonsense_costs_only_the_forecast() {
    let simulator = of_zone(ServerZone::UTC).await;
    let mut pools = pools(&simulator, None);
    // The ping tells the time then.
    for (body, expected) in [
        (r#"{"serverTime":9223372036854775807,"timeZoneId":"UTC"}"#, (Some(()), true)),
        (r#"{"serverTime":-9223372036854775808,"timeZoneId":"UTC"}"#, (Some(()), true)),
        (r#"{"serverTime":"soon","timeZoneId":7}"#, (Some(()), true)),
        (r#"{"serverTime":null,"timeZoneId":null}"#, (Some(()), true)),
        ("[]", (Some(()), true)),
        ("nonsense", (Some(()), true)),
    ] {
        simulator.faults().add(Fault::on(SERVER_TIME).json(body));
        let (zone, forecast) = told(&mut pools).await;
        assert_eq!((zone.map(|_| ()), forecast), expected, "{body}");
        simulator.faults().clear();
    }
    simulator.faults().add(Fault::on(SERVER_TIME).status(500));
    simulator.faults().add(Fault::on("/ping").status(500));
    assert_eq!(told(&mut pools).await, (None, false));
}

#[tokio::test]
async fn clock_that_hangs_is_asked_by_ping() {
    let simulator = of_zone(ServerZone::UTC).await;
    simulator.faults().add(Fault::on(SERVER_TIME).hang());
    assert_eq!(told(&mut pools(&simulator, None)).await, known("UTC", "assumed"));
}
