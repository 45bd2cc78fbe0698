//! Comparison of a text with a secret in all its spellings: with percent signs, with JSON or HTML
//! escapes, with control characters in it.

use crate::net::text::{escape_length, is_format};

/// The relation of a text to a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    No,
    /// The text begins with the secret, which takes this many bytes of it.
    Whole(usize),
    /// The text is the beginning of the secret: this many characters of it.
    End(usize),
}

/// Compares the beginning of `text` with `secret`; with `decode`, escapes are decoded.
pub(super) fn match_secret(text: &str, secret: &str, decode: bool) -> Match {
    match match_units(text, secret, false) {
        Match::No if decode => match_units(text, secret, true),
        result => result,
    }
}

fn match_units(text: &str, secret: &str, decode: bool) -> Match {
    let mut rest = text;
    for (matched, wanted) in secret.chars().enumerate() {
        if wanted.is_whitespace() {
            let after = skip_while(rest, decode, |c| is_noise(c) || c.is_whitespace() || c == '+');
            if after.len() == rest.len() && !rest.is_empty() {
                return Match::No;
            }
            rest = after;
        } else {
            if matched > 0 {
                rest = skip_while(rest, decode, is_noise);
            }
            match unit(rest, decode) {
                Some((c, length)) if c == wanted => rest = &rest[length..],
                Some(_) if !(decode && is_cut_escape(rest)) => return Match::No,
                _ => return Match::End(matched),
            }
        }
    }
    Match::Whole(text.len() - rest.len())
}

/// Returns true for characters that are removed before a text is shown, and for what stands for bytes
/// that are no text.
fn is_noise(c: char) -> bool {
    c.is_control() || is_format(c) || c == '\u{fffd}'
}

fn skip_while(mut text: &str, decode: bool, skipped: impl Fn(char) -> bool) -> &str {
    while let Some((c, length)) = unit(text, decode)
        && skipped(c)
    {
        text = &text[length..];
        if matches!(c, '\u{1b}' | '\u{9b}') {
            text = &text[escape_length(text, c == '\u{9b}')..];
        }
    }
    text
}

/// Returns the first character of `text` and its length in bytes: with `decode`, that which an escape
/// stands for.
fn unit(text: &str, decode: bool) -> Option<(char, usize)> {
    let first = text.chars().next()?;
    let decoded = match first {
        _ if !decode => None,
        '%' => hex(text, 1, 2),
        '\\' => backslash(text),
        '&' => entity(text),
        _ => None,
    };
    Some(decoded.unwrap_or((first, first.len_utf8())))
}

/// Returns the character whose number is given by `digits` hexadecimal digits from `start` on.
fn hex(text: &str, start: usize, digits: usize) -> Option<(char, usize)> {
    let number = text.get(start..start + digits)?;
    let number = number.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(number)?;
    let c = char::from_u32(u32::from_str_radix(number, 16).ok()?)?;
    // Two digits of a percent sign are a byte: those of others make no character alone.
    (digits > 2 || c.is_ascii()).then_some((c, start + digits))
}

fn backslash(text: &str) -> Option<(char, usize)> {
    match text.chars().nth(1)? {
        'u' => hex(text, 2, 4),
        'x' => hex(text, 2, 2),
        'n' | 'r' | 't' | 'b' | 'f' => Some(('\n', 2)),
        c @ ('"' | '\\' | '/' | '\'') => Some((c, 2)),
        _ => None,
    }
}

fn entity(text: &str) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let end = text.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let c = match text.get(1..end)? {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        name => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)?
        }
    };
    Some((c, end + 1))
}

/// Returns true if `text` may be an escape that the end of the text cuts.
fn is_cut_escape(text: &str) -> bool {
    const LONGEST: usize = 6;
    text.len() < LONGEST && text.starts_with(['%', '\\', '&'])
}
