//! Statistics, observers and logs of the client.

use std::io;
use std::sync::{Arc, Mutex};

use nbu_otel_agent::netbackup::wire::jobs::JOBS;
use nbu_otel_agent::netbackup::{Outcome, Query, RequestObserver, RequestRecord};
use tracing_subscriber::fmt::MakeWriter;

use crate::server::{Answer, KEY, Server, builder, session};

#[tokio::test]
async fn attempts_are_counted_by_resource_and_status() {
    let server = Server::api(|seen| match seen.number {
        2 => Answer::error(503, "busy"),
        3 => Answer::json("{}"),
        4 => Answer::new(200, "text/html", "<html>"),
        _ => Answer::error(401, "no"),
    })
    .await;
    let client = server.client();
    for _ in 0..3 {
        let _ = session(&client).get(&JOBS, &Query::all()).await;
    }
    let stats = client.stats();
    let counted: Vec<_> = stats
        .requests
        .iter()
        .map(|((resource, outcome), count)| format!("{resource} {} {count}", outcome.label()))
        .collect();
    assert_eq!(counted, ["jobs 200 1", "jobs 401 1", "jobs 503 1", "jobs body 1", "ping 200 1"]);
    assert_eq!(stats.durations["jobs"].counts.iter().sum::<u64>(), 4);
    assert_eq!(stats.retries, 1);
    assert!(stats.last_response_ms.unwrap() > 0.0);
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl RequestObserver for Notes {
    fn on_request(&self, request: &RequestRecord<'_>) {
        let RequestRecord { site, resource, method, outcome, attempt, .. } = request;
        assert!(matches!(outcome, Outcome::Status(_)));
        self.0
            .lock()
            .unwrap()
            .push(format!("{site} {method} {resource} {} {attempt}", outcome.label()));
    }
}

#[tokio::test]
async fn observer_is_called_for_every_attempt() {
    let server =
        Server::api(
            |seen| {
                if seen.number == 2 { Answer::error(503, "busy") } else { Answer::json("{}") }
            },
        )
        .await;
    let notes = Arc::new(Notes::default());
    let client = builder(server.config()).observer(notes.clone()).build().unwrap();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!(
        *notes.0.lock().unwrap(),
        ["paris GET ping 200 1", "paris GET jobs 503 1", "paris GET jobs 200 2"]
    );
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn logs_show_bodies_at_trace_only_and_no_secret() {
    let body = format!(r#"{{"token":"hush","note":"{KEY}","data":[]}}"#);
    let server = Server::api(move |_| Answer::json(body.clone())).await;
    let log = Log::default();
    // For the whole process: what a thread's own subscriber hears depends on the other tests, since
    // they share the cache of who is interested in what. The other tests' lines are left out.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("nbu_otel_agent=trace"))
        .with_writer(log.clone())
        .with_ansi(false)
        .init();
    let mut config = server.config();
    config.site = "logged".to_owned();
    let client = builder(config).build().unwrap();
    session(&client).get(&JOBS, &Query::filtered("clientName eq 'a-client'")).await.unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours = |level: &str| {
        text.lines()
            .filter(|line| line.contains("site=\"logged\"") && line.contains(level))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (debug, trace) = (ours(" DEBUG "), ours(" TRACE "));
    assert!(debug.contains("resource=\"jobs\" status=200"), "{debug}");
    assert!(trace.contains("nbu_otel_agent::netbackup::body"), "{trace}");
    assert!(trace.contains(r#"{"token":"[redacted]","note":"[redacted]""#), "{trace}");
    for shown in [&debug, &trace] {
        assert!(!shown.contains(KEY) && !shown.contains("hush"), "{shown}");
        assert!(!shown.contains("a-client"), "{shown}");
    }
    assert!(!debug.contains("token"), "{debug}");
    assert!(ours(" INFO ").is_empty(), "a request is not worth a line at info");
}
