//! TLS of the endpoint: its certificate, and which certificates of clients it accepts.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion, version,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::net::tls::Identity;

/// Policies about the certificate of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientPolicy {
    /// It is not asked for.
    None,
    /// It is asked for, and whatever comes is accepted.
    Request,
    /// There must be one, of whatever CA.
    RequireAny,
    /// If there is one, a CA of the client CAs has signed it.
    VerifyIfGiven,
    /// There must be one, signed by a CA of the client CAs.
    RequireAndVerify,
}

impl ClientPolicy {
    pub(crate) fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }
}

/// The CAs of clients.
pub(crate) struct ClientRoots {
    pub(crate) store: Arc<RootCertStore>,
    /// Certificates that are accepted as they are: a client may have signed its own.
    pub(crate) listed: Vec<CertificateDer<'static>>,
}

/// Versions of TLS that are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// The parts that the TLS of an endpoint is made of.
pub(crate) struct Material {
    pub(crate) identity: Identity,
    pub(crate) policy: ClientPolicy,
    /// The CAs of clients, for the policies that verify.
    pub(crate) client_roots: Option<ClientRoots>,
    /// The names of which a client's certificate must have one; empty for any.
    pub(crate) client_names: Vec<String>,
    pub(crate) min_version: Version,
    pub(crate) max_version: Version,
    /// The cipher suites of TLS 1.2 by their names of IANA; empty for all that are supported. Those of
    /// TLS 1.3 are always offered.
    pub(crate) cipher_suites: Vec<String>,
    /// The groups of key exchange as the web configuration file of exporters names them; empty for all.
    pub(crate) groups: Vec<String>,
}

impl Material {
    /// Returns all versions, ciphers and groups that are supported, for any client.
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            policy: ClientPolicy::None,
            client_roots: None,
            client_names: Vec::new(),
            min_version: Version::Tls12,
            max_version: Version::Tls13,
            cipher_suites: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// Parts of the material, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsPart {
    Certificate,
    Key,
    ClientPolicy,
    ClientCa,
    ClientNames,
    Versions,
}

/// The TLS of an endpoint.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(in crate::http) config: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// The end of the certificate's validity, seconds since 1970.
    not_after: Option<i64>,
}

