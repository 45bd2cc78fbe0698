//! The parts that requests to NetBackup and to OTLP receivers share: TLS material, proxy rules, name
//! resolution, causes of failures, retries, redaction, one-line text.

pub(crate) mod address;
pub(crate) mod failure;
pub mod fingerprint;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(crate) mod pem;
pub mod proxy;
pub(crate) mod redact;
pub(crate) mod resolver;
pub(crate) mod retry;
pub(crate) mod roots;
pub(crate) mod text;
pub mod tls;
pub(crate) mod verifier;

/// The `User-Agent` of all requests.
pub(crate) const USER_AGENT: &str = concat!("nbu-otel-agent/", env!("CARGO_PKG_VERSION"));

/// Returns the name of this host, that of the pod in Kubernetes.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
