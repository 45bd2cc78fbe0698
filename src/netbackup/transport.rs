//! The connection pool of one server: TLS, proxy, timeouts.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Certificate, redirect};
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;

use super::config::Config;
use super::error::BuildError;
use crate::net::proxy::Proxy;
use crate::net::resolver::Resolver;
use crate::net::tls::{Identity, PemFile};

/// Longest time to a connection, TLS included; less where the request's own timeout is shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the pool. Does no I/O but reading the system's roots, and that only for HTTPS without a CA
/// of its own.
pub(super) fn build(config: &Config) -> Result<reqwest::Client, BuildError> {
    // reqwest takes the provider from the process. A second installation fails and changes nothing.
    let _ = ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("nbu-otel-agent/", env!("CARGO_PKG_VERSION")))
        .gzip(true)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT.min(config.timeout))
        .tcp_keepalive(Duration::from_secs(30))
        .dns_resolver(Arc::new(Resolver))
        .pool_max_idle_per_host(config.max_concurrent_requests.max(1));
    builder = match &config.ca {
        Some(ca) => builder.tls_certs_only(authorities(config, ca)?),
        None if !speaks_tls(config) => builder.tls_certs_only([]),
        None if config.identity.is_none() && !config.insecure_skip_verify => {
            builder.tls_backend_preconfigured(system_trust(config)?)
        }
        None => builder,
    };
    if config.insecure_skip_verify {
        builder = builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true);
    }
    if let Some(identity) = &config.identity {
        builder = builder.identity(client_identity(config, identity)?);
    }
    if let Some(proxy) = &config.proxy {
        let proxy = reqwest::Proxy::all(proxy.url.expose_secret())
            .map_err(|_| wrong(config, "proxyUrl", format!("{} is no address", proxy.display)))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| {
        let (setting, problem) = if config.ca.is_some() {
            ("caFile", "a certificate in it cannot be used as a CA")
        } else {
            ("caFile", "the system has no CA certificates; set caFile")
        };
        wrong(config, setting, format!("{problem} ({})", root_cause(&error)))
    })
}

/// TLS that trusts the system's roots. They are read once and shared by all sites.
fn system_trust(config: &Config) -> Result<ClientConfig, BuildError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err(wrong(config, "caFile", "the system has no CA certificates; set caFile"));
    }
    let mut tls =
        ClientConfig::builder().with_root_certificates(Arc::clone(roots)).with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Whether there is TLS on the way to the server: without it, the system's roots need not be read,
/// which takes time and memory for each of many sites.
fn speaks_tls(config: &Config) -> bool {
    let secure_proxy = |proxy: &Proxy| proxy.url.expose_secret().starts_with("https:");
    config.base_url.scheme() != "http" || config.proxy.as_ref().is_some_and(secure_proxy)
}

/// The header that carries the key.
pub(super) fn authorization(config: &Config) -> Result<HeaderValue, BuildError> {
    let key = config.api_key.expose_secret().trim();
    if key.is_empty() {
        return Err(wrong(config, "apiKey", "it is empty"));
    }
    let mut value = HeaderValue::from_str(key)
        .map_err(|_| wrong(config, "apiKey", "it has characters that a header cannot carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The CAs of a server with a CA file. They alone are trusted: the key then goes to nobody whom some
/// public CA vouches for.
fn authorities(config: &Config, ca: &PemFile) -> Result<Vec<Certificate>, BuildError> {
    let certificates = certificates(config, "caFile", ca)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| wrong(config, "caFile", format!("{}: {error}", ca.path.display())))?;
    }
    certificates
        .iter()
        .map(|certificate| Certificate::from_der(certificate))
        .collect::<Result<_, _>>()
        .map_err(|_| wrong(config, "caFile", format!("{}: no certificate", ca.path.display())))
}

/// A client certificate whose key was checked to belong to it.
fn client_identity(config: &Config, identity: &Identity) -> Result<reqwest::Identity, BuildError> {
    let chain = certificates(config, "certFile", &identity.certificate)?;
    let bad_key = |problem: &str| {
        wrong(config, "keyFile", format!("{}: {problem}", identity.key_path.display()))
    };
    let pem = identity.key.expose_secret();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| bad_key("no private key in PEM form (an encrypted key is not supported)"))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => bad_key("the key does not belong to the certificate"),
        _ => bad_key("the key or the certificate cannot be used"),
    })?;
    let mut both = identity.certificate.pem.clone();
    both.push(b'\n');
    both.extend_from_slice(pem.as_bytes());
    reqwest::Identity::from_pem(&both)
        .map_err(|_| bad_key("the key or the certificate cannot be used"))
}

fn certificates(
    config: &Config,
    setting: &'static str,
    file: &PemFile,
) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let path = file.path.display();
    // The parser's own words may echo a line of the file, and the file may be the wrong one.
    let certificates = CertificateDer::pem_slice_iter(&file.pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| wrong(config, setting, format!("{path}: not a PEM file")))?;
    if certificates.is_empty() {
        return Err(wrong(config, setting, format!("{path}: no certificate in it")));
    }
    Ok(certificates)
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
