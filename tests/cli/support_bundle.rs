//! `support` writes a bundle without secrets, and without names unless they are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::support::{PATIENCE, Page, simulate, world};

/// Returns the files of a bundle by their names.
pub fn unpacked(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).expect("a bundle");
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.expect("an entry");
        assert_eq!(entry.header().mode().expect("a mode"), 0o600);
        let path = entry.path().expect("a path").into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        let name = path.strip_prefix("nbu-otel-agent-support").expect("the folder");
        (name.display().to_string(), text)
    };
    archive.entries().expect("an archive").map(read).collect()
}

/// Returns the values of a label of all series.
fn values(page: &Page, label: &str) -> BTreeSet<String> {
    let labels = page.series().keys().flat_map(|(_, labels)| labels);
    labels.filter(|(key, _)| key == label).map(|(_, value)| value.clone()).collect()
}

async fn support(desk: &Desk, arguments: &[&str]) -> crate::process::Ended {
    let arguments = [&["support", "--config", "config.yaml"], arguments].concat();
    // Not the journal of this machine.
    let programs = desk.path("programs").display().to_string();
    desk.start_in(&arguments, &[("PATH", &programs)]).end(2 * PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_has_names_only_if_asked() {
    let paris = simulate(world(1)).await;
    let away = "site: \"Site Away\", host: nbu-away.corp.invalid, apiKey: 0123456789";
    let config = config()
        .server("scrapingInterval: 24h, logName: agent.log, logLevel: trace")
        .site("Paris-West", &paris)
        .with(&format!("  - {{ {away} }}"))
        .with("collectors:\n  perClient: { enabled: true, allowlist: ['*', 'absent-host'] }")
        .with("  perPolicy: { enabled: true, allowlist: ['*'] }");
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let page = Endpoint::on(config.port).complete(&mut agent, "Paris-West").await;
    let (hidden, named) = tokio::join!(
        support(&desk, &["--output", "hidden.tar.gz"]),
        support(&desk, &["-o", "named.tar.gz", "--with-names"])
    );
    for ended in [&hidden, &named] {
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.all());
    }
    agent.end_by(Signal::TERM).await;
    let [hidden, named] = ["hidden.tar.gz", "named.tar.gz"].map(|it| unpacked(&desk.path(it)));
    let files: Vec<&str> = hidden.keys().map(String::as_str).collect();
    let all = [
        "README.txt",
        "config.yaml",
        "doctor.txt",
        "health.txt",
        "log.txt",
        "metrics.txt",
        "missing.txt",
        "status.html",
        "versions.txt",
    ];
    assert_eq!(files, all);
    let mut names: Vec<String> =
        ["Paris-West", "Site Away", "nbu-away", "corp.invalid", "absent-host"]
            .map(str::to_owned)
            .to_vec();
    let (clients, policies) = (values(&page, "client"), values(&page, "policy"));
    assert!(clients.len() > 3 && policies.len() > 1, "{clients:?} {policies:?}");
    names.extend(clients.into_iter().chain(policies).filter(|name| name != "other"));
    let kept = named.values().cloned().collect::<String>();
    for name in &names {
        for (file, text) in &hidden {
            assert!(!text.contains(name.as_str()), "{file} has {name}:\n{text}");
        }
    }
    for name in &names[..5] {
        assert!(kept.contains(name.as_str()), "{name}");
    }
    assert!(kept.contains(" TRACE "), "the whole log");
    for (file, text) in [
        ("config.yaml", "site: \"site-1\""),
        ("config.yaml", "host: \"server-1\""),
        ("doctor.txt", "site site-2 (https://server-1:1556/netbackup)"),
        ("doctor.txt", "permission jobs"),
        ("health.txt", "/-/ready: 200 OK: OK"),
        ("log.txt", " INFO "),
        ("metrics.txt", "nbu_agent_collector_up{collector=\"jobs\",site=\"site-1\"} 1"),
        ("metrics.txt", "# TYPE nbu_agent_sites gauge"),
        ("status.html", "<td>site-1</td>"),
        ("versions.txt", concat!("nbu-otel-agent ", env!("CARGO_PKG_VERSION"))),
        ("README.txt", "  site            2"),
    ] {
        assert!(hidden[file].contains(text), "no {text:?} in {file}:\n{}", hidden[file]);
    }
    assert!(!hidden["metrics.txt"].contains("nbu_jobs"), "{}", hidden["metrics.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_is_private_and_replaces_nothing_unasked() {
    let paris = simulate(world(1)).await;
    let desk = Desk::with(&config().site("paris", &paris).yaml());
    let path = desk.path("nbu-otel-agent-support.tar.gz");
    std::fs::write(&path, "mine").expect("a file");
    let refused = support(&desk, &[]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.all());
    assert!(refused.stderr.contains("add --force"), "{}", refused.stderr);
    assert_eq!(desk.read("nbu-otel-agent-support.tar.gz"), "mine");
    let written = support(&desk, &["--force"]).await;
    assert_eq!(written.code, Some(0), "{}", written.all());
    let mode = std::fs::metadata(&path).expect("a bundle").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // No agent runs, and the log goes to standard output.
    let files = unpacked(&path);
    for file in ["log.txt", "health.txt", "status.html", "metrics.txt"] {
        assert!(!files.contains_key(file), "{file}");
        assert!(files["missing.txt"].contains(&format!("{file}: ")), "{}", files["missing.txt"]);
        assert!(written.stderr.contains(&format!("missing: {file}: ")), "{}", written.stderr);
    }
    assert!(
        files["doctor.txt"].contains("permission jobs          granted"),
        "{}",
        files["doctor.txt"]
    );
    let nowhere = support(&desk, &["--output", "no/folder.tar.gz"]).await;
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn journal_has_the_lines_of_a_log_without_file() {
    let paris = simulate(world(1)).await;
    let desk = Desk::with(&config().site("paris", &paris).yaml());
    std::fs::create_dir(desk.path("programs")).expect("a directory");
    let [info, trace] = ["INFO", "TRACE"].map(|level| format!("x {level} nbu_otel_agent: Paris"));
    let script = format!("#!/bin/sh\necho \"$*\" >asked\necho '{info}'\necho '{trace}'\n");
    desk.write("programs/journalctl", &script);
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(desk.path("programs/journalctl"), mode).expect("it is ours");
    let ended = support(&desk, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(desk.read("asked").contains("--unit nbu-otel-agent.service"), "{}", ended.all());
    let files = unpacked(&desk.path("nbu-otel-agent-support.tar.gz"));
    assert_eq!(files["log.txt"], "x INFO nbu_otel_agent: site-1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_of_an_invalid_file_tells_its_errors() {
    let paris = simulate(world(1)).await;
    let config = config().site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    Endpoint::on(config.port).complete(&mut agent, "paris").await;
    desk.write("config.yaml", &config.yaml().replace("apiKey", "apiKeey"));
    let ended = support(&desk, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    agent.end_by(Signal::TERM).await;
    let files = unpacked(&desk.path("nbu-otel-agent-support.tar.gz"));
    assert!(files["config-errors.txt"].contains("did you mean \"apiKey\""));
    assert!(files["missing.txt"].contains("config.yaml: "), "{}", files["missing.txt"]);
    assert!(files["metrics.txt"].contains("nbu_agent_build_info"), "{}", files["metrics.txt"]);
    assert!(files["status.html"].contains("site-1"), "{}", files["status.html"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_of_the_endpoint_opens_it_to_the_command() {
    let paris = simulate(world(1)).await;
    let desk = Desk::new();
    desk.write("tokens", "the-token-of-this-endpoint\n");
    desk.write("users", &format!("prometheus:{}\n", bcrypt::hash("right", 4).expect("a hash")));
    for (web, is_open) in [("bearerTokenFile: tokens", true), ("usersFile: users", false)] {
        let config = config().server(&format!("web: {{ {web} }}")).site("paris", &paris);
        desk.write("config.yaml", &config.yaml());
        let mut agent = desk.start(&["--config", "config.yaml"]);
        agent.says("listening").await;
        let ended = support(&desk, &["--force"]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        agent.end_by(Signal::TERM).await;
        let files = unpacked(&desk.path("nbu-otel-agent-support.tar.gz"));
        assert_eq!(files.contains_key("metrics.txt"), is_open, "{}", ended.all());
        let asks = files["missing.txt"].contains("asks for credentials");
        assert_eq!(asks, !is_open, "{}", files["missing.txt"]);
        assert!(!files.values().any(|text| text.contains("the-token-of")), "{web}");
    }
}
