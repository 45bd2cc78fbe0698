//! Receivers that ask to wait, that do not take a signal, or that answer with something else.

use std::sync::Arc;
use std::time::Duration;

use nbu_otel_agent::telemetry::otlp::config::Protocol;
use nbu_otel_agent::telemetry::otlp::{Kind, OtlpStats, Transport};
use nbu_otel_agent::telemetry::traces::{Tracer, Tracing};
use otlp_sink::{Behaviour, Signal};

use crate::support::{
    BOTH, LONG, Logs, by_client, config, count, endpoint, resource, series, sink, start, start_with,
};

const UNAVAILABLE: i32 = 14;
const RESOURCE_EXHAUSTED: i32 = 8;

/// An HTTP date so far from now.
fn in_future(wait: Duration) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::try_from(wait).unwrap();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test]
async fn wait_beyond_the_deadline_holds_for_later_exports_and_reloads() {
    let wait = Duration::from_secs(1000);
    let date = Behaviour::HttpAnswer {
        status: 429,
        headers: vec![("retry-after", in_future(wait))],
        body: String::new(),
    };
    let cases = [
        (Protocol::HttpProtobuf, Behaviour::RetryAfter { code: UNAVAILABLE, delay: wait }),
        (Protocol::HttpProtobuf, date),
        (Protocol::Grpc, Behaviour::RetryAfter { code: UNAVAILABLE, delay: wait }),
        (Protocol::Grpc, Behaviour::RetryAfter { code: RESOURCE_EXHAUSTED, delay: wait }),
    ];
    for (protocol, behaviour) in cases {
        Logs::capture();
        let sink = sink();
        sink.set_behaviour_for(1, behaviour.clone());
        let config = config(&endpoint(&sink, protocol), protocol);
        let stats = Arc::new(OtlpStats::default());
        let running = start_with(&config, || series(10), Arc::clone(&stats));
        for _ in 0..3 {
            running.handle.flush().await.unwrap_err();
        }
        drop(running);
        let again = start_with(&config, || series(10), Arc::clone(&stats));
        again.handle.flush().await.unwrap_err();
        assert_eq!(sink.request_count(), 1, "{behaviour:?}");
        let exports = again.metrics().exports;
        let failed = count(&exports, "unavailable") + count(&exports, "resource_exhausted");
        assert_eq!(failed, 4, "each that could not be sent counts: {exports:?}");
        assert_eq!(Logs::lines().len(), 2, "one line an exporter: {}", Logs::text());
    }
}

#[tokio::test]
async fn wait_within_the_deadline_is_kept_to() {
    for protocol in BOTH {
        let sink = sink();
        let delay = Duration::from_secs(1);
        sink.set_behaviour_for(1, Behaviour::RetryAfter { code: UNAVAILABLE, delay });
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
        let started = std::time::Instant::now();
        running.handle.flush().await.unwrap();
        assert!(started.elapsed() >= delay);
        assert_eq!(sink.request_count(), 2);
    }
}

