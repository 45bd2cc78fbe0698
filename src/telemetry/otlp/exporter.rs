//! The task that pushes metrics: one export at a time, each within a hard deadline, no queue. What
//! can't be sent in its interval is dropped; totals make up for it with the next export.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use super::batch::{Batch, MetricSource, Source, send_outbox, send_streamed};
use super::config::{Config, Temporality};
use super::error::{Kind, SendError};
use super::gate::Closed;
use super::health::Health;
use super::memory::Memory;
use super::resource::ResourceAttributes;
use super::send::Sending;
use super::stats::{Items, OtlpStats};
use super::transport::{SendResult, Signal, Transport};
use crate::state::StateDir;
use crate::tenure::Tenure;

/// Time until the first export, in which the first polls can publish.
pub(crate) const FIRST_EXPORT: Duration = Duration::from_secs(2);

/// ... of an agent that takes over: others wait for it.
pub(crate) const FIRST_EXPORT_OF_LEADER: Duration = Duration::from_millis(800);

/// Tries of one request within an ordinary export and within the last one.
const TRIES: u32 = 5;
const LAST_TRIES: u32 = 2;

/// Points of an export by what became of them, or the first failure.
pub(crate) type ExportOutcome = Result<Items, SendError>;

type Reply = oneshot::Sender<ExportOutcome>;

/// The time for which an exporter may export.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    pub tenure: Arc<Tenure>,
    /// The time until the first export; one interval if that is shorter.
    pub first: Duration,
}

/// A running exporter. Dropping it ends it at once, without a last export.
pub struct ExporterHandle {
    flush: mpsc::Sender<Reply>,
    end: watch::Sender<Option<Instant>>,
    task: JoinHandle<ExportOutcome>,
}

impl ExporterHandle {
    /// Starts the task on the current runtime. What the receiver was told of increments is kept in `state`.
    pub fn spawn(
        config: &Config,
        transport: Arc<Transport>,
        resource: &ResourceAttributes,
        metrics: Arc<MetricSource>,
        stats: Arc<OtlpStats>,
        state: Option<&StateDir>,
        Turn { tenure, first }: Turn,
    ) -> Self {
        stats.gate(Signal::Metrics).ask_anew();
        let (flush, flushes) = mpsc::channel(8);
        let (end, ended) = watch::channel(None);
        let source = Source {
            metrics,
            resource: resource.to_proto(),
            temporality: config.temporality,
            max_request_bytes: config.max_request_bytes,
        };
        let worker = Worker {
            interval: config.interval,
            timeout: config.metrics_to.timeout,
            health: Health::new(Signal::Metrics, transport.endpoint(Signal::Metrics)),
            transport,
            source: Arc::new(source),
            stats,
            state: state.cloned(),
            tenure,
        };
        let task = tokio::spawn(worker.run(first, flushes, ended));
        Self { flush, end, task }
    }

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
            Err(_) => Err(SendError::deadline()),
        }
    }
}

impl Drop for ExporterHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ended() -> SendError {
    SendError::new(Kind::Other, false, "the exporter has stopped")
}

struct Worker {
    interval: Duration,
    /// Hard deadline of one export.
    timeout: Duration,
    transport: Arc<Transport>,
    source: Arc<Source>,
    stats: Arc<OtlpStats>,
    state: Option<StateDir>,
    tenure: Arc<Tenure>,
    health: Health,
}

/// Results of an export so far, available also after it is cut off.
#[derive(Debug, Default)]
struct Tally {
    /// Points of requests that were in doubt.
    resent: u64,
    /// Points that were collected, as far as that is known.
    collected: Arc<AtomicUsize>,
    oversized: usize,
    points: Items,
    /// Why points were rejected, or a remark on those that were taken.
    reason: String,
    failure: Option<SendError>,
}

