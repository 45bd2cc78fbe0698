//! Spans of polls and of their requests. The client only calls an observer for each request; the
//! observer finds the poll's span in its task.

use std::sync::Arc;

use crate::netbackup::{Outcome, RequestObserver, RequestRecord};
use crate::telemetry::traces::{PollSpan, Tracer};

tokio::task_local! {
    static SPAN: Arc<PollSpan>;
}

/// Makes a span of each request of a poll that is traced.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestSpans;

impl RequestObserver for RequestSpans {
    fn on_request(&self, request: &RequestRecord<'_>) {
        let status = match request.outcome {
            Outcome::Status(code) => Ok(code),
            Outcome::Failed(kind) => Err(kind.label()),
        };
        // Outside a poll (the doctor's) there is no span, and nothing to do.
        let _ = SPAN.try_with(|span| {
            span.request(
                request.resource,
                request.method,
                status,
                request.started,
                request.duration,
            );
        });
    }
}

/// Runs one poll inside its span. `failure` names the kind of a failure.
pub(super) async fn traced<F: Future>(
    tracer: &Tracer,
    site: &str,
    collector: &'static str,
    poll: F,
    failure: impl FnOnce(&F::Output) -> Option<&'static str>,
) -> F::Output {
    let span = Arc::new(tracer.poll_span(site, collector));
    let output = SPAN.scope(Arc::clone(&span), poll).await;
    if let Some(span) = Arc::into_inner(span) {
        span.end(failure(&output).map_or(Ok(()), Err));
    }
    output
}
