//! Export of metrics: collected, converted, split and encoded on a blocking thread, then sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use prost::bytes::Bytes;

use super::config::Temporality;
use super::delta::convert::Sequence;
use super::delta::{Delta, Fate, Outgoing};
use super::error::{Kind, SendError};
use super::memory::Memory;
use super::send::Sending;
use super::split::{Part, Split, split};
use super::transport::SendResult;
use super::unix_nanos;

/// Requests on their way at once.
const IN_FLIGHT: usize = 4;

/// Everything that there is to export, cumulative, each point with its own start time. It blocks (tens of
/// milliseconds for 100,000 series), so it is called on a blocking thread, by one export at a time.
pub type MetricSource = dyn Fn() -> Vec<Metric> + Send + Sync;

pub(super) struct Source {
    pub(super) metrics: Arc<MetricSource>,
    pub(super) resource: Resource,
    pub(super) temporality: Temporality,
    pub(super) max_request_bytes: usize,
}

/// Encoded requests beside those of the outbox.
pub(super) struct Batch {
    requests: Vec<Outgoing>,
    /// Time of the collection, nanoseconds since 1970.
    collected: u64,
    /// Increments are kept back: what is in the outbox was sent before.
    hold: bool,
    /// Points in the export, those left out included.
    pub(super) total: usize,
    /// Points too large for a request.
    pub(super) oversized: usize,
}

impl Batch {
    /// Collects and encodes; increments go to the outbox, or are kept back with `hold`: it is not known
    /// yet what they are counted from. Blocks.
    pub(super) fn collect(source: &Source, delta: &mut Delta, hold: bool) -> Self {
        let started = std::time::SystemTime::now();
        let converted = delta.convert((source.metrics)(), source.temporality, hold);
        let total = converted.increments.changes.len() + converted.others.changes.len();
        let (increments, lost) = source.requests(converted.increments);
        let (requests, left_out) = source.requests(converted.others);
        if !hold {
            delta.outbox = increments;
        }
        let (collected, oversized) = (unix_nanos(started), lost + left_out);
        Self { requests, collected, hold, total, oversized }
    }

    /// Sends the requests and the outbox, and tells `each` how many points one had and what became of it. After a
    /// failure that concerns the receiver as a whole the rest is left alone.
    pub(super) async fn send(
        self,
        memory: &mut Memory,
        sending: &Sending<'_>,
        mut each: impl FnMut(u64, SendResult),
    ) {
        let mut failed = self.oversized > 0;
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
        send_all(requests, sending, |(points, changes), result| {
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
    send_all(requests, sending, |(place, points), result| {
        settling.fates.insert(place, fate(result.as_ref().err()));
        each(points, result);
    })
    .await
}

/// Sends requests, a few at once, and tells `each` what became of one. Stops with false after a failure that
/// concerns the receiver as a whole.
async fn send_all<T>(
    requests: impl Iterator<Item = (Bytes, T)>,
    sending: &Sending<'_>,
    mut each: impl FnMut(T, SendResult),
) -> bool {
    // The iterator is asked for a request only when that is sent.
    let mut answers = stream::iter(requests)
        .map(async |(body, it)| (it, sending.send(body).await))
        .buffer_unordered(IN_FLIGHT);
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

impl Source {
    /// Splits and encodes a sequence of points. Returns how many are too large, too.
    fn requests(&self, sequence: Sequence) -> (Vec<Outgoing>, usize) {
        let Sequence { metrics, mut changes } = sequence;
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let Split { parts, dropped, .. } =
            split(metrics, &self.resource, &scope, self.max_request_bytes);
        for place in &dropped {
            changes[*place] = None;
        }
        // One after the other: a part is freed as soon as its encoded form is there.
        let encode = |Part { request, range, points }| {
            let changes = changes[range].iter_mut().filter_map(Option::take).collect();
            Outgoing::new(request.encode_to_vec().into(), points as u64, changes)
        };
        (parts.into_iter().map(encode).collect(), dropped.len())
    }
}
