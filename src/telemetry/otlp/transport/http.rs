//! OTLP over HTTP with binary protobuf.

use std::time::Duration;

use prost::Message as _;
use prost::bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use super::signal::{Accepted, SendResult, Signal};
use crate::net::USER_AGENT;
use crate::net::address::without_credentials;
use crate::net::failure::ErrorChain;
use crate::net::proxy::Proxy;
use crate::net::retry::retry_after;
use crate::net::tls::{client_config, trusted_if};
use crate::telemetry::otlp::config::{SignalConfig, Tls};
use crate::telemetry::otlp::error::{BuildError, Kind, SendError};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read.
const ANSWER_LIMIT: usize = 64 * 1024;

pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
}

impl Client {
    pub(super) fn new(config: &SignalConfig, signal: Signal) -> Result<Self, BuildError> {
        let endpoint = &config.endpoint;
        let builder = reqwest::Client::builder()
            .default_headers(headers(config)?)
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .connect_timeout((config.timeout / 2).min(CONNECT_TIMEOUT))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(config.timeout / 3)
            .http2_keep_alive_timeout(config.timeout / 4)
            .tls_backend_preconfigured(tls(config)?);
        let http = Proxy::apply(config.proxy.as_ref(), builder, endpoint)
            .map_err(|error| BuildError::Endpoint {
                endpoint: without_credentials(endpoint),
                reason: error.problem,
            })?
            .build()
            .map_err(|error| BuildError::Tls(ErrorChain::new(&error).root_cause()))?;
        Ok(Self { http, url: signal_url(endpoint, signal) })
    }

    pub(super) async fn send(&self, body: Bytes, is_compressed: bool) -> SendResult {
        let mut request = self.http.post(self.url.clone());
        request = request.header(CONTENT_TYPE, "application/x-protobuf");
        if is_compressed {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let response = request.body(body).send().await.map_err(|error| {
            // The outer error shows the URL; the root cause, which is what is told, does not.
            let unknown = if error.is_timeout() { Kind::Timeout } else { Kind::Connection };
            SendError::connection(&error, unknown)
        })?;
        if response.status().is_success() {
            read_accepted(response).await
        } else {
            Err(refused(response).await)
        }
    }
}

/// `/v1/metrics` and `/v1/traces` belong to an address without a path only.
fn signal_url(endpoint: &Url, signal: Signal) -> Url {
    let mut url = endpoint.clone();
    if url.path().is_empty() || url.path() == "/" {
        url.set_path(match signal {
            Signal::Metrics => "/v1/metrics",
            Signal::Traces => "/v1/traces",
        });
    }
    url
}

/// Returns the configured headers, kept out of Debug and of HPACK's table.
pub(super) fn headers(config: &SignalConfig) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let invalid = || BuildError::Header(name.clone());
        let key: HeaderName = name.parse().map_err(|_| invalid())?;
        let mut value: HeaderValue = value.expose_secret().parse().map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn tls(config: &SignalConfig) -> Result<rustls::ClientConfig, BuildError> {
    let Tls { ca, roots, identity } = &config.tls;
    // Without https, the system's CAs need not be read.
    let proxy_speaks_tls = config.proxy.as_ref().is_some_and(Proxy::speaks_tls);
    let needed = ca.is_some() || config.endpoint.scheme() == "https" || proxy_speaks_tls;
    let roots = trusted_if(needed, ca.as_ref(), roots.as_ref())?;
    Ok(client_config(roots, identity.as_ref())?)
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_ascii_lowercase()
}

/// Reads the beginning of the body; an answer that breaks off is as good as a short one.
async fn read_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= ANSWER_LIMIT {
            break;
        }
    }
    body
}

