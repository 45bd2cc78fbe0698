//! A collector's own task: it runs when the site poller says so, inside its own deadline.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::settings::Rules;
use super::spans::traced;
use crate::collectors::{Collected, Collector, Row};
use crate::netbackup::{ApiVersion, Client, Error, ErrorKind, Session};
use crate::telemetry::traces::Tracer;

/// Time that a run may take beyond the deadline of its requests.
const DEADLINE_GRACE: Duration = Duration::from_millis(500);

/// Reason for which a run has no result.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server, or the way to it.
    Api(Error),
    /// The run did not finish in time.
    Deadline(Duration),
    /// A bug of ours; the site lives on.
    Panic,
    /// The server works and does not have the resource. Carries its 404; nothing where its version is
    /// too old to ask.
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

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::Deadline(deadline) => write!(
                f,
                "did not finish within {} s: the server is slow or hangs; check the request \
                 durations",
                deadline.as_secs()
            ),
            Self::Panic => f.write_str(
                "a bug in the agent: see the log for the location, and please report it",
            ),
            Self::Missing(_) => f.write_str("not available in this NetBackup release"),
        }
    }
}

/// Report of a run that ended.
#[derive(Debug)]
pub(super) struct RunReport {
    pub(super) slot: u64,
    pub(super) ended: SystemTime,
    pub(super) took: Duration,
    /// Its result; `None` if it was cancelled.
    pub(super) result: Option<Result<Collected, Failure>>,
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
    pub(super) tracer: Tracer,
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
        let report = RunReport {
            slot: context.slot,
            ended: SystemTime::now(),
            took: started.elapsed(),
            result,
        };
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
    let WorkerContext { row, client, deadline, tracer, .. } = context;
    let session = client.with_deadline(started + *deadline.borrow());
    let collect = AssertUnwindSafe(async {
        if let Some(rules) = &start.settings {
            collector.reconfigure(&rules.settings());
        }
        if is_too_old(collector.since(), &session).await? {
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
    let kind = |result: &Option<Result<Collected, Failure>>| {
        let failure = result.as_ref()?.as_ref().err();
        failure.filter(|failure| !matches!(failure, Failure::Missing(_))).map(Failure::kind)
    };
    traced(tracer, client.site(), row.name, run, kind).await
}

/// Returns whether the server's version is known to lack the resource.
async fn is_too_old(since: Option<ApiVersion>, session: &Session) -> Result<bool, Failure> {
    match since {
        Some(since) => Ok(session.version().await.map_err(Failure::Api)? < since),
        None => Ok(false),
    }
}

/// Classifies the error of a run. A 404 of a server that answers otherwise is a release that lacks the resource. Every release has
/// the core ones, and the ping: where they are missing, the address is wrong or the server starts.
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
