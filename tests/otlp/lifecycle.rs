//! The clock, the end, and what a broken source does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nbu_otel_agent::telemetry::otlp::Kind;
use nbu_otel_agent::tenure::Tenure;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use otlp_sink::Behaviour;
use tokio::time::Instant;

use crate::support::{
    BOTH, LONG, by_client, config, endpoint, eventually, series, sink, start, start_for,
};

#[tokio::test]
async fn exports_come_by_themselves_and_go_on() {
    let sink = sink();
    let mut config = config(&endpoint(&sink, BOTH[0]), BOTH[0]);
    config.interval = Duration::from_millis(100);
    let running = start(&config, || series(10));
    eventually("three exports", || sink.request_count() >= 3).await;
    assert!(running.metrics().last_success.is_some());
}

#[tokio::test]
async fn shutdown_exports_a_last_time() {
    for protocol in BOTH {
        let sink = sink();
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
        running.handle.shutdown(LONG).await.unwrap();
        assert_eq!(by_client(&sink).len(), 10);
    }
}

#[tokio::test]
async fn shutdown_keeps_its_deadline_when_receiver_hangs() {
    for protocol in BOTH {
        let sink = sink();
        sink.set_behaviour(Behaviour::Hang);
        let mut config = config(&endpoint(&sink, protocol), protocol);
        config.interval = Duration::from_millis(50);
        let running = start(&config, || series(10));
        eventually("an export is under way", || sink.request_count() >= 1).await;
        let started = Instant::now();
        let error = running.handle.shutdown(Duration::from_millis(600)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        // The export under way would have had until its own deadline.
        assert!(started.elapsed() < LONG / 4);
        assert!(sink.request_count() >= 2, "the last export was tried");
    }
}

#[tokio::test]
async fn producer_that_hangs_or_panics_costs_one_export() {
    let sink = sink();
    let mut config = config(&endpoint(&sink, BOTH[0]), BOTH[0]);
    config.metrics_to.timeout = Duration::from_secs(3);
    let calls = Arc::new(AtomicUsize::new(0));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let source = {
        let calls = Arc::clone(&calls);
        move || -> Vec<Metric> {
            match calls.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("a test panics"),
                1 => {
                    // Until the test lets go, or is gone itself.
                    let _ = released.lock().unwrap().recv();
                    Vec::new()
                }
                _ => series(10),
            }
        }
    };
    let running = start(&config, source);
    let error = running.handle.flush().await.unwrap_err();
    assert_eq!(error.kind, Kind::Collect);
    for _ in 0..2 {
        let error = running.handle.flush().await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2, "nothing is collected on top of it");
    drop(release);
    running.handle.flush().await.unwrap();
    assert_eq!(by_client(&sink).len(), 10);
}

#[tokio::test]
async fn dropped_handle_ends_the_exports() {
    let sink = sink();
    let mut config = config(&endpoint(&sink, BOTH[0]), BOTH[0]);
    config.interval = Duration::from_millis(20);
    let held = Arc::new(());
    let source = {
        let held = Arc::clone(&held);
        move || {
            let _ = &held;
            series(1)
        }
    };
    let running = start(&config, source);
    eventually("an export", || sink.request_count() >= 1).await;
    drop(running);
    eventually("the source is let go", || Arc::strong_count(&held) == 1).await;
}

#[tokio::test]
async fn agent_that_may_not_export_sends_nothing() {
    for protocol in BOTH {
        let sink = sink();
        let config = config(&endpoint(&sink, protocol), protocol);
        let running = start_for(Tenure::over(), &config, || series(10));
        assert!(running.handle.flush().await.is_err());
        assert!(running.handle.shutdown(Duration::from_secs(5)).await.is_err());
        assert_eq!(sink.request_count(), 0, "{protocol:?}");
    }
}

/// The promise is kept if this ends: the timeout of an export is longer than any test.
#[tokio::test]
async fn push_ends_with_the_tenure() {
    for protocol in BOTH {
        let sink = sink();
        sink.set_behaviour(Behaviour::Hang);
        let mut config = config(&endpoint(&sink, protocol), protocol);
        config.metrics_to.timeout = Duration::from_secs(86_400);
        let tenure = Tenure::lasting(Duration::from_secs(1));
        let running = start_for(tenure, &config, || series(10));
        assert!(running.handle.flush().await.is_err());
        assert!(sink.request_count() > 0, "{protocol:?}");
    }
}
