//! Retries of a request (ARCHITECTURE.md, invariant 7).

use tokio::time::{Instant, sleep};

use super::attempt::Attempt;
use super::request::{RequestContext, RequestSpec};
use super::response::ResponseHead;
use crate::netbackup::error::Error;
use crate::netbackup::version::ApiVersion;

/// Sends a request, and again as long as a retry may succeed before the deadline. Fills `body` with
/// that of the successful response. Without `version`, the request carries neither version nor key.
pub(super) async fn send_with_retries(
    context: &RequestContext<'_>,
    spec: &RequestSpec,
    version: Option<ApiVersion>,
    body: &mut Vec<u8>,
) -> Result<ResponseHead, Error> {
    let endpoint = context.endpoint;
    let mut number = 1;
    loop {
        let error = match (Attempt { context, spec, version, number }).run(body).await {
            Ok(head) => return Ok(head),
            Err(error) => error,
        };
        if !error.is_transient() || number >= endpoint.retry.max_attempts {
            return Err(error);
        }
        let wait = endpoint.retry.wait(number, error.retry_after());
        if Instant::now().checked_add(wait).is_none_or(|then| then >= context.deadline) {
            return Err(error);
        }
        tracing::debug!(
            site = endpoint.server.site,
            resource = spec.resource.name,
            reason = error.kind().label(),
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "retrying"
        );
        endpoint.stats.retried();
        sleep(wait).await;
        number += 1;
    }
}
