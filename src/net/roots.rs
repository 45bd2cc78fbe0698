//! The CA certificates of the system. Each reload of the configuration reads them again, so that it
//! finds certificates that an administrator has installed since.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;
use sha2::{Digest as _, Sha256};

/// OpenSSL's variables for other places than those of the distribution.
const FILE: &str = "SSL_CERT_FILE";
const DIRECTORIES: &str = "SSL_CERT_DIR";

/// Files and directories of the distributions, as rustls-native-certs reads them.
const PLACES: [&str; 9] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/opt/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
];

/// A snapshot of the system's CA certificates. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SystemRoots {
    store: Arc<RootCertStore>,
    /// The digest of the certificates, whatever files they are in.
    digest: [u8; 32],
}

impl SystemRoots {
    /// Returns them as they are now. Blocks. What cannot be read is passed over; there may be none.
    ///
    /// The files are parsed again only if the size or a time of one has changed: many sites call this,
    /// and so does each reload.
    pub fn read() -> Self {
        static LAST: Mutex<Option<(Vec<Stamp>, SystemRoots)>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps();
        match &*last {
            Some((seen, roots)) if *seen == stamps => roots.clone(),
            _ => last.insert((stamps, Self::parse())).1.clone(),
        }
    }

    fn parse() -> Self {
        // Sorted and without duplicates.
        let certificates = rustls_native_certs::load_native_certs().certs;
        let mut hash = Sha256::new();
        for certificate in &certificates {
            hash.update((certificate.len() as u64).to_be_bytes());
            hash.update(certificate);
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates);
        Self { store: Arc::new(store), digest: hash.finalize().into() }
    }

    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.store)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.store.is_empty()
    }
}

/// The properties that change with a file: path, size, inode, time of the last change.
type Stamp = (PathBuf, u64, u64, i64, i64);

fn stamps() -> Vec<Stamp> {
    let mut stamps = Vec::new();
    for place in places() {
        let files = std::fs::read_dir(&place).into_iter().flatten().flatten();
        for path in files.map(|entry| entry.path()).chain([place]) {
            if let Ok(seen) = std::fs::metadata(&path) {
                stamps.push((path, seen.len(), seen.ino(), seen.ctime(), seen.ctime_nsec()));
            }
        }
    }
    stamps.sort_unstable();
    stamps
}

impl PartialEq for SystemRoots {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for SystemRoots {}

/// Returns the files and directories that are looked into, also those that are absent.
pub(crate) fn places() -> Vec<PathBuf> {
    let file = std::env::var_os(FILE).map(PathBuf::from);
    let directories = std::env::var_os(DIRECTORIES).unwrap_or_default();
    let directories =
        std::env::split_paths(&directories).filter(|path| !path.as_os_str().is_empty());
    let named: Vec<PathBuf> = file.into_iter().chain(directories).collect();
    if named.is_empty() { PLACES.iter().map(PathBuf::from).collect() } else { named }
}
