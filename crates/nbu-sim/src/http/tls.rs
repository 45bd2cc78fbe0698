//! TLS: the material of an https server, and a generator of a private CA as NetBackup's own is one.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Certificates and keys of an https server, all PEM. Its `Debug` shows no key.
#[derive(Clone)]
pub struct TlsMaterial {
    /// The server's certificate and its chain.
    pub cert_pem: String,
    /// The server's private key.
    pub key_pem: String,
    /// With it, a client must show a certificate of this CA (mutual TLS).
    pub client_ca_pem: Option<String>,
    /// The CA that clients have to trust.
    pub ca_pem: String,
    /// A client certificate of that CA.
    pub client_cert_pem: String,
    /// Its private key.
    pub client_key_pem: String,
}

impl TlsMaterial {
    /// Makes a private CA, a server certificate for 127.0.0.1, ::1 and localhost, and a client
    /// certificate.
    ///
    /// # Errors
    /// Fails if the system has no randomness.
    pub fn generate() -> io::Result<Self> {
        Self::for_names(&["localhost", "127.0.0.1", "::1"]).map_err(io::Error::other)
    }

    /// Makes the same as [`TlsMaterial::generate`], with these names and addresses in the server
    /// certificate.
    ///
    /// # Errors
    /// Fails if a name is not valid, or if the system has no randomness.
    pub fn for_names(names: &[&str]) -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(DnType::CommonName, "nbu-sim private CA");
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::from_params(&ca, &ca_key);
        let leaf = |names: &[&str], common: &str, usage| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, common);
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            Ok::<_, rcgen::Error>((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
        };
        let (cert_pem, key_pem) = leaf(names, "nbu-sim", ExtendedKeyUsagePurpose::ServerAuth)?;
        let (client_cert_pem, client_key_pem) =
            leaf(&["client"], "nbu-sim client", ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(Self { cert_pem, key_pem, client_ca_pem: None, ca_pem, client_cert_pem, client_key_pem })
    }

    /// Asks clients for a certificate of the same CA.
    #[must_use]
    pub fn mutual(mut self) -> Self {
        self.client_ca_pem = Some(self.ca_pem.clone());
        self
    }

    /// The server side of rustls, with ring.
    pub(crate) fn server_config(&self) -> io::Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certs = certificates(&self.cert_pem)?;
        let key =
            PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(io::Error::other)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &self.client_ca_pem {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(pem)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .map_err(io::Error::other)?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(certs, key).map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(pem: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let certs = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    certs.map_err(io::Error::other)
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mutual = self.client_ca_pem.is_some();
        f.debug_struct("TlsMaterial").field("mutual", &mutual).finish_non_exhaustive()
    }
}
