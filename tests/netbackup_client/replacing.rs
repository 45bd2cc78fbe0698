//! Replacement of the connection while the client is used: nothing is lost, and the old key is not sent
//! again.

use std::time::Duration;

use nbu_otel_agent::netbackup::wire::jobs::{JOBS, JobRow};
use nbu_otel_agent::netbackup::{Config, Connection, CursorPager, ErrorKind, Query, RetryPolicy};
use secrecy::SecretString;
use tokio::time::Instant;

use crate::server::{Answer, KEY, Server, builder, jobs, session};

const NEW_KEY: &str = "another-k3y-never-shown";

fn rekeyed(config: &Config) -> Connection {
    Connection::new(Config { api_key: SecretString::from(NEW_KEY), ..config.clone() }).unwrap()
}

/// Starts a server that holds the requests that `holds` selects, for much longer than a test takes.
async fn holding(holds: fn(&crate::server::Seen) -> bool) -> Server {
    Server::api(move |seen| {
        let answer = Answer::json("{}");
        if holds(seen) { answer.after(Duration::from_secs(60)) } else { answer }
    })
    .await
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}: did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn replaced_connection_lets_pager_continue_from_its_cursor() {
    let server = Server::api(|seen| match seen.param("page[after]") {
        None => jobs([1], r#"{"pagination":{"next":"a"}}"#),
        Some("a") => jobs([2], r#"{"pagination":{"next":"b"}}"#),
        _ => jobs([3], r#"{"pagination":{}}"#),
    })
    .await;
    let client = server.client();
    let mut walk = CursorPager::new(&session(&client), &JOBS, &Query::all());
    let mut ids = Vec::new();
    while let Some(page) = walk.next_page::<JobRow<'_>>().await.unwrap() {
        ids.extend(page.rows.iter().map(|row| row.job_id));
        if ids.len() == 1 {
            client.replace(rekeyed(&server.config())).await;
        }
    }
    assert_eq!(ids, [1, 2, 3]);
    let keys: Vec<_> =
        server.calls().iter().map(|c| c.header("authorization").map(str::to_owned)).collect();
    assert_eq!(keys, [Some(KEY.into()), Some(NEW_KEY.into()), Some(NEW_KEY.into())]);
    assert_eq!(server.pings(), 1, "the version is still known");
    assert_eq!(client.stats().requests.values().sum::<u64>(), 4, "the counters go on");
}

#[tokio::test]
async fn replaced_connection_restarts_a_hanging_request_without_a_retry() {
    let server = holding(|seen| seen.header("authorization") == Some(KEY)).await;
    let client = server.client();
    let asking = session(&client);
    let started = Instant::now();
    let task = tokio::spawn(async move { asking.get(&JOBS, &Query::all()).await.map(|_| ()) });
    until("the request hangs", || server.calls().len() == 1).await;
    client.replace(rekeyed(&server.config())).await;
    task.await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "shorter than the timeout of a request");
    assert_eq!(client.stats().retries, 0);
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn replaced_connection_ends_its_waits() {
    let server = Server::api(|seen| match seen.header("authorization") {
        Some(NEW_KEY) => Answer::json("{}"),
        _ => Answer::error(503, "busy").with("retry-after", "20"),
    })
    .await;
    let mut config = server.config();
    config.max_concurrent_requests = 1;
    let client = builder(config.clone()).retry_policy(RetryPolicy::default()).build().unwrap();
    let asking = session(&client);
    let started = Instant::now();
    let task = tokio::spawn(async move { asking.get(&JOBS, &Query::all()).await.map(|_| ()) });
    until("it waits to try again", || client.stats().retries == 1).await;
    client.replace(rekeyed(&config)).await;
    task.await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn replaced_connection_restarts_a_hanging_ping() {
    let server = Server::start(|seen| match seen.number {
        1 => Answer::ping("14.0").after(Duration::from_secs(60)),
        _ => Answer::ping("14.0"),
    })
    .await;
    let client = server.client();
    let pinging = client.clone();
    let task = tokio::spawn(async move { pinging.ping().await });
    until("the ping hangs", || server.pings() == 1).await;
    client.replace(rekeyed(&server.config())).await;
    assert_eq!(
        task.await.unwrap().unwrap().version.map(|v| v.to_string()).as_deref(),
        Some("14.0")
    );
}

#[tokio::test]
async fn changed_key_ends_the_back_off_of_a_rejected_one() {
    let server = Server::api(|_| Answer::json("{}")).await;
    let client = server.client();
    client.refuse_key(Duration::from_secs(600));
    let slower = Config { timeout: Duration::from_secs(9), ..server.config() };
    client.replace(Connection::new(slower).unwrap()).await;
    assert!(client.key_refused_until().is_some(), "it is the same key");
    let error = session(&client).get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyRefused);
    client.replace(rekeyed(&server.config())).await;
    assert_eq!(client.key_refused_until(), None);
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
}

#[tokio::test]
async fn response_is_redacted_with_the_key_of_its_request() {
    let server = Server::api(|_| Answer::json(format!(r#"{{"data":"{KEY}"}}"#))).await;
    let client = server.client();
    let body = session(&client).get(&JOBS, &Query::all()).await.unwrap();
    client.replace(rekeyed(&server.config())).await;
    let error = body.read::<Vec<u8>>().unwrap_err();
    assert!(!error.to_string().contains(KEY), "{error}");
    assert!(error.to_string().contains("[redacted]"), "{error}");
}

#[tokio::test]
async fn changed_configured_version_replaces_the_known_one() {
    let server = Server::api(|_| Answer::json("{}")).await;
    let client = server.client();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    let pinned = Config { api_version: Some("12.0".parse().unwrap()), ..server.config() };
    client.replace(Connection::new(pinned).unwrap()).await;
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert!(server.calls()[1].asks("12.0"));
    client.replace(Connection::new(server.config()).unwrap()).await;
    assert_eq!(client.version(), None, "it is to be found out anew");
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert!(server.calls()[2].asks("14.0"));
    assert_eq!(server.pings(), 2);
}

#[tokio::test]
async fn invalid_settings_leave_the_connection_in_force() {
    let server = Server::api(|_| Answer::json("{}")).await;
    let client = server.client();
    let error =
        Connection::new(Config { api_key: "line\nbreak".into(), ..server.config() }).unwrap_err();
    assert_eq!(error.setting, "apiKey");
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!(server.calls()[0].header("authorization"), Some(KEY));
}
