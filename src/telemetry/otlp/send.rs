//! Sending one request, again where that can help, within the deadline of its export.

use std::time::Duration;

use prost::bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::error::SendError;
use super::stats::OtlpStats;
use super::transport::{Accepted, Signal, Transport};

/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What the requests of one export have in common.
pub(crate) struct Sending<'a> {
    pub(crate) signal: Signal,
    pub(crate) transport: &'a Transport,
    pub(crate) stats: &'a OtlpStats,
    pub(crate) deadline: Instant,
    pub(crate) tries: u32,
}

impl Sending<'_> {
    /// Sends the request, and again while the answer says that this may help, there are tries left
    /// and the pause ends before the deadline.
    pub(crate) async fn send(&self, body: Bytes) -> Result<Accepted, SendError> {
        let mut left = self.tries;
        let mut pause = FIRST_PAUSE;
        loop {
            self.stats.request(self.signal, body.len());
            let error = match self.transport.send(self.signal, body.clone(), self.deadline).await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => error,
            };
            left = left.saturating_sub(1);
            // Half to all of it, so that agents that failed together don't come back together.
            let wait =
                error.retry_after.unwrap_or_else(|| pause.mul_f64(fastrand::f64().midpoint(1.0)));
            // A receiver can ask for any time, also for one that no clock holds.
            let again = Instant::now().checked_add(wait).filter(|again| *again < self.deadline);
            let Some(again) = again.filter(|_| error.retryable && left > 0) else {
                return Err(error);
            };
            sleep_until(again).await;
            pause *= 2;
        }
    }
}
