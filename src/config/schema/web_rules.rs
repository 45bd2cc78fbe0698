//! The parts that both places of the endpoint's rules have: `server.web`, and the web configuration file.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};

use super::kinds::AnyText;
use crate::config::yaml::diagnostics::quoted;
use crate::config::yaml::setting::{Kind, Pair, Pairs, Setting};
use crate::http::{self, ClientRoots, Material, TlsPart};
use crate::net::pem;
use crate::net::tls::PemFile;

/// Header fields that may be set, with the values of those that have few.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The warning about hashes that take long.
pub(super) const COSTLY: &str =
    "a bcrypt hash with a cost above 14: each first check of a password takes seconds";

/// Returns the CAs in a file; a fault is told to `report`.
pub(super) fn roots(file: &PemFile, report: impl FnOnce(&str)) -> Option<ClientRoots> {
    let store = file.roots().map(Arc::new).map_err(|fault| report(&fault.to_string())).ok()?;
    let listed = pem::certificates(&file.pem).unwrap_or_default();
    Some(ClientRoots { store, listed })
}

/// Makes the TLS of an endpoint, and reports what is wrong with a part of it.
pub(super) fn made<K: Kind>(
    material: &Material,
    certificate: &Setting<'_, K>,
    report: impl Fn(TlsPart, &str),
) -> Option<http::Tls> {
    match http::Tls::new(material) {
        Ok(tls) => {
            if tls.is_expired() {
                certificate.warn("the endpoint's certificate has expired: clients refuse it");
            }
            Some(tls)
        }
        Err((part, message)) => {
            report(part, &message);
            None
        }
    }
}

/// Returns the path of one of the pairs of a setting; without the name, where that may be what was meant as a
/// value.
pub(super) fn path_of<K: Kind>(setting: &Setting<'_, Pairs<K>>, name: &str) -> String {
    let (path, is_shown) = (setting.path(), !quoted(name, false, false).is_empty());
    if is_shown { format!("{path}.{name}") } else { path }
}

/// Returns the header fields of a setting.
pub(super) fn header_fields(
    setting: &Setting<'_, Pairs<AnyText>>,
) -> Vec<(HeaderName, HeaderValue)> {
    let Some(pairs) = setting.option() else { return Vec::new() };
    let field = |Pair { name, value, position }: &Pair<String>| {
        let fault = |message: String| {
            setting.context.error(*position, &path_of(setting, name), message);
            None
        };
        let known = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((known, values)) = known else {
            let names: Vec<_> = HEADERS.iter().map(|(name, _)| *name).collect();
            return fault(format!("expected one of {}", names.join(", ")));
        };
        if value.is_empty() {
            return None;
        }
        if !values.is_empty() && !values.contains(&value.as_str()) {
            return fault(format!("expected {}", values.join(" or ")));
        }
        match HeaderValue::from_str(value) {
            Ok(value) => Some((HeaderName::from_bytes(known.as_bytes()).ok()?, value)),
            Err(_) => fault("has characters that no header field can carry".to_owned()),
        }
    };
    pairs.iter().filter_map(field).collect()
}
