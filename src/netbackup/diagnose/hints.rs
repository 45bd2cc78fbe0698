//! The way to a server, and what to check when it fails: with a proxy on it, it is the proxy that
//! refuses, does not resolve or wants credentials, and not NetBackup.

use std::borrow::Cow;

use crate::net::proxy::Proxy;
use crate::netbackup::config::Config;

type Hint = Cow<'static, str>;

/// What to check when a name does not resolve.
pub(crate) const DNS: &str = "check host, and the DNS servers of the agent's machine";
/// What to check when a connection is refused.
pub(crate) const REFUSED: &str =
    "nothing listens there: check host and port, and that the NetBackup web service is running";
/// What to check when a connection does not come about.
pub(crate) const UNREACHABLE: &str = "check host, port and firewalls";

/// How the requests of a client travel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    proxy: Via,
    /// The proxy by name, where the connection to it is TLS.
    tls_proxy: Option<String>,
    https: bool,
    /// True if there is a client certificate to present.
    identity: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Via {
    Nothing,
    /// The proxy of the configuration, in the form that may be shown.
    Configured(String),
    /// The variable of the environment that names the proxy. Its value may carry credentials.
    Environment(&'static str),
}

impl Route {
    pub(crate) fn of(config: &Config) -> Self {
        let proxy = match &config.proxy {
            None => Via::Nothing,
            Some(Proxy { variable: Some(variable), .. }) => Via::Environment(variable),
            Some(proxy) => Via::Configured(proxy.display.clone()),
        };
        let proxy_name =
            config.proxy.as_ref().filter(|proxy| proxy.speaks_tls()).map(Proxy::described);
        let https = config.base_url.scheme() == "https";
        Self { proxy, tls_proxy: proxy_name, https, identity: config.identity.is_some() }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// No connection; `direct` is what to check without a proxy.
    pub(crate) fn unreachable(&self, direct: &'static str) -> Hint {
        match &self.proxy {
            Via::Configured(proxy) => format!(
                "the connection goes through the proxy {proxy}: check proxyUrl, and that the \
                 proxy can \
                 reach the server"
            )
            .into(),
            Via::Nothing | Via::Environment(_) => self.beside(direct),
        }
    }

    /// What fails without the configured proxy having a part in it.
    pub(crate) fn beside(&self, direct: &'static str) -> Hint {
        match &self.proxy {
            Via::Environment(variable) => format!(
                "{direct}; {variable} is set in the agent's environment: check that proxy, and that \
                 it can reach the server, or add the host to NO_PROXY"
            )
            .into(),
            Via::Nothing | Via::Configured(_) => direct.into(),
        }
    }

    /// A connection that broke before an answer. A server that wants a client certificate may end
    /// it without a word: with TLS 1.3, the client's part of the handshake is over by then.
    pub(crate) fn lost(&self) -> Hint {
        let hint = self.unreachable(UNREACHABLE);
        if !self.https || self.identity {
            return hint;
        }
        format!(
            "{hint}; if the server requires a client certificate (mutual TLS), set certFile and \
             keyFile"
        )
        .into()
    }

    /// Too slow an answer.
    pub(crate) fn slow(&self) -> Hint {
        match &self.proxy {
            Via::Configured(_) => {
                format!("{}; or increase timeout", self.unreachable(UNREACHABLE)).into()
            }
            _ => self.beside("the server is slow or unreachable: check it, or increase timeout"),
        }
    }

    /// 407.
    pub(crate) fn credentials(&self) -> Hint {
        const FORM: &str = "http://USER:PASSWORD@HOST:PORT";
        match &self.proxy {
            Via::Configured(proxy) => {
                format!("proxyUrl needs credentials that the proxy {proxy} accepts: {FORM}").into()
            }
            Via::Environment(variable) => format!(
                "the proxy in {variable} of the agent's environment requires credentials: add \
                 them there, or set proxyUrl with credentials: {FORM}"
            )
            .into(),
            Via::Nothing => format!(
                "a proxy in between requires credentials: set proxyUrl with credentials: {FORM}"
            )
            .into(),
        }
    }

    /// Names whose part of a TLS handshake failed; `in_tunnel` is false while the connection to the
    /// proxy is made.
    pub(crate) fn tls_peer(&self, in_tunnel: bool) -> String {
        match &self.tls_proxy {
            Some(proxy) if !self.https || !in_tunnel => proxy.clone(),
            _ => "the server".to_owned(),
        }
    }

    /// 502 and 504.
    pub(crate) fn gateway(&self) -> Hint {
        self.unreachable(
            "a gateway in front of the server got no response from it: check that the NetBackup \
             web service is running",
        )
    }

    /// A body that is cut or cannot be read.
    pub(crate) fn broken(&self) -> Hint {
        match &self.proxy {
            Via::Configured(proxy) => format!(
                "check the proxy {proxy} (proxyUrl), and for timeouts between the agent and the \
                 server"
            )
            .into(),
            Via::Environment(variable) => format!(
                "check the proxy in {variable} of the agent's environment, and for timeouts \
                 between the agent and the server"
            )
            .into(),
            Via::Nothing => {
                "check for a proxy or a timeout between the agent and the server".into()
            }
        }
    }
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
    fn the_variable_of_the_proxy_is_named_and_its_value_is_not() {
        let mut config = config("https://nbu");
        config.proxy = Some(proxy(Some("https_proxy")));
        let route = Route::of(&config);
        let hints = [
            route.unreachable(REFUSED),
            route.beside(DNS),
            route.lost(),
            route.slow(),
            route.credentials(),
            route.gateway(),
            route.broken(),
        ];
        for hint in hints {
            assert!(hint.contains("https_proxy") && !hint.contains("hush"), "{hint}");
        }
        config.proxy = None;
        assert_eq!(Route::of(&config).unreachable(REFUSED), REFUSED);
    }

    #[test]
    fn tls_peer_is_the_proxy_until_the_tunnel_stands() {
        let mut config = config("https://nbu");
        config.proxy = Proxy::parse("https://proxy:3128");
        let proxy = "the proxy proxy:3128 (proxyUrl)";
        assert_eq!(Route::of(&config).tls_peer(false), proxy);
        assert_eq!(Route::of(&config).tls_peer(true), "the server");
        config.base_url = "http://nbu".parse().unwrap();
        assert_eq!(Route::of(&config).tls_peer(true), proxy);
        config.proxy = Proxy::parse("http://proxy:3128");
        assert_eq!(Route::of(&config).tls_peer(false), "the server");
    }

    #[test]
    fn the_configured_proxy_is_named_and_the_environment_is_not() {
        let mut config = config("https://nbu");
        config.proxy = Some(proxy(None));
        let route = Route::of(&config);
        for hint in [route.unreachable(REFUSED), route.lost(), route.slow(), route.gateway()] {
            assert!(hint.contains("proxy:3128"), "{hint}");
            assert!(
                hint.contains("check proxyUrl, and that the proxy can reach the server"),
                "{hint}"
            );
            assert!(!hint.contains("HTTPS_PROXY") && !hint.contains("NetBackup"), "{hint}");
        }
        assert!(route.credentials().contains("proxyUrl needs credentials"));
    }
}
