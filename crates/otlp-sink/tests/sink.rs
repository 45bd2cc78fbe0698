//! The sink remembers, refuses and comes back as it is told.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
    number_data_point::Value,
};
use otlp_sink::{Behaviour, Options, Sink};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

fn request(value: f64, description: &str) -> ExportMetricsServiceRequest {
    let point =
        NumberDataPoint { value: Some(Value::AsDouble(value)), ..NumberDataPoint::default() };
    let metric = Metric {
        name: "m".to_owned(),
        description: description.to_owned(),
        data: Some(Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

async fn send(sink: &Sink, value: f64) -> Result<(), Code> {
    let mut client =
        MetricsServiceClient::connect(sink.grpc_endpoint()).await.map_err(|_| Code::Unavailable)?;
    client.export(request(value, "")).await.map(|_| ()).map_err(|status| status.code())
}

#[tokio::test]
async fn sink_remembers_a_bounded_number_and_counts_all() {
    let exports = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&exports);
    let on_export: otlp_sink::OnExport = Box::new(move |summary| {
        assert_eq!(summary.points, 1);
        seen.store(summary.requests, Ordering::SeqCst);
    });
    let options = Options { keep: 2, on_export: Some(on_export), ..Options::default() };
    let sink = Sink::start(options).unwrap();
    for value in [1.0, 2.0, 3.0] {
        send(&sink, value).await.unwrap();
    }
    assert_eq!((sink.metrics().len(), sink.requests().len(), sink.request_count()), (2, 2, 3));
    assert_eq!(exports.load(Ordering::SeqCst), 3);
    let latest = sink.latest();
    let point = latest.values().next().unwrap();
    assert_eq!((latest.len(), &point.value), (1, &otlp_sink::Value::Gauge(3.0)));
}

#[tokio::test]
async fn sink_stops_at_once_and_restarts_on_its_port() {
    let sink = Sink::start(Options::default()).unwrap();
    let endpoint = sink.grpc_endpoint();
    sink.set_behaviour(Behaviour::Hang);
    let mut client = MetricsServiceClient::connect(endpoint.clone()).await.unwrap();
    let hanging = tokio::spawn(async move { client.export(request(1.0, "")).await.map(|_| ()) });
    while sink.request_count() == 0 {
        tokio::task::yield_now().await;
    }
    sink.stop().await;
    assert!(hanging.await.unwrap().is_err(), "its connection is cut");
    assert_eq!(send(&sink, 2.0).await, Err(Code::Unavailable));
    sink.set_behaviour_for(1, Behaviour::GrpcStatus(Code::Aborted as i32));
    sink.restart().unwrap();
    assert_eq!(sink.grpc_endpoint(), endpoint);
    assert_eq!(send(&sink, 3.0).await, Err(Code::Aborted));
    assert_eq!(send(&sink, 4.0).await, Ok(()));
}

#[tokio::test]
async fn sink_refuses_invalid_requests_as_a_collector_does() {
    let options = Options { max_message_bytes: 1_000, ..Options::default() };
    let sink = Sink::start(options).unwrap();
    let large = request(1.0, &"x".repeat(2_000));
    let mut client = MetricsServiceClient::connect(sink.grpc_endpoint()).await.unwrap();
    let code = client.export(large.clone()).await.unwrap_err().code();
    assert_eq!(code, Code::OutOfRange);

    let small = request(1.0, "").encode_to_vec();
    assert!(post(&sink, &small).await.starts_with("HTTP/1.1 200"));
    assert!(post(&sink, &large.encode_to_vec()).await.starts_with("HTTP/1.1 413"));
    assert!(post(&sink, b"\xff\xff").await.starts_with("HTTP/1.1 400"));
    assert_eq!(sink.metrics().len(), 1);
}

#[tokio::test]
async fn lost_answer_keeps_the_request() {
    let sink = Sink::start(Options::default()).unwrap();
    sink.set_behaviour(Behaviour::LoseAnswer);
    assert_eq!(send(&sink, 1.0).await, Err(Code::Unavailable));
    let answer = post(&sink, &request(2.0, "").encode_to_vec()).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(sink.metrics().len(), 2);
}

async fn post(sink: &Sink, body: &[u8]) -> String {
    let address = sink.http_endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/metrics HTTP/1.1\r\nhost: sink\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
