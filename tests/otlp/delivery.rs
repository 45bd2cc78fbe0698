//! Delivery: everything that is sent arrives, complete and unchanged.

use nbu_otel_agent::telemetry::otlp::config::Compression;
use otlp_sink::{Behaviour, Transport, Value};
use secrecy::SecretString;

use crate::support::{
    BOTH, Logs, by_client, config, counter, endpoint, number, series, sink, start,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_thousand_series_arrive_in_bounded_requests() {
    for protocol in BOTH {
        let sink = sink();
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(100_000));
        let points = running.handle.flush().await.unwrap();
        assert_eq!(points.accepted, 100_000);
        assert_eq!((points.dropped, points.rejected), (0, 0));

        let requests = sink.requests();
        assert!(requests.len() >= 4, "{protocol:?}: {}", requests.len());
        assert!(requests.iter().all(|request| request.bytes <= 4_000_000));
        let received = by_client(&sink);
        assert_eq!(received.len(), 100_000, "{protocol:?}");
        for place in [0usize, 33_333, 69_999] {
            let point = &received[&format!("client-{place:06}.backup.example.com")];
            assert_eq!(point.value, Value::Gauge(place as f64));
            assert_eq!(point.unit, "By");
            assert_eq!(point.description, "Help for nbu.disk.");
        }
        let counter = &received["client-070000.backup.example.com"];
        assert_eq!(counter.value, Value::Sum { value: 70_000.0, monotonic: true, delta: false });
        assert_eq!((counter.start_time_unix_nano, counter.time_unix_nano), (1_000, 2_000));
        let histogram = &received["client-099999.backup.example.com"];
        let expected = Value::Histogram {
            count: 6,
            sum: Some(12.5),
            bounds: vec![1.0, 5.0],
            counts: vec![1, 2, 3],
            delta: false,
        };
        assert_eq!((&histogram.value, histogram.unit.as_str()), (&expected, "s"));
    }
}

#[tokio::test]
async fn headers_are_sent_and_never_told() {
    for protocol in BOTH {
        Logs::capture();
        let sink = sink();
        let mut config = config(&endpoint(&sink, protocol), protocol);
        let secret = SecretString::from("Bearer s3cr3t-t0ken".to_owned());
        config.metrics_to.headers = vec![("Authorization".to_owned(), secret)];
        let running = start(&config, || series(10));
        running.handle.flush().await.unwrap();
        let requests = sink.requests();
        assert_eq!(requests[0].header("authorization"), Some("Bearer s3cr3t-t0ken"));
        assert!(requests[0].header("user-agent").unwrap().contains("nbu-otel-agent/"));

        // A receiver that repeats what it was sent must not get it into the log.
        let message = "no such token: Bearer s3cr3t-t0ken".to_owned();
        sink.set_behaviour(Behaviour::PartialSuccess { rejected: 1, message });
        running.handle.flush().await.unwrap();
        sink.set_behaviour(Behaviour::GrpcStatus(16));
        running.handle.flush().await.unwrap_err();
        assert!(!Logs::text().contains("s3cr3t"), "{}", Logs::text());
    }
}

#[tokio::test]
async fn gzip_is_used_where_it_is_configured() {
    for protocol in BOTH {
        let sink = sink();
        let mut config = config(&endpoint(&sink, protocol), protocol);
        config.metrics_to.compression = Compression::Gzip;
        let running = start(&config, || series(1_000));
        running.handle.flush().await.unwrap();
        let request = &sink.requests()[0];
        assert_eq!(request.encoding.as_deref(), Some("gzip"));
        assert_eq!(by_client(&sink).len(), 1_000);
    }
}

#[tokio::test]
async fn resource_identifies_the_sender() {
    let sink = sink();
    let protocol = BOTH[0];
    let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
    running.handle.flush().await.unwrap();
    let received = sink.metrics();
    let resource = &received[0].resource_metrics[0];
    let keys: Vec<&str> = resource
        .resource
        .iter()
        .flat_map(|resource| &resource.attributes)
        .map(|attribute| attribute.key.as_str())
        .collect();
    for key in ["service.name", "service.version", "service.instance.id", "telemetry.sdk.name"] {
        assert!(keys.contains(&key), "{key} is missing in {keys:?}");
    }
    let scope = resource.scope_metrics[0].scope.as_ref().unwrap();
    assert_eq!(scope.name, "nbu-otel-agent");
    assert_eq!(sink.requests()[0].transport, Transport::Grpc);
}

#[tokio::test]
async fn oversized_point_is_dropped_and_counted() {
    Logs::capture();
    let sink = sink();
    let mut config = config(&endpoint(&sink, BOTH[0]), BOTH[0]);
    config.max_request_bytes = 1_000;
    let running = start(&config, || {
        let mut metrics = series(10);
        let mut large = number(10, 1.0);
        large.attributes[1].key = "x".repeat(2_000);
        metrics.push(counter(vec![large]));
        metrics
    });
    for _ in 0..2 {
        let points = running.handle.flush().await.unwrap();
        assert_eq!((points.accepted, points.dropped), (10, 1));
    }
    assert!(sink.requests().iter().all(|request| request.bytes <= 1_000));
    let told = Logs::lines().iter().filter(|line| line.contains("maxRequestBytes")).count();
    assert_eq!(told, 1, "{}", Logs::text());
}
