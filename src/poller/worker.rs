//! A collector's own task: it runs when the hub says so, inside its own deadline.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::collectors::{Collected, Collector, Row};
use crate::netbackup::{Client, Error};
use crate::telemetry::traces::Tracer;

use super::spans::traced;

/// What a run may take beyond the deadline of its requests.
const GRACE: Duration = Duration::from_millis(500);

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
        matches!(self, Self::Api(error) if error.is_denial())
    }

    /// What tells one problem from another; texts differ by what a body began with.
    pub(super) fn cause(&self) -> (&'static str, Option<&'static str>, Option<u16>) {
        match self {
            Self::Api(error) => (self.kind(), Some(error.resource().name), error.status()),
            _ => (self.kind(), None, None),
        }
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
    mut starts: mpsc::Receiver<()>,
) {
    while starts.recv().await.is_some() {
        let started = Instant::now();
        let result = attempt(&context, collector.as_mut(), started + context.deadline).await;
        let outcome = Outcome {
            index: context.index,
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
    let collect = async {
        let collect = AssertUnwindSafe(collector.collect(&session)).catch_unwind();
        // The session keeps the deadline, so that a run ends with what it has; this is for a
        // collector that waits for anything else.
        match tokio::time::timeout_at(deadline + GRACE, collect).await {
            Err(_) => Err(Failure::Deadline(context.deadline)),
            Ok(Err(_)) => Err(Failure::Panic),
            Ok(Ok(result)) => result.map_err(Failure::Api),
        }
    };
    let kind = |result: &Result<Collected, Failure>| result.as_ref().err().map(Failure::kind);
    traced(&context.tracer, context.client.site(), context.row.name, collect, kind).await
}
