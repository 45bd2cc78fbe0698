//! Hints for failed requests. Behind a proxy, most connection errors come from the proxy.

use super::tls::tls_hint;
use crate::net::proxy::Proxy;
use crate::netbackup::config::Config;
use crate::netbackup::error::ErrorKind;
use crate::netbackup::resource::{PING, Resource};

const CREDENTIALS: &str = "http://USER:PASSWORD@HOST:PORT";

/// A failure, as far as its hint depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure<'f> {
    Dns,
    Refused,
    Unreachable,
    /// The connection could not be made, and the scheme is http.
    PlainHttp,
    /// The connection broke before a response.
    ConnectionLost,
    Timeout,
    /// The TLS handshake failed, within the tunnel through the proxy or before it.
    Tls {
        error: &'f rustls::Error,
        in_tunnel: bool,
    },
    /// A proxy answered 407.
    ProxyCredentials,
    /// The body was cut off or could not be decoded.
    Body,
    Response {
        kind: ErrorKind,
        redirect: Option<&'f str>,
        resource: &'f Resource,
    },
}

/// Returns what to check after a failure of a client with these settings.
pub(crate) fn hint(config: &Config, failure: Failure<'_>) -> String {
    match failure {
        Failure::Tls { error, in_tunnel } => tls_hint(error, &tls_peer(config, in_tunnel)),
        Failure::Body => body_hint(config),
        Failure::ProxyCredentials | Failure::Response { kind: ErrorKind::Proxy, .. } => {
            credentials_hint(config)
        }
        Failure::Response { kind, redirect, resource } if kind != ErrorKind::Gateway => {
            response_hint(kind, redirect, resource)
        }
        // A server that requires a client certificate may close the connection without an alert:
        // with TLS 1.3, the client's part of the handshake is complete by then.
        Failure::ConnectionLost if is_https(config) && config.identity.is_none() => {
            connection_hint(config, failure)
                + "; if the server requires a client certificate (mutual TLS), set certFile and \
                   keyFile"
        }
        Failure::Timeout if matches!(&config.proxy, Some(Proxy { variable: None, .. })) => {
            connection_hint(config, failure) + "; or increase timeout"
        }
        _ => connection_hint(config, failure),
    }
}

pub(super) fn is_https(config: &Config) -> bool {
    config.base_url.scheme() == "https"
}

fn connection_hint(config: &Config, failure: Failure<'_>) -> String {
    match &config.proxy {
        Some(Proxy { variable: None, display, .. }) => format!(
            "the connection goes through the proxy {display}: check proxyUrl, and that the proxy \
             can reach the server"
        ),
        _ => hint_without_proxy(config, failure),
    }
}

/// Returns what to check after a failure of a connection that bypasses the configured proxy.
pub(super) fn hint_without_proxy(config: &Config, failure: Failure<'_>) -> String {
    let advice = advice(failure);
    match &config.proxy {
        Some(Proxy { variable: Some(variable), .. }) => format!(
            "{advice}; {variable} is set in the agent's environment: check that proxy, and that \
             it can reach the server, or add the host to NO_PROXY"
        ),
        _ => advice.to_owned(),
    }
}