impl Tls {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// If the parts do not fit together: the part, and its fault in words.
    pub(crate) fn new(material: &Material) -> Result<Self, (TlsPart, String)> {
        let provider = Arc::new(material.provider());
        let certified = material.identity.certified().map_err(|fault| {
            let is_key = fault.setting == "keyFile";
            (if is_key { TlsPart::Key } else { TlsPart::Certificate }, fault.to_string())
        })?;
        let not_after = certified.cert.first().and_then(not_after);
        let verifier = material.verifier(&provider)?;
        let versions = [(Version::Tls13, &version::TLS13), (Version::Tls12, &version::TLS12)];
        let offered = material.min_version..=material.max_version;
        let versions: Vec<&SupportedProtocolVersion> = versions
            .into_iter()
            .filter(|(version, _)| offered.contains(version))
            .map(|(_, version)| version)
            .collect();
        if versions.is_empty() {
            let message = "the newest version is older than the oldest".to_owned();
            return Err((TlsPart::Versions, message));
        }
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|fault| (TlsPart::Versions, fault.to_string()))?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ignore_client_order = true;
        Ok(Self { config: Arc::new(config), verifier, not_after })
    }

    /// Returns true if the endpoint's certificate is no longer valid.
    pub(crate) fn is_expired(&self) -> bool {
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        self.not_after.is_some_and(|end| end < now)
    }

    /// Judges the certificates that a client presented to the TLS of before.
    pub(super) fn accepts(&self, chain: &[CertificateDer<'static>]) -> bool {
        let Some(verifier) = &self.verifier else { return true };
        match chain.split_first() {
            None => !verifier.client_auth_mandatory(),
            Some((client, rest)) => {
                verifier.verify_client_cert(client, rest, UnixTime::now()).is_ok()
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Returns the name that IANA gave a cipher suite; rustls writes a 13 into those of TLS 1.3.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

/// Returns the cipher suites of TLS 1.2 and 1.3 that are supported, by their names.
pub(crate) fn cipher_suites() -> Vec<String> {
    ring::default_provider().cipher_suites.iter().map(suite_name).collect()
}

/// Groups of key exchange that are supported, by the names of the web configuration file of exporters.
pub(crate) const GROUPS: [&str; 3] = ["CurveP256", "CurveP384", "X25519"];

fn group_name(group: rustls::NamedGroup) -> Option<&'static str> {
    match group {
        rustls::NamedGroup::secp256r1 => Some(GROUPS[0]),
        rustls::NamedGroup::secp384r1 => Some(GROUPS[1]),
        rustls::NamedGroup::X25519 => Some(GROUPS[2]),
        _ => None,
    }
}

impl Material {
    fn provider(&self) -> CryptoProvider {
        let mut provider = ring::default_provider();
        if !self.cipher_suites.is_empty() {
            provider.cipher_suites.retain(|suite| {
                suite.tls13().is_some() || self.cipher_suites.contains(&suite_name(suite))
            });
        }
        if !self.groups.is_empty() {
            provider.kx_groups.retain(|group| {
                group_name(group.name()).is_some_and(|name| self.groups.iter().any(|it| it == name))
            });
        }
        provider
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, (TlsPart, String)> {
        let fault = |part, message: &str| Err((part, message.to_owned()));
        let policy = self.policy;
        if policy == ClientPolicy::None {
            if self.client_roots.is_some() {
                return fault(
                    TlsPart::ClientCa,
                    "client CAs, and a policy that asks for no certificate",
                );
            }
            if !self.client_names.is_empty() {
                return fault(
                    TlsPart::ClientNames,
                    "names, and a policy that asks for no certificate",
                );
            }
            return Ok(None);
        }
        let mut verifier = ClientVerifier {
            is_required: policy.requires(),
            chain: None,
            listed: Vec::new(),
            names: self.client_names.clone(),
            algorithms: provider.signature_verification_algorithms,
        };
        if policy.verifies() {
            let Some(roots) = &self.client_roots else {
                return fault(TlsPart::ClientPolicy, "takes the client CAs too, which are missing");
            };
            let (store, provider) = (Arc::clone(&roots.store), Arc::clone(provider));
            let chain = WebPkiClientVerifier::builder_with_provider(store, provider).build();
            verifier.chain = Some(chain.map_err(|fault| (TlsPart::ClientCa, fault.to_string()))?);
        }
        if let Some(roots) = &self.client_roots {
            verifier.listed.clone_from(&roots.listed);
        }
        Ok(Some(Arc::new(verifier)))
    }
}

/// A verifier of the certificates of clients.
#[derive(Debug)]
struct ClientVerifier {
    is_required: bool,
    /// Verifies what is not listed; none where every certificate is accepted whose key the client has.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// Certificates that are accepted as they are.
    listed: Vec<CertificateDer<'static>>,
    /// The names of which a certificate must have one; empty for any.
    names: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    fn is_listed(&self, client: &CertificateDer<'_>) -> bool {
        let is_valid =
            || X509Certificate::from_der(client).is_ok_and(|(_, it)| it.validity().is_valid());
        self.listed.iter().any(|listed| listed == client) && is_valid()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        client: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain
            && let Err(error) = chain.verify_client_cert(client, rest, now)
            && !self.is_listed(client)
        {
            return Err(error);
        }
        if self.names.is_empty() || names(client).iter().any(|name| self.names.contains(name)) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Returns the subject's alternative names of a certificate: DNS names, e-mail addresses, IP addresses and
/// URIs, each as text.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

/// Returns the end of the validity of a certificate, seconds since 1970.
fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
