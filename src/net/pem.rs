//! PEM files. No certificate is lost silently: the reader returns as many as there are BEGIN lines, or an
//! error with the line and the remedy.
//!
//! The parser of rustls-pki-types skips a BEGIN that is not at the start of its line, and with it the
//! certificate: for example after two files were joined without a newline, or after a byte order mark.

mod der;
mod text;

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use self::text::{PemError, Text, as_text};

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// Labels of certificates; OpenSSL reads all of them.
const CERTIFICATE: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/// Labels of private keys: PKCS #8, PKCS #1, SEC 1.
const KEYS: [(&str, SectionKind); 3] = [
    ("PRIVATE KEY", SectionKind::PrivateKey),
    ("RSA PRIVATE KEY", SectionKind::RsaPrivateKey),
    ("EC PRIVATE KEY", SectionKind::EcPrivateKey),
];

const ENCRYPTED: &str = "the private key is encrypted, which is not supported: remove its password with openssl pkey -in FILE -out NEW (and let only the owner read the new file)";

/// Marks of private keys that cannot be used, and the remedy.
const UNUSABLE_KEYS: [(&str, &str); 3] = [
    ("-----BEGIN ENCRYPTED PRIVATE KEY-----", ENCRYPTED),
    ("Proc-Type: 4,ENCRYPTED", ENCRYPTED),
    (
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "an OpenSSH key: convert it in place with ssh-keygen -p -m PKCS8 -f FILE",
    ),
];

/// Accepts missing padding, as OpenSSL does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads all certificates of a PEM file, or of the JSON that NetBackup answers at `/security/cacert`.
pub(crate) fn certificates(content: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let text = as_text(content)?;
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(block) = next_block(&text, rest)? {
        rest = block.end;
        if CERTIFICATE.contains(&block.label) {
            let der = decode(&text, &block)?;
            let der = der::certificate(&der).map_err(|problem| text.error(block.start, problem))?;
            found.push(CertificateDer::from(der.to_vec()));
        }
    }
    if found.is_empty() {
        let holds = holds(
            &text,
            &[
                ("PRIVATE KEY", "a private key"),
                ("PKCS", "PKCS7 (convert it with openssl pkcs7 -print_certs -in FILE -out NEW)"),
                ("X509 CRL", "a revocation list"),
            ],
        );
        return Err(PemError::new(format!("contains no PEM certificate{holds}")));
    }
    Ok(found)
}

/// Writes certificates as PEM that any parser reads.
pub(crate) fn write<'c>(certificates: impl IntoIterator<Item = &'c CertificateDer<'c>>) -> Vec<u8> {
    certificates.into_iter().flat_map(|it| block("CERTIFICATE", it).into_bytes()).collect()
}

/// Writes a private key as PEM that any parser reads.
pub(crate) fn write_key(key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    block(label, key.secret_der())
}

fn block(label: &str, der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    let lines: Vec<_> = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Reads the first private key of a PEM file: PKCS #8, PKCS #1 or SEC 1, not encrypted.
pub(crate) fn private_key(content: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = as_text(content)?;
    for (mark, problem) in UNUSABLE_KEYS {
        if let Some(at) = text.find(mark) {
            return Err(text.error(at, problem));
        }
    }
    for (label, kind) in KEYS {
        let mark = format!("-----BEGIN {label}-----");
        if let Some(start) = text.find(&mark) {
            let damaged = || text.error(start, "the private key that begins here is damaged");
            let body_start = start + mark.len();
            let length = text.as_str()[body_start..].find(DASHES).ok_or_else(damaged)?;
            let body = body_start..body_start + length;
            let der = decode(&text, &Block { label, start, body, end: body_start })
                .map_err(|_| damaged())?;
            return PrivateKeyDer::from_pem(kind, der).ok_or_else(damaged);
        }
    }
    let kinds = [
        ("CERTIFICATE", "a certificate"),
        ("PUBLIC KEY", "a public key"),
        ("PRIVATE KEY", "a key of another kind"),
    ];
    Err(PemError::new(format!("contains no PEM private key{}", holds(&text, &kinds))))
}

/// Names the first of `kinds` that the text contains.
fn holds(text: &Text, kinds: &[(&str, &str)]) -> String {
    let labels = text.as_str().split(BEGIN).skip(1).filter_map(|rest| rest.split(DASHES).next());
    let labels: Vec<&str> = labels.collect();
    let held = kinds.iter().find(|(part, _)| labels.iter().any(|label| label.contains(part)));
    held.map(|(_, name)| format!(", but {name}")).unwrap_or_default()
}

/// The part between BEGIN and END; offsets into the text.
struct Block<'t> {
    label: &'t str,
    /// The start of the BEGIN line.
    start: usize,
    body: Range<usize>,
    /// The end of the END line.
    end: usize,
}