/// Returns what to check if there is no proxy.
const fn advice(failure: Failure<'_>) -> &'static str {
    match failure {
        Failure::Dns => "check host, and the DNS servers of the agent's machine",
        Failure::Refused => {
            "nothing listens there: check host and port, and that the NetBackup web service is \
             running"
        }
        Failure::PlainHttp => "check host, port and scheme (NetBackup uses https)",
        Failure::Timeout => "the server is slow or unreachable: check it, or increase timeout",
        Failure::Response { .. } => {
            "a gateway in front of the server got no response from it: check that the NetBackup \
             web service is running"
        }
        _ => "check host, port and firewalls",
    }
}

// Messages name the variable of a proxy in the environment, not its value: that may have credentials.
fn credentials_hint(config: &Config) -> String {
    match &config.proxy {
        Some(Proxy { variable: None, display, .. }) => {
            format!("proxyUrl needs credentials that the proxy {display} accepts: {CREDENTIALS}")
        }
        Some(Proxy { variable: Some(variable), .. }) => format!(
            "the proxy in {variable} of the agent's environment requires credentials: add them \
             there, or set proxyUrl with credentials: {CREDENTIALS}"
        ),
        None => format!(
            "a proxy in between requires credentials: set proxyUrl with credentials: {CREDENTIALS}"
        ),
    }
}

fn body_hint(config: &Config) -> String {
    let proxy = match &config.proxy {
        Some(Proxy { variable: None, display, .. }) => format!("the proxy {display} (proxyUrl)"),
        Some(Proxy { variable: Some(variable), .. }) => {
            format!("the proxy in {variable} of the agent's environment")
        }
        None => {
            return "check for a proxy or a timeout between the agent and the server".to_owned();
        }
    };
    format!("check {proxy}, and for timeouts between the agent and the server")
}

/// Returns the name of the peer of a TLS handshake.
fn tls_peer(config: &Config, in_tunnel: bool) -> String {
    match config.proxy.as_ref().filter(|proxy| proxy.speaks_tls()) {
        Some(proxy) if !is_https(config) || !in_tunnel => proxy.described(),
        _ => "the server".to_owned(),
    }
}

/// Returns what to check after a response that is not usable.
fn response_hint(kind: ErrorKind, redirect: Option<&str>, resource: &Resource) -> String {
    let is_ping = *resource == PING;
    let permission = || match resource.permission {
        None => String::new(),
        Some(permission) => format!(", or lack the permission {permission}"),
    };
    let fixed = match (kind, redirect) {
        (ErrorKind::Unauthorized, _) => {
            return format!("check apiKey: it may be expired or deleted{}", permission());
        }
        (ErrorKind::Forbidden, _) => {
            return format!("the key's role may be too narrow{}", permission());
        }
        (ErrorKind::Redirect, Some(origin)) => {
            return format!(
                "the redirect to {origin} is not followed, because that would send the API key \
                 there: check scheme, host, port and uri"
            );
        }
        (ErrorKind::Redirect, None) => {
            "redirects are not followed: check scheme, host, port and uri"
        }
        (ErrorKind::NotFound, _) if is_ping => "check uri, host and port: every release has /ping",
        (ErrorKind::NotFound, _) => {
            "this NetBackup release may not have this resource; check uri, too"
        }
        (ErrorKind::Version, _) => {
            "the server, or a proxy in front of it, does not accept this API version or method: \
             check apiVersion and uri"
        }
        (ErrorKind::BadRequest, _) if is_ping => {
            "a ping needs no API key, so something in front of the server requires a login: check \
             host, port, uri and proxyUrl"
        }
        (ErrorKind::BadRequest, _) => {
            "this NetBackup release may not support the request: the agent needs NetBackup 10.3 \
             or later"
        }
        (ErrorKind::RateLimited | ErrorKind::Busy, _) => {
            "the server is busy: increase collectionInterval, or lower maxConcurrentRequests"
        }
        (ErrorKind::Body, _) => {
            "a proxy or another service may have answered: check host, port and uri"
        }
        // Status 500 and the like; the other kinds have no response.
        _ => {
            "check the log of the NetBackup web service on the primary server; the next poll \
             retries"
        }
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(base: &str) -> Config {
        Config {
            site: "paris".to_owned(),
            base_url: base.parse().unwrap(),
            api_key: "key".into(),
            api_version: None,
            allow_plain_text: false,
            insecure_skip_verify: false,
            fingerprints: Vec::new(),
            ca: None,
            roots: None,
            identity: None,
            proxy: None,
            timeout: Duration::from_secs(1),
            max_concurrent_requests: 1,
        }
    }

    fn proxy(variable: Option<&'static str>) -> Proxy {
        Proxy { variable, ..Proxy::parse("http://me:hush@proxy:3128").unwrap() }
    }

    #[test]
    fn hint_names_the_proxy_variable_but_not_its_value() {
        let mut config = config("https://nbu");
        config.proxy = Some(proxy(Some("https_proxy")));
        let gateway =
            Failure::Response { kind: ErrorKind::Gateway, redirect: None, resource: &PING };
        let failures = [
            Failure::Refused,
            Failure::ConnectionLost,
            Failure::Timeout,
            Failure::ProxyCredentials,
            gateway,
            Failure::Body,
        ];
        let shown = failures.map(|failure| hint(&config, failure));
        for hint in shown.into_iter().chain([hint_without_proxy(&config, Failure::Dns)]) {
            assert!(hint.contains("https_proxy") && !hint.contains("hush"), "{hint}");
        }
        config.proxy = None;
        assert_eq!(hint(&config, Failure::Refused), advice(Failure::Refused));
    }

    #[test]
    fn tls_peer_is_the_proxy_until_the_tunnel_stands() {
        let mut config = config("https://nbu");
        config.proxy = Proxy::parse("https://proxy:3128");
        let proxy = "the proxy proxy:3128 (proxyUrl)";
        assert_eq!(tls_peer(&config, false), proxy);
        assert_eq!(tls_peer(&config, true), "the server");
        config.base_url = "http://nbu".parse().unwrap();
        assert_eq!(tls_peer(&config, true), proxy);
        config.proxy = Proxy::parse("http://proxy:3128");
        assert_eq!(tls_peer(&config, false), "the server");
    }

    #[test]
    fn hint_names_the_configured_proxy_but_not_the_environment() {
        let mut config = config("https://nbu");
        config.proxy = Some(proxy(None));
        let gateway =
            Failure::Response { kind: ErrorKind::Gateway, redirect: None, resource: &PING };
        let failures = [Failure::Refused, Failure::ConnectionLost, Failure::Timeout, gateway];
        for hint in failures.map(|failure| hint(&config, failure)) {
            assert!(hint.contains("proxy:3128"), "{hint}");
            assert!(
                hint.contains("check proxyUrl, and that the proxy can reach the server"),
                "{hint}"
            );
            assert!(!hint.contains("HTTPS_PROXY") && !hint.contains("NetBackup"), "{hint}");
        }
        assert!(hint(&config, Failure::ProxyCredentials).contains("proxyUrl needs credentials"));
    }
}
