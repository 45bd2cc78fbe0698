//! Fuzz target of PEM files.

#![allow(clippy::expect_used, reason = "a fuzz target may panic")]

use super::pem;

/// Reads certificates and a private key. Each BEGIN of a certificate is one or an error; what was read is the same when
/// it is written and read again.
pub(crate) fn pem(data: &[u8]) {
    match pem::certificates(data) {
        Ok(certificates) => {
            let written = pem::write(&certificates);
            assert_eq!(pem::certificates(&written).expect("what was written"), certificates);
        }
        Err(error) => assert!(error.to_string().len() < 1024),
    }
    match pem::private_key(data) {
        Ok(key) => {
            let written = pem::write_key(&key);
            assert_eq!(pem::private_key(written.as_bytes()).expect("what was written"), key);
        }
        Err(error) => assert!(error.to_string().len() < 1024),
    }
}
