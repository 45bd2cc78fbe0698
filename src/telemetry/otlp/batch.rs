//! Export of metrics: collected, converted, split and encoded on a blocking thread, and sent meanwhile, so
//! that no more than a few requests are in memory at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use prost::bytes::Bytes;
use tokio::sync::mpsc;

use super::config::Temporality;
use super::delta::convert::{Sequence, is_total};
use super::delta::{Change, Delta, Fate, Outgoing, count};
use super::error::{Kind, SendError};
use super::memory::Memory;
use super::send::Sending;
use super::split::{Part, Splitter};
use super::transport::SendResult;
use super::unix_nanos;

/// Requests on their way at once.
const IN_FLIGHT: usize = 4;

/// Hands everything that there is to export, cumulative, each point with its own start time, to a function:
/// the number of points in all, and some metrics at a time. It blocks (some hundred milliseconds for
/// 100,000 series), so it is called on a blocking thread, by one export at a time.
pub type MetricSource = dyn Fn(&mut dyn FnMut(usize, Vec<Metric>)) + Send + Sync;

pub(super) struct Source {
    pub(super) metrics: Arc<MetricSource>,
    pub(super) resource: Resource,
    pub(super) temporality: Temporality,
    pub(super) max_request_bytes: usize,
}

/// Receiver of the requests whose acknowledgement changes nothing, as they are encoded.
pub(super) type Stream<'s> = dyn FnMut(Outgoing) + 's;

/// Encoded requests beside those of the outbox and those that were streamed.
pub(super) struct Batch {
    requests: Vec<Outgoing>,
    /// Time of the collection, nanoseconds since 1970.
    collected: u64,
    /// Increments are kept back: what is in the outbox was sent before.
    hold: bool,
    /// Points too large for a request.
    pub(super) oversized: usize,
}

impl Batch {
    /// Collects and encodes. What needs no memory of the receiver goes to `stream` at once; increments go to
    /// the outbox, or are kept back with `hold`: it is not known yet what they are counted from. Notes the
    /// number of points as soon as it is known. Blocks.
    pub(super) fn collect(
        source: &Source,
        delta: &mut Delta,
        hold: bool,
        points: &AtomicUsize,
        stream: &mut Stream<'_>,
    ) -> Self {
        let collected = unix_nanos(std::time::SystemTime::now());
        let scope = scope();
        let requests = || Requests::new(source, &scope);
        let remembers = delta.in_use || source.temporality != Temporality::Cumulative;
        let (mut streamed, mut totals) = (requests(), Vec::new());
        (source.metrics)(&mut |total, metrics| {
            points.store(total, Ordering::Relaxed);
            let mut others = metrics;
            if remembers {
                totals.extend(others.extract_if(.., |metric| is_total(metric)));
            } else {
                others = delta.convert(others, source.temporality, hold).others.metrics;
            }
            let others = others.into_iter().flat_map(|metric| streamed.add(metric, Vec::new()));
            others.for_each(&mut *stream);
        });
        streamed.finish().into_iter().for_each(&mut *stream);
        let (mut increments, mut others) = (requests(), requests());
        let converted = delta.convert(totals, source.temporality, hold);
        let outbox = increments.add_all(converted.increments);
        let requests = others.add_all(converted.others);
        if !hold {
            delta.outbox = outbox;
        }
        let all = [streamed, increments, others];
        let total = all.iter().map(|requests| requests.points).sum();
        points.store(total, Ordering::Relaxed);
        let oversized = all.iter().map(|requests| requests.splitter.dropped.len()).sum();
        Self { requests, collected, hold, oversized }
    }

    /// Sends the requests and the outbox, and tells `each` how many points one had and what became of it. After a
    /// failure that concerns the receiver as a whole the rest is left alone. `failed` says whether any streamed
    /// request did.
    pub(super) async fn send(
        self,
        memory: &mut Memory,
        sending: &Sending<'_>,
        failed: bool,
        mut each: impl FnMut(u64, SendResult),
    ) {
        let mut failed = failed || self.oversized > 0;
        if !self.hold {
            let goes_on = send_outbox(memory, sending, |points, result| {
                failed |= result.is_err();
                each(points, result);
            });
            if !goes_on.await {
                return;
            }
        }
        let requests = self.requests.into_iter();
        let requests = requests.map(|it| (it.body, (it.points, it.changes)));
        send_all(stream::iter(requests), sending, |(points, changes), result| {
            if result.is_ok() {
                // Rejected points count as acknowledged: they must not be sent again.
                memory.delta.commit(changes);
            }
            failed |= result.is_err();
            each(points, result);
        })
        .await;
        if !failed {
            memory.delta.told_totals(self.collected);
        }
    }
}

