//! Retries: the failures, the number of attempts, and the waits.

use std::time::Duration;

use nbu_otel_agent::netbackup::wire::jobs::JOBS;
use nbu_otel_agent::netbackup::{ErrorKind, Query, RetryPolicy};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::server::{Answer, Server, builder, config, session};

#[tokio::test]
async fn transient_fault_is_retried() {
    for status in [429, 502, 503, 504] {
        let server = Server::api(move |seen| {
            if seen.number <= 3 { Answer::error(status, "busy") } else { Answer::json("{}") }
        })
        .await;
        let client = server.client();
        session(&client).get(&JOBS, &Query::all()).await.unwrap();
        assert_eq!(server.calls().len(), 3, "{status}: the ping is the first of the three");
        assert_eq!(client.stats().retries, 2);
    }
}

#[tokio::test]
async fn permanent_fault_fails_after_four_attempts() {
    let server = Server::api(|_| Answer::error(503, "The server is busy")).await;
    let error = server.session().get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Busy, Some(503)));
    assert_eq!(server.calls().len(), 4);
}

#[tokio::test]
async fn permanent_status_is_not_retried() {
    for (status, kind) in [
        (400, ErrorKind::BadRequest),
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Version),
        (415, ErrorKind::Version),
        (500, ErrorKind::ServerError),
        (501, ErrorKind::ServerError),
    ] {
        let server = Server::api(move |_| Answer::error(status, "no")).await;
        let error = server.session().get(&JOBS, &Query::all()).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
        assert_eq!(server.calls().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn refused_connection_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = builder(config(&format!("http://{address}"))).build().unwrap();
    let error = client.ping().await.unwrap_err();
    assert_eq!((error.kind(), client.stats().retries), (ErrorKind::Connect, 3));
    assert!(error.to_string().contains("nothing listens there"), "{error}");
}

#[tokio::test]
async fn unresolved_name_is_a_dns_error() {
    let client = builder(config("http://no-such-host.invalid:1556/netbackup")).build().unwrap();
    let error = client.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dns, "{error}");
    let error = client.resolve(Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dns, "{error}");
}

#[tokio::test]
async fn retry_after_delays_the_retry() {
    for (form, date) in [
        ("1", None),
        ("2026-03-01T10:00:01.000Z", Some("Sun, 01 Mar 2026 10:00:00 GMT")),
        ("Sun, 01 Mar 2026 10:00:01 GMT", Some("Sun, 01 Mar 2026 10:00:00 GMT")),
    ] {
        let server = Server::api(move |seen| {
            if seen.number > 2 {
                return Answer::json("{}");
            }
            let answer = Answer::error(503, "busy").with("retry-after", form);
            match date {
                Some(date) => answer.with("date", date),
                None => answer,
            }
        })
        .await;
        let started = Instant::now();
        server.session().get(&JOBS, &Query::all()).await.unwrap();
        let took = started.elapsed();
        assert!((1..10).contains(&took.as_secs()), "{form}: {took:?}");
    }
}

#[tokio::test]
async fn wait_beyond_the_deadline_fails_at_once() {
    let server = Server::api(|_| Answer::error(503, "busy").with("retry-after", "30")).await;
    let client = server.client();
    let started = Instant::now();
    let session = client.with_deadline(started + Duration::from_secs(10));
    let error = session.get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "the last real error, not the deadline");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn long_retry_after_is_capped() {
    let server = Server::api(|seen| {
        if seen.number > 2 {
            Answer::json("{}")
        } else {
            Answer::error(503, "busy").with("retry-after", "86400")
        }
    })
    .await;
    let policy = RetryPolicy {
        base: Duration::from_millis(1),
        retry_after_cap: Duration::from_millis(20),
        ..RetryPolicy::default()
    };
    let client = builder(server.config()).retry_policy(policy).build().unwrap();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn slow_response_is_a_timeout_and_retried() {
    let server = Server::api(|seen| {
        let delay = if seen.number <= 2 { 20 } else { 0 };
        Answer::json("{}").after(Duration::from_secs(delay))
    })
    .await;
    let mut config = server.config();
    config.timeout = Duration::from_secs(1);
    let client = builder(config).build().unwrap();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!((server.calls().len(), client.stats().retries), (2, 1));
}

#[tokio::test]
async fn deadline_ends_a_request_in_flight() {
    let server = Server::api(|_| Answer::json("{}").after(Duration::from_secs(20))).await;
    let client = server.client();
    client.ping().await.unwrap();
    let started = Instant::now();
    let session = client.with_deadline(started + Duration::from_millis(500));
    let error = session.get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    assert!(started.elapsed() < Duration::from_secs(4), "less than the timeout of a request");
    assert_eq!(server.calls().len(), 1);
    let error = session.get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert_eq!(server.calls().len(), 1, "after the deadline nothing is sent");
}
