//! The state directory: one agent has it, a reload moves it, and what it holds outlives the process.

use std::fs::{self, File};
use std::path::Path;

use otlp_sink::{Options, Sink};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, config};
use crate::started;
use crate::support::received::labels;
use crate::support::{Config, eventually, simulate, world};

fn kept_at(base: &Config, path: &str) -> Config {
    base.clone().with(&format!("state: {{ directory: {path} }}"))
}

/// Returns whether a process has locked the directory.
fn is_taken(desk: &Desk, name: &str) -> bool {
    let file = File::open(desk.path(name).join("lock")).expect("it was taken once");
    file.try_lock().is_err()
}

async fn is_released(desk: &Desk, name: &str) {
    let what = format!("{name} is released");
    eventually(&what, || async { (!is_taken(desk, name)).then_some(()) }).await;
}

async fn apply(desk: &Desk, endpoint: &Endpoint, config: &Config) {
    desk.write("config.yaml", &config.yaml());
    let (status, body) = endpoint.post_reload().await;
    // The watch may have been there first.
    let in_force = body.contains("applied") || body.contains("unchanged");
    assert_eq!((status, in_force), (200, true), "{body}");
}

/// The identity that the next export to the sink tells.
async fn exported_id(sink: &Sink) -> String {
    sink.clear();
    let request = eventually("an export", || async { sink.metrics().pop() }).await;
    let resource = request.resource_metrics[0].resource.clone().expect("a resource");
    let of_resource = labels(&resource.attributes);
    let id = of_resource.iter().find(|(key, _)| *key == "service.instance.id");
    id.expect("an identity").1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn second_agent_fails_and_names_the_holder_of_the_directory() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, _) = started(&desk, &kept_at(&base, "made/here")).await;
    // At another port: it is the directory that counts.
    let second = kept_at(&config().site("paris", &paris), "made/here");
    desk.write("second.yaml", &second.yaml());
    let ended = desk.run(&["--config", "second.yaml"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let path = desk.path("made/here");
    let expected = format!(
        "state.directory {}: another agent uses it (process {}); stop that agent",
        path.display(),
        agent.id()
    );
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);

    // Commands that look on leave it alone.
    for command in ["check", "once", "doctor"] {
        let ended = desk.run(&[command, "--config", "second.yaml"]).await;
        assert_eq!(ended.code, Some(0), "{command}: {}", ended.all());
    }
    assert!(agent.is_alive());
    // However it ends, the directory is free.
    agent.signal(Signal::KILL);
    agent.end(crate::process::PROMISED_END).await;
    let mut second = desk.start(&["--config", "second.yaml"]);
    second.says("state directory opened").await;
    second.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_commands_create_no_directory() {
    let paris = simulate(world(1)).await;
    let desk = Desk::with(&kept_at(&config().site("paris", &paris), "kept").yaml());
    for command in ["check", "once", "doctor"] {
        let ended = desk.run(&[command, "--config", "config.yaml"]).await;
        assert_eq!(ended.code, Some(0), "{command}: {}", ended.all());
    }
    assert!(!desk.path("kept").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_state_directory_fails_start_and_reload() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    desk.write("file", "kept");
    desk.write("config.yaml", &kept_at(&base, "file").yaml());
    let ended = desk.run(&["--config", "config.yaml"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let expected = format!("state.directory {}: not a directory", desk.path("file").display());
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);

    let (mut agent, endpoint) = started(&desk, &kept_at(&base, "kept")).await;
    for (name, expected) in [
        ("file", "not a directory"),
        ("file/below", "not a directory"),
        ("theirs", "another agent uses it; "),
    ] {
        fs::create_dir_all(desk.path("theirs")).expect("it is made");
        let theirs = File::create(desk.path("theirs/lock")).expect("it is made");
        theirs.lock().expect("it is locked");
        desk.write("config.yaml", &kept_at(&base, name).yaml());
        let (status, body) = endpoint.post_reload().await;
        assert_eq!(status, 400, "{body}");
        assert!(body.contains("state.directory /") && body.contains(expected), "{body}");
        assert!(is_taken(&desk, "kept"), "what was in force is");
    }
    assert_eq!(desk.read("file"), "kept");
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_moves_state_to_another_directory_and_back() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &kept_at(&base, "one")).await;
    endpoint.complete(&mut agent, "paris").await;
    apply(&desk, &endpoint, &kept_at(&base, "two")).await;
    assert!(is_taken(&desk, "two"));
    // At once, whether anything still holds it or not.
    apply(&desk, &endpoint, &kept_at(&base, "one")).await;
    assert!(is_taken(&desk, "one"));
    is_released(&desk, "two").await;
    // By another name it is the same one, which this agent has.
    std::os::unix::fs::symlink(desk.path("one"), desk.path("link")).expect("a link");
    apply(&desk, &endpoint, &kept_at(&base, "link")).await;
    assert!(is_taken(&desk, "one"));
    apply(&desk, &endpoint, &base).await;
    is_released(&desk, "one").await;
    agent.end_by(Signal::TERM).await;
    assert_eq!(agent.said().matches("state directory opened").count(), 3, "{}", agent.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_id_belongs_to_the_directory() {
    let paris = simulate(world(1)).await;
    let sink = Sink::start(Options::default()).expect("a receiver");
    let push = format!(
        "opentelemetry: {{ enabled: true, endpoint: \"{}\", interval: 200ms }}",
        sink.grpc_endpoint()
    );
    let desk = Desk::new();
    let base = || config().site("paris", &paris).with(&push);
    let (mut agent, _) = started(&desk, &kept_at(&base(), "kept")).await;
    let first = exported_id(&sink).await;
    assert_eq!(desk.read("kept/instance-id").trim(), first);
    agent.end_by(Signal::TERM).await;

    // At another port, after a restart: the same.
    let base = base();
    let (mut agent, endpoint) = started(&desk, &kept_at(&base, "kept")).await;
    assert_eq!(exported_id(&sink).await, first);
    // A reload to another directory is another identity, as is one to none.
    apply(&desk, &endpoint, &kept_at(&base, "other")).await;
    let other = exported_since(&sink, &[&first]).await;
    assert_eq!(desk.read("other/instance-id").trim(), other);
    apply(&desk, &endpoint, &base).await;
    exported_since(&sink, &[&first, &other]).await;
    agent.end_by(Signal::TERM).await;
}

/// The identity that is exported once it is none of these: their last exports may come late.
async fn exported_since(sink: &Sink, before: &[&str]) -> String {
    loop {
        let id = exported_id(sink).await;
        if !before.contains(&id.as_str()) {
            return id;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_names_state_directory_if_file_does_not() {
    let paris = simulate(world(1)).await;
    let desk = Desk::with(&config().site("paris", &paris).yaml());
    let path = desk.path("from-environment");
    let path = path.to_str().expect("text");
    let start = |desk: &Desk| -> Process {
        desk.start_in(&["--config", "config.yaml"], &[("NBU_STATE_DIRECTORY", path)])
    };
    let mut agent = start(&desk);
    agent.says("state directory opened").await;
    assert!(Path::new(path).join("instance-id").exists());
    agent.end_by(Signal::TERM).await;
}
