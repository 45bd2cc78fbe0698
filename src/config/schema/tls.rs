//! Files that the configuration names: keys, CAs, certificates. Each is noted, so that a watcher
//! can see it change. Messages name the path and the reason, never content.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::kinds::Text;
use crate::config::entries::Value;
use crate::config::fingerprint::{self, digest};
use crate::config::yaml::context::Context;
use crate::config::yaml::key::Key;
use crate::config::yaml::lookup::{Setting, Source};
use crate::config::yaml::values::{header_secret, text};
use crate::net::pem;
use crate::net::roots::{self, SystemRoots};
use crate::net::tls::{Identity, KEY_KINDS, PemFile, check_key, has_p521};

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
        let given = setting.given()?;
        let path = match &source.variable {
            Some(_) => PathBuf::from(given),
            None => context.base.join(given),
        };
        match context.read(&path) {
            Ok(bytes) => {
                if fingerprint::is_writable_by_all(&path) {
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
                if fingerprint::is_misfit(&error) {
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

/// Reads the API key in a file, with space around it removed.
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

/// Returns the system's CA certificates, read once for all sections. Where they are is noted, so that
/// what is installed or removed later is seen; that there are none yet is a warning.
pub(super) fn system_roots(ca: &Source<'_>) -> SystemRoots {
    let context = ca.context;
    let roots = context.system_roots.get_or_init(|| {
        for place in roots::places() {
            fingerprint::note_place(&place, &mut context.system.borrow_mut());
        }
        SystemRoots::read()
    });
    if roots.is_empty() {
        let message = "the system has no CA certificates, so that no https server is trusted: name \
                       the server's CA here, or install the package ca-certificates (both are seen \
                       without a restart)";
        ca.warn(message);
    }
    roots.clone()
}

/// `caFile`, `certFile` and `keyFile` of a section.
#[derive(Clone, Copy)]
pub(super) struct TlsKeys {
    pub(super) ca: Key<Text>,
    pub(super) certificate: Key<Text>,
    pub(super) key: Key<Text>,
}

impl TlsKeys {
    /// Reads the keys, not yet the files.
    pub(super) fn get<'c>(&self, context: &'c Context<'c>) -> TlsSettings<'c> {
        let [ca, certificate, key] =
            [self.ca, self.certificate, self.key].map(|key| key.get(context));
        TlsSettings { ca, certificate, key }
    }

    /// Shows the files that are in force.
    pub(super) fn show(
        &self,
        context: &Context<'_>,
        ca: Option<&PemFile>,
        identity: Option<&Identity>,
    ) {
        let show = |key: Key<Text>, path: &Path, content: &[u8]| {
            let path = path.to_string_lossy().into_owned();
            key.show_as(context, Value::File(path, digest(content)));
        };
        if let Some(ca) = ca {
            show(self.ca, &ca.path, &ca.pem);
        }
        if let Some(Identity { certificate, key_path, key }) = identity {
            show(self.certificate, &certificate.path, &certificate.pem);
            show(self.key, key_path, key.expose_secret().as_bytes());
        }
    }
}

/// Settings of the three keys; the files are not yet read.
#[derive(Clone)]
pub(super) struct TlsSettings<'c> {
    ca: Setting<'c, String>,
    certificate: Setting<'c, String>,
    key: Setting<'c, String>,
}

impl<'c> TlsSettings<'c> {
    /// Falls back to the same keys of another section.
    pub(super) fn or_settings(self, other: &Self) -> Self {
        Self {
            ca: self.ca.or_setting(&other.ca),
            certificate: self.certificate.or_setting(&other.certificate),
            key: self.key.or_setting(&other.key),
        }
    }

    /// Falls back to variables, if those count; `names` has them for the end of a name.
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

    /// Returns where the CA file is, or would be, named.
    pub(super) fn ca_source(&self) -> Source<'c> {
        self.ca.source.clone()
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

/// Reads certificates. What is kept of the file is them alone: a private key beside them must not get
/// where `Debug` shows it.
fn certificates(setting: Setting<'_, String>) -> Option<PemFile> {
    let is_ca = setting.source.path.ends_with("caFile");
    let file = Named::read(setting)?;
    match pem::certificates(&file.bytes) {
        Ok(certificates) => {
            if is_ca && certificates.iter().any(|certificate| has_p521(certificate)) {
                file.source.warn(&format!(
                    "{}: a CA with a key on the curve P-521: what it signed cannot be verified; \
                     {KEY_KINDS} can",
                    file.path.display()
                ));
            }
            return Some(PemFile { path: file.path, pem: pem::write(&certificates) });
        }
        Err(fault) => file.complain(&fault.to_string()),
    }
    None
}

fn private_key(setting: Setting<'_, String>) -> Option<(PathBuf, SecretString)> {
    let file = Named::read(setting)?;
    match pem::private_key(&file.bytes) {
        Ok(key) => match check_key(&key) {
            Ok(()) => return Some((file.path, SecretString::from(pem::write_key(&key)))),
            Err(fault) => file.complain(&fault),
        },
        Err(fault) => file.complain(&fault.to_string()),
    }
    None
}
