//! Site files while the agent runs: they come, change and go, and each concerns its own site alone.

use std::fs;

use nbu_sim::Simulator;

use crate::endpoint::{Endpoint, reloads};
use crate::process::{Desk, Process, Signal, config};
use crate::support::{Config, eventually, simulate, world};

/// Polls often, and looks at files only when the system reports a change.
const OFTEN: &str = "scrapingInterval: 24h, collectionInterval: 200ms, configCheckInterval: 1h";

fn site_file(desk: &Desk, site: &str, simulator: &Simulator) {
    let (address, key) = (simulator.addr(), format!("keys/{site}"));
    desk.write(&key, &simulator.settings().api_key);
    let file = format!(
        "{{ scheme: http, host: {}, port: {}, apiKeyFile: ../{key} }}",
        address.ip(),
        address.port()
    );
    desk.write(&format!("sites.d/{site}.yaml"), &file);
}

/// A configuration of the endpoint alone.
fn text(config: &Config) -> String {
    format!("server: {{ host: 127.0.0.1, port: {}, {OFTEN} }}\n", config.port)
}

/// A desk with the file of a site.
fn desk_with(site: &str, simulator: &Simulator) -> Desk {
    let desk = Desk::new();
    for folder in ["sites.d", "keys"] {
        fs::create_dir(desk.path(folder)).expect("a directory");
    }
    site_file(&desk, site, simulator);
    desk
}

fn started(desk: &Desk) -> (Process, Endpoint) {
    let config = config();
    desk.write("config.yaml", &text(&config));
    (desk.start(&["--config", "config.yaml"]), Endpoint::on(config.port))
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_site_files_are_seen_at_once() {
    let (paris, rome) = (simulate(world(1)).await, simulate(world(2)).await);
    let desk = desk_with("paris", &paris);
    let (mut agent, endpoint) = started(&desk);
    endpoint.complete(&mut agent, "paris").await;
    let connections = paris.connections();

    site_file(&desk, "rome", &rome);
    endpoint.complete(&mut agent, "rome").await;
    // A key is watched as that of the main file is.
    rome.set_api_key("another");
    desk.write("keys/rome", "another");
    let presented = || async { rome.presented_keys().contains(&"another".into()).then_some(()) };
    eventually("the new key is used", presented).await;
    endpoint.complete(&mut agent, "rome").await;
    fs::remove_file(desk.path("sites.d/rome.yaml")).expect("it was there");
    endpoint
        .until(&mut agent, "rome is gone", |page| page.of_site("rome", |_| true).is_empty())
        .await;
    assert_eq!(paris.connections(), connections, "paris was left alone");
    let said = agent.end_by(Signal::TERM).await.all();
    for line in
        ["site rome added", "nbuservers[rome].apiKeyFile: content changed", "site rome removed"]
    {
        assert_eq!(said.matches(line).count(), 1, "{line}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_site_file_changes_nothing_and_stops_no_rotation() {
    let paris = simulate(world(3)).await;
    let desk = desk_with("paris", &paris);
    let (mut agent, endpoint) = started(&desk);
    endpoint.complete(&mut agent, "paris").await;

    desk.write("sites.d/rome.yaml", "host: r.example\nport: none\napiKey: k\n");
    agent.says("sites.d/rome.yaml:2:7: port: expected a port from 1 to 65535").await;
    // What the wrong directory holds is not what was valid: that is known without it.
    paris.set_api_key("another");
    desk.write("keys/paris", "another");
    let presented = || async { paris.presented_keys().contains(&"another".into()).then_some(()) };
    eventually("the new key is used", presented).await;
    fs::remove_file(desk.path("sites.d/paris.yaml")).expect("it was there");
    paris.set_api_key("a third");
    desk.write("keys/paris", "a third");
    let presented = || async { paris.presented_keys().contains(&"a third".into()).then_some(()) };
    eventually("the third key is used", presented).await;
    let page = endpoint.complete(&mut agent, "paris").await;
    assert_eq!(page.value("nbu_agent_config_last_reload_successful", &[]), Some(0.0));
    assert!(page.of_site("rome", |_| true).is_empty());

    desk.write("sites.d/rome.yaml", "{ host: r.example, apiKey: k, enabled: false }");
    site_file(&desk, "paris", &paris);
    desk.write("keys/paris", "a third");
    endpoint
        .until(&mut agent, "it is valid", |page| {
            page.value("nbu_agent_config_last_reload_successful", &[]) == Some(1.0)
        })
        .await;
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_that_comes_later_is_seen() {
    let (paris, rome) = (simulate(world(4)).await, simulate(world(5)).await);
    let desk = Desk::new();
    let config = config().server(OFTEN).site("paris", &paris);
    desk.write("config.yaml", &config.yaml());
    let endpoint = Endpoint::on(config.port);
    let mut agent = desk.start(&["--config", "config.yaml"]);
    endpoint.complete(&mut agent, "paris").await;
    fs::create_dir(desk.path("keys")).expect("a directory");
    fs::create_dir(desk.path("sites.d")).expect("a directory");
    site_file(&desk, "rome", &rome);
    endpoint.complete(&mut agent, "rome").await;
    let page = endpoint.complete(&mut agent, "paris").await;
    assert_eq!(reloads(&page, "watch", "rejected"), 0.0);
    agent.end_by(Signal::TERM).await;
}
