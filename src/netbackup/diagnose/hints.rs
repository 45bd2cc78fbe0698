//! Hints for failed requests. Behind a proxy, most connection errors come from the proxy.

use std::borrow::Cow;

use super::response::response_hint;
use super::tls::tls_hint;
use crate::net::proxy::Proxy;
use crate::netbackup::config::Config;
use crate::netbackup::error::ErrorKind;
use crate::netbackup::resource::Resource;

type Hint = Cow<'static, str>;

/// The form of a proxy's address with credentials.
const CREDENTIALS: &str = "http://USER:PASSWORD@HOST:PORT";

/// A failure, as far as its hint depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure<'f> {
    /// The name does not resolve.
    Dns,
    /// The connection was refused.
    Refused,
    /// The connection could not be made.
    Unreachable,
    /// The connection could not be made, and the scheme is http.
    PlainHttp,
    /// The connection broke before a response.
    ConnectionLost,
    /// The request timed out.
    Timeout,
    /// The TLS handshake failed, within the tunnel through the proxy or before it.
    Tls { error: &'f rustls::Error, in_tunnel: bool },
    /// A proxy answered 407.
    ProxyCredentials,
    /// The body was cut off or could not be decoded.
    Body,
    /// The response was not usable.
    Response { kind: ErrorKind, redirect: Option<&'f str>, resource: &'f Resource },
}

