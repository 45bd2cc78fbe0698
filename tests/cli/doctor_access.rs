//! `doctor` behind the connection: what the server speaks, and what the key may see.

use axum::Router;
use axum::routing::get;
use nbu_sim::{Fault, Permissions, Release, Settings};

use crate::doctor::{KEY, assert_fails, doctor, server, verdict};
use crate::process::config;
use crate::support::resources::ALL_ON;
use crate::support::world;

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_a_wrong_key_once() {
    let paris = server(world(1)).await;
    let yaml = config().site("paris", &paris).yaml();
    paris.set_api_key("another");
    let ended = doctor(&yaml).await;
    assert_fails(&ended, "key", &["401", "apiKey is wrong, expired or deleted"]);
    assert!(verdict(&ended, "ok", "version").is_some(), "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_missing_permission() {
    let paris = server(world(1)).await;
    let yaml = config().site("paris", &paris).yaml();
    let cases = [
        (
            Permissions { jobs: false, job_counts: false, ..Permissions::ALL },
            ("permission jobs", "|MANAGE|JOBS|"),
            "permission storage",
        ),
        (
            Permissions { storage: false, ..Permissions::ALL },
            ("permission storage", "|STORAGE|STORAGE-UNITS|"),
            "permission jobs",
        ),
    ];
    for (permissions, (missing, name), granted) in cases {
        paris.set_permissions(permissions);
        let ended = doctor(&yaml).await;
        assert_fails(&ended, missing, &[name]);
        assert_eq!(verdict(&ended, "ok", granted), Some("granted"), "{}", ended.all());
        assert_eq!(verdict(&ended, "ok", "key"), Some("accepted"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_unsupported_from_forbidden() {
    let paris = server(Settings { release: Release::R10_3, ..world(1) }).await;
    paris.deny("|MANAGE|IMAGES|");
    paris.faults().add(Fault::on("/malware").status(404));
    let ended = doctor(&config().site("paris", &paris).with(&ALL_ON).yaml()).await;
    assert_fails(&ended, "permission catalog", &["401", "|MANAGE|IMAGES|"]);
    for lacking in ["malware", "tape_media", "tape_robots", "tape_pools"] {
        let said = verdict(&ended, "-", &format!("read {lacking}"));
        assert_eq!(said, Some("not supported by this NetBackup release"), "{}", ended.all());
    }
    for granted in ["slo", "tape_drives", "disk_pools"] {
        assert_eq!(verdict(&ended, "ok", &format!("permission {granted}")), Some("granted"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_list_with_granted_count_is_no_missing_permission() {
    let empty = Settings { jobs_in_history: 0, jobs_per_hour: 0.0, live_jobs: 0, ..world(1) };
    let paris = server(empty).await;
    let ended = doctor(&config().site("paris", &paris).yaml()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert_eq!(verdict(&ended, "ok", "permission jobs"), Some("granted"));
    // A proxy that takes no POST leaves it open: worth a word, no failure.
    paris.faults().add(Fault::on("/admin/jobs-count-requests").status(405));
    let ended = doctor(&config().site("paris", &paris).yaml()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(verdict(&ended, "warn", "permission jobs").is_some(), "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_explains_a_rejected_version() {
    let paris = server(Settings { release: Release::R10_3, ..world(1) }).await;
    paris.set_permissions(Permissions::ALL);
    let more = format!("apiKey: {KEY}, apiVersion: \"14.0\"");
    let ended = doctor(&config().site_at("paris", paris.addr(), &more).yaml()).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert_fails(&ended, "version", &["apiVersion is 14.0", "10.0 at most", "remove apiVersion"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_accepts_no_version_is_too_old() {
    let paris = server(Settings { hide_version_header: true, ..world(1) }).await;
    paris.faults().add(Fault::on("/admin").status(406));
    let ended = doctor(&config().site("paris", &paris).yaml()).await;
    assert_fails(&ended, "version", &["406", "NetBackup 10.3 or later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_reports_an_old_version_is_too_old() {
    let ping = || async { ([("X-NetBackup-API-Version", "4.0")], "1772366400000") };
    let router = Router::new().route("/netbackup/ping", get(ping));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let old = tokio::spawn(async move { axum::serve(listener, router).await });
    let ended = doctor(&config().site_at("paris", address, &format!("apiKey: {KEY}")).yaml()).await;
    assert_fails(&ended, "version", &["API version 4.0", "NetBackup 10.3"]);
    old.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_a_server_that_is_not_netbackup() {
    let paris = server(world(1)).await;
    let yaml = config().site("paris", &paris).yaml();
    for (fault, words) in [
        (Fault::on("/").html(), "check host, port and uri"),
        (Fault::on("/").status(404), "check uri"),
    ] {
        paris.faults().clear();
        paris.faults().add(fault);
        assert_fails(&doctor(&yaml).await, "ping", &[words]);
    }
}
