//! A receiver that is down, slow, silent or unwilling costs its own data and nothing else.

use std::time::Duration;

use nbu_otel_agent::telemetry::otlp::Kind;
use nbu_otel_agent::telemetry::otlp::config::Protocol;
use otlp_sink::Behaviour;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{
    BOTH, LONG, Logs, by_client, config, count, endpoint, eventually, series, sink, start,
};

#[tokio::test]
async fn receiver_that_comes_up_gets_everything_next() {
    for protocol in BOTH {
        Logs::capture();
        let sink = sink();
        sink.stop().await;
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(500));
        let error = running.handle.flush().await.unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{error}");
        assert_eq!(running.metrics().items.dropped, 500);
        running.handle.flush().await.unwrap_err();
        sink.restart().unwrap();
        running.handle.flush().await.unwrap();
        assert_eq!(by_client(&sink).len(), 500);
        running.handle.flush().await.unwrap();

        let lines = Logs::lines();
        let ours = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(ours("failed ("), 1, "{lines:#?}");
        assert_eq!(ours("check that the Collector is running"), 1, "{lines:#?}");
        assert_eq!(ours("recovered after"), 1, "{lines:#?}");
        assert_eq!(lines.len(), 2, "nothing else at INFO: {lines:#?}");
    }
}

#[tokio::test]
async fn late_answer_ends_the_export_by_its_deadline() {
    for protocol in BOTH {
        let sink = sink();
        let mut config = config(&endpoint(&sink, protocol), protocol);
        config.metrics_to.timeout = Duration::from_millis(700);
        let running = start(&config, || series(10));
        for behaviour in [Behaviour::Delay(LONG), Behaviour::Hang] {
            sink.set_behaviour(behaviour);
            let started = Instant::now();
            let error = running.handle.flush().await.unwrap_err();
            assert_eq!(error.kind, Kind::Timeout, "{protocol:?}: {error}");
            assert!(started.elapsed() < LONG / 2);
        }
        sink.set_behaviour(Behaviour::Accept);
        eventually_flushes(&running).await;
        assert_eq!(by_client(&sink).len(), 10);
    }
}

/// On a loaded machine a short timeout may be missed by a receiver that is well.
async fn eventually_flushes(running: &crate::support::Running) {
    let flushed = async { while running.handle.flush().await.is_err() {} };
    assert!(tokio::time::timeout(LONG, flushed).await.is_ok());
}

#[tokio::test]
async fn black_hole_ends_the_export_by_its_deadline() {
    for protocol in BOTH {
        // Connections are completed by the system and never accepted by anyone.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut config = config(&address, protocol);
        config.metrics_to.timeout = Duration::from_millis(500);
        let running = start(&config, || series(10));
        let started = Instant::now();
        let error = running.handle.flush().await.unwrap_err();
        assert!(started.elapsed() < LONG / 2, "{error}");
        assert_eq!(running.metrics().items.dropped, 10);
    }
}

#[tokio::test]
async fn permanent_failure_is_sent_once() {
    let cases = [
        (Protocol::Grpc, Behaviour::GrpcStatus(3), Kind::InvalidArgument),
        (Protocol::Grpc, Behaviour::GrpcStatus(8), Kind::ResourceExhausted),
        (Protocol::Grpc, Behaviour::GrpcStatus(16), Kind::Unauthenticated),
        (Protocol::HttpProtobuf, Behaviour::HttpStatus(400), Kind::InvalidArgument),
        (Protocol::HttpProtobuf, Behaviour::HttpStatus(413), Kind::TooLarge),
        (Protocol::HttpProtobuf, Behaviour::HttpStatus(500), Kind::Http5xx),
    ];
    for (protocol, behaviour, kind) in cases {
        Logs::capture();
        let sink = sink();
        sink.set_behaviour(behaviour);
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
        for _ in 0..3 {
            let error = running.handle.flush().await.unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
        }
        let stats = running.metrics();
        assert_eq!(stats.requests, count(&stats.exports, kind.as_str()), "one each: {kind:?}");
        assert_eq!(sink.request_count() as u64, stats.requests);
        assert_eq!(Logs::lines().len(), 1, "told once: {}", Logs::text());
    }
}

#[tokio::test]
async fn passing_failure_is_retried() {
    let cases = [
        (Protocol::Grpc, Behaviour::GrpcStatus(14)),
        (Protocol::Grpc, Behaviour::GrpcStatus(10)),
        (Protocol::HttpProtobuf, Behaviour::HttpStatus(503)),
        (Protocol::HttpProtobuf, Behaviour::HttpStatus(429)),
    ];
    for (protocol, behaviour) in cases {
        let sink = sink();
        sink.set_behaviour_for(2, behaviour);
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
        running.handle.flush().await.unwrap();
        let stats = running.metrics();
        assert_eq!(stats.requests, 2 + count(&stats.exports, "success"));
        assert_eq!(by_client(&sink).len(), 10);
    }
}

#[tokio::test]
async fn partial_success_is_counted_and_logged_once() {
    for protocol in BOTH {
        Logs::capture();
        let sink = sink();
        let message = "out of order".to_owned();
        sink.set_behaviour(Behaviour::PartialSuccess { rejected: 4, message });
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
        for _ in 0..2 {
            let points = running.handle.flush().await.unwrap();
            assert_eq!((points.accepted, points.rejected), (6, 4));
        }
        let stats = running.metrics();
        assert!(count(&stats.exports, "partial") >= 2);
        assert_eq!(stats.items.rejected, 4 * count(&stats.exports, "partial"));
        let lines = Logs::lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("out of order"));
    }
}

/// Hands connections on to `to`; those that exist when `stall` is called go silent without an end.
struct Proxy {
    address: String,
    generation: tokio::sync::watch::Sender<u32>,
}

impl Proxy {
    async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (generation, watched) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut inner, _)) = listener.accept().await {
                let (to, mut watched) = (to.clone(), watched.clone());
                watched.mark_unchanged();
                tokio::spawn(async move {
                    let mut outer = tokio::net::TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
                        Ok(()) = watched.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, generation }
    }

    fn stall(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

#[tokio::test]
async fn stalled_connection_is_left_within_its_export() {
    let sink = sink();
    let to = sink.grpc_endpoint().trim_start_matches("http://").to_owned();
    let proxy = Proxy::start(to).await;
    let mut config = config(&proxy.address, Protocol::Grpc);
    config.metrics_to.timeout = Duration::from_secs(12);
    let running = start(&config, || series(10));
    running.handle.flush().await.unwrap();
    proxy.stall();
    running.handle.flush().await.unwrap();
    eventually("both exports arrived", || sink.request_count() >= 2).await;
}
