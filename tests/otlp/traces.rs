//! Spans of polls and requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nbu_otel_agent::telemetry::otlp::{OtlpStats, Transport};
use nbu_otel_agent::telemetry::traces::{Tracer, Tracing};
use nbu_otel_agent::tenure::Tenure;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use otlp_sink::Behaviour;
use tokio::time::Instant;

use crate::support::{BOTH, LONG, config, endpoint, resource, sink};

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(value) => Some(value.clone()),
        Value::IntValue(value) => Some(value.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn poll(tracer: &Tracer) {
    let span = tracer.poll_span("prod", "jobs");
    let took = Duration::from_millis(20);
    span.request("admin/jobs", "GET", Ok(200), SystemTime::now(), took);
    span.request("admin/jobs", "GET", Ok(503), SystemTime::now(), took);
    span.request("admin/jobs", "GET", Err("timeout"), SystemTime::now(), took);
    span.end(Err("unavailable"));
}

#[tokio::test]
async fn poll_is_a_span_with_its_requests_below() {
    for protocol in BOTH {
        let sink = sink();
        let config = config(&endpoint(&sink, protocol), protocol);
        let (transport, stats) = (Arc::new(Transport::new(&config).unwrap()), Arc::default());
        let tracing =
            Tracing::new(&config, &resource(), transport, Arc::clone(&stats), Arc::default())
                .unwrap();
        let tracer = Tracer::default();
        poll(&tracer);
        tracer.set(Some(&tracing));
        poll(&tracer);
        tracer.set(None);
        poll(&tracer);
        tracing.shutdown(LONG).await;

        let spans = sink.spans();
        assert_eq!(spans.len(), 4, "those of the poll while traces were on");
        let root = spans.iter().find(|span| span.parent_span_id.is_empty()).unwrap();
        assert_eq!(root.name, "poll jobs");
        assert_eq!(attribute(root, "nbu.site").as_deref(), Some("prod"));
        assert_eq!(attribute(root, "nbu.collector").as_deref(), Some("jobs"));
        assert_eq!(attribute(root, "error.type").as_deref(), Some("unavailable"));
        let below: Vec<&Span> =
            spans.iter().filter(|span| span.parent_span_id == root.span_id).collect();
        let errors: Vec<_> = below.iter().map(|span| attribute(span, "error.type")).collect();
        assert_eq!(errors, [None, Some("503".to_owned()), Some("timeout".to_owned())]);
        let code = attribute(below[0], "http.response.status_code");
        assert_eq!(code.as_deref(), Some("200"));
        for span in &below {
            assert_eq!(span.trace_id, root.trace_id);
            assert_eq!(attribute(span, "nbu.site").as_deref(), Some("prod"));
            assert_eq!(attribute(span, "nbu.resource").as_deref(), Some("admin/jobs"));
        }
        let [_, (_, sent)] = OtlpStats::snapshot(&stats);
        assert_eq!(sent.items.accepted, 4);
    }
}

#[tokio::test]
async fn spans_are_not_sent_after_the_tenure() {
    let sink = sink();
    let config = config(&endpoint(&sink, BOTH[0]), BOTH[0]);
    let transport = Arc::new(Transport::new(&config).unwrap());
    let over = Arc::new(Tenure::over());
    let tracing = Tracing::new(&config, &resource(), transport, Arc::default(), over).unwrap();
    let tracer = Tracer::default();
    tracer.set(Some(&tracing));
    poll(&tracer);
    tracing.shutdown(LONG).await;
    assert_eq!(sink.request_count(), 0);
}

#[tokio::test]
async fn nothing_is_sampled_at_zero_and_nothing_built_when_off() {
    let sink = sink();
    let mut config = config(&endpoint(&sink, BOTH[0]), BOTH[0]);
    config.sampling_rate = 0.0;
    let transport = Arc::new(Transport::new(&config).unwrap());
    let tracing =
        Tracing::new(&config, &resource(), Arc::clone(&transport), Arc::default(), Arc::default())
            .unwrap();
    let tracer = Tracer::default();
    tracer.set(Some(&tracing));
    poll(&tracer);
    tracing.shutdown(LONG).await;
    assert_eq!(sink.request_count(), 0);
    config.traces = false;
    assert!(
        Tracing::new(&config, &resource(), transport, Arc::default(), Arc::default()).is_none()
    );
}

#[tokio::test]
async fn shutdown_keeps_its_deadline_when_receiver_hangs() {
    let sink = sink();
    sink.set_behaviour(Behaviour::Hang);
    let config = config(&endpoint(&sink, BOTH[0]), BOTH[0]);
    let transport = Arc::new(Transport::new(&config).unwrap());
    let tracing =
        Tracing::new(&config, &resource(), transport, Arc::default(), Arc::default()).unwrap();
    let tracer = Tracer::default();
    tracer.set(Some(&tracing));
    poll(&tracer);
    let started = Instant::now();
    tracing.shutdown(Duration::from_millis(300)).await;
    assert!(started.elapsed() < LONG / 4);
}
