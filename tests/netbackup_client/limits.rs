//! Limits on concurrent requests to a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use nbu_otel_agent::netbackup::wire::jobs::JOBS;
use nbu_otel_agent::netbackup::{Query, RetryPolicy};
use tokio::net::TcpListener;

use crate::server::{Answer, Server, builder, config, session};

#[tokio::test]
async fn concurrent_requests_are_limited() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (inside, peak) = (Arc::clone(&now), Arc::clone(&most));
    let router = Router::new().fallback(move || {
        let (inside, peak) = (Arc::clone(&inside), Arc::clone(&peak));
        async move {
            peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            ([("content-type", "application/json"), ("x-netbackup-api-version", "14.0")], "{}")
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut config = config(&format!("http://{address}/netbackup"));
    config.max_concurrent_requests = 3;
    let client = builder(config).build().unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let session = session(&client);
            tokio::spawn(async move { session.get(&JOBS, &Query::all()).await.map(|_| ()) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3, "the budget is used, and not exceeded");
}

#[tokio::test]
async fn request_between_attempts_does_not_block_others() {
    let server = Server::api(|seen| {
        if seen.param("filter").is_some() {
            Answer::error(503, "busy").with("retry-after", "20")
        } else {
            Answer::json("{}")
        }
    })
    .await;
    let mut config = server.config();
    config.max_concurrent_requests = 1;
    let client = builder(config).retry_policy(RetryPolicy::default()).build().unwrap();
    let waiting = session(&client);
    let task =
        tokio::spawn(async move { waiting.get(&JOBS, &Query::filtered("x")).await.map(|_| ()) });
    while server.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (other, all) = (session(&client), Query::all());
    let answered = tokio::time::timeout(Duration::from_secs(5), other.get(&JOBS, &all));
    answered.await.expect("held up").unwrap();
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test]
async fn dropped_request_releases_its_permit() {
    let server = Server::api(|seen| {
        let delay = if seen.param("filter").is_some() { 20 } else { 0 };
        Answer::json("{}").after(Duration::from_secs(delay))
    })
    .await;
    let mut config = server.config();
    config.max_concurrent_requests = 1;
    let client = builder(config).build().unwrap();
    let dropped = session(&client);
    let query = Query::filtered("x");
    tokio::time::timeout(Duration::from_millis(200), dropped.get(&JOBS, &query)).await.unwrap_err();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
}
