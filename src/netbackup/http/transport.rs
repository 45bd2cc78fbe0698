//! The connection pool of a server: TLS, proxy, timeouts.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::redirect;
use secrecy::ExposeSecret;

use crate::net::USER_AGENT;
use crate::net::failure::ErrorChain;
use crate::net::proxy::Proxy;
use crate::net::resolver::Resolver;
use crate::net::tls::{TlsError, client_config, client_config_with, install_provider, trusted_if};
use crate::net::verifier::{ServerVerifier, ShownCertificate};
use crate::netbackup::config::Config;
use crate::netbackup::error::BuildError;

/// The longest time to a connection, TLS included, unless the timeout of the request is shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Makes the pool. Does no I/O but reading the system's CAs, and those only for HTTPS without a CA
/// file.
pub(super) fn build(
    config: &Config,
    shown: &ShownCertificate,
) -> Result<reqwest::Client, BuildError> {
    install_provider();
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .gzip(true)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT.min(config.timeout))
        .tcp_keepalive(KEEP_ALIVE)
        .dns_resolver(Arc::new(Resolver))
        .pool_max_idle_per_host(config.max_concurrent_requests.max(1));
    let builder = with_tls(builder, config, shown)?;
    let builder = Proxy::apply(config.proxy.as_ref(), builder, &config.base_url)
        .map_err(|error| build_error(config, error.setting, error.problem))?;
    builder.build().map_err(|error| {
        let cause = ErrorChain::new(&error).root_cause();
        build_error(config, "host", format!("cannot create an HTTP client ({cause})"))
    })
}

fn with_tls(
    builder: reqwest::ClientBuilder,
    config: &Config,
    shown: &ShownCertificate,
) -> Result<reqwest::ClientBuilder, BuildError> {
    let unusable = |error| tls_error(config, &error);
    let insecure = config.insecure_skip_verify;
    // A CA file is checked even if it is not needed.
    let needed = config.ca.is_some() || uses_tls(config) && !insecure;
    let roots = trusted_if(needed, config.ca.as_ref(), config.roots.as_ref()).map_err(unusable)?;
    let identity = config.identity.as_ref().filter(|_| needed || insecure);
    let tls = if !insecure && roots.is_empty() {
        // Nothing is trusted, and the verifier wants something that is.
        client_config(roots, identity)
    } else {
        let server = config.base_url.host_str().unwrap_or_default();
        let roots = (!insecure).then_some(roots);
        let verifier = ServerVerifier::new(server, roots, &config.fingerprints, shown)
            .map_err(|problem| build_error(config, "caFile", problem))?;
        client_config_with(verifier, identity)
    };
    Ok(builder.tls_backend_preconfigured(tls.map_err(unusable)?))
}

/// Returns true if a connection to the server or its proxy uses TLS. Without it, the system's CAs
/// need not be read, which takes time and memory for each of many sites.
fn uses_tls(config: &Config) -> bool {
    config.base_url.scheme() != "http" || config.proxy.as_ref().is_some_and(Proxy::speaks_tls)
}

pub(super) fn authorization(config: &Config) -> Result<HeaderValue, BuildError> {
    let key = config.api_key.expose_secret().trim();
    if key.is_empty() {
        return Err(build_error(config, "apiKey", "it is empty"));
    }
    let mut value = HeaderValue::from_str(key).map_err(|_| {
        build_error(config, "apiKey", "it contains characters that an HTTP header cannot carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls_error(config: &Config, error: &TlsError) -> BuildError {
    build_error(config, error.setting, error.to_string())
}

fn build_error(config: &Config, setting: &'static str, problem: impl Into<String>) -> BuildError {
    BuildError { site: config.site.clone(), setting, problem: problem.into() }
}
