//! The API version that requests carry, and its negotiation (docs/netbackup-api.md#version-negotiation).
//!
//! `/ping` names the server's version in a header; requests carry the lower of that and the newest
//! that the agent supports. Without the header, versions are tried one by one. A 406 starts another
//! negotiation.

use tokio::sync::MutexGuard;
use tokio::time::timeout_at;

use super::attempt::send_with_retries;
use super::request::{RequestContext, RequestSpec};
use super::response::ResponseHead;
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::resource::{PING, append};
use crate::netbackup::version::ApiVersion;
use crate::netbackup::wire::jobs::JOBS;

/// Sends a request with the version of the server; after a 406, once more with another version.
pub(crate) async fn send(
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

/// Returns the version that requests over this connection carry: configured, known, or negotiated now.
pub(crate) async fn version(context: &RequestContext<'_>) -> Result<ApiVersion, Error> {
    let versions = &context.endpoint.versions;
    let known = context.connection.config.api_version.or_else(|| versions.current());
    if let Some(version) = known {
        return Ok(version);
    }
    let rounds = versions.rounds();
    let _turn = turn(context).await?;
    if let Some(result) = versions.result_since(rounds) {
        return result;
    }
    let result = negotiate(context).await;
    versions.finish(&result);
    result
}

async fn negotiate(context: &RequestContext<'_>) -> Result<ApiVersion, Error> {
    if let Some(advertised) = advertised(context).await? {
        return usable(context, advertised);
    }
    let found = try_versions(context, None).await?;
    found.ok_or_else(|| {
        let detail = "the server rejects every API version from 10.0 to 14.0 (status 406)";
        let error = context.endpoint.error(&JOBS, ErrorKind::Version, detail);
        error.with_hint("this agent needs NetBackup 10.3 or later")
    })
}

/// Returns another version than `rejected`, or the `rejection`.
async fn renegotiate(
    context: &RequestContext<'_>,
    rejected: ApiVersion,
    rejection: Error,
) -> Result<ApiVersion, Error> {
    if context.connection.config.api_version.is_some() {
        return Err(rejection.with_hint(format!(
            "the server does not accept the configured apiVersion {rejected}: remove apiVersion to \
             detect the version"
        )));
    }
    let versions = &context.endpoint.versions;
    let _turn = turn(context).await?;
    if let Some(version) = versions.current().filter(|version| *version != rejected) {
        return Ok(version);
    }
    let found = match advertised(context).await? {
        Some(advertised) if advertised.min(ApiVersion::NEWEST) != rejected => {
            Some(usable(context, advertised)?)
        }
        _ => try_versions(context, Some(rejected)).await?,
    };
    let version = found.ok_or_else(|| {
        rejection.with_hint(format!(
            "the server accepts neither API version {rejected} nor an older one that this agent \
             supports"
        ))
    })?;
    versions.finish(&Ok(version));
    Ok(version)
}

async fn turn<'c>(context: &'c RequestContext<'_>) -> Result<MutexGuard<'c, ()>, Error> {
    timeout_at(context.deadline, context.endpoint.versions.turn.lock())
        .await
        .map_err(|_| context.past_deadline(&PING, "during API version negotiation"))
}

async fn advertised(context: &RequestContext<'_>) -> Result<Option<ApiVersion>, Error> {
    let (head, _) = send_with_retries(context, &RequestSpec::ping(), None).await?;
    Ok(head.api_version)
}

/// Returns the version that requests to a server with the version `advertised` carry.
fn usable(context: &RequestContext<'_>, advertised: ApiVersion) -> Result<ApiVersion, Error> {
    if advertised < ApiVersion::OLDEST {
        let detail = format!(
            "API version {advertised} is older than {} (NetBackup 10.3), the oldest that this agent \
             supports",
            ApiVersion::OLDEST
        );
        let error = context.endpoint.error(&PING, ErrorKind::Version, detail);
        return Err(error.with_hint("upgrade the primary server, or check host and port"));
    }
    context.endpoint.versions.set_advertised(advertised);
    Ok(advertised.min(ApiVersion::NEWEST))
}

/// Tries the known versions below `below`, newest first. Any answer but a 406 means that the server
/// accepted the version; the collectors find out about the key.
async fn try_versions(
    context: &RequestContext<'_>,
    below: Option<ApiVersion>,
) -> Result<Option<ApiVersion>, Error> {
    let mut query = String::new();
    append(&mut query, "page[limit]", "1");
    let spec = RequestSpec::get(&JOBS, query);
    for version in ApiVersion::KNOWN {
        if below.is_some_and(|below| version >= below) {
            continue;
        }
        match send_with_retries(context, &spec, Some(version)).await {
            Err(error) if error.status() == Some(406) => {}
            Ok(_) => return Ok(Some(version)),
            Err(error) if matches!(error.status(), Some(400..=499)) => return Ok(Some(version)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
