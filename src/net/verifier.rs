//! Verification of a server's certificate: chain and name, and fingerprints beside them (ADR 24).

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::fingerprint::Fingerprint;

/// The fingerprint of the certificate that a server showed last. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShownCertificate(Arc<Mutex<Option<Fingerprint>>>);

impl ShownCertificate {
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, fingerprint: Fingerprint) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
    }
}

/// The certificate of a server is none of those that are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the fingerprint of the certificate is {0}, which is none of those that are configured")]
pub(crate) struct NotPinned(pub(crate) Fingerprint);

/// A verifier of the certificates of one server, and of a proxy before it.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    /// The server; another name is that of a proxy, which is not pinned.
    server: Option<ServerName<'static>>,
    /// Verifies chain and name; without it, every certificate is accepted that the pins permit.
    chain: Option<Arc<WebPkiServerVerifier>>,
    pins: Vec<Fingerprint>,
    shown: ShownCertificate,
    provider: CryptoProvider,
}

impl ServerVerifier {
    /// Makes a verifier for `server`, which trusts `roots`; without roots it verifies neither chain nor name.
    pub(crate) fn new(
        server: &str,
        roots: Option<Arc<RootCertStore>>,
        pins: &[Fingerprint],
        shown: &ShownCertificate,
    ) -> Result<Self, String> {
        let provider = ring::default_provider();
        let chain = roots.map(|roots| {
            let provider = Arc::new(provider.clone());
            WebPkiServerVerifier::builder_with_provider(roots, provider).build()
        });
        Ok(Self {
            server: ServerName::try_from(server.trim_matches(['[', ']']).to_owned()).ok(),
            chain: chain.transpose().map_err(|error| error.to_string())?,
            pins: pins.to_vec(),
            shown: shown.clone(),
            provider,
        })
    }

    /// Returns true if nothing at all is verified, so that signatures say nothing either.
    fn accepts_anything(&self) -> bool {
        self.chain.is_none() && self.pins.is_empty()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let fingerprint = Fingerprint::of(certificate);
        let is_server = self.server.as_ref().is_none_or(|server| server == name);
        if is_server {
            self.shown.set(fingerprint);
        }
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        }
        if is_server && !self.pins.is_empty() && !self.pins.contains(&fingerprint) {
            let other = OtherError(Arc::new(NotPinned(fingerprint)));
            return Err(Error::InvalidCertificate(CertificateError::Other(other)));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.accepts_anything() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.accepts_anything() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let supported = self.provider.signature_verification_algorithms.supported_schemes();
        if self.accepts_anything() {
            supported.into_iter().chain(UNVERIFIED).collect()
        } else {
            supported
        }
    }
}

/// Signatures that can be accepted and not verified: those of old servers, and of keys on P-521.
const UNVERIFIED: [SignatureScheme; 4] = [
    SignatureScheme::RSA_PKCS1_SHA1,
    SignatureScheme::ECDSA_SHA1_Legacy,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED448,
];
