//! Triggers of a reload: a save, HTTP, a signal, a file that the configuration names; also all at once.

use std::time::Duration;

use nbu_sim::Settings;
use serde_json::Value;

use crate::endpoint::{Endpoint, reloads};
use crate::process::{Desk, Process, Signal, config};
use crate::started;
use crate::support::{Page, eventually, simulate, world};

/// Attempts for any reason but the start.
fn attempts(page: &Page) -> f64 {
    let of = |trigger| ["applied", "unchanged", "rejected"].map(|r| reloads(page, trigger, r));
    ["sighup", "watch", "http"].into_iter().flat_map(of).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn save_reloads_and_polls_added_site_at_once() {
    let (paris, tokyo) = (simulate(world(1)).await, simulate(world(2)).await);
    let one = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &one).await;
    desk.write("config.yaml", &one.site("tokyo", &tokyo).yaml());
    let page = endpoint.complete(&mut agent, "tokyo").await;
    assert!((reloads(&page, "watch", "applied") - 1.0).abs() < f64::EPSILON);
    agent.says("site tokyo added").await;
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn post_answers_with_changes_or_the_wrong_line() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &base).await;
    let (status, body) = endpoint.post_reload().await;
    assert_eq!((status, body.contains("\"unchanged\"")), (200, true), "{body}");

    let slower = base.clone().server("scrapingInterval: 24h, collectionInterval: 400s");
    desk.write("config.yaml", &slower.yaml());
    let (status, body) = endpoint.post_reload().await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &answer["result"]), (200, &Value::from("applied")), "{body}");
    assert_eq!(answer["changes"][0]["key"], "server.collectionInterval", "{body}");

    desk.write("config.yaml", &slower.yaml().replace("apiKey:", "apiKeey:"));
    let (status, body) = endpoint.post_reload().await;
    assert_eq!(status, 400);
    assert!(body.contains("config.yaml:3:") && body.contains("apiKey"), "{body}");
    assert!(!body.contains("nbu-sim-key"), "no value is told: {body}");
    // Shown at once.
    let page = endpoint.scrape().await.expect("it serves");
    assert!((reloads(&page, "http", "rejected") - 1.0).abs() < f64::EPSILON);
    assert_eq!(page.value("nbu_agent_config_last_reload_successful", &[]), Some(0.0));
    // On a busy machine the watch may see a save before the request for it comes; never after it.
    let by_watch = |page: &Page| ["applied", "rejected"].map(|r| reloads(page, "watch", r));
    let before = by_watch(&page);
    let asked = attempts(&page) - before.iter().sum::<f64>();
    assert!((asked - 3.0).abs() < f64::EPSILON, "{}", page.text());

    // What was broken and is put right again is a reload, without anybody asking.
    desk.write("config.yaml", &slower.yaml());
    let right = |page: &Page| reloads(page, "watch", "unchanged") > 0.0;
    let page = endpoint.until(&mut agent, "the file is right again", right).await;
    let same = by_watch(&page).map(f64::to_bits) == before.map(f64::to_bits);
    assert!(same, "a file is tried a second time");
    assert_eq!(page.value("nbu_agent_config_last_reload_successful", &[]), Some(1.0));
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_file_and_environment_file_are_watched() {
    let key = |key: &str| Settings { api_key: key.to_owned(), ..world(1) };
    let (paris, tokyo) = (simulate(key("the-key-of-paris")).await, simulate(key("tokyo")).await);
    let base = config().site_at("paris", paris.addr(), "apiKeyFile: paris.key").site_at(
        "tokyo",
        tokyo.addr(),
        "apiKey: \"${TOKYO_KEY:-wrong}\"",
    );
    let desk = Desk::new();
    desk.write("paris.key", "an-old-key\n");
    let (mut agent, endpoint) = started(&desk, &base).await;
    agent.says("unauthorized").await;

    desk.write("paris.key", "the-key-of-paris\n");
    endpoint.complete(&mut agent, "paris").await;
    // It was not there when the agent started.
    desk.write(".env", "TOKYO_KEY=tokyo\n");
    endpoint.complete(&mut agent, "tokyo").await;
    let said = agent.end_by(Signal::TERM).await.all();
    for secret in ["an-old-key", "the-key-of-paris"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(said.contains("nbuservers[paris].apiKeyFile: content changed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_replaces_the_old_one_at_once() {
    let paris = simulate(Settings { api_key: "the-new-key".to_owned(), ..world(1) }).await;
    let base = config()
        .server("scrapingInterval: 24h, collectionInterval: 500ms, cacheTTL: 500ms")
        .site_at("paris", paris.addr(), "apiKeyFile: key");
    let desk = Desk::new();
    desk.write("key", "the-old-key");
    let (mut agent, endpoint) = started(&desk, &base).await;
    agent.says("unauthorized").await;
    desk.write("key", "the-new-key");
    assert_eq!(endpoint.post_reload().await.0, 200);
    // What was on its way may still arrive.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let presented = paris.presented_keys().len();
    endpoint.complete(&mut agent, "paris").await;
    let more = || async { (paris.presented_keys().len() > presented + 4).then_some(()) };
    eventually("more requests", more).await;
    let later = paris.presented_keys().split_off(presented);
    assert!(!later.is_empty() && later.iter().all(|key| key == "the-new-key"), "{later:?}");
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_signal_save_and_post_end_in_right_state() {
    let (paris, tokyo) = (simulate(world(1)).await, simulate(world(2)).await);
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &base).await;
    desk.write("config.yaml", &base.site("tokyo", &tokyo).yaml());
    agent.signal(Signal::HUP);
    let (status, _) = endpoint.post_reload().await;
    assert_eq!(status, 200);
    let page = endpoint.complete(&mut agent, "tokyo").await;
    assert!((1.0..=2.0).contains(&attempts(&page)), "{}", page.text());
    agent.end_by(Signal::TERM).await;
}

/// Returns whether the process catches SIGHUP.
fn catches_hangup(agent: &Process) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id()));
    let status = status.unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|m| m & 1 == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_during_start_neither_kills_nor_is_lost() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::with(&base.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(base.port);
    eventually("SIGHUP is caught", || async { catches_hangup(&agent).then_some(()) }).await;
    agent.signal(Signal::HUP);
    let seen = |page: &Page| reloads(page, "sighup", "unchanged") > 0.0;
    endpoint.until(&mut agent, "the reload", seen).await;
    agent.end_by(Signal::TERM).await;
}
