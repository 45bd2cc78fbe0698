//! Cursors: opaque to a client. Inside, the sort key and jobId of a row (a key, not a position, so that a
//! list that changes under a walk loses nothing), a fingerprint of the sort and the filter that it belongs
//! to, and the number of the page that it leads to.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::filter::Value;

/// Content of a cursor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cursor {
    /// Fingerprint of sort and filter.
    pub(crate) binding: u64,
    /// The page that follows, counted from 1; only faults look at it.
    pub(crate) page: u32,
    /// Index of the job.
    pub(crate) index: u32,
    /// Its sort keys.
    pub(crate) keys: Vec<Value<'static>>,
}

const SEPARATOR: char = '\u{1f}';

/// Writes a cursor.
pub(crate) fn encode(binding: u64, page: u32, index: u32, keys: &[Value<'_>]) -> String {
    let mut plain = format!("{binding:x}{SEPARATOR}{page:x}{SEPARATOR}{index:x}");
    for key in keys {
        plain.push(SEPARATOR);
        let written = match key {
            Value::Integer(number) => write!(plain, "i{number:x}"),
            Value::Float(number) => write!(plain, "f{:x}", number.to_bits()),
            Value::Text(text) => write!(plain, "s{text}"),
        };
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    base64url(plain.as_bytes())
}

/// Reads a cursor; `None` for anything that the server did not make.
pub(crate) fn decode(text: &str) -> Option<Cursor> {
    let plain = String::from_utf8(from_base64url(text)?).ok()?;
    let mut parts = plain.split(SEPARATOR);
    let binding = u64::from_str_radix(parts.next()?, 16).ok()?;
    let page = u32::from_str_radix(parts.next()?, 16).ok()?;
    let index = u32::from_str_radix(parts.next()?, 16).ok()?;
    let keys = parts.map(key).collect::<Option<Vec<_>>>()?;
    Some(Cursor { binding, page, index, keys })
}

fn key(part: &str) -> Option<Value<'static>> {
    let rest = part.get(1..)?;
    match part.get(..1)? {
        // Negative numbers are written in two's complement.
        "i" => u64::from_str_radix(rest, 16).ok().map(|bits| Value::Integer(bits.cast_signed())),
        "f" => u64::from_str_radix(rest, 16).ok().map(|bits| Value::Float(f64::from_bits(bits))),
        "s" => Some(Value::Text(Cow::Owned(rest.to_owned()))),
        _ => None,
    }
}

/// Fingerprint of what a cursor is bound to (FNV-1a).
pub(crate) fn binding(sort: &str, filter: &str) -> u64 {
    let bytes = sort.bytes().chain([0]).chain(filter.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for chunk in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(bits);
        for place in 0..=chunk.len() {
            let shift = 18 - 6 * place;
            text.push(char::from(ALPHABET[(bits >> shift) as usize & 63]));
        }
    }
    text
}

fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        if chunk.len() == 1 {
            return None;
        }
        let mut bits = 0_u32;
        for (place, letter) in chunk.iter().enumerate() {
            let six = ALPHABET.iter().position(|known| known == letter)?;
            bits |= u32::try_from(six).ok()? << (18 - 6 * place);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_round_trips() {
        let keys = [
            Value::Integer(-1),
            Value::Integer(1_704_067_200_000),
            Value::Float(12.5),
            Value::Text("a'b é".into()),
        ];
        for count in 0..=keys.len() {
            let text = encode(7, 3, 42, &keys[..count]);
            let cursor = Cursor { binding: 7, page: 3, index: 42, keys: keys[..count].to_vec() };
            assert_eq!(decode(&text), Some(cursor));
        }
    }

    #[test]
    fn foreign_cursor_is_refused() {
        for text in ["", "x", "1", "????", "AAAA", "MTI"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
