//! Files that the configuration names: keys, CAs, certificates. Each is noted, so that a watcher
//! can see it change. Messages name the path and the reason, never content.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;

use super::reader::{Context, Section, Setting};
use super::values::{header_secret, text};
use crate::netbackup::config::{Identity, PemFile};

/// No file of a configuration is larger.
const MAX_BYTES: u64 = 4 << 20;

/// Reads a whole file, if it is one and not too large.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
    }
    let mut content = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB"));
    }
    Ok(content)
}

/// The content of the file that a setting names, and its path; `None` without one or if unreadable.
fn content(
    context: &Context<'_>,
    setting: Setting<'_, String>,
) -> Option<(PathBuf, Vec<u8>, Complaint)> {
    let complaint = Complaint { path: setting.path.clone(), at: setting.at };
    let path = context.base.join(setting.option()?);
    context.files.borrow_mut().push(path.clone());
    match read(&path) {
        Ok(content) => Some((path, content, complaint)),
        Err(error) => {
            complaint.make(context, &format!("cannot read {}: {error}", path.display()));
            None
        }
    }
}

/// Whom to complain about.
struct Complaint {
    path: String,
    at: super::diagnostics::Position,
}

impl Complaint {
    fn make(&self, context: &Context<'_>, message: &str) {
        context.error(self.at, &self.path, message);
    }
}

/// The API key in a file, with space around it removed.
pub(super) fn api_key(
    context: &Context<'_>,
    setting: Setting<'_, String>,
) -> Option<(SecretString, PathBuf)> {
    let (path, content, complaint) = content(context, setting)?;
    let fault = match std::str::from_utf8(&content) {
        Err(_) => "the file is not text (UTF-8)".into(),
        Ok(key) => match header_secret(key) {
            Ok(key) => return Some((key, path)),
            Err(_) if key.trim().is_empty() => "the file is empty".into(),
            Err(fault) => fault,
        },
    };
    complaint.make(context, &format!("{}: {fault}", path.display()));
    None
}

/// Variables that stand in for absent keys.
#[derive(Clone, Copy, Default)]
pub(super) struct TlsVariables {
    pub(super) ca: &'static str,
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
}

/// `caFile`, `certFile` and `keyFile` of a section. Files are read where `wanted`.
pub(super) fn tls(
    section: &mut Section<'_>,
    variables: Option<TlsVariables>,
    wanted: bool,
) -> (Option<PemFile>, Option<Identity>) {
    let context = section.context;
    let counts = variables.is_some();
    let names = variables.unwrap_or_default();
    let ca = section.get("caFile", text).or_variable(counts, names.ca, text);
    let certificate = section.get("certFile", text).or_variable(counts, names.certificate, text);
    let key = section.get("keyFile", text).or_variable(counts, names.key, text);
    if certificate.is_absent() != key.is_absent() {
        let (there, missing) =
            if key.is_absent() { (&certificate, "keyFile") } else { (&key, "certFile") };
        context.error(there.at, &there.path, format!("takes {missing} too, which is missing"));
    }
    if !wanted {
        return (None, None);
    }
    let ca = certificates(context, ca);
    let identity = certificates(context, certificate).zip(private_key(context, key));
    let identity =
        identity.map(|(certificate, (key_path, key))| Identity { certificate, key_path, key });
    (ca, identity)
}

fn certificates(context: &Context<'_>, setting: Setting<'_, String>) -> Option<PemFile> {
    let (path, content, complaint) = content(context, setting)?;
    let pem = only_certificates(&content);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Some(PemFile { path, pem }),
        Ok(_) => {
            complaint.make(context, &format!("{}: holds no PEM certificate", path.display()));
            None
        }
        Err(_) => {
            complaint.make(context, &format!("{}: not valid PEM", path.display()));
            None
        }
    }
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

fn private_key(
    context: &Context<'_>,
    setting: Setting<'_, String>,
) -> Option<(PathBuf, SecretString)> {
    let (path, content, complaint) = content(context, setting)?;
    match (PrivateKeyDer::from_pem_slice(&content), String::from_utf8(content)) {
        (Ok(_), Ok(pem)) => Some((path, SecretString::from(pem))),
        _ => {
            let message = "holds no PEM private key (an encrypted one cannot be used)";
            complaint.make(context, &format!("{}: {message}", path.display()));
            None
        }
    }
}
