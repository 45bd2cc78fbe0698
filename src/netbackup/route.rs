//! The way to a server, and what to check when it fails: with a proxy on it, it is the proxy that
//! refuses, does not resolve or wants credentials, and not NetBackup.

use std::borrow::Cow;

use super::config::Config;

type Hint = Cow<'static, str>;

/// What to check when a name does not resolve.
pub(super) const DNS: &str = "check host, and the name servers of the machine the agent runs on";
/// What to check when a connection is refused.
pub(super) const REFUSED: &str =
    "nothing listens there: check host and port, and whether the NetBackup web service runs";
/// What to check when a connection does not come about.
pub(super) const UNREACHABLE: &str = "check host, port and firewalls";

/// How the requests of a client travel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    proxy: Via,
    https: bool,
    /// Whether there is a client certificate to present.
    identity: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Via {
    Nothing,
    /// The proxy of the configuration, in the form that may be shown.
    Configured(String),
    /// The variable of the environment that may send the requests through a proxy. Its value may
    /// carry credentials, and NO_PROXY may leave the host out.
    Environment(&'static str),
}

impl Route {
    /// `variable` reads the environment.
    pub(super) fn of(
        config: &Config,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Self {
        let https = config.base_url.scheme() == "https";
        let names = if https {
            ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        } else {
            ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        };
        let set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
        let proxy = match &config.proxy {
            Some(proxy) => Via::Configured(proxy.display.clone()),
            None => names.into_iter().find(set).map_or(Via::Nothing, Via::Environment),
        };
        Self { proxy, https, identity: config.identity.is_some() }
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// No connection; `direct` is what to check without a proxy.
    pub(super) fn unreachable(&self, direct: &'static str) -> Hint {
        match &self.proxy {
            Via::Configured(proxy) => format!(
                "the way leads through the proxy {proxy}: check proxyUrl, and that the proxy can \
                 reach the server"
            )
            .into(),
            Via::Nothing | Via::Environment(_) => self.beside(direct),
        }
    }

    /// What fails without the configured proxy having a part in it.
    pub(super) fn beside(&self, direct: &'static str) -> Hint {
        match &self.proxy {
            Via::Environment(variable) => format!(
                "{direct}; {variable} is set in the agent's environment: check that proxy, and that \
                 it can reach the server, or name the host in NO_PROXY"
            )
            .into(),
            Via::Nothing | Via::Configured(_) => direct.into(),
        }
    }

    /// A connection that broke before an answer. A server that wants a client certificate may end
    /// it without a word: with TLS 1.3, the client's part of the handshake is over by then.
    pub(super) fn lost(&self) -> Hint {
        let hint = self.unreachable(UNREACHABLE);
        if !self.https || self.identity {
            return hint;
        }
        format!(
            "{hint}; a server that wants a client certificate (mutual TLS) may hang up on one that \
             shows none: certFile and keyFile set it"
        )
        .into()
    }

    /// Too slow an answer.
    pub(super) fn slow(&self) -> Hint {
        match &self.proxy {
            Via::Configured(_) => {
                format!("{}; timeout can be raised", self.unreachable(UNREACHABLE)).into()
            }
            _ => self.beside("the server is slow or unreachable; timeout can be raised"),
        }
    }

    /// 407.
    pub(super) fn credentials(&self) -> Hint {
        const FORM: &str = "http://USER:PASSWORD@HOST:PORT";
        match &self.proxy {
            Via::Configured(proxy) => {
                format!("proxyUrl needs credentials that the proxy {proxy} accepts: {FORM}").into()
            }
            Via::Environment(variable) => format!(
                "the proxy of {variable} in the agent's environment wants credentials: give them \
                 there, or in proxyUrl, which needs credentials too: {FORM}"
            )
            .into(),
            Via::Nothing => {
                format!("a proxy is on the way: proxyUrl needs credentials that it accepts: {FORM}")
                    .into()
            }
        }
    }

    /// 502 and 504.
    pub(super) fn gateway(&self) -> Hint {
        self.unreachable(
            "what stands before the server got no answer of it: check whether the NetBackup web \
             service runs",
        )
    }

    /// A body that is cut or cannot be read.
    pub(super) fn broken(&self) -> Hint {
        match &self.proxy {
            Via::Configured(proxy) => format!(
                "check the proxy {proxy} (proxyUrl), and for a timeout between here and the server"
            )
            .into(),
            Via::Environment(variable) => format!(
                "check the proxy of {variable} in the agent's environment, and for a timeout between \
                 here and the server"
            )
            .into(),
            Via::Nothing => "check for a proxy or a timeout between here and the server".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::proxy::Proxy;

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

    fn route(config: &Config, set: &[(&str, &str)]) -> Route {
        Route::of(config, |name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_variable_that_applies_to_the_scheme_is_named_and_its_value_is_not() {
        let secret = "http://me:hush@proxy:3128";
        for (base, set, named) in [
            ("https://nbu", "HTTPS_PROXY", true),
            ("https://nbu", "https_proxy", true),
            ("https://nbu", "ALL_PROXY", true),
            ("https://nbu", "HTTP_PROXY", false),
            ("http://nbu", "HTTP_PROXY", true),
            ("http://nbu", "HTTPS_PROXY", false),
        ] {
            let route = route(&config(base), &[(set, secret)]);
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
                assert_eq!(hint.contains(set), named, "{base} {set}: {hint}");
                assert!(!hint.contains("hush"), "{hint}");
            }
        }
        let empty = route(&config("https://nbu"), &[("HTTPS_PROXY", "")]);
        assert_eq!(empty.unreachable(REFUSED), REFUSED);
    }

    #[test]
    fn the_configured_proxy_is_named_and_the_environment_is_not() {
        let mut config = config("https://nbu");
        config.proxy = Some(Proxy {
            url: "http://me:hush@proxy:3128".into(),
            display: "proxy:3128".to_owned(),
        });
        let route = route(&config, &[("HTTPS_PROXY", "http://other:1")]);
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
