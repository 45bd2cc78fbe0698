//! Background tasks that die are restarted, as seen from within: nobody outside can kill one.

use std::sync::Arc;
use std::time::Duration;

use super::error::{PrepareError, ReloadError};
use super::signals::Signals;
use super::{Source, Supervisor};
use crate::reload::Trigger;

/// Returns a supervisor with a configuration in force whose server does not exist.
async fn supervisor(place: &tempfile::TempDir) -> Supervisor {
    let path = place.path().join("config.yaml");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let text = format!(
        "server: {{ host: 127.0.0.1, port: {port} }}\n\
         nbuservers: [{{ site: a, scheme: http, host: 127.0.0.1, port: 1, apiKey: k }}]\n\
         opentelemetry: {{ enabled: true, endpoint: 'http://127.0.0.1:1', signals: [traces] }}\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut supervisor = Supervisor::new(Source::File(path), Arc::new(|_: &str| None), None);
    supervisor.reload(Trigger::Start).await.unwrap();
    supervisor
}

fn restarts(supervisor: &Supervisor, task: &str) -> Option<f64> {
    let page = supervisor.renderer().scrape(false).chunks.concat();
    let page = String::from_utf8(page).unwrap();
    let start = format!("nbu_agent_task_restarts_total{{task=\"{task}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
}

async fn wait(what: &str, done: impl Fn() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_background_tasks_are_restarted_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(&place).await;
    supervisor.start_watcher();
    let mut signals = Signals::install().unwrap();
    let tasks =
        ["endpoint", "healthcheck", "otlp", "poller", "renderer", "signals", "traces", "watcher"];
    for task in tasks {
        assert_eq!(restarts(&supervisor, task), Some(0.0), "{task}");
    }
    assert!(!supervisor.restart_dead_tasks(&mut signals), "all is well");

    supervisor.rendering.abort();
    signals.kill();
    supervisor.watcher.as_ref().unwrap().kill();
    supervisor.address.as_ref().unwrap().kill();
    wait("their end", || {
        supervisor.rendering.is_finished()
            && signals.is_dead()
            && supervisor.watcher.as_ref().unwrap().is_dead()
            && supervisor.address.as_ref().unwrap().is_dead()
    })
    .await;
    assert!(!supervisor.restart_dead_tasks(&mut signals), "the configuration has no part in it");
    assert!(!signals.is_dead() && !supervisor.rendering.is_finished());
    assert!(!supervisor.watcher.as_ref().unwrap().is_dead());
    assert!(!supervisor.address.as_ref().unwrap().is_dead());
    for task in ["renderer", "signals", "watcher", "healthcheck"] {
        assert_eq!(restarts(&supervisor, task), Some(1.0), "{task}");
    }
    assert_eq!(restarts(&supervisor, "poller"), Some(0.0));
    supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_recovery_is_forgotten_once_one_succeeds() {
    let place = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(&place).await;
    let successful = |supervisor: &Supervisor| {
        let page = String::from_utf8(supervisor.renderer().scrape(false).chunks.concat()).unwrap();
        let name = "nbu_agent_config_last_reload_successful ";
        page.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok())
    };
    let failed = Err(ReloadError::Prepare(PrepareError::Bug(String::new())));
    supervisor.reloader.plan_retry(Trigger::Recovery, &failed);
    assert_eq!(successful(&supervisor), Some(0.0));
    supervisor.reload(Trigger::Recovery).await.unwrap();
    assert_eq!(successful(&supervisor), Some(1.0));
    // A file that was rejected stays so, whatever is put right meanwhile.
    supervisor.reloader.plan_retry(Trigger::Watch, &failed);
    supervisor.reload(Trigger::Recovery).await.unwrap();
    assert_eq!(successful(&supervisor), Some(0.0));
    supervisor.reload(Trigger::Watch).await.unwrap();
    assert_eq!(successful(&supervisor), Some(1.0));
    supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_restarts_what_it_can_though_a_port_is_taken() {
    let place = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(&place).await;
    let endpoint = supervisor.reloader.running.endpoint.take().unwrap();
    let address = endpoint.address;
    endpoint.server.stop().await;
    let taken = std::net::TcpListener::bind(address).unwrap();
    supervisor.reloader.running.sites["a"].poller.cancel();
    wait("the end of the poller", || supervisor.reloader.running.sites["a"].poller.is_dead()).await;
    supervisor.reload(Trigger::Recovery).await.unwrap();
    assert!(!supervisor.reloader.running.sites["a"].poller.is_dead());
    assert_eq!(supervisor.address(), None);
    drop(taken);
    supervisor.reload(Trigger::Recovery).await.unwrap();
    assert_eq!(supervisor.address(), Some(address));
    supervisor.shutdown().await;
}
