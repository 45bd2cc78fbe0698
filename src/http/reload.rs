//! POST /-/reload: asks the supervisor to read the configuration anew, and answers with its verdict.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::State;

/// How long the supervisor may take to accept the request: it may be busy with another.
const TAKEN: Duration = Duration::from_secs(5);

/// How long it may take for the verdict. What hangs longer is a file system or a resolver.
const DONE: Duration = Duration::from_secs(60);

/// A request to read the configuration anew, on its way to the supervisor.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Takes the verdict: what changed, or why nothing did. The client may be gone by then; the
    /// reload is done all the same.
    pub reply: oneshot::Sender<Result<ReloadAnswer, String>>,
}

/// What a reload did.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ReloadAnswer {
    /// Whether anything changed.
    pub result: ReloadResult,
    /// What changed, as JSON has it; no secret is in it.
    pub changes: serde_json::Value,
}

/// Verdicts on a configuration that is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadResult {
    /// It is in force now.
    Applied,
    /// It was in force already.
    Unchanged,
}

pub(super) async fn reload(
    Extract(state): Extract<Arc<State>>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if method != Method::POST && method != Method::PUT {
        let hint = "405: POST reads the configuration anew\n";
        let allow = [(header::ALLOW, "POST, PUT")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, hint).into_response();
    }
    if !state.lifecycle.load(Relaxed) {
        let hint = "403: reloads over HTTP are off; set server.lifecycle: true, or send SIGHUP\n";
        return (StatusCode::FORBIDDEN, hint).into_response();
    }
    if is_of_another_page(&headers) {
        let hint = "403: pages of other origins cannot ask for a reload\n";
        return (StatusCode::FORBIDDEN, hint).into_response();
    }
    match ask(&state.reload).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(error)) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        Err(hint) => (StatusCode::SERVICE_UNAVAILABLE, hint).into_response(),
    }
}

/// The supervisor's verdict, or why there is none. What was handed over is done even where the client
/// goes away and this future with it.
async fn ask(
    supervisor: &mpsc::Sender<ReloadRequest>,
) -> Result<Result<ReloadAnswer, String>, &'static str> {
    const ENDING: &str = "503: the agent is ending\n";
    let (reply, verdict) = oneshot::channel();
    match timeout(TAKEN, supervisor.send(ReloadRequest { reply })).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(ENDING),
        Err(_) => return Err("503: too many reloads are waiting; try again later\n"),
    }
    match timeout(DONE, verdict).await {
        Ok(Ok(verdict)) => Ok(verdict),
        Ok(Err(_)) => Err(ENDING),
        Err(_) => Err("503: the reload takes unusually long; its verdict will be in the log\n"),
    }
}

/// Whether a browser sent this for a page that is not of this endpoint. Nobody else sends the headers.
fn is_of_another_page(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let foreign_origin = headers.get_all(header::ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        !matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
    });
    let own_site = ["same-origin", "none"];
    let foreign_site = headers.get_all("sec-fetch-site").iter().any(|site| {
        !site.to_str().is_ok_and(|site| own_site.contains(&site.to_ascii_lowercase().as_str()))
    });
    foreign_origin || foreign_site
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_endpoint_itself_are_its_own() {
        for (fields, foreign) in [
            (&[("host", "a:9440")][..], false),
            (&[("host", "a:9440"), ("origin", "http://a:9440")], false),
            (&[("host", "a.example"), ("origin", "https://A.example")], false),
            (&[("host", "a:9440"), ("origin", "http://b:9440")], true),
            (&[("host", "a:9440"), ("origin", "http://a:80")], true),
            (&[("host", "a:9440"), ("origin", "http://a:9440"), ("origin", "http://b")], true),
            (&[("host", "a:9440"), ("origin", "null")], true),
            (&[("origin", "http://a:9440")], true),
            (&[("host", "a:9440"), ("sec-fetch-site", "none")], false),
            (&[("host", "a:9440"), ("sec-fetch-site", "same-origin")], false),
            (&[("host", "a:9440"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "a:9440"), ("sec-fetch-site", "same-site")], true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(is_of_another_page(&headers), foreign, "{fields:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_supervisor_that_takes_or_answers_nothing_is_not_waited_for_without_end() {
        let (sender, requests) = mpsc::channel(1);
        let unanswered = ask(&sender).await.unwrap_err();
        assert!(unanswered.contains("unusually long"), "{unanswered}");
        let full = ask(&sender).await.unwrap_err();
        assert!(full.contains("waiting"), "{full}");
        drop(requests);
        assert!(ask(&sender).await.unwrap_err().contains("ending"));
    }
}