#[tokio::test]
async fn date_in_the_past_is_no_wait() {
    let sink = sink();
    let headers = vec![("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())];
    sink.set_behaviour_for(1, Behaviour::HttpAnswer { status: 503, headers, body: String::new() });
    let protocol = Protocol::HttpProtobuf;
    let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
    running.handle.flush().await.unwrap();
}

#[tokio::test]
async fn remark_on_a_full_success_is_logged_once() {
    for protocol in BOTH {
        Logs::capture();
        let sink = sink();
        let message = "attribute names are deprecated".to_owned();
        sink.set_behaviour(Behaviour::PartialSuccess { rejected: 0, message });
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
        for _ in 0..3 {
            let points = running.handle.flush().await.unwrap();
            assert_eq!((points.accepted, points.rejected), (10, 0));
        }
        assert_eq!(count(&running.metrics().exports, "success"), 3);
        let lines = Logs::lines();
        let said: Vec<_> = lines.iter().filter(|line| line.contains("are deprecated")).collect();
        assert!(said.len() == 1 && said[0].contains("WARN"), "{lines:#?}");
    }
}

#[tokio::test]
async fn success_that_is_no_otlp_answer_is_not_delivered() {
    let html = "<html><title>Sign in</title></html>";
    let cases = [
        (Some("text/html; charset=utf-8"), html, false),
        (Some("text/html"), "", false),
        (Some("text/plain"), "welcome", false),
        (Some("application/xml"), "<ok/>", false),
        (None, html, false),
        (None, "", true),
        (Some("text/plain"), "", true),
        (Some("application/json"), "{}", true),
        (Some("application/x-protobuf"), "", true),
    ];
    for (content_type, body, delivered) in cases {
        let sink = sink();
        let headers = content_type.map(|value| ("content-type", value.to_owned()));
        let headers = headers.into_iter().collect();
        sink.set_behaviour(Behaviour::HttpAnswer { status: 200, headers, body: body.to_owned() });
        let protocol = Protocol::HttpProtobuf;
        let running = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
        let outcome = running.handle.flush().await;
        let kind = outcome.as_ref().err().map(|error| error.kind);
        assert_eq!(kind, (!delivered).then_some(Kind::NotOtlp), "{content_type:?} {body}");
        let accepted = running.metrics().items.accepted;
        assert_eq!(accepted, if delivered { 10 } else { 0 }, "{content_type:?} {body}");
    }
}

#[tokio::test]
async fn unsupported_signal_is_told_once_and_fails_nothing() {
    let cases = [(Protocol::Grpc, 404), (Protocol::HttpProtobuf, 404)];
    let more = [405, 415, 501].map(|status| (Protocol::HttpProtobuf, status));
    for (protocol, status) in cases.into_iter().chain(more) {
        Logs::capture();
        let sink = sink();
        sink.set_behaviour(Behaviour::Without(Signal::Metrics, status));
        let config = config(&endpoint(&sink, protocol), protocol);
        let stats = Arc::new(OtlpStats::default());
        let running = start_with(&config, || series(10), Arc::clone(&stats));
        for _ in 0..3 {
            let error = running.handle.flush().await.unwrap_err();
            assert!(error.kind.is_unsupported(), "{error}");
        }
        assert_eq!(sink.request_count(), 1, "not asked again before an hour: {status}");
        let metrics = running.metrics();
        let failed = metrics.exports.iter().filter(|(result, _)| **result != "unsupported");
        assert_eq!(failed.map(|(_, count)| count).sum::<u64>(), 0, "{:?}", metrics.exports);
        assert_eq!((count(&metrics.exports, "unsupported"), metrics.supported), (1, Some(false)));
        let lines = Logs::lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("retrying once an hour"), "{lines:#?}");
        drop(running);

        // A reload may have changed what the receiver takes: it is asked at once.
        sink.set_behaviour(Behaviour::Accept);
        let again = start_with(&config, || series(10), stats);
        again.handle.flush().await.unwrap();
        assert_eq!(by_client(&sink).len(), 10);
    }
}

#[tokio::test]
async fn unsupported_traces_leave_metrics_alone() {
    for protocol in BOTH {
        let sink = sink();
        sink.set_behaviour(Behaviour::Without(Signal::Traces, 404));
        let config = config(&endpoint(&sink, protocol), protocol);
        let stats = Arc::new(OtlpStats::default());
        let running = start_with(&config, || series(10), Arc::clone(&stats));
        let transport = Arc::new(Transport::new(&config).unwrap());
        let tracing =
            Tracing::new(&config, &resource(), transport, Arc::clone(&stats), Arc::default())
                .unwrap();
        let tracer = Tracer::default();
        tracer.set(Some(&tracing));
        tracer.poll_span("prod", "jobs").end(Ok(()));
        tracing.shutdown(LONG).await;
        running.handle.flush().await.unwrap();
        let [(_, metrics), (_, traces)] = stats.snapshot();
        assert_eq!((metrics.supported, traces.supported), (Some(true), Some(false)));
        assert_eq!(count(&traces.exports, "unsupported"), 1, "{:?}", traces.exports);
    }
}
