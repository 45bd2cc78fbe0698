//! `state`: what is kept is told, renamed and reset; never while an agent uses it, and never unasked.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::process::{Desk, Signal, config};
use crate::support::endpoint::Endpoint;
use crate::support::{Config, simulate, world};

fn kept(config: Config) -> Config {
    config
        .server("scrapingInterval: 1h, collectionInterval: 100ms")
        .with("state: { directory: kept }")
}

/// Runs the agent until the state of all its sites is saved.
async fn run_once(desk: &Desk, config: &Config, sites: &[&str]) {
    desk.write("config.yaml", &config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let saved = |page: &crate::support::Page| {
        sites.iter().all(|site| {
            let size = page.value("nbu_agent_state_size_bytes", &[("site", site)]);
            size.is_some_and(|size| size > 0.0)
        })
    };
    Endpoint::on(config.port).until(&mut agent, "state is saved", saved).await;
    agent.end_by(Signal::TERM).await;
}

async fn inspect(desk: &Desk) -> (Option<i32>, Vec<Value>) {
    let ended = desk.run(&["state", "inspect", "--config", "config.yaml", "--json"]).await;
    let reports = serde_json::from_str(&ended.stdout);
    let mut reports: Vec<Value> =
        reports.unwrap_or_else(|error| panic!("{error}: {}", ended.all()));
    // Documents have no site.
    reports.retain(|report| report["site"] != Value::Null);
    (ended.code, reports)
}

/// Everything in the directory but the lock, which names the last process.
fn content(desk: &Desk) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(desk.path("kept")).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let paths = paths.filter(|path| !path.ends_with("lock"));
    let mut all: Vec<_> =
        paths.map(|path| (path.clone(), fs::read(&path).expect("a file"))).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_tells_what_each_file_holds_and_changes_nothing() {
    let (paris, rome) = (simulate(world(1)).await, simulate(world(2)).await);
    let desk = Desk::new();
    let config = kept(config().site("paris", &paris).site("rome", &rome));
    run_once(&desk, &config, &["paris", "rome"]).await;
    let before = content(&desk);
    let (code, reports) = inspect(&desk).await;
    assert_eq!((code, reports.len()), (Some(0), 2));
    let truth = paris.truth();
    let first = &reports[0];
    assert_eq!(first["site"], "paris");
    let server = format!("http://{}/netbackup", paris.addr());
    assert_eq!(first["server"], server);
    assert_eq!(first["in_force"], true);
    assert_eq!(first["set_aside"], false);
    assert_eq!(first["problem"], Value::Null);
    assert_eq!(first["completions"], 0);
    assert!(first["ended_jobs"].as_u64().is_some_and(|jobs| jobs > 0), "{first}");
    assert!(first["unfinished_jobs"].as_u64().is_some_and(|jobs| jobs > 0), "{first}");
    assert_eq!(first["read_up_to"], "2026-03-01T12:00:00Z", "{}", truth.server_time());
    assert!(first["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{first}");

    let ended = desk.run(&["state", "inspect", "--directory", "kept", "--site", "rome"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    for text in [
        ": intact",
        "  site            rome",
        "  totals          continue from this file",
        "  counted         0: ",
    ] {
        assert!(ended.stdout.contains(text), "{text}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("paris"));
    assert_eq!(content(&desk), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_in_use_is_neither_told_nor_changed() {
    let paris = simulate(world(1)).await;
    let desk = Desk::new();
    let config = kept(config().site("paris", &paris));
    run_once(&desk, &config, &["paris"]).await;
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("state directory opened").await;
    for arguments in [&["inspect"][..], &["rename", "paris", "lyon", "--yes"], &["reset", "paris"]]
    {
        let arguments = [&["state"], arguments, &["--directory", "kept"]].concat();
        let ended = desk.run(&arguments).await;
        assert_eq!(ended.code, Some(1), "{}", ended.all());
        let expected = format!("another agent uses it (process {})", agent.id());
        assert!(ended.stderr.contains(&expected), "{}", ended.all());
    }
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_state_goes_on_under_the_new_name() {
    let (paris, rome) = (simulate(world(1)).await, simulate(world(2)).await);
    let desk = Desk::new();
    let config = kept(config().site("paris", &paris).site("rome", &rome));
    run_once(&desk, &config, &["paris", "rome"]).await;
    let before = content(&desk);
    let rename = ["state", "rename", "--config", "config.yaml", "paris", "lyon"];
    let ended = desk.run(&rename).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(ended.stdout.contains("add --yes to do it"), "{}", ended.all());
    assert_eq!(content(&desk), before, "it was not told to");

    let (_, told) = inspect(&desk).await;
    let ended = desk.run(&[&rename[..], &["--yes"]].concat()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let (code, now) = inspect(&desk).await;
    assert_eq!(code, Some(0));
    let sites: Vec<_> = now.iter().map(|report| report["site"].as_str().unwrap()).collect();
    assert_eq!(sites, ["lyon", "rome"]);
    let is_left = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("paris-"))
    };
    let left: Vec<_> = content(&desk).into_iter().filter(|(path, _)| is_left(path)).collect();
    assert!(left.is_empty(), "its documents go with it: {left:?}");
    for field in ["server", "in_force", "totals_since", "ended_jobs", "read_up_to"] {
        assert_eq!(now[0][field], told[0][field], "{field}");
    }
    // A name that is taken, and one that there is not.
    let taken = desk.run(&["state", "rename", "-c", "config.yaml", "lyon", "lyon", "--yes"]).await;
    assert_eq!(taken.code, Some(1));
    assert!(taken.stderr.contains("site `lyon` already has state for server"), "{}", taken.all());
    let missing = desk.run(&["state", "rename", "-c", "config.yaml", "oslo", "x", "--yes"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("no state for site `oslo`"), "{}", missing.all());
    assert!(missing.stderr.contains("lyon, rome"), "{}", missing.all());

    // The agent takes it up.
    let renamed = desk.read("config.yaml").replace("\"paris\"", "\"lyon\"");
    desk.write("config.yaml", &renamed);
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("site=\"lyon\" jobs=").await;
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_state_is_set_aside_and_kept() {
    let (paris, rome) = (simulate(world(1)).await, simulate(world(2)).await);
    let desk = Desk::new();
    let config = kept(config().site("paris", &paris).site("rome", &rome));
    run_once(&desk, &config, &["paris", "rome"]).await;
    let before = content(&desk);
    let reset = ["state", "reset", "--config", "config.yaml", "paris"];
    let ended = desk.run(&reset).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert_eq!(content(&desk), before, "it was not told to");
    let other = desk.run(&[&reset[..], &["--server", "http://other", "--yes"]].concat()).await;
    assert_eq!(other.code, Some(1), "{}", other.all());
    assert_eq!(content(&desk), before, "there is none of that server");
    let ended = desk.run(&[&reset[..], &["--yes"]].concat()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let (code, now) = inspect(&desk).await;
    assert_eq!(code, Some(0));
    let told: Vec<_> = now.iter().map(|report| (&report["site"], &report["set_aside"])).collect();
    assert_eq!(told[0], (&Value::from("rome"), &Value::from(false)));
    assert_eq!(told[1], (&Value::from("paris"), &Value::from(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_file_is_told_by_the_exit_code() {
    let paris = simulate(world(1)).await;
    let desk = Desk::new();
    let config = kept(config().site("paris", &paris));
    run_once(&desk, &config, &["paris"]).await;
    let (path, mut bytes) = content(&desk)
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().ends_with(".state"))
        .unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x41;
    fs::write(&path, bytes).unwrap();
    let ended = desk.run(&["state", "inspect", "--directory", "kept"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert!(ended.stdout.contains("cannot be used: it is corrupt"), "{}", ended.all());
    assert!(ended.stdout.contains("  site            paris"), "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_that_is_missing_or_not_named_is_an_error() {
    let desk = Desk::with(&config().site("paris", &simulate(world(1)).await).yaml());
    for (arguments, code, text) in [
        (&["state", "inspect", "--directory", "none"][..], 1, "state.directory none: "),
        (&["state", "inspect", "--config", "config.yaml"], 1, "state.directory is not set"),
        (&["state", "inspect"], 2, "--config <FILE>"),
        (&["state", "inspect", "--config", "a", "--directory", "b"], 2, "cannot be used with"),
        (&["state", "rename", "--directory", "none", "paris"], 2, "<TO>"),
        (&["state", "reset", "--directory", "none", "x", "--yes"], 1, "state.directory none: "),
    ] {
        let ended = desk.run(arguments).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.all());
        assert!(ended.stderr.contains(text), "{arguments:?}: {}", ended.all());
    }
    assert!(!desk.path("none").exists());
    let help = desk.run(&["state", "--help"]).await;
    for text in
        ["state rename --config config.yaml paris lyon --yes", "EXIT CODES", "Stop the agent first"]
    {
        assert!(help.stdout.contains(text), "{}", help.stdout);
    }
}
