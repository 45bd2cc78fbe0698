//! Keeps secrets and noise out of what is shown: previews of bodies, texts of errors, `--trace`.

use secrecy::{ExposeSecret, SecretString};

use super::text::{json_string_length, one_line};

const HIDDEN: &str = "[redacted]";

/// JSON keys whose values are never shown, lower case.
const SECRET_KEYS: [&str; 10] = [
    "token",
    "apikey",
    "api_key",
    "password",
    "passphrase",
    "secret",
    "authorization",
    "accesstoken",
    "jwt",
    "credentials",
];

/// Shorter keys are not looked for: replacing them would tear up every text.
const SHORTEST_KEY: usize = 4;

/// Longest body that `--trace` shows, bytes.
const TRACE_LIMIT: usize = 256 * 1024;

/// Replaces the API key wherever it occurs.
#[derive(Clone)]
pub(crate) struct Redactor {
    key: SecretString,
}

impl Redactor {
    pub(crate) fn new(key: &SecretString) -> Self {
        Self { key: key.clone() }
    }

    /// `text` without the key.
    pub(crate) fn clean(&self, text: &str) -> String {
        let key = self.key.expose_secret().trim();
        if key.len() < SHORTEST_KEY { text.to_owned() } else { text.replace(key, HIDDEN) }
    }

    /// The first `most` printable characters of `body` on one line, without the key.
    pub(crate) fn preview(&self, body: &[u8], most: usize) -> String {
        let key_length = self.key.expose_secret().len();
        // A key that straddles the end of the part looked at would not be found: look further than
        // is shown, and keep nothing of the part in which half a key could be.
        let looked_at = &body[..body.len().min(most * 8 + key_length)];
        let mut text = self.clean(&String::from_utf8_lossy(looked_at));
        if looked_at.len() < body.len() {
            drop_last(&mut text, key_length);
        }
        one_line(&text, most)
    }

    /// A body as `--trace` shows it: without the key and without the values of secret-looking keys.
    pub(crate) fn body(&self, body: &[u8]) -> String {
        let shown = &body[..body.len().min(TRACE_LIMIT)];
        let mut text = hide_secret_values(&self.clean(&String::from_utf8_lossy(shown)));
        if shown.len() < body.len() {
            let key_length = self.key.expose_secret().len();
            drop_last(&mut text, key_length);
            text.push_str("... (cut)");
        }
        text
    }
}

/// Removes the last `bytes` bytes, and the rest of a character that they cut.
fn drop_last(text: &mut String, bytes: usize) {
    let mut end = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// Replaces the values of [`SECRET_KEYS`] in a JSON text, valid or not.
fn hide_secret_values(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        let (before, literal) = rest.split_at(start);
        let (literal, after) = literal.split_at(json_string_length(literal.as_bytes()));
        shown.push_str(before);
        shown.push_str(literal);
        rest = after;
        let name = literal.trim_matches('"').to_ascii_lowercase();
        let value = after.trim_start();
        if let Some(value) = value.strip_prefix(':')
            && SECRET_KEYS.contains(&name.as_str())
        {
            let value = value.trim_start();
            shown.push_str(":\"");
            shown.push_str(HIDDEN);
            shown.push('"');
            rest = &value[value_end(value)..];
        }
    }
    shown.push_str(rest);
    shown
}

/// The length of the JSON value that `text` begins with.
fn value_end(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut position = 0;
    while let Some(byte) = text.as_bytes().get(position) {
        match byte {
            b'"' => {
                position += json_string_length(&text.as_bytes()[position..]);
                if depth == 0 {
                    return position;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return position,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        position += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(&SecretString::from("K3y-that-is-secret"))
    }

    #[test]
    fn the_key_is_replaced_wherever_it_occurs() {
        assert_eq!(redactor().clean("a K3y-that-is-secret b"), "a [redacted] b");
    }

    #[test]
    fn a_preview_is_one_short_printable_line() {
        let preview = redactor().preview(b"<html>\r\n\t<b>\x00hi</b>\x1b[31m", 20);
        assert_eq!(preview, "<html> <b> hi</b> [3...");
        assert_eq!(redactor().preview(b"", 20), "");
        assert_eq!(redactor().preview(b"\xff\xfe", 20), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn no_part_of_a_key_survives_at_the_edge_of_a_preview() {
        for padding in 0..200 {
            let body = format!("{}K3y-that-is-secret and more of it", " ".repeat(padding));
            let preview = redactor().preview(body.as_bytes(), 10);
            assert!(!preview.contains("K3y"), "{padding}: {preview}");
        }
    }

    #[test]
    fn values_of_secret_looking_keys_are_hidden() {
        let body = br#"{"token" : "a\"b", "Password":"x","n":1,"apiKey":[1,{"a":"]"}],"ok":"v"}"#;
        assert_eq!(
            redactor().body(body),
            r#"{"token":"[redacted]", "Password":"[redacted]","n":1,"apiKey":"[redacted]","ok":"v"}"#
        );
    }

    #[test]
    fn a_text_that_is_no_json_is_shown_as_it_is() {
        assert_eq!(redactor().body(b"a \"b"), "a \"b");
        assert_eq!(redactor().body(br#"{"token":"#), r#"{"token":"[redacted]""#);
    }
}
