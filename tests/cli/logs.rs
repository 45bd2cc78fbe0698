//! The agent's own log: where it goes, how it looks, how much it says, and what it never says.

use nbu_sim::Settings;
use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Ended, Signal, config};
use crate::support::{Config, simulate, world};

/// Runs until the site is complete, then ends.
async fn run(desk: &Desk, config: &Config, more: &[&str]) -> Ended {
    desk.write("config.yaml", &config.yaml());
    let arguments = [&["--config", "config.yaml"], more].concat();
    let mut agent = desk.start(&arguments);
    Endpoint::on(config.port).complete(&mut agent, "paris").await;
    agent.end_by(Signal::TERM).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_reopens_the_file_of_log_name() {
    let paris = simulate(world(1)).await;
    let config = config().server("logName: agent.log").site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    Endpoint::on(config.port).complete(&mut agent, "paris").await;
    assert!(desk.read("agent.log").contains("listening"), "{}", desk.read("agent.log"));

    // As logrotate does it.
    std::fs::rename(desk.path("agent.log"), desk.path("agent.log.1")).expect("it is renamed");
    agent.signal(Signal::HUP);
    let anew = || async { desk.read("agent.log").contains("unchanged").then_some(()) };
    crate::support::eventually("a new log file", anew).await;
    let ended = agent.end_by(Signal::TERM).await;
    assert!(desk.read("agent.log").contains("SIGTERM"), "{}", desk.read("agent.log"));
    assert!(!desk.read("agent.log.1").contains("SIGTERM"));
    assert_eq!(ended.stdout, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_opens_the_log_anew_whatever_the_configuration_is() {
    let paris = simulate(world(1)).await;
    let config = config().server("logName: agent.log").site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    Endpoint::on(config.port).complete(&mut agent, "paris").await;
    let broken = "nbuservers: [\n";
    let elsewhere = config.yaml().replace("apiKey", "apiKeey").replace("agent.log", "other.log");
    for text in [broken, &elsewhere, &config.yaml()] {
        desk.write("config.yaml", text);
        // logrotate deletes what it compressed.
        std::fs::remove_file(desk.path("agent.log")).expect("it is removed");
        agent.signal(Signal::HUP);
        let anew = || async { desk.read("agent.log").contains("sighup").then_some(()) };
        crate::support::eventually("a new log file", anew).await;
    }
    agent.end_by(Signal::TERM).await;
    assert!(!desk.path("other.log").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_log_file_falls_back_to_standard_error() {
    let paris = simulate(world(1)).await;
    let config = config().server("logName: missing/agent.log").site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    Endpoint::on(config.port).complete(&mut agent, "paris").await;
    let said = agent.said();
    assert!(said.contains("missing/agent.log") && said.contains("check server.logName"), "{said}");
    std::fs::create_dir(desk.path("missing")).expect("it is made");
    agent.signal(Signal::HUP);
    let anew = || async { desk.read("missing/agent.log").contains("sighup").then_some(()) };
    crate::support::eventually("the log file", anew).await;
    let ended = agent.end_by(Signal::TERM).await;
    assert_eq!(ended.stdout, "");
    assert!(!ended.stderr.contains("SIGTERM"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_object_a_line() {
    let paris = simulate(world(1)).await;
    let config = config().server("logFormat: json, logLevel: debug").site("paris", &paris);
    let ended = run(&Desk::new(), &config, &[]).await;
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let message = |text: &str| lines.iter().find(|line| line["message"] == text);
    assert_eq!(message("listening").map(|line| &line["level"]), Some(&Value::from("INFO")));
    let request = message("request").expect("debug lines");
    assert_eq!((&request["site"], &request["level"]), (&"paris".into(), &"DEBUG".into()));
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"].is_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_and_trace_say_more_but_never_the_key() {
    // The server's own name is in its answers: with the key for a name, the key is.
    let key = "zx9plantedkey7qw.example.com";
    let echo = Settings { api_key: key.to_owned(), name: key.to_owned(), ..world(1) };
    let paris = simulate(echo).await;
    let (mut lines, mut traced) = (Vec::new(), String::new());
    for more in [&[][..], &["--debug"], &["--trace"]] {
        let ended = run(&Desk::new(), &config().site("paris", &paris), more).await;
        assert!(!ended.all().contains("zx9planted"), "{more:?} logs the key");
        assert!(ended.stdout.contains("listening"), "{}", ended.all());
        assert_eq!(ended.stdout.contains("DEBUG"), !more.is_empty(), "{}", ended.all());
        lines.push(ended.stdout.lines().count());
        traced = ended.stdout;
    }
    assert!(lines.is_sorted_by(|less, more| less < more), "{lines:?}");
    let bodies: Vec<&str> = traced.lines().filter(|line| line.contains("TRACE")).collect();
    let jobs = bodies.iter().filter(|line| line.contains("resource=\"jobs\""));
    let jobs: Vec<_> = jobs.filter(|line| line.contains("\"jobId\":")).collect();
    assert!(!jobs.is_empty(), "no body of a list of jobs");
    assert!(jobs.iter().any(|line| line.contains("[redacted]")), "{}", jobs[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn verbose_option_only_adds_to_the_configured_level() {
    let paris = simulate(world(1)).await;
    let quiet = config().server("logLevel: error").site("paris", &paris);
    assert_eq!(run(&Desk::new(), &quiet, &[]).await.stdout, "");
    let louder = run(&Desk::new(), &quiet, &["--debug"]).await.stdout;
    assert!(louder.contains("DEBUG") && !louder.contains("TRACE"), "{louder}");
}
