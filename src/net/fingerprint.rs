//! Fingerprints of certificates: the SHA-256 of their DER, as `openssl x509 -fingerprint -sha256` prints it.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

const BYTES: usize = 32;

/// The fingerprint of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; BYTES]);

impl Fingerprint {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Reads 64 hexadecimal digits, with colons or spaces between them or none, after `sha256:` or what openssl writes.
    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected the SHA-256 of a certificate, as in sha256:AB:CD:... with 64 hexadecimal digits";
        let text = text.trim().to_ascii_lowercase();
        let prefixes = ["sha256 fingerprint=", "sha256:", "sha-256:"];
        let digits = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
        let digits: String = digits.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(EXPECTED.to_owned());
        }
        let mut bytes = [0; BYTES];
        if digits.len() != 2 * BYTES {
            let of_another = match digits.len() {
                40 => ", which is the length of SHA-1",
                32 => ", which is the length of MD5",
                _ => "",
            };
            return Err(format!("{EXPECTED}; found {}{of_another}", digits.len()));
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).map_err(|_| EXPECTED.to_owned())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256")?;
        self.0.iter().try_for_each(|byte| write!(f, ":{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_read_in_each_spelling() {
        let bare = "0123456789abcdef".repeat(4);
        let one: Fingerprint = bare.parse().unwrap();
        let shown = one.to_string();
        assert!(shown.starts_with("sha256:01:23:45:67:89:AB:CD:EF:01"), "{shown}");
        let openssl = shown.replacen("sha256:", "sha256 Fingerprint=", 1);
        let spaced = shown.replacen("sha256:", "", 1).replace(':', " ");
        for text in [&shown, &shown.to_lowercase(), &bare.to_uppercase(), &openssl, &spaced] {
            assert_eq!(text.parse(), Ok(one), "{text}");
        }
        assert_eq!(format!(" SHA256:{bare}\n").parse(), Ok(one));
    }

    #[test]
    fn wrong_fingerprint_is_told_by_its_length() {
        let error = |text: &str| text.parse::<Fingerprint>().unwrap_err();
        assert!(error(&"ab".repeat(20)).ends_with("found 40, which is the length of SHA-1"));
        assert!(error(&"AB:".repeat(16)).ends_with("found 32, which is the length of MD5"));
        assert!(error(&"ab".repeat(33)).ends_with("found 66"));
        for text in ["", "sha1:abc", &"g".repeat(64), "sha256", "é"] {
            assert!(error(text).contains("sha256:AB:CD:..."), "{text}");
        }
    }
}
