//! The files of the stack agree with each other and with what CI tries: versions, ports, names, mounts.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The entries of a mapping; merge keys are resolved by hand, since YAML 1.2 has none.
fn services() -> BTreeMap<String, Value> {
    let services = yaml("docker-compose.yml")["services"].as_object().expect("services").clone();
    services.into_iter().collect()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn version(name: &str) -> String {
    let versions = text(".ci/versions");
    let line = versions.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap_or_else(|| panic!("no {name} in .ci/versions")).to_owned()
}

fn image(service: &str) -> String {
    services()[service]["image"].as_str().expect("an image").to_owned()
}

#[test]
fn images_are_pinned_to_what_ci_tries() {
    let collector = format!("otel/opentelemetry-collector-contrib:{}", version("OTELCOL_VERSION"));
    assert_eq!(image("otel-collector"), collector);
    assert_eq!(image("prometheus"), format!("prom/prometheus:v{}", version("PROMETHEUS_VERSION")));
    assert_eq!(image("agent"), format!("nbu-otel-agent:{}", env!("CARGO_PKG_VERSION")));
    for (service, definition) in services() {
        let Some(image) = definition["image"].as_str() else { continue };
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(
            tag.is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit() || c == 'v')),
            "{service}: {image}"
        );
    }
}

