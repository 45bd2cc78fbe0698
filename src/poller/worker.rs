//! A collector's own task: it runs when the hub says so, inside its own deadline.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::collectors::{Collected, Collector, Row};
use crate::netbackup::{Client, Error, ErrorKind};
use crate::telemetry::traces::Tracer;

use super::spans::traced;

/// Why a run brought nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server, or the way to it.
    Api(Error),
    /// The run did not end in time.
    Deadline(Duration),
    /// A bug of ours; the site lives on.
    Panic,
}

impl Failure {
    /// Whether the role of the key, or the key itself, is why.
    pub(super) fn is_permission(&self) -> bool {
        let Self::Api(error) = self else { return false };
        matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden)
    }

    /// The label of its kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Api(error) => error.kind().label(),
            Self::Deadline(_) => "deadline",
            Self::Panic => "panic",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::Deadline(limit) => write!(
                f,
                "did not end within {} s; the server is slow or hangs: see the requests' durations",
                limit.as_secs()
            ),
            Self::Panic => {
                f.write_str("a bug in the agent: the log has the place; please report it")
            }
        }
    }
}

/// How one run ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Which collector, by its place in the hub.
    pub(super) index: usize,
    /// In which cycle it started.
    pub(super) cycle: u64,
    /// When it ended.
    pub(super) ended: SystemTime,
    /// How long it ran.
    pub(super) took: Duration,
    /// What it brought.
    pub(super) result: Result<Collected, Failure>,
}

/// What a worker needs beside its collector.
pub(super) struct Context {
    pub(super) index: usize,
    pub(super) row: &'static Row,
    pub(super) client: Client,
    pub(super) deadline: Duration,
    pub(super) tracer: Tracer,
    pub(super) outcomes: mpsc::Sender<Outcome>,
}

/// Runs the collector at each start that comes, until the hub is gone.
pub(super) async fn run(
    context: Context,
    mut collector: Box<dyn Collector>,
    mut starts: mpsc::Receiver<u64>,
) {
    while let Some(cycle) = starts.recv().await {
        let started = Instant::now();
        let result = attempt(&context, collector.as_mut(), started + context.deadline).await;
        let outcome = Outcome {
            index: context.index,
            cycle,
            ended: SystemTime::now(),
            took: started.elapsed(),
            result,
        };
        if context.outcomes.send(outcome).await.is_err() {
            return;
        }
    }
}

async fn attempt(
    context: &Context,
    collector: &mut dyn Collector,
    deadline: Instant,
) -> Result<Collected, Failure> {
    let session = context.client.with_deadline(deadline);
    let collect = AssertUnwindSafe(collector.collect(&session)).catch_unwind();
    let site = context.client.site();
    let traced = traced(&context.tracer, site, context.row.name, collect, failure_of);
    match tokio::time::timeout_at(deadline, traced).await {
        Err(_) => Err(Failure::Deadline(context.deadline)),
        Ok(Err(_)) => Err(Failure::Panic),
        Ok(Ok(result)) => result.map_err(Failure::Api),
    }
}

/// What a span says of a run that failed.
fn failure_of(
    result: &Result<Result<Collected, Error>, Box<dyn std::any::Any + Send>>,
) -> Option<&'static str> {
    match result {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.kind().label()),
        Err(_) => Some("panic"),
    }
}
