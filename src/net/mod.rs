//! The ground floor of all that goes over the network, to NetBackup and to OTLP receivers alike: TLS
//! material, proxy rules, name resolution, retries, redaction, one-line text.

pub(crate) mod pem;
pub mod proxy;
pub(crate) mod redact;
pub(crate) mod resolver;
pub mod retry;
pub mod roots;
pub(crate) mod text;
pub mod tls;