/// Finds the next block at or after `from`.
fn next_block(text: &Text, from: usize) -> Result<Option<Block<'_>>, PemError> {
    let all = text.as_str();
    let start = all[from..].find(BEGIN).map(|at| from + at);
    if let Some(stray) = stray_mark(all, from..start.unwrap_or(all.len())) {
        let problem = "looks like the start of a certificate, but is not exactly -----BEGIN CERTIFICATE----- followed by -----END CERTIFICATE-----";
        return Err(text.error(stray, problem));
    }
    let Some(start) = start else { return Ok(None) };
    let label_start = start + BEGIN.len();
    let Some(length) = all[label_start..].find(DASHES) else {
        return Err(text.error(start, "the line that begins with -----BEGIN is incomplete"));
    };
    let label = &all[label_start..label_start + length];
    let is_label = label.len() <= 64 && !label.contains(['\n', '\r']);
    let names_certificate = label.to_ascii_uppercase().contains("CERTIFICATE");
    if !is_label || (names_certificate && !CERTIFICATE.contains(&label)) {
        let problem = "expected -----BEGIN CERTIFICATE-----: certificate requests (CSR) and other kinds of certificates cannot be used here";
        return Err(text.error(start, problem));
    }
    let body_start = label_start + length + DASHES.len();
    let end_mark = format!("-----END {label}-----");
    let rest = &all[body_start..];
    match rest.find(&end_mark).filter(|end| !rest[..*end].contains(BEGIN)) {
        Some(length) => {
            let body = body_start..body_start + length;
            let end = body.end + end_mark.len();
            Ok(Some(Block { label, start, body, end }))
        }
        // Other blocks do not concern a reader of certificates.
        None if !names_certificate => {
            Ok(Some(Block { label, start, body: body_start..body_start, end: body_start }))
        }
        None => {
            let problem = format!(
                "the certificate that begins here has no {end_mark}: the file is cut or damaged"
            );
            Err(text.error(start, problem))
        }
    }
}

/// Finds a misspelt BEGIN or END line of a certificate in a part of the text without a valid one.
fn stray_mark(text: &str, part: Range<usize>) -> Option<usize> {
    let is_dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let upper = text.get(part.clone())?.to_ascii_uppercase();
    let found = ["BEGIN", "END"].into_iter().flat_map(|word| {
        upper.match_indices(word).filter(move |(at, word)| {
            let blanks = [' ', '\t'];
            let mut rest = text[part.start + at + word.len()..].trim_start_matches(blanks);
            for label in ["X509", "TRUSTED", "CERTIFICATE"] {
                let is_there =
                    rest.get(..label.len()).is_some_and(|it| it.eq_ignore_ascii_case(label));
                if is_there {
                    rest = rest[label.len()..].trim_start_matches(blanks);
                } else if label == "CERTIFICATE" {
                    return false;
                }
            }
            let before = text[..part.start + at].trim_end_matches(blanks);
            before.ends_with(is_dash) || rest.starts_with(is_dash)
        })
    });
    found.map(|(at, _)| part.start + at).min()
}

/// Decodes the base64 of a block, without its white space.
fn decode(text: &Text, block: &Block<'_>) -> Result<Vec<u8>, PemError> {
    let body = &text.as_str()[block.body.clone()];
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let odd = body.char_indices().find(|(_, c)| !c.is_whitespace() && !is_base64(*c));
    if let Some((at, _)) = odd {
        let problem = "a character that is not base64, within a certificate";
        return Err(text.error(block.body.start + at, problem));
    }
    let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    BASE64.decode(packed).map_err(|_| {
        text.error(
            block.start,
            "the certificate that begins here is damaged: its base64 is incomplete",
        )
    })
}

#[cfg(test)]
#[path = "pem_tests.rs"]
mod tests;