impl Tally {
    fn note(&mut self, points: u64, result: SendResult) {
        match result {
            Ok(accepted) => {
                let items = Items::of(points, &accepted);
                self.points.add(items);
                if items.rejected > 0 || self.reason.is_empty() {
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
        first: Duration,
        mut flushes: mpsc::Receiver<Reply>,
        mut ended: watch::Receiver<Option<Instant>>,
    ) -> ExportOutcome {
        self.begin().await;
        let first = Instant::now() + first.min(self.interval);
        let mut ticks = interval_at(first, self.interval);
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
        self.export(deadline.min(Instant::now() + self.timeout), LAST_TRIES).await
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
        let deadline = Instant::now() + self.timeout;
        tokio::select! {
            outcome = self.export(deadline, TRIES) => outcome,
            () = cut => Err(SendError::deadline()),
        }
    }

    async fn export(&mut self, deadline: Instant, tries: u32) -> ExportOutcome {
        let Some(deadline) = self.tenure.cut(deadline) else { return Err(ended()) };
        let endpoint = self.transport.endpoint(Signal::Metrics);
        let closed = self.stats.gate(Signal::Metrics).closed(endpoint);
        if let Some(Closed { error, .. }) = closed.filter(|closed| closed.until >= deadline) {
            // The receiver is not asked: it said when it wants to be.
            if !error.kind.is_unsupported() {
                let nothing = Items::default();
                self.health.note(&self.stats, nothing, Err(&error), Duration::ZERO, None);
            }
            return Err(error);
        }
        let started = Instant::now();
        let mut tally = Tally::default();
        let done = timeout_at(deadline, self.collect_and_send(deadline, tries, &mut tally)).await;
        if done.is_err() {
            tally.failure.get_or_insert_with(SendError::deadline);
        }
        self.account(tally, started.elapsed())
    }

    /// Takes over what was told to the receiver, and leaves a mark on disk of when that began: what
    /// is counted from then on was told to nobody.
    async fn begin(&self) {
        let mut memory = self.stats.memory.lock().await;
        memory.keep_in(self.state.as_ref());
        memory.load(self.save_limit()).await;
        if self.source.temporality != Temporality::Cumulative && !memory.delta.in_use {
            memory.delta.in_use = true;
            memory.save(self.save_limit()).await;
        }
        self.stats.set_saved(memory.is_saved());
    }

    /// Returns the time of an export that saving may take.
    fn save_limit(&self) -> Duration {
        self.timeout / 4
    }

    async fn save(&self, memory: &mut Memory) {
        memory.save(self.save_limit()).await;
        self.stats.set_saved(memory.is_saved());
    }

    async fn collect_and_send(&self, deadline: Instant, tries: u32, tally: &mut Tally) {
        let sending = Sending {
            signal: Signal::Metrics,
            transport: &self.transport,
            stats: &self.stats,
            tenure: &self.tenure,
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
            tally.resent += points;
            tally.note(points, result);
        });
        if !goes_on.await {
            return;
        }
        // What is in doubt still keeps later increments back, and nothing else.
        let hold = hold || !memory.delta.outbox.is_empty();
        let (source, points) = (Arc::clone(&self.source), Arc::clone(&tally.collected));
        let (stream, streamed) = mpsc::channel(1);
        let collect = move || {
            // After a failure nobody takes them any more.
            let mut stream = |request| _ = stream.blocking_send(request);
            let batch = Batch::collect(&source, &mut memory.delta, hold, &points, &mut stream);
            (batch, memory)
        };
        let collecting = tokio::task::spawn_blocking(collect);
        let mut failed = false;
        let goes_on = send_streamed(streamed, &sending, |points, result| {
            failed |= result.is_err();
            tally.note(points, result);
        });
        let goes_on = goes_on.await;
        let (batch, mut memory) = match collecting.await {
            Ok(collected) => collected,
            Err(error) => {
                let message = if error.is_panic() { "collecting panicked" } else { "cancelled" };
                tally.failure = Some(SendError::new(Kind::Collect, false, message));
                return;
            }
        };
        tally.oversized = batch.oversized;
        self.save(&mut memory).await;
        if goes_on {
            let note = |points, result| tally.note(points, result);
            batch.send(&mut memory, &sending, failed, note).await;
            self.save(&mut memory).await;
        }
    }

    fn account(&mut self, tally: Tally, took: Duration) -> ExportOutcome {
        let Tally { resent, collected, oversized, mut points, reason, failure } = tally;
        let total = resent + collected.load(Ordering::Relaxed) as u64;
        points.dropped = total.saturating_sub(points.accepted + points.rejected);
        if total == 0 && failure.is_none() {
            // Nothing was there to be sent, so nothing is known about the receiver.
            return Ok(points);
        }
        self.health.oversized(oversized, self.source.max_request_bytes);
        let result = failure.as_ref().map_or(Ok(reason.as_str()), Err);
        self.health.note(&self.stats, points, result, took, Some(self.interval));
        failure.map_or(Ok(points), Err)
    }
}

/// Waits for the deadline of the last export.
async fn wait_for_end(ended: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match ended.wait_for(Option::is_some).await.map(|end| *end) {
        Ok(Some(deadline)) => deadline,
        // The handle is gone without a word, and this task is about to be cancelled.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}
