//! A collector's own task: it runs when the site poller says so, inside its own deadline.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::settings::Rules;
use super::trial::Trial;
use crate::collectors::{Collected, Collector, Row};
use crate::netbackup::{
    Client, Error, ErrorKind, Outcome, RequestObserver, RequestRecord, Session,
};
use crate::slp::Links;
use crate::telemetry::traces::{PollSpan, Tracer};

/// Time that a run may take beyond the deadline of its requests.
const DEADLINE_GRACE: Duration = Duration::from_millis(500);

tokio::task_local! {
    static SPAN: Arc<PollSpan>;
}

/// Makes a span of each request of a run that is traced: the client calls an observer for each request, and
/// the observer finds the span of the run in its task.
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

/// Reason for which a run has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server, or the way to it.
    #[error(transparent)]
    Api(#[from] Error),
    #[error(
        "did not finish within {} s: the server is slow or hangs; check the request durations",
        .0.as_secs()
    )]
    Deadline(Duration),
    /// A bug of ours; the site lives on.
    #[error("a bug in the agent: see the log for the location, and please report it")]
    Panic,
    /// The server lacks the resource. Carries its 404; nothing if its version is too old to ask.
    #[error("not available in this NetBackup release")]
    Missing(Option<Error>),
}

impl Failure {
    /// Returns whether the cause is the role of the key, or the key itself.
    pub(super) fn is_permission(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_denial())
    }

    /// Returns the identity of a problem. Texts do not serve: they quote the beginning of a body.
    pub(super) fn cause(&self) -> (&'static str, Option<&'static str>, Option<u16>) {
        match self {
            Self::Api(error) => (self.kind(), Some(error.resource().name), error.status()),
            _ => (self.kind(), None, None),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Api(error) => error.kind().label(),
            Self::Deadline(_) => "deadline",
            Self::Panic => "panic",
            Self::Missing(_) => ErrorKind::NotFound.label(),
        }
    }
}

/// Report of a run that ended.
#[derive(Debug)]
pub(super) struct RunReport {
    pub(super) slot: u64,
    pub(super) took: Duration,
    /// Its result; `None` if it was cancelled.
    pub(super) result: Option<Result<Collected, Failure>>,
    /// The collector worked at this server before, as far as that is remembered.
    pub(super) worked: bool,
}

/// Request for a run.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) cancel: CancellationToken,
    pub(super) settings: Option<Rules>,
}

/// Parts of a worker beside its collector.
pub(super) struct WorkerContext {
    pub(super) slot: u64,
    pub(super) row: &'static Row,
    pub(super) client: Client,
    /// Deadline of a run by the current settings.
    pub(super) deadline: watch::Receiver<Duration>,
    /// Memory of a collector that is tried.
    pub(super) trial: Option<Trial>,
    pub(super) tracer: Tracer,
    pub(super) links: Links,
    pub(super) reports: mpsc::Sender<RunReport>,
}

/// Runs the collector at each start that comes, until the site poller is gone.
pub(super) async fn run(
    mut context: WorkerContext,
    mut collector: Box<dyn Collector>,
    mut starts: mpsc::Receiver<Start>,
) {
    while let Some(start) = starts.recv().await {
        let started = Instant::now();
        let result = attempt(&mut context, collector.as_mut(), started, start).await;
        let took = started.elapsed();
        let worked = match &mut context.trial {
            Some(trial) => {
                if let Some(Ok(_)) = &result {
                    trial.note_success().await;
                }
                trial.worked().await
            }
            None => false,
        };
        let report = RunReport { slot: context.slot, took, result, worked };
        if context.reports.send(report).await.is_err() {
            return;
        }
    }
}

async fn attempt(
    context: &mut WorkerContext,
    collector: &mut dyn Collector,
    started: Instant,
    start: Start,
) -> Option<Result<Collected, Failure>> {
    let WorkerContext { row, client, deadline, tracer, links, .. } = context;
    let session = client.with_deadline(started + *deadline.borrow());
    let collect = AssertUnwindSafe(async {
        if let Some(rules) = &start.settings {
            collector.reconfigure(&rules.settings(links));
        }
        if let Some(since) = collector.since()
            && session.version().await? < since
        {
            return Err(Failure::Missing(None));
        }
        match collector.collect(&session).await {
            Ok(collected) => Ok(collected),
            Err(error) => Err(classify_error(row, &session, error).await),
        }
    })
    .catch_unwind();
    let run = async {
        tokio::select! {
            biased;
            () = start.cancel.cancelled() => None,
            result = collect => Some(match result {
                Err(_) => Err(Failure::Panic),
                Ok(result) => result,
            }),
            // The session keeps the deadline, so that a run ends with what it has; this is for a
            // collector that waits for anything else, and for a deadline that is shorter now.
            most = overdue(started, deadline) => Some(Err(Failure::Deadline(most))),
        }
    };
    let span = Arc::new(tracer.poll_span(client.site(), row.name));
    let result = SPAN.scope(Arc::clone(&span), run).await;
    if let Some(span) = Arc::into_inner(span) {
        span.end(match &result {
            Some(Err(failure)) if !matches!(failure, Failure::Missing(_)) => Err(failure.kind()),
            _ => Ok(()),
        });
    }
    result
}

/// Classifies the error of a run. After a 404, a server that answers a ping lacks the resource. If it is a
/// core one, which every release has, the address is wrong or the server starts.
async fn classify_error(row: &Row, session: &Session, error: Error) -> Failure {
    let missing = !row.core && error.kind() == ErrorKind::NotFound && session.ping().await.is_ok();
    if missing { Failure::Missing(Some(error)) } else { Failure::Api(error) }
}

/// Waits until the run exceeds its deadline, and returns the deadline.
async fn overdue(started: Instant, deadline: &mut watch::Receiver<Duration>) -> Duration {
    loop {
        let most = *deadline.borrow_and_update();
        tokio::select! {
            () = sleep_until(started + most + DEADLINE_GRACE) => return most,
            Ok(()) = deadline.changed() => {}
        }
    }
}
