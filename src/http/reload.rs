//! POST /-/reload: asks the supervisor to reload the configuration, and answers with its verdict.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::origin::Refused;
use super::state::Endpoint;
use crate::reload::{ReloadAnswer, ReloadRequest};

/// Time for the supervisor to accept the request; it may be busy with another.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for the verdict. A reload that takes longer waits for a file system or a resolver that hangs.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests that wait for a verdict; more are refused, so that they leave connections to others.
pub(super) const MAX_WAITING: usize = 128;

const TOO_MANY: &str = "503: too many reloads are waiting; try again later\n";

pub(super) async fn reload(
    Extract(Endpoint { state, hosts, reloads, .. }): Extract<Endpoint>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if method != Method::POST && method != Method::PUT {
        let hint = "405: use POST to reload the configuration\n";
        let allow = [(header::ALLOW, "POST, PUT")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, hint).into_response();
    }
    if !state.serves_reloads() {
        let hint = "403: reloads over HTTP are off; set server.lifecycle: true, or send SIGHUP\n";
        return (StatusCode::FORBIDDEN, hint).into_response();
    }
    if let Err(refused) = hosts.check(&uri, &headers) {
        let hint = match refused {
            Refused::Host => {
                "403: the Host header names another machine; use localhost, a loopback address, \
                 or the name or address in server.host\n"
            }
            Refused::Origin => "403: reload requests from other origins are not allowed\n",
        };
        return (StatusCode::FORBIDDEN, hint).into_response();
    }
    let Ok(_place) = reloads.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, TOO_MANY).into_response();
    };
    match ask(&state.reload).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(error)) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        Err(hint) => (StatusCode::SERVICE_UNAVAILABLE, hint).into_response(),
    }
}

/// Returns the supervisor's verdict, or the response if there is none. An accepted request is served
/// even if the client goes away, and this future with it.
async fn ask(
    supervisor: &mpsc::Sender<ReloadRequest>,
) -> Result<Result<ReloadAnswer, String>, &'static str> {
    const ENDING: &str = "503: the agent is shutting down\n";
    let (reply, verdict) = oneshot::channel();
    match timeout(ACCEPT_TIMEOUT, supervisor.send(ReloadRequest { reply })).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(ENDING),
        Err(_) => return Err(TOO_MANY),
    }
    match timeout(VERDICT_TIMEOUT, verdict).await {
        Ok(Ok(verdict)) => Ok(verdict),
        Ok(Err(_)) => Err(ENDING),
        Err(_) => Err("503: the reload is taking unusually long; its result will be in the log\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reload_request_times_out_without_acceptance_or_verdict() {
        let (sender, requests) = mpsc::channel(1);
        let unanswered = ask(&sender).await.unwrap_err();
        assert!(unanswered.contains("unusually long"), "{unanswered}");
        let full = ask(&sender).await.unwrap_err();
        assert!(full.contains("waiting"), "{full}");
        drop(requests);
        assert!(ask(&sender).await.unwrap_err().contains("shutting down"));
    }
}
