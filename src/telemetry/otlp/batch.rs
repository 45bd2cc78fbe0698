//! One export of metrics: collected, converted, split and encoded on a blocking thread, then sent.

use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use prost::bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use super::MetricSource;
use super::config::Temporality;
use super::delta::{Ledger, Pending};
use super::error::SendError;
use super::send::Sending;
use super::split::split;
use super::transport::Accepted;

/// Requests on their way at once.
const IN_FLIGHT: usize = 4;

/// Where the content of an export comes from.
pub(super) struct Source {
    pub(super) metrics: Arc<dyn MetricSource>,
    pub(super) resource: Arc<Resource>,
    pub(super) scope: InstrumentationScope,
    pub(super) temporality: Temporality,
    pub(super) max_request_bytes: usize,
}

/// Encoded requests, and what becomes of the ledger with each that is acknowledged.
pub(super) struct Batch {
    requests: Vec<Encoded>,
    pending: Pending,
    ledger: OwnedMutexGuard<Ledger>,
    /// Points in the export, those left out included.
    pub(super) total: usize,
    /// Points too large for a request.
    pub(super) oversized: usize,
}

struct Encoded {
    body: Bytes,
    range: Range<usize>,
    points: u64,
}

impl Batch {
    /// Collects and encodes. Blocks.
    pub(super) fn collect(source: &Source, mut ledger: OwnedMutexGuard<Ledger>) -> Self {
        let mut metrics = source.metrics.collect();
        let mut pending = ledger.convert(&mut metrics, source.temporality);
        let split = split(metrics, &source.resource, &source.scope, source.max_request_bytes);
        pending.forget(&split.dropped);
        // One after the other: a part is freed as soon as its encoded form is there.
        let encode = |part: super::split::Part| Encoded {
            body: part.request.encode_to_vec().into(),
            range: part.range,
            points: part.points as u64,
        };
        Self {
            requests: split.parts.into_iter().map(encode).collect(),
            pending,
            ledger,
            total: split.total,
            oversized: split.dropped.len(),
        }
    }

    /// Sends the requests and tells `each` how many points one had and what became of it. After a
    /// failure that concerns the receiver as a whole the rest is left alone.
    pub(super) async fn send(
        mut self,
        sending: &Sending<'_>,
        mut each: impl FnMut(u64, Result<Accepted, SendError>),
    ) {
        let requests = std::mem::take(&mut self.requests);
        let mut answers = stream::iter(requests)
            .map(async |request| (request.range, request.points, sending.send(request.body).await))
            .buffer_unordered(IN_FLIGHT);
        while let Some((range, points, result)) = answers.next().await {
            let stop = match &result {
                Ok(_) => {
                    // Rejected points count as acknowledged: they must not be sent again.
                    self.ledger.commit(&mut self.pending, range);
                    false
                }
                Err(error) => !error.kind.concerns_one_request(),
            };
            each(points, result);
            if stop {
                break;
            }
        }
    }
}
