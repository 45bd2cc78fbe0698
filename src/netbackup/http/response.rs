//! What came back: the head of an answer, and whether its body is what the API answers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderName, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use crate::net::redact::Redactor;
use crate::net::retry::{answer_time, parse_retry_after};
use crate::netbackup::client::Client;
use crate::netbackup::diagnose::hints::Route;
use crate::netbackup::error::{Error, ErrorKind, Server};
use crate::netbackup::ping::PING;
use crate::netbackup::resource::Resource;
use crate::netbackup::version::ApiVersion;
use crate::netbackup::wire::decode_list;
use crate::netbackup::wire::lenient;
use crate::netbackup::wire::repair::repair;

/// Characters of a body that an error shows.
const PREVIEW: usize = 120;
/// Characters of the server's own message that an error shows.
const MESSAGE: usize = 300;

/// What matters of an answer's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) api_version: Option<ApiVersion>,
    retry_after: Option<Duration>,
    /// Scheme, host and port of a redirect.
    location: Option<String>,
}

impl Head {
    pub(crate) fn of(response: &reqwest::Response) -> Self {
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
        let now: Timestamp = answer_time(header(DATE));
        let location = header(LOCATION).and_then(|text| response.url().join(text).ok());
        Self {
            status: response.status().as_u16(),
            content_type: header(CONTENT_TYPE).map(str::to_owned),
            api_version: header(HeaderName::from_static("x-netbackup-api-version"))
                .and_then(|text| text.parse().ok()),
            retry_after: header(RETRY_AFTER).and_then(|text| parse_retry_after(text, now)),
            location: location.map(|url| url.origin().ascii_serialization()),
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What is wrong with an answer.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: ErrorKind,
    detail: String,
}

/// Whether an answer is a success with a body of the right kind; a ping's body is text.
pub(crate) fn check(
    head: &Head,
    body: &[u8],
    ping: bool,
    redactor: &Redactor,
) -> Result<(), Fault> {
    if !head.is_success() {
        let kind = match ErrorKind::of_status(head.status) {
            // A ping carries no key: it is something else that asks for a login.
            ErrorKind::Unauthorized | ErrorKind::Forbidden if ping => ErrorKind::BadRequest,
            kind => kind,
        };
        return Err(Fault { kind, detail: failure(head, body, redactor) });
    }
    let problem = if body.trim_ascii().is_empty() {
        "the body is empty".to_owned()
    } else if ping {
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
    Err(Fault { kind: ErrorKind::Body, detail: with_preview(&problem, body, redactor) })
}

/// `problem` and the beginning of the body.
pub(crate) fn with_preview(problem: &str, body: &[u8], redactor: &Redactor) -> String {
    let preview = redactor.preview(body, PREVIEW);
    if preview.is_empty() { problem.to_owned() } else { format!("{problem} ({preview:?})") }
}

impl Fault {
    pub(crate) fn into_error(
        self,
        server: &Arc<Server>,
        resource: &'static Resource,
        head: &Head,
        route: &Route,
    ) -> Error {
        let kind = self.kind;
        Error::new(server, resource, kind, self.detail)
            .with_status(head.status)
            .with_retry_after(head.retry_after)
            .with_hint(hint(kind, head, resource, route))
    }
}

/// `401 Unauthorized (The supplied token is invalid)`.
fn failure(head: &Head, body: &[u8], redactor: &Redactor) -> String {
    let reason = StatusCode::from_u16(head.status).ok().and_then(|code| code.canonical_reason());
    let status = match reason {
        Some(reason) => format!("{} {reason}", head.status),
        None => head.status.to_string(),
    };
    match message(body) {
        Some(said) => format!("{status} ({})", redactor.line(&said, MESSAGE)),
        None => with_preview(&status, body, redactor),
    }
}

/// The vendor's ErrorResponse (docs/netbackup-api.md#errors), read leniently.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorResponse {
    #[serde(deserialize_with = "lenient::integer")]
    error_code: Option<i64>,
    #[serde(deserialize_with = "lenient::owned_text")]
    error_message: Option<String>,
}

/// Returns the server's own message, if the body has one.
pub(crate) fn message(body: &[u8]) -> Option<String> {
    let said = serde_json::from_slice::<ErrorResponse>(body).ok()?;
    let text = said.error_message.filter(|text| !text.trim().is_empty());
    match (text, said.error_code) {
        (Some(text), Some(code)) => Some(format!("{text}, errorCode {code}")),
        (Some(text), None) => Some(text),
        (None, Some(code)) => Some(format!("errorCode {code}")),
        (None, None) => None,
    }
}

fn hint(kind: ErrorKind, head: &Head, resource: &Resource, route: &Route) -> Cow<'static, str> {
    let permission = if resource.permission.is_empty() {
        String::new()
    } else {
        format!(", or lack the permission {}", resource.permission)
    };
    let fixed = match kind {
        ErrorKind::Unauthorized => {
            return format!("check apiKey: it may be expired or deleted{permission}").into();
        }
        ErrorKind::Forbidden => {
            return format!("the key's role may be too narrow{permission}").into();
        }
        ErrorKind::Redirect => match &head.location {
            Some(origin) => {
                return format!(
                    "the redirect to {origin} is not followed, because that would send the API \
                     key there: check scheme, host, port and uri"
                )
                .into();
            }
            None => "redirects are not followed: check scheme, host, port and uri",
        },
        ErrorKind::Proxy => return route.credentials(),
        ErrorKind::Gateway => return route.gateway(),
        ErrorKind::NotFound if *resource == PING => {
            "check uri, host and port: every release has /ping"
        }
        ErrorKind::NotFound => "this NetBackup release may not have this resource; check uri, too",
        ErrorKind::Version => {
            "the server, or a proxy in front of it, does not accept this API version or method: \
             check apiVersion and uri"
        }
        ErrorKind::BadRequest if *resource == PING => {
            "a ping needs no API key, so something in front of the server requires a login: check \
             host, port, uri and proxyUrl"
        }
        ErrorKind::BadRequest => {
            "this NetBackup release may not support the request: the agent needs NetBackup 10.3 \
             or later"
        }
        ErrorKind::RateLimited | ErrorKind::Busy => {
            "the server is busy: increase collectionInterval, or lower maxConcurrentRequests"
        }
        ErrorKind::Body => "a proxy or another service may have answered: check host, port and uri",
        // What is left is a status of 500 and its like; other kinds have no answer.
        _ => {
            "check the log of the NetBackup web service on the primary server; the next poll \
             retries"
        }
    };
    fixed.into()
}

/// A document that is no list.
pub struct Body {
    pub(crate) client: Client,
    pub(crate) made_by: Arc<Connection>,
    pub(crate) resource: &'static Resource,
    pub(crate) bytes: Vec<u8>,
}

impl Body {
    /// Reads it, borrowing from its bytes.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            not_json(&self.client, &self.made_by, self.resource, &error.to_string(), &self.bytes)
        })
    }

    /// Reads a list that does not page. Elements that cannot be read are noted, and left out.
    ///
    /// # Errors
    ///
    /// Where it is no list.
    pub fn list<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        let read = |body: &[u8]| decode_list::<T>(body);
        let list = match read(&self.bytes) {
            Ok(list) if list.bad.is_empty() => Ok(list),
            other => repair(&self.bytes).map_or(other, |repaired| read(&repaired)),
        };
        let list = list.map_err(|error| {
            not_json(&self.client, &self.made_by, self.resource, &error.0, &self.bytes)
        })?;
        self.client.note_unreadable(self.resource, &self.made_by.redactor, &list.bad);
        Ok(list.rows)
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (resource, length) = (self.resource.name, self.bytes.len());
        f.debug_struct("Body")
            .field("resource", &resource)
            .field("length", &length)
            .finish_non_exhaustive()
    }
}

/// A body that is not the JSON that it should be; it came over the connection `made_by`.
pub(crate) fn not_json(
    client: &Client,
    made_by: &Connection,
    resource: &'static Resource,
    problem: &str,
    body: &[u8],
) -> Error {
    let redactor = &made_by.redactor;
    let problem = format!("cannot decode the body: {}", redactor.line(problem, PREVIEW));
    let detail = with_preview(&problem, body, redactor);
    Error::new(&client.0.server, resource, ErrorKind::Body, detail)
        .with_status(200)
        .with_hint(made_by.route.broken())
}
