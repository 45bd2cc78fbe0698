//! The connection pool of one server: TLS, proxy, timeouts.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::redirect;
use secrecy::ExposeSecret;

use crate::net::proxy::Proxy;
use crate::net::resolver::Resolver;
use crate::net::tls::{Identity, TlsError, client_config, install_provider, trusted};
use crate::netbackup::config::Config;
use crate::netbackup::error::BuildError;

/// Longest time to a connection, TLS included; less where the request's own timeout is shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the pool. Does no I/O but reading the system's roots, and that only for HTTPS without a CA
/// of its own.
pub(crate) fn build(config: &Config) -> Result<reqwest::Client, BuildError> {
    install_provider();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("nbu-otel-agent/", env!("CARGO_PKG_VERSION")))
        .gzip(true)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT.min(config.timeout))
        .tcp_keepalive(Duration::from_secs(30))
        .dns_resolver(Arc::new(Resolver))
        .pool_max_idle_per_host(config.max_concurrent_requests.max(1));
    let needs_roots = config.ca.is_some() || speaks_tls(config) && !config.insecure_skip_verify;
    let roots = needs_roots.then(|| trusted(config.ca.as_ref(), config.roots.as_ref()));
    let roots = roots.transpose().map_err(|fault| unusable(config, &fault))?;
    let identity = config.identity.as_ref();
    builder = match roots.filter(|_| !config.insecure_skip_verify) {
        Some(roots) => {
            let tls = client_config(roots, identity).map_err(|fault| unusable(config, &fault))?;
            builder.tls_backend_preconfigured(tls)
        }
        None => {
            builder.tls_certs_only([]).tls_danger_accept_invalid_certs(config.insecure_skip_verify)
        }
    };
    if let Some(identity) = identity.filter(|_| config.insecure_skip_verify) {
        builder = builder.identity(client_identity(config, identity)?);
    }
    // The environment was asked already, by rules that the library does not know.
    builder = builder.no_proxy();
    if let Some(proxy) = &config.proxy {
        let setting = if proxy.variable.is_some() { "host" } else { "proxyUrl" };
        if let Some(problem) = proxy.unreachable(&config.base_url) {
            return Err(wrong(config, "host", problem));
        }
        let proxy = reqwest::Proxy::all(proxy.url.expose_secret())
            .map_err(|_| wrong(config, setting, format!("{} is not an address", proxy.display)))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| {
        wrong(config, "host", format!("cannot create an HTTP client ({})", root_cause(&error)))
    })
}

/// Whether there is TLS on the way to the server: without it, the system's roots need not be read,
/// which takes time and memory for each of many sites.
fn speaks_tls(config: &Config) -> bool {
    config.base_url.scheme() != "http" || config.proxy.as_ref().is_some_and(Proxy::speaks_tls)
}

/// The header that carries the key.
pub(crate) fn authorization(config: &Config) -> Result<HeaderValue, BuildError> {
    let key = config.api_key.expose_secret().trim();
    if key.is_empty() {
        return Err(wrong(config, "apiKey", "it is empty"));
    }
    let mut value = HeaderValue::from_str(key).map_err(|_| {
        wrong(config, "apiKey", "it contains characters that an HTTP header cannot carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns a client certificate whose key was checked to belong to it.
fn client_identity(config: &Config, identity: &Identity) -> Result<reqwest::Identity, BuildError> {
    identity.certified().map_err(|fault| unusable(config, &fault))?;
    let mut both = identity.certificate.pem.clone();
    both.push(b'\n');
    both.extend_from_slice(identity.key.expose_secret().as_bytes());
    reqwest::Identity::from_pem(&both)
        .map_err(|_| wrong(config, "keyFile", "the key or the certificate cannot be used"))
}

fn unusable(config: &Config, fault: &TlsError) -> BuildError {
    wrong(config, fault.setting, fault.to_string())
}

fn wrong(config: &Config, setting: &'static str, problem: impl Into<String>) -> BuildError {
    BuildError { site: config.site.clone(), setting, problem: problem.into() }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
