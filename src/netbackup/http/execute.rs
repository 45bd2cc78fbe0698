//! Execution of a request: version, retries, and a restart if the connection is replaced.

use std::sync::Arc;

use tokio::time::Instant;

use super::body::BodyOrigin;
use super::endpoint::Endpoint;
use super::negotiate::{renegotiate, version};
use super::request::{RequestContext, RequestSpec};
use super::response::ResponseHead;
use super::retry::send_with_retries;
use crate::netbackup::error::Error;
use crate::netbackup::version::ApiVersion;

/// Fills `body` with the response to an authenticated request.
pub(crate) async fn execute(
    endpoint: &Arc<Endpoint>,
    deadline: Instant,
    spec: &RequestSpec,
    body: &mut Vec<u8>,
) -> Result<BodyOrigin, Error> {
    loop {
        let context = RequestContext::new(endpoint, deadline);
        let request = send_authenticated(&context, spec, body);
        if let Some(result) = context.unless_replaced(request).await {
            return result.map(|_| BodyOrigin::new(endpoint, context.connection, spec.resource));
        }
    }
}

/// Fills `body` with the response to a ping, which carries neither version nor key.
pub(crate) async fn execute_ping(
    endpoint: &Arc<Endpoint>,
    deadline: Instant,
    body: &mut Vec<u8>,
) -> Result<(ResponseHead, BodyOrigin), Error> {
    let spec = RequestSpec::ping();
    loop {
        let context = RequestContext::new(endpoint, deadline);
        let request = send_with_retries(&context, &spec, None, body);
        if let Some(result) = context.unless_replaced(request).await {
            let origin = BodyOrigin::new(endpoint, context.connection, spec.resource);
            return result.map(|head| (head, origin));
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
async fn send_authenticated(
    context: &RequestContext<'_>,
    spec: &RequestSpec,
    body: &mut Vec<u8>,
) -> Result<ResponseHead, Error> {
    let version = version(context).await?;
    let rejection = match send_with_retries(context, spec, Some(version), body).await {
        Err(error) if error.status() == Some(406) => error,
        result => return result,
    };
    let other = renegotiate(context, version, rejection).await?;
    let result = send_with_retries(context, spec, Some(other), body).await;
    if matches!(&result, Err(error) if error.status() == Some(406)) {
        // The other version does not help this resource: keep the old one for the others.
        context.endpoint.versions.restore(other, version);
    }
    result
}
