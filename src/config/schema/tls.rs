//! Files that the configuration names: keys, CAs, certificates. Each is noted, so that a watcher
//! can see it change. Messages name the path and the reason, never content.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::kinds::Text;
use crate::config::entries::Value;
use crate::config::fingerprint::{self, digest};
use crate::config::yaml::context::Context;
use crate::config::yaml::diagnostics::Cause;
use crate::config::yaml::setting::{Key, Setting};
use crate::config::yaml::values::header_secret;
use crate::net::pem;
use crate::net::proxy::Proxy;
use crate::net::roots::{self, SystemRoots};
use crate::net::tls::{Identity, KEY_KINDS, PemFile, check_key, has_p521};

impl Setting<'_, Text> {
    /// Returns the path that it gives. That of a variable is relative to the working directory.
    pub(super) fn path_given(&self) -> Option<PathBuf> {
        let given = self.given()?;
        Some(if self.variable.is_some() { given.into() } else { self.context.base.join(given) })
    }

    /// Reads the file that it names, and takes out of the content what is needed; `None` where it names none,
    /// and where that is not there, which is reported.
    pub(super) fn read<T, E: ToString>(
        &self,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Option<(PathBuf, T)> {
        let path = self.path_given()?;
        let bytes = match self.context.read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                // A path to nothing may be a secret that got behind the wrong key: it is not shown.
                let name =
                    if path.exists() { format!(" {}", path.display()) } else { String::new() };
                self.report(Cause::of(&error), &format!("cannot read the file{name}: {error}"));
                return None;
            }
        };
        if fingerprint::is_writable_by_all(&path) {
            self.warn("everybody can write the file that it names; chmod o-w it");
        }
        match parse(&bytes) {
            Ok(content) => Some((path, content)),
            Err(fault) => {
                self.error(&format!("{}: {}", path.display(), fault.to_string()));
                None
            }
        }
    }

    /// Reads the API key in the file, with space around it removed.
    pub(super) fn api_key(&self) -> Option<(PathBuf, SecretString)> {
        self.read(|bytes| match std::str::from_utf8(bytes) {
            Err(_) => Err("the file is not text (UTF-8)".into()),
            Ok(key) if key.trim().is_empty() => Err("the file is empty".into()),
            Ok(key) => header_secret(key),
        })
    }

    /// Reads certificates. What is kept of the file is them alone: a private key beside them must not get
    /// where `Debug` shows it.
    pub(super) fn certificates(&self) -> Option<PemFile> {
        let (path, certificates) = self.read(pem::certificates)?;
        let is_ca = self.path().to_ascii_lowercase().ends_with("cafile");
        if is_ca && certificates.iter().any(|certificate| has_p521(certificate)) {
            self.warn(&format!(
                "{}: a CA with a key on the curve P-521: what it signed cannot be verified; \
                 {KEY_KINDS} can",
                path.display()
            ));
        }
        Some(PemFile { path, pem: pem::write(&certificates) })
    }

    /// Returns the system's CA certificates, read once for all sections; it is the setting that could name
    /// others. Where they are is noted, so that what is installed or removed later is seen; that there are none
    /// yet is a warning.
    fn system_roots(&self) -> SystemRoots {
        let context = self.context;
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
            self.warn(message);
        }
        roots.clone()
    }

    pub(super) fn private_key(&self) -> Option<(PathBuf, SecretString)> {
        self.read(private_key)
    }
}

/// Takes the private key out of a PEM file.
pub(super) fn private_key(bytes: &[u8]) -> Result<SecretString, String> {
    let key = pem::private_key(bytes).map_err(|fault| fault.to_string())?;
    check_key(&key)?;
    Ok(SecretString::from(pem::write_key(&key)))
}

/// Certificates of a section.
#[expect(clippy::struct_field_names, reason = "the names of the keys")]
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TlsKeys {
    /// PEM file of the CAs to trust, and only these.
    #[schemars(extend("x-default" = "the system's CAs"))]
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/otlp-ca.pem"]))]
    #[schemars(extend("x-variable" = "OTEL_EXPORTER_OTLP_{}CERTIFICATE"))]
    pub(super) ca_file: Key<Text>,
    /// PEM file of the client certificate, always together with `keyFile`.
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/otlp-client.pem"]))]
    #[schemars(extend("x-variable" = "OTEL_EXPORTER_OTLP_{}CLIENT_CERTIFICATE"))]
    pub(super) cert_file: Key<Text>,
    /// PEM file of its private key.
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/otlp-client-key.pem"]))]
    #[schemars(extend("x-variable" = "OTEL_EXPORTER_OTLP_{}CLIENT_KEY"))]
    pub(super) key_file: Key<Text>,
}

impl TlsKeys {
    pub(super) fn get<'c>(self, context: &'c Context<'c>) -> TlsSettings<'c> {
        let [ca, certificate, key] =
            [self.ca_file, self.cert_file, self.key_file].map(|key| key.get(context));
        TlsSettings { ca, certificate, key }
    }

    /// Shows the files that are in force.
    pub(super) fn show(
        self,
        context: &Context<'_>,
        ca: Option<&PemFile>,
        identity: Option<&Identity>,
    ) {
        let show = |key: Key<Text>, path: &Path, content: &[u8]| {
            let path = path.to_string_lossy().into_owned();
            key.show_as(context, Value::File(path, digest(content)));
        };
        if let Some(ca) = ca {
            show(self.ca_file, &ca.path, &ca.pem);
        }
        if let Some(Identity { certificate, key_path, key }) = identity {
            show(self.cert_file, &certificate.path, &certificate.pem);
            show(self.key_file, key_path, key.expose_secret().as_bytes());
        }
    }
}

/// Settings of the three keys; the files are not yet read.
pub(super) struct TlsSettings<'c> {
    pub(super) ca: Setting<'c, Text>,
    pub(super) certificate: Setting<'c, Text>,
    pub(super) key: Setting<'c, Text>,
}

impl TlsSettings<'_> {
    /// Reports a certificate without its key, and a key without its certificate.
    pub(super) fn check(&self) {
        let (certificate, key) = (&self.certificate, &self.key);
        if certificate.is_absent() != key.is_absent() {
            let (there, missing) =
                if key.is_absent() { (certificate, "keyFile") } else { (key, "certFile") };
            there.error(&format!("takes {missing} too, which is missing"));
        }
    }

    /// Returns the system's CA certificates where nothing replaces them, and where there is TLS on the way to
    /// `url` or to its proxy.
    pub(super) fn roots(
        &self,
        ca: Option<&PemFile>,
        url: Option<&Url>,
        proxy: Option<&Proxy>,
    ) -> Option<SystemRoots> {
        let is_tls =
            url.is_some_and(|url| url.scheme() == "https") || proxy.is_some_and(Proxy::speaks_tls);
        (is_tls && ca.is_none()).then(|| self.ca.system_roots())
    }

    pub(super) fn read(&self) -> (Option<PemFile>, Option<Identity>) {
        self.check();
        let ca = self.ca.certificates();
        let identity = self.certificate.certificates().zip(self.key.private_key());
        let identity =
            identity.map(|(certificate, (key_path, key))| Identity { certificate, key_path, key });
        (ca, identity)
    }
}