/// Sends what is in the outbox, and settles what became of it, also if this future is dropped on the way.
/// Returns false if the rest of the export is better left alone.
pub(super) async fn send_outbox(
    memory: &mut Memory,
    sending: &Sending<'_>,
    mut each: impl FnMut(u64, SendResult),
) -> bool {
    let sent = AtomicUsize::new(0);
    let mut settling = Settling { delta: &mut memory.delta, fates: HashMap::new(), sent: &sent };
    let copy = |it: &Outgoing| (it.body.clone(), it.points);
    let requests: Vec<_> = settling.delta.outbox.iter().map(copy).collect();
    let requests = requests.into_iter().enumerate().map(|(place, (body, points))| {
        sent.store(place + 1, Ordering::Relaxed);
        (body, (place, points))
    });
    send_all(stream::iter(requests), sending, |(place, points), result| {
        settling.fates.insert(place, fate(result.as_ref().err()));
        each(points, result);
    })
    .await
}

/// Sends streamed requests as they come, and tells `each` how many points one had and what became of it. Returns
/// false if the rest of the export is better left alone.
pub(super) async fn send_streamed(
    mut requests: mpsc::Receiver<Outgoing>,
    sending: &Sending<'_>,
    each: impl FnMut(u64, SendResult),
) -> bool {
    let requests = stream::poll_fn(|context| requests.poll_recv(context));
    send_all(requests.map(|it| (it.body, it.points)), sending, each).await
}

/// Sends requests, a few at once, and tells `each` what became of one. Stops with false after a failure that
/// concerns the receiver as a whole.
async fn send_all<T>(
    requests: impl futures_util::Stream<Item = (Bytes, T)>,
    sending: &Sending<'_>,
    mut each: impl FnMut(T, SendResult),
) -> bool {
    // The stream is asked for a request only when that is sent.
    let answers =
        requests.map(async |(body, it)| (it, sending.send(body).await)).buffer_unordered(IN_FLIGHT);
    let mut answers = std::pin::pin!(answers);
    while let Some((it, result)) = answers.next().await {
        let stop = result.as_ref().is_err_and(|error| !error.kind.concerns_one_request());
        each(it, result);
        if stop {
            return false;
        }
    }
    true
}

/// An outbox on its way. Dropping it notes what is known by then.
struct Settling<'a> {
    delta: &'a mut Delta,
    fates: HashMap<usize, Fate>,
    /// Requests on their way, or answered.
    sent: &'a AtomicUsize,
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.delta.settle(std::mem::take(&mut self.fates), self.sent.load(Ordering::Relaxed));
    }
}

fn fate(error: Option<&SendError>) -> Fate {
    match error {
        None => Fate::Acknowledged,
        Some(error) if error.in_doubt => {
            let answered = matches!(error.kind, Kind::Http5xx | Kind::Other);
            Fate::Unknown { answered }
        }
        Some(error) if error.kind.concerns_one_request() => Fate::Refused,
        Some(_) => Fate::Unsent,
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Requests that are split and encoded from a sequence of points.
struct Requests<'a> {
    splitter: Splitter<'a>,
    /// Changes of the points that are in no request yet, from this place in the sequence on.
    changes: VecDeque<Option<Change>>,
    first: usize,
    points: usize,
}

impl<'a> Requests<'a> {
    fn new(source: &'a Source, scope: &'a InstrumentationScope) -> Self {
        let splitter = Splitter::new(&source.resource, scope, source.max_request_bytes);
        Self { splitter, changes: VecDeque::new(), first: 0, points: 0 }
    }

    /// Adds a metric and what becomes of the series of its points, of none where that is nothing. Returns the
    /// requests that are full.
    fn add(&mut self, metric: Metric, changes: Vec<Option<Change>>) -> Vec<Outgoing> {
        let points = metric.data.as_ref().map_or(0, count);
        self.points += points;
        self.changes.extend(changes);
        self.changes.resize_with(self.points - self.first, || None);
        let full = self.splitter.add(metric);
        full.into_iter().map(|part| self.encode(&part)).collect()
    }

    fn add_all(&mut self, sequence: Sequence) -> Vec<Outgoing> {
        let Sequence { metrics, changes } = sequence;
        let mut changes = changes.into_iter();
        let mut requests = Vec::new();
        for metric in metrics {
            let points = metric.data.as_ref().map_or(0, count);
            requests.extend(self.add(metric, changes.by_ref().take(points).collect()));
        }
        requests.extend(self.finish());
        requests
    }

    fn finish(&mut self) -> Option<Outgoing> {
        let part = self.splitter.finish()?;
        Some(self.encode(&part))
    }

    fn encode(&mut self, part: &Part) -> Outgoing {
        let dropped = &self.splitter.dropped;
        let changes = (self.first..).zip(self.changes.drain(..part.range.end - self.first));
        let changes = changes.filter(|(place, _)| !dropped.contains(place));
        let changes = changes.filter_map(|(_, change)| change).collect();
        self.first = part.range.end;
        Outgoing::new(part.request.encode_to_vec().into(), part.points as u64, changes)
    }
}
