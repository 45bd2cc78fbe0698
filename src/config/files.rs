//! Files that the configuration names: keys, CAs, certificates. Each is noted, so that a watcher
//! can see it change. Messages name the path and the reason, never content.

use std::path::PathBuf;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;

use super::content;
use super::reader::Section;
use super::setting::{Setting, Source};
use super::values::{header_secret, text};
use crate::net::tls::{Identity, PemFile};

/// A file that a setting names, with its content.
struct Named<'c> {
    source: Source<'c>,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl<'c> Named<'c> {
    /// Reads the file; `None` where the setting names none or it cannot be read.
    fn read(setting: Setting<'c, String>) -> Option<Self> {
        let source = setting.source.clone();
        let context = source.context;
        let given = setting.option()?;
        let path = match &source.variable {
            Some(_) => PathBuf::from(given),
            None => context.base.join(given),
        };
        match context.read(&path) {
            Ok(bytes) => {
                if content::is_writable_by_all(&path) {
                    let message = "everybody can write the file that it names; chmod o-w it";
                    source.warn(message);
                }
                return Some(Self { source, path, bytes });
            }
            // A path to nothing may be a secret that got behind the wrong key: it is not shown.
            Err(error) if !path.exists() => {
                source.unavailable(&format!("cannot read the file: {error}"));
            }
            Err(error) => {
                let message = format!("cannot read the file {}: {error}", path.display());
                if content::is_misfit(&error) {
                    source.error(&message);
                } else {
                    source.unavailable(&message);
                }
            }
        }
        None
    }

    fn complain(&self, message: &str) {
        self.source.error(&format!("{}: {message}", self.path.display()));
    }
}

/// The API key in a file, with space around it removed.
pub(super) fn api_key(setting: Setting<'_, String>) -> Option<(SecretString, PathBuf)> {
    let file = Named::read(setting)?;
    let fault = match std::str::from_utf8(&file.bytes) {
        Err(_) => "the file is not text (UTF-8)".into(),
        Ok(key) if key.trim().is_empty() => "the file is empty".into(),
        Ok(key) => match header_secret(key) {
            Ok(key) => return Some((key, file.path)),
            Err(fault) => fault,
        },
    };
    file.complain(&fault);
    None
}

/// `caFile`, `certFile` and `keyFile` of a section, not yet read.
#[derive(Clone)]
pub(super) struct TlsSettings<'c> {
    ca: Setting<'c, String>,
    certificate: Setting<'c, String>,
    key: Setting<'c, String>,
}

impl<'c> TlsSettings<'c> {
    pub(super) fn of(section: &mut Section<'c>) -> Self {
        Self {
            ca: section.get("caFile", text),
            certificate: section.get("certFile", text),
            key: section.get("keyFile", text),
        }
    }

    /// Takes what is absent from the same keys of another section.
    pub(super) fn or_settings(self, other: &Self) -> Self {
        Self {
            ca: self.ca.or_setting(&other.ca),
            certificate: self.certificate.or_setting(&other.certificate),
            key: self.key.or_setting(&other.key),
        }
    }

    /// Takes what is absent from variables, if those count; `names` has them for the end of a name.
    pub(super) fn or_variables(self, counts: bool, names: impl Fn(&str) -> [String; 2]) -> Self {
        Self {
            ca: self.ca.or_variables(counts, &names("CERTIFICATE"), text),
            certificate: self.certificate.or_variables(counts, &names("CLIENT_CERTIFICATE"), text),
            key: self.key.or_variables(counts, &names("CLIENT_KEY"), text),
        }
    }

    /// Reports a certificate without its key, and a key without its certificate.
    pub(super) fn check(&self) {
        let (certificate, key) = (&self.certificate, &self.key);
        if certificate.is_absent() != key.is_absent() {
            let (there, missing) =
                if key.is_absent() { (certificate, "keyFile") } else { (key, "certFile") };
            there.source.error(&format!("takes {missing} too, which is missing"));
        }
    }

    /// Reads the files.
    pub(super) fn read(self) -> (Option<PemFile>, Option<Identity>) {
        self.check();
        let ca = certificates(self.ca);
        let identity = certificates(self.certificate).zip(private_key(self.key));
        let identity =
            identity.map(|(certificate, (key_path, key))| Identity { certificate, key_path, key });
        (ca, identity)
    }
}

fn certificates(setting: Setting<'_, String>) -> Option<PemFile> {
    let file = Named::read(setting)?;
    let pem = only_certificates(&file.bytes);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => {
            return Some(PemFile { path: file.path, pem });
        }
        Ok(_) => file.complain("holds no PEM certificate"),
        Err(_) => file.complain("not valid PEM"),
    }
    None
}

/// The certificates of a PEM file. A private key beside them must not get where `Debug` shows it.
fn only_certificates(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut inside = false;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii();
        inside |= text == b"-----BEGIN CERTIFICATE-----";
        if inside {
            out.extend_from_slice(line);
        }
        inside &= text != b"-----END CERTIFICATE-----";
    }
    out
}

fn private_key(setting: Setting<'_, String>) -> Option<(PathBuf, SecretString)> {
    let file = Named::read(setting)?;
    let is_key = PrivateKeyDer::from_pem_slice(&file.bytes).is_ok();
    if let (true, Ok(pem)) = (is_key, std::str::from_utf8(&file.bytes)) {
        return Some((file.path, SecretString::from(pem)));
    }
    file.complain("holds no PEM private key (an encrypted one cannot be used)");
    None
}