#[test]
fn ports_are_published_on_loopback_and_served() {
    let collector = text("otel-collector-config.yaml");
    let mut seen = 0;
    for (service, definition) in services() {
        for port in texts(&definition["ports"]) {
            let inner = port.strip_prefix("127.0.0.1:").expect("loopback").rsplit_once(':');
            let inner = inner.expect("two ports").1;
            if service == "otel-collector" {
                assert!(collector.contains(&format!("0.0.0.0:{inner}")), "{service}: {inner}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 7, "{seen} ports");
}

#[test]
fn mounted_files_exist() {
    let mut seen = 0;
    let default = |source: &str| -> String {
        let inner = source.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        inner.and_then(|inner| inner.split_once(":-")).map_or(source, |(_, default)| default).into()
    };
    for (service, definition) in services() {
        for mount in texts(&definition["volumes"]) {
            let mount = mount.replace("${NBU_CONFIG_DIR:-./deploy/demo}", "./deploy/demo");
            let source = default(mount.split(':').next().expect("a source"));
            if source.starts_with('.') {
                assert!(root().join(&source).exists(), "{service} mounts {source}");
                seen += 1;
            } else {
                assert!(yaml("docker-compose.yml")["volumes"].get(&source).is_some(), "{source}");
            }
        }
    }
    assert!(seen >= 5, "{seen} mounts");
}

#[test]
fn state_directory_matches_unit_and_volume() {
    let agent = &services()["agent"];
    let kept = agent["environment"]["NBU_STATE_DIRECTORY"].as_str().expect("a directory");
    let mounts = texts(&agent["volumes"]);
    assert!(mounts.contains(&format!("agent-state:{kept}")), "{mounts:?}");
    // A volume takes its owner from there.
    assert!(text("Dockerfile").contains(&format!("--chown=65532:65532 /out/state {kept}\n")));
    let unit = text("deploy/systemd/nbu-otel-agent.service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    let expected = format!("NBU_STATE_DIRECTORY=%S/{}", value("StateDirectory"));
    assert_eq!(value("Environment"), expected);
    assert_eq!(value("StateDirectoryMode"), "0700");
    // Else the variable would not count.
    for file in ["config.example.yaml", "deploy/demo/config.yaml"] {
        let config = serde_yaml::from_str::<Value>(&text(file)).expect(file);
        let said = config.get("state").and_then(|state| state.get("directory"));
        assert_eq!(said, None, "{file}");
    }
}

#[test]
fn unit_reloads_by_signal_on_every_maintained_systemd() {
    let unit = text("deploy/systemd/nbu-otel-agent.service");
    let has = |line: &str| unit.lines().any(|is| is == line);
    assert!(has("Type=notify"), "notify-reload needs systemd 253");
    assert!(has("ExecReload=/bin/kill -HUP $MAINPID"));
    assert!(has("TimeoutStartSec=60s"), "shorter than a start or a reload may take");
}

#[test]
fn agent_does_not_get_the_password_of_grafana() {
    let agent = &services()["agent"];
    let secret = "GRAFANA_ADMIN_PASSWORD";
    assert!(text(".env.example").contains(secret));
    assert_eq!(agent["environment"][secret], "", "what is in .env reaches the agent");
}

#[test]
fn each_service_has_a_health_check_or_says_why_not() {
    let file = text("docker-compose.yml");
    for (service, definition) in services() {
        let ours = matches!(service.as_str(), "agent" | "nbu-paris" | "nbu-tokyo");
        let checked = definition.get("healthcheck").is_some();
        let part = file.split(&format!("\n  {service}:")).nth(1).expect("its part");
        let part = part.split("\n\n").next().expect("text");
        assert!(checked || ours || part.contains("No health check:"), "{service}");
    }
    let dockerfile = text("Dockerfile");
    assert_eq!(dockerfile.matches("HEALTHCHECK").count(), 2, "one for each image of ours");
}

#[test]
fn prometheus_scrapes_the_services_at_their_ports() {
    let config = yaml("deploy/prometheus/prometheus.yml");
    let jobs = config["scrape_configs"].as_array().expect("jobs");
    let targets: Vec<String> =
        jobs.iter().flat_map(|job| texts(&job["static_configs"][0]["targets"])).collect();
    assert_eq!(targets, ["agent:9440", "otel-collector:8889"]);
    for target in targets {
        assert!(services().contains_key(target.split(':').next().expect("a host")), "{target}");
    }
}

#[test]
fn prometheus_loads_the_rules_that_are_mounted() {
    let config = yaml("deploy/prometheus/prometheus.yml");
    assert_eq!(texts(&config["rule_files"]), ["rules/*.yml"]);
    let mounts = texts(&services()["prometheus"]["volumes"]);
    assert!(mounts.contains(&"./deploy/prometheus:/etc/prometheus:ro".to_owned()), "{mounts:?}");
    for name in ["alerts", "recording"] {
        let groups = yaml(&format!("deploy/prometheus/rules/{name}.yml"))["groups"].clone();
        assert!(groups.as_array().is_some_and(|groups| !groups.is_empty()), "{name}");
    }
}

#[test]
fn grafana_finds_its_data_source_and_its_dashboards() {
    let sources = yaml("deploy/grafana/provisioning/datasources/prometheus.yaml");
    assert_eq!(sources["datasources"][0]["url"], "http://prometheus:9090");
    let providers = yaml("deploy/grafana/provisioning/dashboards/netbackup.yaml");
    let path = providers["providers"][0]["options"]["path"].as_str().expect("a path");
    let mounts = texts(&services()["grafana"]["volumes"]);
    let mounted = mounts.iter().find(|mount| mount.contains(path)).expect("its mount");
    let source = mounted.split(':').next().expect("a source");
    assert!(root().join(source).is_dir(), "{source}");
    let mut seen = 0;
    for entry in fs::read_dir(root().join(source)).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let dashboard = fs::read_to_string(&path).expect("a file");
            let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
            assert!(dashboard["uid"].is_string(), "{}", path.display());
            let uid = &sources["datasources"][0]["uid"];
            for panel in dashboard["panels"].as_array().expect("panels") {
                for target in panel["targets"].as_array().into_iter().flatten() {
                    assert_eq!(&target["datasource"]["uid"], uid, "{}", path.display());
                }
            }
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} dashboards");
}

#[test]
fn demo_profile_polls_simulated_servers() {
    let config = yaml("deploy/demo/config.yaml");
    let file = text("docker-compose.yml");
    for site in config["nbuservers"].as_array().expect("sites") {
        let host = site["host"].as_str().expect("a host");
        assert!(file.contains(&format!("\n  {host}:\n    <<: *simulator")), "{host}");
    }
    let push = |name: &str| {
        (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://otel-collector:4317".to_owned())
    };
    let path = root().join("deploy/demo/config.yaml");
    let loaded = nbu_otel_agent::config::from_text(&text("deploy/demo/config.yaml"), &path, &push);
    assert!(loaded.expect("it is valid").config.otlp.is_some(), "it pushes");
}

#[test]
fn examples_together_form_a_pushing_configuration() {
    let variables: BTreeMap<String, String> = text(".env.example")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let environment = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://otel-collector:4317".to_owned()),
        _ => variables.get(name).cloned(),
    };
    assert_eq!(variables["NBU_CONFIG_DIR"], "./config");
    let path = Path::new("config.example.yaml");
    let loaded =
        nbu_otel_agent::config::from_text(&text("config.example.yaml"), path, &environment);
    let config = loaded.expect("it is valid").config;
    let otlp = config.otlp.expect("the push is on, as the stack's environment says");
    assert_eq!(otlp.metrics_to.endpoint.host_str(), Some("otel-collector"));
    assert_eq!((config.http.address.host.as_str(), config.http.address.port), ("0.0.0.0", 9440));
}

#[test]
fn image_needs_only_files_of_its_context() {
    let ignore = text(".dockerignore");
    let dockerfile = text("Dockerfile");
    for needed in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "crates", "benches", "tests"] {
        assert!(ignore.lines().any(|line| line == format!("!{needed}")), "{needed}");
        assert!(root().join(needed).exists(), "{needed}");
    }
    // The builder's steps are scripts of the repository, and it copies all that the context has.
    assert!(dockerfile.contains("\nCOPY . .\n"));
    for script in
        dockerfile.split(&[' ', '\\', '\n', ';'][..]).filter(|word| word.starts_with(".ci/"))
    {
        if script != ".ci/" {
            assert!(ignore.lines().any(|line| line == format!("!{script}")), "{script}");
            assert!(root().join(script).exists(), "{script}");
        }
    }
}
