//! TLS material: the content of certificate and key files, and the TLS configuration made of it.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};

use super::pem;
use super::roots::SystemRoots;
use super::verifier::ServerVerifier;

/// The object identifiers of a key on the curve P-521, in the DER of a certificate or a key.
const P521: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23,
];

/// The maximum length of an elliptic key in DER, bytes.
const LONGEST_KEY: usize = 320;

/// The kinds of keys that the TLS provider (ring) supports.
pub(crate) const KEY_KINDS: &str =
    "RSA with 2048 bits or more, ECDSA on P-256 or P-384, and Ed25519";

/// A PEM file with its path, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFile {
    pub path: PathBuf,
    pub pem: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: PemFile,
    pub key_path: PathBuf,
    /// The private key, PEM.
    pub key: SecretString,
}

/// TLS material that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub(crate) struct TlsError {
    /// `caFile`, `certFile` or `keyFile`.
    pub(crate) setting: &'static str,
    pub(crate) path: PathBuf,
    /// The fault, without any of the content.
    pub(crate) problem: String,
}

impl PemFile {
    /// Reads its certificates; `setting` names the file in the error.
    fn certificates(
        &self,
        setting: &'static str,
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        pem::certificates(&self.pem).map_err(|error| self.error(setting, error.to_string()))
    }

    /// Reads its certificates as those of CAs.
    pub(crate) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in self.certificates("caFile")?.into_iter().enumerate() {
            roots.add(certificate).map_err(|_| {
                let number = index + 1;
                self.error("caFile", format!("certificate {number} cannot be used as a CA"))
            })?;
        }
        Ok(roots)
    }

    fn error(&self, setting: &'static str, problem: String) -> TlsError {
        TlsError { setting, path: self.path.clone(), problem }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
            && self.key_path == other.key_path
            && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl Identity {
    /// Checks that the key can be used and belongs to the certificate.
    pub(crate) fn certified(&self) -> Result<CertifiedKey, TlsError> {
        let chain = self.certificate.certificates("certFile")?;
        let error =
            |problem: String| TlsError { setting: "keyFile", path: self.key_path.clone(), problem };
        let key = pem::private_key(self.key.expose_secret().as_bytes())
            .map_err(|fault| error(fault.to_string()))?;
        check_key(&key).map_err(error)?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|fault| match fault {
            rustls::Error::InconsistentKeys(_) => {
                error("the key does not belong to the certificate".to_owned())
            }
            _ => error("the key or the certificate cannot be used".to_owned()),
        })
    }
}

/// Checks that the TLS provider supports the kind of key.
pub(crate) fn check_key(key: &PrivateKeyDer<'_>) -> Result<(), String> {
    if ring::sign::any_supported_type(key).is_ok() {
        return Ok(());
    }
    let curve = if has_p521(key.secret_der()) { " on the curve P-521" } else { "" };
    Err(format!("an unsupported key{curve}; supported: {KEY_KINDS}"))
}

/// Returns true if a certificate or key in DER has a key on the curve P-521: what it signed cannot be
/// verified.
pub(crate) fn has_p521(der: &[u8]) -> bool {
    // A certificate and PKCS #8 have the kind of key before the curve, SEC 1 the curve alone.
    let holds = |part: &[u8]| der.windows(part.len()).any(|window| window == part);
    holds(P521) || (der.len() < LONGEST_KEY && holds(&P521[9..]))
}

/// Returns the CAs to trust: those of the CA file alone, otherwise the system's. With a CA file, an API
/// key or a token never goes to a server with a certificate of a public CA. If they are not `needed`,
/// the system's are not read, and none is trusted.
pub(crate) fn trusted_if(
    needed: bool,
    ca: Option<&PemFile>,
    system: Option<&SystemRoots>,
) -> Result<Arc<RootCertStore>, TlsError> {
    match (ca, system) {
        _ if !needed => Ok(Arc::new(RootCertStore::empty())),
        (Some(ca), _) => ca.roots().map(Arc::new),
        (None, Some(system)) => Ok(system.store()),
        (None, None) => Ok(SystemRoots::read().store()),
    }
}

/// Makes TLS that trusts `roots` alone, for HTTP/1.1 and HTTP/2.
pub(crate) fn client_config(
    roots: Arc<RootCertStore>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    install_provider();
    complete(ClientConfig::builder().with_root_certificates(roots), identity)
}

/// Makes TLS with a verifier of its own, for HTTP/1.1 and HTTP/2.
pub(crate) fn client_config_with(
    verifier: ServerVerifier,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    install_provider();
    let builder = ClientConfig::builder().dangerous();
    complete(builder.with_custom_certificate_verifier(Arc::new(verifier)), identity)
}

fn complete(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    let mut config = match identity {
        Some(identity) => {
            let certified = SingleCertAndKey::from(identity.certified()?);
            builder.with_client_cert_resolver(Arc::new(certified))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Makes ring the provider of the process, from which reqwest and tonic take it. A second installation
/// fails and changes nothing.
pub(crate) fn install_provider() {
    let _ = ring::default_provider().install_default();
}
