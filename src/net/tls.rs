//! TLS material: what the files of certificates and keys hold.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

/// A PEM file and where it came from (for messages).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFile {
    /// The path that the configuration names.
    pub path: PathBuf,
    /// Its content.
    pub pem: Vec<u8>,
}

/// A client certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate chain.
    pub certificate: PemFile,
    /// Where the key came from.
    pub key_path: PathBuf,
    /// The private key, PEM.
    pub key: SecretString,
}

impl Identity {
    /// Returns true if both are the same certificate with the same key, or both are none.
    pub fn same(one: Option<&Self>, other: Option<&Self>) -> bool {
        match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                one.certificate == other.certificate
                    && one.key.expose_secret() == other.key.expose_secret()
            }
            _ => false,
        }
    }
}
