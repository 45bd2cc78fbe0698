//! The task that pushes metrics: one export at a time, each within a hard deadline, no queue. What
//! can't be sent in its interval is dropped; totals make up for it with the next export.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use super::batch::{Batch, Source, send_outbox};
use super::config::{Config, Temporality};
use super::error::{Kind, SendError};
use super::health::Health;
use super::memory::Memory;
use super::send::Sending;
use super::stats::{ExportResult, Items, OtlpStats};
use super::transport::{Accepted, Signal, Transport};
use super::{MetricSource, ResourceAttributes};
use crate::state::StateDir;

/// Time until the first export, in which the first polls can publish.
const FIRST_EXPORT: Duration = Duration::from_secs(2);

/// Tries of one request within an ordinary export and within the last one.
const TRIES: u32 = 5;
const LAST_TRIES: u32 = 2;

/// Requests and points that an export has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Requests that were accepted.
    pub requests: usize,
    /// Points by what became of them.
    pub points: Items,
}

/// An export of which at least one request failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("OTLP export failed ({error})")]
pub struct ExportError {
    /// The first failure.
    pub error: SendError,
    /// Requests and points that were sent despite the failure.
    pub report: ExportReport,
}

/// Outcome of an export.
pub type ExportOutcome = Result<ExportReport, ExportError>;

/// Makes the task.
pub struct Exporter;

impl Exporter {
    /// Starts the task on the current runtime. The transport is made before, since that can fail. What the
    /// receiver was told of increments is kept in `state`.
    pub fn spawn(
        config: &Config,
        transport: Arc<Transport>,
        resource: &ResourceAttributes,
        source: Arc<dyn MetricSource>,
        stats: Arc<OtlpStats>,
        state: Option<&StateDir>,
    ) -> ExporterHandle {
        Self::spawn_with_first(FIRST_EXPORT, config, transport, resource, source, stats, state)
    }

    /// The same, with another time to the first export; it never comes later than after one
    /// interval. For tests that export by [`ExporterHandle::flush`] alone.
    #[doc(hidden)]
    pub fn spawn_with_first(
        first_export: Duration,
        config: &Config,
        transport: Arc<Transport>,
        resource: &ResourceAttributes,
        source: Arc<dyn MetricSource>,
        stats: Arc<OtlpStats>,
        state: Option<&StateDir>,
    ) -> ExporterHandle {
        stats.ask_anew(Signal::Metrics);
        let (flush, flushes) = mpsc::channel(8);
        let (end, ended) = watch::channel(None);
        let worker = Worker {
            health: Health::new(Signal::Metrics, transport.endpoint(Signal::Metrics)),
            config: config.clone(),
            transport,
            resource: Arc::new(resource.to_proto()),
            source,
            stats,
            state: state.cloned(),
            first_export,
        };
        let task = tokio::spawn(worker.run(flushes, ended));
        ExporterHandle { flush, end, task }
    }
}

type Reply = oneshot::Sender<ExportOutcome>;

/// A running exporter. Dropping it ends it at once, without a last export.
pub struct ExporterHandle {
    flush: mpsc::Sender<Reply>,
    end: watch::Sender<Option<Instant>>,
    task: JoinHandle<ExportOutcome>,
}

impl ExporterHandle {
    /// Returns true if the task ended although nothing asked it to.
    pub fn is_dead(&self) -> bool {
        self.task.is_finished()
    }

