//! The judge of requests.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

use super::limit::Bucket;
use super::passwords::{Passwords, Verdict};
use super::rules::Web;

const HEALTHY: &str = "/-/healthy";
const READY: &str = "/-/ready";
const RELOAD: &str = "/-/reload";

/// Time between two log lines about requests that were refused.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// The judge of the requests to all listeners of a process.
#[derive(Default)]
pub struct Guard {
    passwords: Passwords,
    bucket: Bucket,
    /// The rules of the last request.
    rules: Mutex<Weak<Web>>,
    reports: Mutex<Reports>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Reports {
    last: Option<Instant>,
    /// Those since the last line.
    count: u64,
}

/// A client: its address, and its TLS session where there is one.
pub(in crate::http) struct Client {
    pub(in crate::http) address: IpAddr,
    pub(in crate::http) session: Option<Session>,
}

/// A TLS session, and the rules at its handshake.
pub(in crate::http) struct Session {
    pub(in crate::http) config: Arc<ServerConfig>,
    pub(in crate::http) chain: Vec<CertificateDer<'static>>,
}

impl Client {
    /// Returns true if a new connection would come about in the same way.
    pub(in crate::http) fn is_up_to_date(&self, web: &Web) -> bool {
        match (&self.session, &web.tls) {
            (None, None) => true,
            (Some(session), Some(tls)) => Arc::ptr_eq(&session.config, &tls.config),
            _ => false,
        }
    }
}

/// Reasons for which a request is refused, as a label has them.
pub(crate) const REFUSALS: [&str; 6] =
    ["busy", "certificate", "credentials", "handshake", "plain_text", "rate"];

/// Reasons for which a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Refusal {
    /// It is in plain text, and TLS is asked for.
    PlainText,
    /// There was no TLS handshake, so nobody gets a response.
    Handshake,
    /// The client's certificate is no longer accepted.
    Certificate,
    /// More requests than the limit.
    Rate,
    /// No credentials, or wrong ones.
    Credentials { basic: bool, bearer: bool },
    /// Too many passwords of this address wait for their check.
    Busy,
}

/// Credentials of a request.
enum Presented {
    Basic { name: String, password: Vec<u8> },
    Bearer(String),
}

impl Guard {
    /// Judges a request for `path`.
    pub(in crate::http) async fn judge(
        &self,
        web: &Arc<Web>,
        client: &Client,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        self.notice(web);
        if let Some(tls) = &web.tls
            && !client.is_up_to_date(web)
        {
            let session = client.session.as_ref().ok_or(Refusal::PlainText)?;
            if !tls.accepts(&session.chain) {
                self.report(client.address, Refusal::Certificate, "it was accepted before");
                return Err(Refusal::Certificate);
            }
        }
        if web.rate.is_some_and(|rate| !self.bucket.take(rate)) {
            return Err(Refusal::Rate);
        }
        let presented = presented(headers);
        if path == RELOAD
            && let Some(token) = &web.reload_token
        {
            let is_right = matches!(&presented, Some(Presented::Bearer(given)) if token.is(given));
            return self.verdict(
                is_right,
                client,
                Refusal::Credentials { basic: false, bearer: true },
            );
        }
        let is_open = web.open_health && (path == HEALTHY || path == READY);
        if !web.asks_for_credentials() || is_open {
            return Ok(());
        }
        let refusal =
            Refusal::Credentials { basic: !web.users.is_empty(), bearer: !web.tokens.is_empty() };
        match presented {
            None => Err(refusal),
            Some(Presented::Bearer(given)) => {
                // All of them are compared, whichever is right.
                let right = web.tokens.iter().filter(|token| token.is(&given)).count();
                self.verdict(right > 0, client, refusal)
            }
            Some(Presented::Basic { name, password }) if !web.users.is_empty() => {
                let passwords = &self.passwords;
                match passwords.check(&web.users, client.address, &name, &password).await {
                    Verdict::Busy => Err(Refusal::Busy),
                    verdict => self.verdict(verdict == Verdict::Accepted, client, refusal),
                }
            }
            Some(Presented::Basic { .. }) => self.verdict(false, client, refusal),
        }
    }

    fn verdict(&self, is_right: bool, client: &Client, refusal: Refusal) -> Result<(), Refusal> {
        if is_right {
            return Ok(());
        }
        self.report(client.address, refusal, "wrong user, password or token");
        Err(refusal)
    }

    /// Forgets what was accepted under other rules.
    fn notice(&self, web: &Arc<Web>) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::ptr::eq(rules.as_ptr(), Arc::as_ptr(web)) {
            // It keeps the memory of the rules from being used for others, and so their address.
            *rules = Arc::downgrade(web);
            self.passwords.forget();
        }
    }

    /// Logs that a client was refused, and how many were since the last line.
    pub(in crate::http) fn report(&self, address: IpAddr, refusal: Refusal, detail: &str) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.count += 1;
        if reports.last.is_none_or(|last| last.elapsed() >= REPORT_INTERVAL) {
            reports.last = Some(Instant::now());
            let refused = std::mem::take(&mut reports.count);
            tracing::warn!(
                %address,
                reason = refusal.reason(),
                detail,
                refused,
                "the endpoint refused a client; at most one such line a minute, `refused` counts them"
            );
        }
    }
}

impl Refusal {
    pub(in crate::http) fn reason(self) -> &'static str {
        match self {
            Self::PlainText => "plain_text",
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Rate => "rate",
            Self::Credentials { .. } => "credentials",
            Self::Busy => "busy",
        }
    }

    pub(in crate::http) fn response(self) -> Response<Body> {
        let (status, hint) = match self {
            Self::PlainText => {
                (StatusCode::BAD_REQUEST, "400: this endpoint speaks TLS; use https://\n")
            }
            Self::Handshake | Self::Certificate => {
                (StatusCode::FORBIDDEN, "403: the client's certificate is no longer accepted\n")
            }
            Self::Rate => {
                (StatusCode::TOO_MANY_REQUESTS, "429: more requests than rate_limit allows\n")
            }
            Self::Credentials { .. } => {
                (StatusCode::UNAUTHORIZED, "401: this needs a user with password, or a token\n")
            }
            Self::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                "429: too many passwords from this address wait for their check\n",
            ),
        };
        let mut response = (status, hint).into_response();
        let fields = response.headers_mut();
        match self {
            Self::Credentials { basic, bearer } => {
                let basic = basic.then_some(r#"Basic realm="nbu-otel-agent", charset="UTF-8""#);
                let bearer = bearer.then_some(r#"Bearer realm="nbu-otel-agent""#);
                for challenge in basic.into_iter().chain(bearer) {
                    fields.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
            }
            Self::Rate | Self::Busy => {
                fields.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::PlainText | Self::Handshake | Self::Certificate => {
                fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
        }
        response
    }
}

/// Reads the credentials of a request; none where there are several, or in no known form.
fn presented(headers: &HeaderMap) -> Option<Presented> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, rest) = field.to_str().ok()?.trim().split_once(' ')?;
    let rest = rest.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Presented::Bearer(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(pair[..colon].to_vec()).ok()?;
    Some(Presented::Basic { name, password: pair[colon + 1..].to_vec() })
}
