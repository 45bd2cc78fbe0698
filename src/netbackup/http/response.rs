//! The head of a response, and the check that its body is one of the API.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderName, LOCATION};

use crate::net::redact::Redactor;
use crate::net::retry::retry_after;
use crate::netbackup::error::ErrorKind;
use crate::netbackup::version::ApiVersion;
use crate::netbackup::wire::server_message;

/// Characters of a body that an error shows.
pub(super) const MAX_PREVIEW: usize = 120;

/// Characters of the server's own message that an error shows.
const MAX_MESSAGE: usize = 300;

/// The head of a response, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) api_version: Option<ApiVersion>,
    content_type: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// Scheme, host and port of a redirect.
    pub(super) redirect: Option<String>,
}

impl ResponseHead {
    pub(super) fn new(response: &reqwest::Response) -> Self {
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
        let redirect = header(LOCATION).and_then(|text| response.url().join(text).ok());
        Self {
            status: response.status().as_u16(),
            api_version: header(HeaderName::from_static("x-netbackup-api-version"))
                .and_then(|text| text.parse().ok()),
            content_type: header(CONTENT_TYPE).map(str::to_owned),
            retry_after: retry_after(response.headers()),
            redirect: redirect.map(|url| url.origin().ascii_serialization()),
        }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Checks that a response is a success with a body of the right type; a ping's body is text.
pub(super) fn check(
    head: &ResponseHead,
    body: &[u8],
    is_ping: bool,
    redactor: &Redactor,
) -> Result<(), (ErrorKind, String)> {
    if !head.is_success() {
        let kind = match ErrorKind::of_status(head.status) {
            // A ping carries no key, so it is not the server that asks for a login.
            ErrorKind::Unauthorized | ErrorKind::Forbidden if is_ping => ErrorKind::BadRequest,
            kind => kind,
        };
        return Err((kind, describe_failure(head, body, redactor)));
    }
    let problem = if body.trim_ascii().is_empty() {
        "the body is empty".to_owned()
    } else if is_ping {
        return Ok(());
    } else if body.trim_ascii_start().first() == Some(&b'<') {
        "the body is HTML or XML, not JSON".to_owned()
    } else {
        match &head.content_type {
            Some(kind) if !kind.to_ascii_lowercase().contains("json") => {
                format!("the body is {}, not JSON", redactor.line(kind, 60))
            }
            _ => return Ok(()),
        }
    };
    Err((ErrorKind::Body, with_preview(&problem, body, redactor)))
}

/// Returns `problem` and the beginning of the body.
pub(super) fn with_preview(problem: &str, body: &[u8], redactor: &Redactor) -> String {
    let preview = redactor.preview(body, MAX_PREVIEW);
    if preview.is_empty() { problem.to_owned() } else { format!("{problem} ({preview:?})") }
}

/// Returns the status and the server's message: `401 Unauthorized (The supplied token is invalid)`.
fn describe_failure(head: &ResponseHead, body: &[u8], redactor: &Redactor) -> String {
    let reason = StatusCode::from_u16(head.status).ok().and_then(|code| code.canonical_reason());
    let status = match reason {
        Some(reason) => format!("{} {reason}", head.status),
        None => head.status.to_string(),
    };
    match server_message(body) {
        Some(message) => format!("{status} ({})", redactor.line(&message, MAX_MESSAGE)),
        None => with_preview(&status, body, redactor),
    }
}