/// The settings of a client that its hints depend on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FailureHints {
    proxy: ProxySource,
    /// The proxy by name, if the connection to it uses TLS.
    tls_proxy: Option<String>,
    https: bool,
    /// True if there is a client certificate.
    identity: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum ProxySource {
    None,
    /// The proxy of the configuration, without credentials.
    Configured(String),
    /// The environment variable that names the proxy. Its value may contain credentials.
    Environment(&'static str),
}

impl FailureHints {
    pub(crate) fn new(config: &Config) -> Self {
        let proxy = match &config.proxy {
            None => ProxySource::None,
            Some(Proxy { variable: Some(variable), .. }) => ProxySource::Environment(variable),
            Some(proxy) => ProxySource::Configured(proxy.display.clone()),
        };
        let tls_proxy =
            config.proxy.as_ref().filter(|proxy| proxy.speaks_tls()).map(Proxy::described);
        let https = config.base_url.scheme() == "https";
        Self { proxy, tls_proxy, https, identity: config.identity.is_some() }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// Returns what to check after a failure.
    pub(crate) fn hint_for(&self, failure: Failure<'_>) -> Hint {
        match failure {
            Failure::Dns | Failure::Refused | Failure::Unreachable | Failure::PlainHttp => {
                self.connection_hint(advice(failure))
            }
            Failure::ConnectionLost => self.lost_hint(),
            Failure::Timeout => self.timeout_hint(),
            Failure::Tls { error, in_tunnel } => tls_hint(error, self.tls_peer(in_tunnel)).into(),
            Failure::Body => self.body_hint(),
            Failure::ProxyCredentials | Failure::Response { kind: ErrorKind::Proxy, .. } => {
                self.credentials_hint()
            }
            Failure::Response { kind: ErrorKind::Gateway, .. } => self.connection_hint(
                "a gateway in front of the server got no response from it: check that the \
                 NetBackup web service is running",
            ),
            Failure::Response { kind, redirect, resource } => {
                response_hint(kind, redirect, resource)
            }
        }
    }

    /// Returns what to check after a failure of a connection that bypasses the configured proxy.
    pub(crate) fn hint_without_proxy(&self, failure: Failure<'_>) -> Hint {
        self.environment_hint(advice(failure))
    }

    fn connection_hint(&self, advice: &'static str) -> Hint {
        match &self.proxy {
            ProxySource::Configured(proxy) => format!(
                "the connection goes through the proxy {proxy}: check proxyUrl, and that the \
                 proxy can reach the server"
            )
            .into(),
            ProxySource::None | ProxySource::Environment(_) => self.environment_hint(advice),
        }
    }

    fn environment_hint(&self, advice: &'static str) -> Hint {
        match &self.proxy {
            ProxySource::Environment(variable) => format!(
                "{advice}; {variable} is set in the agent's environment: check that proxy, and \
                 that it can reach the server, or add the host to NO_PROXY"
            )
            .into(),
            ProxySource::None | ProxySource::Configured(_) => advice.into(),
        }
    }

    /// A server that requires a client certificate may close the connection without an alert: with
    /// TLS 1.3, the client's part of the handshake is complete by then.
    fn lost_hint(&self) -> Hint {
        let hint = self.hint_for(Failure::Unreachable);
        if !self.https || self.identity {
            return hint;
        }
        format!(
            "{hint}; if the server requires a client certificate (mutual TLS), set certFile and \
             keyFile"
        )
        .into()
    }

    fn timeout_hint(&self) -> Hint {
        match &self.proxy {
            ProxySource::Configured(_) => {
                format!("{}; or increase timeout", self.hint_for(Failure::Unreachable)).into()
            }
            ProxySource::None | ProxySource::Environment(_) => {
                self.environment_hint(advice(Failure::Timeout))
            }
        }
    }

    fn credentials_hint(&self) -> Hint {
        match &self.proxy {
            ProxySource::Configured(proxy) => {
                format!("proxyUrl needs credentials that the proxy {proxy} accepts: {CREDENTIALS}")
            }
            ProxySource::Environment(variable) => format!(
                "the proxy in {variable} of the agent's environment requires credentials: add \
                 them there, or set proxyUrl with credentials: {CREDENTIALS}"
            ),
            ProxySource::None => format!(
                "a proxy in between requires credentials: set proxyUrl with credentials: \
                 {CREDENTIALS}"
            ),
        }
        .into()
    }

    fn body_hint(&self) -> Hint {
        let proxy = match &self.proxy {
            ProxySource::Configured(proxy) => format!("the proxy {proxy} (proxyUrl)"),
            ProxySource::Environment(variable) => {
                format!("the proxy in {variable} of the agent's environment")
            }
            ProxySource::None => {
                return "check for a proxy or a timeout between the agent and the server".into();
            }
        };
        format!("check {proxy}, and for timeouts between the agent and the server").into()
    }

    /// Returns the name of the peer of a TLS handshake.
    fn tls_peer(&self, in_tunnel: bool) -> &str {
        match &self.tls_proxy {
            Some(proxy) if !self.https || !in_tunnel => proxy,
            _ => "the server",
        }
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
        _ => "check host, port and firewalls",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::netbackup::resource::PING;

    fn config(base: &str) -> Config {
        Config {
            site: "paris".to_owned(),
            base_url: base.parse().unwrap(),
            api_key: "key".into(),
            api_version: None,
            insecure_skip_verify: false,
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
        let hints = FailureHints::new(&config);
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
        let shown = failures.map(|failure| hints.hint_for(failure));
        for hint in shown.into_iter().chain([hints.hint_without_proxy(Failure::Dns)]) {
            assert!(hint.contains("https_proxy") && !hint.contains("hush"), "{hint}");
        }
        config.proxy = None;
        assert_eq!(FailureHints::new(&config).hint_for(Failure::Refused), advice(Failure::Refused));
    }

    #[test]
    fn tls_peer_is_the_proxy_until_the_tunnel_stands() {
        let mut config = config("https://nbu");
        config.proxy = Proxy::parse("https://proxy:3128");
        let proxy = "the proxy proxy:3128 (proxyUrl)";
        assert_eq!(FailureHints::new(&config).tls_peer(false), proxy);
        assert_eq!(FailureHints::new(&config).tls_peer(true), "the server");
        config.base_url = "http://nbu".parse().unwrap();
        assert_eq!(FailureHints::new(&config).tls_peer(true), proxy);
        config.proxy = Proxy::parse("http://proxy:3128");
        assert_eq!(FailureHints::new(&config).tls_peer(false), "the server");
    }

    #[test]
    fn hint_names_the_configured_proxy_but_not_the_environment() {
        let mut config = config("https://nbu");
        config.proxy = Some(proxy(None));
        let hints = FailureHints::new(&config);
        let gateway =
            Failure::Response { kind: ErrorKind::Gateway, redirect: None, resource: &PING };
        let failures = [Failure::Refused, Failure::ConnectionLost, Failure::Timeout, gateway];
        for hint in failures.map(|failure| hints.hint_for(failure)) {
            assert!(hint.contains("proxy:3128"), "{hint}");
            assert!(
                hint.contains("check proxyUrl, and that the proxy can reach the server"),
                "{hint}"
            );
            assert!(!hint.contains("HTTPS_PROXY") && !hint.contains("NetBackup"), "{hint}");
        }
        assert!(hints.hint_for(Failure::ProxyCredentials).contains("proxyUrl needs credentials"));
    }
}
