//! The proxy of a server, from the configuration or the environment.
//!
//! The environment follows curl's rules, which are applied here once for each server: NetBackup, and
//! OTLP over HTTP and gRPC. The matcher of hyper-util, which reqwest includes, supports neither
//! `host:port` nor `*` nor `*.domain`, and gRPC does not use it.

mod exceptions;

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use self::exceptions::Exception;

/// Variables that name proxies, those of each kind in order of precedence.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A proxy. Its address may contain credentials, so all of it is a secret.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The address as it was given, with a scheme.
    pub url: SecretString,
    /// Host and port, fit for messages.
    pub display: String,
    /// The environment variable that names it; `None` if the configuration does.
    pub variable: Option<&'static str>,
}

impl PartialEq for Proxy {
    /// Returns true if both lead to the same proxy with the same credentials.
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
    }
}

impl Proxy {
    /// Reads an address such as `http://user:password@proxy.example.com:3128`; `None` if it is not an
    /// address, or if the kind of proxy is not supported.
    pub fn parse(address: &str) -> Option<Self> {
        let url =
            Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let display = format!("{host}:{port}");
        Some(Self { url: SecretString::from(address), display, variable: None })
    }

    /// Returns true if the connection to the proxy itself is TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.address().is_some_and(|url| url.scheme() == "https")
    }

    /// Returns the address with its credentials.
    pub(crate) fn address(&self) -> Option<Url> {
        self.url.expose_secret().parse().ok()
    }

    /// Returns what `Proxy-Authorization` is to say.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let matcher = Matcher::builder().all(self.address()?.as_str()).build();
        matcher.intercept(&Uri::from_static("http://any"))?.basic_auth().cloned()
    }

    /// Returns its name and its source, for messages.
    pub(crate) fn described(&self) -> String {
        let source = self.variable.unwrap_or("proxyUrl");
        format!("the proxy {} ({source})", self.display)
    }

    /// Sends requests to `target` through `proxy`, and through no other: the environment has been read
    /// already, by rules that the library does not know.
    pub(crate) fn apply(
        proxy: Option<&Self>,
        builder: reqwest::ClientBuilder,
        target: &Url,
    ) -> Result<reqwest::ClientBuilder, ProxyError> {
        let builder = builder.no_proxy();
        let Some(proxy) = proxy else { return Ok(builder) };
        if let Some(problem) = proxy.unreachable(target) {
            return Err(ProxyError { setting: "host", problem });
        }
        let address = reqwest::Proxy::all(proxy.url.expose_secret()).map_err(|_| {
            let setting = if proxy.variable.is_some() { "host" } else { "proxyUrl" };
            ProxyError { setting, problem: format!("{} has no usable address", proxy.described()) }
        })?;
        Ok(builder.proxy(address))
    }

    /// Returns the reason why `url` cannot be reached through this proxy, if there is one.
    ///
    /// The HTTP library does not remove the brackets of an IPv6 address before it checks the certificate
    /// of the server behind the tunnel: <https://github.com/seanmonstar/reqwest/issues/3094>.
    pub(crate) fn unreachable(&self, url: &Url) -> Option<String> {
        let is_affected = url.scheme() == "https" && matches!(url.host(), Some(Host::Ipv6(_)));
        is_affected.then(|| {
            format!(
                "https to an IPv6 address does not work through {}: use the server's name, or add \
                 the address to NO_PROXY",
                self.described()
            )
        })
    }
}

#[derive(Debug)]
pub(crate) struct ProxyError {
    pub(crate) setting: &'static str,
    pub(crate) problem: String,
}

/// The proxies that the environment names, and their exceptions.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentProxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
    /// Variables whose value is not a usable proxy.
    unusable: Vec<&'static str>,
}

impl EnvironmentProxies {
    /// Reads the variables. One that is set and empty counts as not set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut unusable = Vec::new();
        let mut first = |names: [&'static str; 2]| {
            let (name, value) = names.into_iter().find_map(|name| Some((name, value(name)?)))?;
            let value = value.trim();
            let address =
                if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
            let proxy = Proxy::parse(&address);
            if proxy.is_none() {
                unusable.push(name);
            }
            Some(Proxy { variable: Some(name), ..proxy? })
        };
        let (http, https, all) = (first(HTTP), first(HTTPS), first(ALL));
        let exceptions = EXCEPT.into_iter().find_map(value).unwrap_or_default();
        Self {
            http: http.or_else(|| all.clone()),
            https: https.or(all),
            exceptions: exceptions::parse(&exceptions),
            unusable,
        }
    }

    /// Returns the proxy that requests to `url` go through.
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let port = url.port_or_known_default()?;
        let host = url.host()?;
        proxy.as_ref().filter(|_| !self.exceptions.iter().any(|it| it.has(&host, port)))
    }

    /// Returns the variables that are set to what is no address of an HTTP proxy.
    pub(crate) fn unusable(&self) -> &[&'static str] {
        &self.unusable
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
