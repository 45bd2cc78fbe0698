//! Cost of an export of 100,000 series. Not a test:
//! `cargo test --release --test otlp -- --ignored --nocapture --test-threads=1 measure`.

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use nbu_otel_agent::telemetry::otlp::split::{Part, Splitter};
use nbu_otel_agent::telemetry::otlp::{OtlpStats, Signal, Transport};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::time::Instant;

use crate::support::{BOTH, LONG, config, endpoint, resource, series, sink, start_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints times"]
async fn measure_a_hundred_thousand_series() {
    for protocol in BOTH {
        let sink = sink();
        let config = config(&endpoint(&sink, protocol), protocol);
        for _ in 0..3 {
            let metrics = series(100_000);
            let started = Instant::now();
            let (resource, scope) = (resource().to_proto(), InstrumentationScope::default());
            let mut splitter = Splitter::new(&resource, &scope, config.max_request_bytes);
            let mut parts: Vec<Part> =
                metrics.into_iter().flat_map(|metric| splitter.add(metric)).collect();
            parts.extend(splitter.finish());
            let divided = started.elapsed();
            let started = Instant::now();
            let bodies: Vec<Bytes> =
                parts.into_iter().map(|part| part.request.encode_to_vec().into()).collect();
            println!(
                "split {divided:?}, encode {:?}, {} requests",
                started.elapsed(),
                bodies.len()
            );
            let transport = Transport::new(&config).unwrap();
            for in_flight in [1, 2, 4] {
                sink.clear();
                let (transport, started) = (&transport, Instant::now());
                let answers = stream::iter(bodies.clone())
                    .map(async |body| transport.send(Signal::Metrics, body, started + LONG).await)
                    .buffer_unordered(in_flight)
                    .collect::<Vec<_>>();
                assert!(answers.await.iter().all(Result::is_ok));
                println!("{protocol:?}: {in_flight} in flight: {:?}", started.elapsed());
            }
        }
        let ready = series(100_000);
        let stats = Arc::new(OtlpStats::default());
        let source = {
            let ready = ready.clone();
            move || ready.clone()
        };
        let running = start_with(&config, source, Arc::clone(&stats));
        for _ in 0..3 {
            sink.clear();
            let started = Instant::now();
            let copy = ready.clone();
            let copied = started.elapsed();
            drop(copy);
            let started = Instant::now();
            running.handle.flush().await.unwrap();
            println!("{protocol:?}: flush {:?}, of it cloning {copied:?}", started.elapsed());
        }
    }
}
