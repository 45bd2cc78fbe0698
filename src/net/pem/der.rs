//! The part of DER that is needed to find the end of a certificate, and OpenSSL's trust settings after it.

/// The extended key usages serverAuth and any, as DER.
const SERVER: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const ANY: &[u8] = &[0x06, 0x04, 0x55, 0x1d, 0x25, 0x00];

const SEQUENCE: u8 = 0x30;
const REJECTED: u8 = 0xa0;

/// A value with its tag; `whole` includes tag and length.
struct Element<'d> {
    tag: u8,
    content: &'d [u8],
    whole: &'d [u8],
    rest: &'d [u8],
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (tag, length) = (*der.first()?, *der.get(1)?);
    let (header, length) = if length < 0x80 {
        (2, usize::from(length))
    } else {
        let digits = usize::from(length & 0x7f);
        if digits == 0 || digits > 4 {
            return None;
        }
        let number = der.get(2..2 + digits)?;
        (2 + digits, number.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)))
    };
    let end = header.checked_add(length)?;
    Some(Element {
        tag,
        content: der.get(header..end)?,
        whole: der.get(..end)?,
        rest: der.get(end..)?,
    })
}

/// Returns the certificate that `der` begins with. Behind it, in a TRUSTED CERTIFICATE, are the uses
/// that it is trusted or rejected for.
pub(super) fn certificate(der: &[u8]) -> Result<&[u8], &'static str> {
    let damaged = "the certificate that begins here is damaged: cut, or not X.509";
    let certificate = element(der).filter(|it| it.tag == SEQUENCE).ok_or(damaged)?;
    // To-be-signed part, algorithm, signature.
    let mut parts = certificate.content;
    for _ in 0..3 {
        parts = element(parts).ok_or(damaged)?.rest;
    }
    if certificate.rest.is_empty() {
        return Ok(certificate.whole);
    }
    let notes = element(certificate.rest).filter(|it| it.tag == SEQUENCE && it.rest.is_empty());
    let mut notes = notes.ok_or(damaged)?.content;
    while let Some(note) = element(notes) {
        let names = |usage: &[u8]| note.content.windows(usage.len()).any(|part| part == usage);
        let names_servers = names(SERVER) || names(ANY);
        if note.tag == REJECTED && names_servers || note.tag == SEQUENCE && !names_servers {
            return Err(
                "a TRUSTED CERTIFICATE that is not trusted for servers; remove the restriction \
                 with openssl x509 -in FILE -out NEW",
            );
        }
        notes = note.rest;
    }
    Ok(certificate.whole)
}
