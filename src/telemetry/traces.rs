//! Optional traces of the agent's own work: one span for each poll of a collector, one below it for
//! each request. Never a key, never a filter, never an address with parameters.
//!
//! Spans go out through the same [`Transport`] as metrics, not through the exporter of
//! opentelemetry-otlp: that one lets the environment override configured headers, has no HTTP client
//! of ours, and gets no further than the first connection that stalls.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
    SpanExporter,
};
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::otlp::health::Health;
use super::otlp::send::Sending;
use super::otlp::stats::Items;
use super::otlp::{Config, OtlpStats, ResourceAttributes, SendError, Signal, Transport};
use crate::tenure::Tenure;

/// Spans that wait for the next export; what exceeds it is dropped.
const QUEUE: usize = 8192;

/// Spans in one request: some 200 KiB.
const BATCH: usize = 512;

const EXPORT_EVERY: Duration = Duration::from_secs(5);

const TRIES: u32 = 3;

/// The running export of traces.
pub struct Tracing {
    /// Taken by the end.
    provider: Option<SdkTracerProvider>,
    tracer: Arc<SdkTracer>,
    runtime: Handle,
    /// Held by the thread that exports.
    alive: Weak<()>,
}

impl Tracing {
    /// Starts the export on the current runtime; `None` if the configuration doesn't want traces.
    pub fn new(
        config: &Config,
        resource: &ResourceAttributes,
        transport: Arc<Transport>,
        stats: Arc<OtlpStats>,
        tenure: Arc<Tenure>,
    ) -> Option<Self> {
        if !config.traces {
            return None;
        }
        stats.gate(Signal::Traces).ask_anew();
        let runtime = Handle::current();
        let health = Health::new(Signal::Traces, transport.endpoint(Signal::Traces));
        let resource = resource.to_sdk();
        let exporting = Arc::new(());
        let alive = Arc::downgrade(&exporting);
        let exporter = Exporter {
            _alive: exporting,
            transport,
            stats,
            health: Mutex::new(health),
            resource: ResourceAttributesWithSchema::from(&resource),
            timeout: config.traces_to.timeout,
            tenure,
            runtime: runtime.clone(),
        };
        let batching = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EXPORT_EVERY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batching).build();
        let share = Sampler::TraceIdRatioBased(config.sampling_rate);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_resource(resource)
            .with_span_processor(processor)
            .build();
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let tracer = Arc::new(provider.tracer_with_scope(scope));
        Some(Self { provider: Some(provider), tracer, runtime, alive })
    }

    pub fn is_dead(&self) -> bool {
        self.alive.strong_count() == 0
    }

    /// Exports what is waiting and ends. Never takes longer than `limit`.
    pub async fn shutdown(mut self, limit: Duration) {
        if let Some(provider) = self.provider.take() {
            // It waits for its thread, so it must not run on a worker; whether it made it in time was
            // told and counted by the export itself.
            let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limit));
            let _ = tokio::time::timeout(limit, ended).await;
        }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take() {
            self.runtime.spawn_blocking(move || provider.shutdown());
        }
    }
}

/// Tracer of the pollers: makes spans while traces are on, and nothing while they are off. Clones
/// share the switch, so that a reload reaches pollers that it does not disturb otherwise.
#[derive(Clone, Default)]
pub struct Tracer(Arc<ArcSwapOption<SdkTracer>>);

impl Tracer {
    /// Switches over to `tracing`, or off.
    pub fn set(&self, tracing: Option<&Tracing>) {
        self.0.store(tracing.map(|tracing| Arc::clone(&tracing.tracer)));
    }

    pub fn poll_span(&self, site: &str, collector: &'static str) -> PollSpan {
        PollSpan(self.0.load_full().map(|tracer| {
            let site = KeyValue::new("nbu.site", Arc::<str>::from(site));
            let span = tracer
                .span_builder(format!("poll {collector}"))
                .with_attributes([site.clone(), KeyValue::new("nbu.collector", collector)])
                .start_with_context(&*tracer, &Context::new());
            Recording { tracer, context: Context::new().with_span(span), site }
        }))
    }
}

/// The span of one poll. Dropping it ends it without a result.
pub struct PollSpan(Option<Recording>);

struct Recording {
    tracer: Arc<SdkTracer>,
    context: Context,
    /// On the spans of requests too: a search for a slow request of a site sees no parents.
    site: KeyValue,
}

impl PollSpan {
    /// Adds a request that ended: its HTTP status, or the kind of error where there was none.
    /// `resource` is the name of the resource, not an address.
    pub fn request(
        &self,
        resource: &'static str,
        method: &'static str,
        status: Result<u16, &'static str>,
        started: SystemTime,
        duration: Duration,
    ) {
        let Some(Recording { tracer, context, site }) = &self.0 else { return };
        let mut attributes = vec![
            site.clone(),
            KeyValue::new("nbu.resource", resource),
            KeyValue::new("http.request.method", method),
        ];
        let failure = match status {
            Ok(code) => {
                attributes.push(KeyValue::new("http.response.status_code", i64::from(code)));
                (code >= 400).then(|| code.to_string())
            }
            Err(kind) => Some(kind.to_owned()),
        };
        let mut span = tracer
            .span_builder(format!("{method} {resource}"))
            .with_kind(SpanKind::Client)
            .with_start_time(started)
            .with_attributes(attributes)
            .start_with_context(&**tracer, context);
        if let Some(kind) = failure {
            span.set_attribute(KeyValue::new("error.type", kind));
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(started + duration);
    }

    /// Ends the span: well, or with the kind of error.
    pub fn end(self, result: Result<(), &'static str>) {
        let Some(Recording { context, .. }) = &self.0 else { return };
        let span = context.span();
        match result {
            Ok(()) => span.set_status(Status::Ok),
            Err(kind) => {
                span.set_attribute(KeyValue::new("error.type", kind));
                span.set_status(Status::error(kind));
            }
        }
        span.end();
    }
}

/// Sends batches of spans. The processor calls it on a thread of its own, which has no runtime.
struct Exporter {
    /// Gone with the thread.
    _alive: Arc<()>,
    transport: Arc<Transport>,
    stats: Arc<OtlpStats>,
    health: Mutex<Health>,
    resource: ResourceAttributesWithSchema,
    timeout: Duration,
    tenure: Arc<Tenure>,
    runtime: Handle,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let endpoint = self.transport.endpoint(Signal::Traces);
        let closed = self.stats.gate(Signal::Traces).closed(endpoint);
        if closed.is_some_and(|closed| closed.error.kind.is_unsupported()) {
            return Ok(());
        }
        let started = Instant::now();
        let Some(deadline) = self.tenure.cut(started + self.timeout) else { return Ok(()) };
        let spans = batch.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let (transport, stats) = (Arc::clone(&self.transport), Arc::clone(&self.stats));
        let tenure = Arc::clone(&self.tenure);
        let sent = self.runtime.spawn(async move {
            let sending = Sending {
                signal: Signal::Traces,
                transport: &transport,
                stats: &stats,
                tenure: &tenure,
                deadline,
                tries: TRIES,
            };
            sending.send(body.into()).await
        });
        // A task that was cancelled: the runtime is going down.
        let result = sent.await.unwrap_or_else(|_| Err(SendError::deadline()));
        let items = match &result {
            Ok(accepted) => Items::of(spans, accepted),
            Err(_) => Items { dropped: spans, ..Items::default() },
        };
        let result = result.as_ref().map(|accepted| accepted.message.as_str());
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.note(&self.stats, items, result, started.elapsed(), None);
        // Failures are told once per change, here; the processor would tell each.
        Ok(())
    }
}
