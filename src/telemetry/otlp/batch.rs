//! Export of metrics: collected, converted, split and encoded on a blocking thread, then sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use futures_util::stream;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use prost::bytes::Bytes;

use super::MetricSource;
use super::config::Temporality;
use super::delta::{Change, Delta, Fate, Outgoing, Sequence, ToSend};
use super::error::{Kind, SendError};
use super::memory::Memory;
use super::send::Sending;
use super::split::{Part, Split, split};
use super::time::unix_nanos;
use super::transport::Accepted;

/// Requests on their way at once.
const IN_FLIGHT: usize = 4;

/// Source of the content of an export.
pub(super) struct Source {
    pub(super) metrics: Arc<dyn MetricSource>,
    pub(super) resource: Arc<Resource>,
    pub(super) scope: InstrumentationScope,
    pub(super) temporality: Temporality,
    pub(super) max_request_bytes: usize,
    /// Keep increments back: it is not known yet what they are counted from.
    pub(super) hold: bool,
}

/// Encoded requests beside those of the outbox, with what becomes of series when they are acknowledged.
pub(super) struct Batch {
    requests: Vec<(Bytes, u64, Vec<Change>)>,
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
    /// Collects and encodes; increments go to the outbox. Blocks.
    pub(super) fn collect(source: &Source, delta: &mut Delta) -> Self {
        let started = std::time::SystemTime::now();
        let metrics = source.metrics.collect();
        let mut converted = delta.convert(metrics, source.temporality, source.hold);
        let (increments, lost) = requests(source, &mut converted.increments);
        let (requests, left_out) = requests(source, &mut converted.others);
        let total = converted.increments.changes.len() + converted.others.changes.len();
        if !source.hold {
            let outgoing = |(body, points, changes)| Outgoing::new(body, points, changes, false);
            delta.set_outbox(increments.into_iter().map(outgoing).collect());
        }
        Self {
            requests,
            collected: unix_nanos(started),
            hold: source.hold,
            total,
            oversized: lost + left_out,
        }
    }

    /// Sends the requests and the outbox, and tells `each` how many points one had and what became of it. After a
    /// failure that concerns the receiver as a whole the rest is left alone.
    pub(super) async fn send(
        self,
        memory: &mut Memory,
        sending: &Sending<'_>,
        mut each: impl FnMut(u64, Result<Accepted, SendError>),
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
        let mut answers = stream::iter(self.requests)
            .map(async |(body, points, changes)| (points, changes, sending.send(body).await))
            .buffer_unordered(IN_FLIGHT);
        while let Some((points, changes, result)) = answers.next().await {
            let stop = match &result {
                Ok(_) => {
                    // Rejected points count as acknowledged: they must not be sent again.
                    memory.delta.commit(changes);
                    false
                }
                Err(error) => {
                    failed = true;
                    !error.kind.concerns_one_request()
                }
            };
            each(points, result);
            if stop {
                break;
            }
        }
        if !failed {
            memory.delta.told_totals(self.collected);
        }
    }
}

/// Sends what is in the outbox, and settles what became of it, also where this future is dropped on the way. Returns
/// false where the rest of the export is better left alone.
pub(super) async fn send_outbox(
    memory: &mut Memory,
    sending: &Sending<'_>,
    mut each: impl FnMut(u64, Result<Accepted, SendError>),
) -> bool {
    let mut settling = Settling { delta: &mut memory.delta, fates: HashMap::new() };
    let requests: Vec<_> = settling.delta.outbox().iter().map(Outgoing::to_send).collect();
    let mut answers = stream::iter(requests.into_iter().enumerate())
        .map(async |(place, ToSend { body, points, sent })| {
            sent.store(true, Ordering::Relaxed);
            (place, points, sending.send(body).await)
        })
        .buffer_unordered(IN_FLIGHT);
    while let Some((place, points, result)) = answers.next().await {
        settling.fates.insert(place, fate(result.as_ref().err()));
        let stop = result.as_ref().is_err_and(|error| !error.kind.concerns_one_request());
        each(points, result);
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
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.delta.settle(std::mem::take(&mut self.fates));
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

type Requests = Vec<(Bytes, u64, Vec<Change>)>;

/// Splits and encodes a sequence of points. Returns how many are too large, too.
fn requests(source: &Source, sequence: &mut Sequence) -> (Requests, usize) {
    let metrics = std::mem::take(&mut sequence.metrics);
    let Split { parts, dropped, .. } =
        split(metrics, &source.resource, &source.scope, source.max_request_bytes);
    sequence.forget(&dropped);
    // One after the other: a part is freed as soon as its encoded form is there.
    let encode = |Part { request, range, points }| {
        (request.encode_to_vec().into(), points as u64, sequence.take(range))
    };
    (parts.into_iter().map(encode).collect(), dropped.len())
}
