//! Repair of strings that are nearly JSON: names with bytes, escapes or control characters that JSON
//! does not allow. Each becomes U+FFFD, so that its record can be decoded.

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Returns `body` with its strings repaired; `None` if they need no repair.
pub(crate) fn repair(body: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(body);
    let mut repaired = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(quote) = rest.find('"') {
        let (outside, inside) = rest.split_at(quote + 1);
        repaired.push_str(outside);
        rest = repair_string(inside, &mut repaired);
    }
    repaired.push_str(rest);
    (repaired.as_bytes() != body).then(|| repaired.into_bytes())
}

/// Repairs a string up to its closing quote, and returns what follows it.
fn repair_string<'t>(text: &'t str, repaired: &mut String) -> &'t str {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '"' => {
                repaired.push(c);
                return after;
            }
            '\\' => {
                let length = escape_length(after);
                match length {
                    Some(length) => repaired.push_str(&rest[..=length]),
                    None => repaired.push(REPLACEMENT),
                }
                rest = &after[length.unwrap_or_else(|| broken_escape_length(after))..];
                continue;
            }
            c if c < ' ' => repaired.push(REPLACEMENT),
            c => repaired.push(c),
        }
        rest = after;
    }
    rest
}

/// Returns the length of a valid escape, its backslash not counted.
fn escape_length(text: &str) -> Option<usize> {
    match text.as_bytes().first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => match code_unit(text)? {
            0xd800..=0xdbff => {
                let low = text.get(5..)?.strip_prefix('\\').and_then(code_unit)?;
                (0xdc00..=0xdfff).contains(&low).then_some(11)
            }
            0xdc00..=0xdfff => None,
            _ => Some(5),
        },
        _ => None,
    }
}

/// Returns the length of a broken escape: all of a lone surrogate, otherwise nothing.
fn broken_escape_length(text: &str) -> usize {
    if code_unit(text).is_some() { 5 } else { 0 }
}

/// Returns the number in `uXXXX`.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn repaired(body: &[u8]) -> String {
        let text = repair(body).unwrap_or_else(|| body.to_vec());
        serde_json::from_slice::<Vec<String>>(&text).unwrap().concat()
    }

    #[test]
    fn invalid_characters_become_replacement_characters() {
        for (body, expected) in [
            (&b"[\"a\xffb\"]"[..], "a\u{fffd}b"),
            (b"[\"\xe4\"]", "\u{fffd}"),
            (br#"["a\ud800b"]"#, "a\u{fffd}b"),
            (br#"["\udc00"]"#, "\u{fffd}"),
            (br#"["\ud800\ud83d\ude00"]"#, "\u{fffd}\u{1f600}"),
            (br#"["\ud800\u0041"]"#, "\u{fffd}A"),
            (br#"["\x41"]"#, "\u{fffd}x41"),
            (br#"["\u12"]"#, "\u{fffd}u12"),
            (br#"["C:\Users"]"#, "C:\u{fffd}Users"),
            (b"[\"a\nb\tc\x01\"]", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("[\"\\ué\"]".as_bytes(), "\u{fffd}ué"),
        ] {
            assert_eq!(repaired(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn valid_json_needs_no_repair() {
        let valid =
            "[\n\"\\\\\", \"\\\"\", \"\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00é\", {\"\\\\\": 1}]";
        assert_eq!(repair(valid.as_bytes()), None);
        for open in ["[\"a", "[\"a\\", "\"", "\"\\u", "\"\\ud800\\u", ""] {
            let _ = repair(open.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn strings_of_any_bytes_decode_after_repair(
            bytes in prop::collection::vec(any::<u8>().prop_filter("a quote ends it", |b| !b"\"\\".contains(b)), 0..40),
        ) {
            let body = [b"[\"", &bytes[..], b"\"]"].concat();
            prop_assert!(serde_json::from_str::<Value>(&String::from_utf8(repair(&body).unwrap_or(body)).unwrap()).is_ok());
        }

        #[test]
        fn any_valid_string_needs_no_repair(text in ".{0,30}") {
            let body = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(repair(&body), None);
        }
    }
}