/// Reads the answer of a request that was taken. Many back ends answer with nothing, or with JSON; a login
/// page, or the welcome of a proxy, is no answer of theirs, and the request was not taken.
async fn read_accepted(response: Response) -> SendResult {
    let kind = content_type(&response);
    let body = read_body(response).await;
    if kind.contains("json") {
        let body = serde_json::from_slice(&body).map(|body| accepted_json(&body));
        return Ok(body.unwrap_or_default());
    }
    if kind.contains("protobuf") {
        return Ok(Accepted::decode(&body[..]));
    }
    let is_page = kind.contains("html") || body.trim_ascii_start().starts_with(b"<");
    let is_other = !kind.is_empty() && !body.trim_ascii().is_empty();
    if is_page || is_other {
        let kind = if kind.is_empty() { "markup" } else { &kind };
        let message = format!(
            "success with {kind}, which is not an OTLP response: {}",
            String::from_utf8_lossy(&body)
        );
        return Err(SendError::new(Kind::NotOtlp, false, &message));
    }
    Ok(Accepted::default())
}

fn accepted_json(body: &serde_json::Value) -> Accepted {
    let partial = &body["partialSuccess"];
    let rejected = [&partial["rejectedDataPoints"], &partial["rejectedSpans"]]
        .into_iter()
        // int64 is a string in protobuf's JSON; not everyone knows.
        .find_map(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    let message = partial["errorMessage"].as_str().unwrap_or_default();
    Accepted { rejected: rejected.unwrap_or(0), message: message.to_owned() }
}

async fn refused(response: Response) -> SendError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let (kind, retryable) = classify(status);
    let is_protobuf = content_type(&response).contains("protobuf");
    let target = response.url().clone();
    let body = read_body(response).await;
    let reason = if is_protobuf {
        tonic_types::Status::decode(&body[..]).map(|status| status.message).unwrap_or_default()
    } else {
        String::from_utf8_lossy(&body).into_owned()
    };
    let message = format!("HTTP status {status} from {}: {reason}", without_credentials(&target));
    let message = message.trim_end_matches([':', ' ']);
    SendError { retry_after, ..SendError::new(kind, retryable, message) }
}

/// Classifies a status: <https://opentelemetry.io/docs/specs/otlp/#failures-1>.
fn classify(status: StatusCode) -> (Kind, bool) {
    match status.as_u16() {
        400 => (Kind::InvalidArgument, false),
        401 => (Kind::Unauthenticated, false),
        403 => (Kind::PermissionDenied, false),
        404 => (Kind::Http404, false),
        // Neither the method nor the content of a request changes from one to the next.
        405 | 415 | 501 => (Kind::Unimplemented, false),
        413 => (Kind::TooLarge, false),
        429 => (Kind::ResourceExhausted, true),
        502..=504 => (Kind::Unavailable, true),
        300..=399 => (Kind::HttpRedirect, false),
        500..=599 => (Kind::Http5xx, false),
        _ => (Kind::Http4xx, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_path_is_appended_only_to_an_empty_path() {
        let at = |text: &str| signal_url(&Url::parse(text).unwrap(), Signal::Metrics).to_string();
        assert_eq!(at("http://c:4318"), "http://c:4318/v1/metrics");
        assert_eq!(at("http://c:4318/"), "http://c:4318/v1/metrics");
        assert_eq!(at("http://c:4318/otlp/push"), "http://c:4318/otlp/push");
    }

    #[test]
    fn partial_success_is_read_from_json_too() {
        let body = serde_json::json!({
            "partialSuccess": {"rejectedDataPoints": "7", "errorMessage": "out of order"}
        });
        let accepted = accepted_json(&body);
        assert_eq!((accepted.rejected, accepted.message.as_str()), (7, "out of order"));
        assert_eq!(accepted_json(&serde_json::json!({})), Accepted::default());
    }

    #[test]
    fn retryable_statuses_follow_the_specification() {
        let retryable: Vec<u16> = (100..600)
            .filter(|code| StatusCode::from_u16(*code).is_ok_and(|status| classify(status).1))
            .collect();
        assert_eq!(retryable, [429, 502, 503, 504]);
    }
}
