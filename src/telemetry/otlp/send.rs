//! Sending one request, again where that can help, within the deadline of its export.

use std::time::Duration;

use prost::bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::error::SendError;
use super::stats::OtlpStats;
use super::transport::{SendResult, Signal, Transport};
use crate::tenure::Tenure;

/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Parameters that the requests of one export share.
pub(crate) struct Sending<'a> {
    pub(crate) signal: Signal,
    pub(crate) transport: &'a Transport,
    pub(crate) stats: &'a OtlpStats,
    pub(crate) tenure: &'a Tenure,
    pub(crate) deadline: Instant,
    pub(crate) tries: u32,
}

impl Sending<'_> {
    /// Sends the request, and again while that may help, there are tries left and the pause ends before the
    /// deadline. Nothing is sent before the time until which the receiver asked to wait.
    pub(crate) async fn send(&self, body: Bytes) -> SendResult {
        let endpoint = self.transport.endpoint(self.signal);
        let gate = self.stats.gate(self.signal);
        let mut left = self.tries;
        let mut pause = FIRST_PAUSE;
        let mut in_doubt = false;
        let (length, wire) = (body.len(), self.transport.wire_body(self.signal, body).await?);
        loop {
            while let Some(closed) = gate.closed(endpoint) {
                if closed.until >= self.deadline {
                    return Err(SendError { in_doubt, ..closed.error });
                }
                sleep_until(closed.until).await;
            }
            if self.tenure.is_over() {
                // A machine that was suspended knows of no deadline.
                return Err(SendError { in_doubt, ..SendError::deadline() });
            }
            self.stats.request(self.signal, length);
            let result = self.transport.send_body(self.signal, wire.clone(), self.deadline).await;
            gate.note(endpoint, result.as_ref().err());
            let error = match result {
                Ok(accepted) => return Ok(accepted),
                Err(error) => error,
            };
            in_doubt |= error.in_doubt;
            left = left.saturating_sub(1);
            // Half to all of it, so that agents that failed together don't come back together; the gate
            // keeps what is left of a longer wait.
            let again = Instant::now() + pause.mul_f64(fastrand::f64().midpoint(1.0));
            if !error.retryable || left == 0 || again >= self.deadline {
                return Err(SendError { in_doubt, ..error });
            }
            sleep_until(again).await;
            pause *= 2;
        }
    }
}