    /// Exports now and says how it went. An export under way ends first.
    pub async fn flush(&self) -> ExportOutcome {
        let (reply, outcome) = oneshot::channel();
        if self.flush.send(reply).await.is_err() {
            return Err(ended());
        }
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Exports a last time and ends, both within `limit`.
    pub async fn shutdown(mut self, limit: Duration) -> ExportOutcome {
        let deadline = Instant::now() + limit;
        // Without a receiver the task has ended, and the line below says so.
        let _ = self.end.send(Some(deadline));
        match timeout_at(deadline, &mut self.task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(ended()),
            Err(_) => Err(failure(SendError::deadline())),
        }
    }
}

impl Drop for ExporterHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ended() -> ExportError {
    failure(SendError::new(Kind::Other, false, "the exporter has stopped"))
}

fn failure(error: SendError) -> ExportError {
    ExportError { error, report: ExportReport::default() }
}

struct Worker {
    config: Config,
    transport: Arc<Transport>,
    resource: Arc<Resource>,
    source: Arc<dyn MetricSource>,
    stats: Arc<OtlpStats>,
    state: Option<StateDir>,
    health: Health,
    first_export: Duration,
}

/// Results of an export so far, available also after it is cut off.
#[derive(Debug, Default)]
struct Tally {
    total: u64,
    oversized: usize,
    report: ExportReport,
    /// Why points were rejected, or a remark on those that were taken.
    reason: String,
    failure: Option<SendError>,
}

impl Tally {
    /// Takes note of one request with so many points.
    fn note(&mut self, points: u64, result: Result<Accepted, SendError>) {
        match result {
            Ok(accepted) => {
                let rejected = u64::try_from(accepted.rejected).unwrap_or(0).min(points);
                self.report.requests += 1;
                self.report.points.accepted += points - rejected;
                self.report.points.rejected += rejected;
                if rejected > 0 || self.reason.is_empty() {
                    self.reason = accepted.message;
                }
            }
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }
}

impl Worker {
    async fn run(
        mut self,
        mut flushes: mpsc::Receiver<Reply>,
        mut ended: watch::Receiver<Option<Instant>>,
    ) -> ExportOutcome {
        self.begin().await;
        let first = Instant::now() + self.first_export.min(self.config.interval);
        let mut ticks = interval_at(first, self.config.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let deadline = loop {
            let reply = tokio::select! {
                biased;
                deadline = wait_for_end(&mut ended) => break deadline,
                Some(reply) = flushes.recv() => Some(reply),
                _ = ticks.tick() => None,
            };
            let outcome = self.export_unless_ended(&mut ended).await;
            if let Some(reply) = reply {
                // Nobody waits any more: the export happened all the same.
                let _ = reply.send(outcome);
            }
        };
        let deadline = deadline.min(Instant::now() + self.config.metrics_to.timeout);
        self.export(deadline, LAST_TRIES).await
    }

    /// An export that is under way when the end is announced gets half of the time that is left, so
    /// that the last one, with the last values, gets the other half.
    async fn export_unless_ended(
        &mut self,
        ended: &mut watch::Receiver<Option<Instant>>,
    ) -> ExportOutcome {
        let cut = async {
            let end = wait_for_end(ended).await;
            let now = Instant::now();
            tokio::time::sleep_until(now + end.saturating_duration_since(now) / 2).await;
        };
        let deadline = Instant::now() + self.config.metrics_to.timeout;
        tokio::select! {
            outcome = self.export(deadline, TRIES) => outcome,
            () = cut => Err(failure(SendError::deadline())),
        }
    }

    async fn export(&mut self, deadline: Instant, tries: u32) -> ExportOutcome {
        let endpoint = self.transport.endpoint(Signal::Metrics);
        let closed = self.stats.gate(Signal::Metrics).closed(endpoint);
        if let Some(closed) = closed.filter(|closed| closed.until >= deadline) {
            return self.wait(closed.error);
        }
        let started = Instant::now();
        let mut tally = Tally::default();
        let done = timeout_at(deadline, self.collect_and_send(deadline, tries, &mut tally)).await;
        if done.is_err() && tally.failure.is_none() {
            tally.failure = Some(SendError::deadline());
        }
        self.account(tally, started.elapsed())
    }

    /// An export for which the receiver is not asked: it said when it wants to be.
    fn wait(&mut self, error: SendError) -> ExportOutcome {
        if !error.kind.is_unsupported() {
            let result = ExportResult::Failed(error.kind);
            self.stats.export(Signal::Metrics, result, Items::default(), Duration::ZERO);
            self.health.failed(&error, None);
        }
        Err(failure(error))
    }

    /// Takes over what was told to the receiver, and leaves a mark on disk of when that began: what
    /// is counted from then on was told to nobody.
    async fn begin(&self) {
        let limit = self.save_limit();
        let mut memory = self.stats.memory.lock().await;
        memory.keep_in(self.state.as_ref());
        memory.load(limit).await;
        if self.config.temporality != Temporality::Cumulative && !memory.delta.in_use() {
            memory.delta.use_from_now_on();
            memory.save(limit).await;
        }
        self.stats.set_saved(memory.is_saved());
    }

    /// Saving takes part of an export's time at most.
    fn save_limit(&self) -> Duration {
        self.config.metrics_to.timeout / 4
    }

    async fn collect_and_send(&self, deadline: Instant, tries: u32, tally: &mut Tally) {
        let sending = Sending {
            signal: Signal::Metrics,
            transport: &self.transport,
            stats: &self.stats,
            deadline,
            tries,
        };
        // Held from the collection to the last answer, by whichever thread is at work: an export
        // whose collection hangs keeps the next one from collecting on top of it.
        let mut memory = Arc::clone(&self.stats.memory).lock_owned().await;
        let hold = memory.load(self.save_limit()).await;
        self.stats.set_saved(memory.is_saved());
        // What is in doubt goes first, as it was.
        let goes_on = send_outbox(&mut memory, &sending, |points, result| {
            tally.total += points;
            tally.note(points, result);
        });
        if !goes_on.await {
            return;
        }
        // What is in doubt still keeps later increments back, and nothing else.
        let hold = hold || !memory.delta.outbox().is_empty();
        let source = self.source(hold);
        let collect = move || {
            let batch = Batch::collect(&source, &mut memory.delta);
            (batch, memory)
        };
        let collected: Result<(Batch, OwnedMutexGuard<Memory>), _> =
            tokio::task::spawn_blocking(collect).await;
        let (batch, mut memory) = match collected {
            Ok(collected) => collected,
            Err(error) => {
                let message = if error.is_panic() { "collecting panicked" } else { "cancelled" };
                tally.failure = Some(SendError::new(Kind::Collect, false, message));
                return;
            }
        };
        tally.total += batch.total as u64;
        tally.oversized = batch.oversized;
        memory.save(self.save_limit()).await;
        self.stats.set_saved(memory.is_saved());
        batch.send(&mut memory, &sending, |points, result| tally.note(points, result)).await;
        memory.save(self.save_limit()).await;
        self.stats.set_saved(memory.is_saved());
    }

    fn source(&self, hold: bool) -> Source {
        Source {
            metrics: Arc::clone(&self.source),
            resource: Arc::clone(&self.resource),
            scope: scope(),
            temporality: self.config.temporality,
            max_request_bytes: self.config.max_request_bytes,
            hold,
        }
    }

    fn account(&mut self, tally: Tally, took: Duration) -> ExportOutcome {
        let Tally { total, oversized, mut report, reason, failure } = tally;
        let told = report.points.accepted + report.points.rejected;
        report.points.dropped = total.saturating_sub(told);
        if total == 0 && failure.is_none() {
            // Nothing was there to be sent, so nothing is known about the receiver.
            return Ok(report);
        }
        self.health.oversized(oversized, self.config.max_request_bytes);
        let result = match &failure {
            Some(error) => ExportResult::failed(error.kind),
            None if report.points.rejected > 0 => ExportResult::Partial,
            None => ExportResult::Success,
        };
        self.stats.export(Signal::Metrics, result, report.points, took);
        match failure {
            None => {
                self.health.accepted(report.points.rejected, &reason);
                Ok(report)
            }
            Some(error) => {
                if error.kind.is_unsupported() {
                    self.health.unsupported(&error);
                } else {
                    self.health.failed(&error, Some(self.config.interval));
                }
                Err(ExportError { error, report })
            }
        }
    }
}

/// The deadline of the last export, once it is announced.
async fn wait_for_end(ended: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match ended.wait_for(Option::is_some).await.map(|end| *end) {
        Ok(Some(deadline)) => deadline,
        // The handle is gone without a word, and this task is about to be cancelled.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}
