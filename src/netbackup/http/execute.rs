//! Execution of a request: version, and a restart if the connection is replaced.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::attempt::send_with_retries;
use super::body::Body;
use super::negotiate::{renegotiate, version};
use super::request::{RequestContext, RequestSpec};
use super::response::ResponseHead;
use crate::netbackup::client::Endpoint;
use crate::netbackup::error::Error;
use crate::netbackup::version::ApiVersion;

/// Makes a request, and returns the body of the response.
pub(crate) async fn execute(
    endpoint: &Arc<Endpoint>,
    deadline: Instant,
    spec: &RequestSpec,
) -> Result<Body, Error> {
    loop {
        let context = RequestContext::new(endpoint, deadline);
        if let Some(result) = context.unless_replaced(send(&context, spec)).await {
            let (head, bytes) = result?;
            let (endpoint, connection) = (Arc::clone(endpoint), context.connection);
            let (resource, repaired) = (spec.resource, OnceLock::new());
            return Ok(Body { endpoint, connection, resource, head, bytes, repaired });
        }
    }
}

/// Returns the version that requests carry: configured, known, or negotiated now.
pub(crate) async fn negotiated_version(
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<ApiVersion, Error> {
    loop {
        let context = RequestContext::new(endpoint, deadline);
        if let Some(result) = context.unless_replaced(version(&context)).await {
            return result;
        }
    }
}

/// Sends a request with the version of the server; after a 406, once more with another version.
async fn send(
    context: &RequestContext<'_>,
    spec: &RequestSpec,
) -> Result<(ResponseHead, Vec<u8>), Error> {
    if spec.is_ping() {
        return send_with_retries(context, spec, None).await;
    }
    let version = version(context).await?;
    let rejection = match send_with_retries(context, spec, Some(version)).await {
        Err(error) if error.status() == Some(406) => error,
        result => return result,
    };
    let other = renegotiate(context, version, rejection).await?;
    let result = send_with_retries(context, spec, Some(other)).await;
    if matches!(&result, Err(error) if error.status() == Some(406)) {
        // The other version does not help this resource: keep the old one for the others.
        context.endpoint.versions.restore(other, version);
    }
    result
}
