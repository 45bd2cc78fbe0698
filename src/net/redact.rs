//! Redaction of previews of bodies, texts of errors, and `--trace`.
//!
//! The order matters: secrets are replaced first, then control characters are removed, then the text is
//! cut. A cut before the replacement could leave an unrecognised half of a secret.

mod matching;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use self::matching::{Match, match_secret};
use super::text::{json_string_length, json_value_length, one_line};

const HIDDEN: &str = "[redacted]";

/// JSON keys whose values are hidden, lower case.
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

/// Words before the credentials of an `Authorization` header, which are not secrets.
const SCHEMES: [&str; 8] =
    ["basic", "bearer", "digest", "negotiate", "apikey", "api-key", "api-token", "token"];

/// The shortest secret that is replaced: shorter ones occur in every text.
const SHORTEST: usize = 3;

/// The shortest secret that is replaced within a word; shorter ones are replaced as whole words only.
const SHORTEST_PART: usize = 6;

/// Bytes of a body that a preview reads.
const LOOKED_AT: usize = 64 * 1024;

/// Bytes of a body that `--trace` shows.
const TRACE_LIMIT: usize = 256 * 1024;

/// Replaces secrets wherever they occur. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// All forms in which they are sent, the longest first.
    secrets: Arc<Vec<SecretString>>,
}

impl Redactor {
    pub(crate) fn with_secret(mut self, secret: &SecretString) -> Self {
        self.add(secret.expose_secret());
        self
    }

    /// Adds the value of a header that may carry credentials: all of it, and what comes after a scheme
    /// or a name in it.
    pub(crate) fn with_header(mut self, value: &SecretString) -> Self {
        let value = value.expose_secret();
        self.add(value);
        let words = value.split_whitespace();
        for word in words.filter(|word| !SCHEMES.contains(&word.to_ascii_lowercase().as_str())) {
            self.add(word);
            for part in word.split(['=', ',', ';', ':', '"', '\'']) {
                if part.len() >= SHORTEST_PART {
                    self.add(part);
                }
            }
            if let Some(pair) = STANDARD_NO_PAD
                .decode(word.trim_end_matches('='))
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                && let Some((_, password)) = pair.split_once(':')
            {
                self.add(&pair);
                self.add(password);
            }
        }
        self
    }

    /// Adds the credentials of an address: as they are written in it, decoded, and as `Basic` sends
    /// them.
    pub(crate) fn with_address(mut self, address: &Url) -> Self {
        let (user, password) = (address.username(), address.password().unwrap_or_default());
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
        };
        let (plain_user, plain_password) = (decode(user), decode(password));
        self.add(password);
        self.add(&plain_password);
        if !user.is_empty() || !password.is_empty() {
            for (user, password) in [(user, password), (&plain_user, &plain_password)] {
                let pair = format!("{user}:{password}");
                let encoded = STANDARD.encode(&pair);
                self.add(encoded.trim_end_matches('='));
                self.add(&encoded.replace('+', "-").replace('/', "_"));
                self.add(&pair);
            }
        }
        self
    }

    fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.chars().count() >= SHORTEST
            && !self.secrets.iter().any(|known| known.expose_secret() == secret)
        {
            let secrets = Arc::make_mut(&mut self.secrets);
            secrets.push(SecretString::from(secret));
            secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        }
    }

    /// Returns `text` without secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        self.replace(text, false)
    }

    /// Returns the first `most` printable characters of `text` on one line, without secrets.
    pub(crate) fn line(&self, text: &str, most: usize) -> String {
        one_line(&self.replace(text, false), most)
    }

    /// Returns the first `most` printable characters of `body` on one line, without secrets.
    pub(crate) fn preview(&self, body: &[u8], most: usize) -> String {
        let (text, is_cut) = beginning(body, LOOKED_AT);
        one_line(&self.replace(&text, is_cut), most)
    }

    /// Returns a body as `--trace` shows it: without secrets, and without the values of JSON keys that
    /// look like secrets.
    pub(crate) fn body(&self, body: &[u8]) -> String {
        let (text, is_cut) = beginning(body, TRACE_LIMIT);
        let mut shown = one_line(&hide_secret_values(&self.replace(&text, is_cut)), TRACE_LIMIT);
        if is_cut {
            shown.push_str("... (cut)");
        }
        shown
    }

    /// Replaces all secrets. A secret that the end of the text cuts is replaced too: of a text that is
    /// cut any part of it, otherwise one that is long enough to be told from other words.
    fn replace(&self, text: &str, is_cut: bool) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        let decode = text.contains(['%', '\\', '&', '+']);
        while let Some(first) = rest.chars().next() {
            let shortest_end = if is_cut { 1 } else { SHORTEST_PART };
            let hidden = self.secrets.iter().find_map(|secret| {
                let secret = secret.expose_secret();
                match match_secret(rest, secret, decode) {
                    Match::Whole(length)
                        if secret.len() >= SHORTEST_PART
                            || is_word(before, rest[length..].chars().next()) =>
                    {
                        Some(length)
                    }
                    Match::End(characters) if characters >= shortest_end => Some(rest.len()),
                    _ => None,
                }
            });
            let length = hidden.unwrap_or(first.len_utf8());
            shown.push_str(if hidden.is_some() { HIDDEN } else { &rest[..length] });
            before = rest[..length].chars().next_back();
            rest = &rest[length..];
        }
        shown
    }
}

/// Returns true if what stands between these two characters is a word of its own.
fn is_word(before: Option<char>, after: Option<char>) -> bool {
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

/// Returns the first `most` bytes of `body` as text, and true if they are not all.
fn beginning(body: &[u8], most: usize) -> (String, bool) {
    let shown = &body[..body.len().min(most)];
    let text = String::from_utf8_lossy(shown);
    let is_cut = shown.len() < body.len();
    // Not the pieces of a character that the cut went through.
    let text = if is_cut { text.trim_end_matches('\u{fffd}') } else { &text };
    (text.to_owned(), is_cut)
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
            rest = &value[json_value_length(value.as_bytes())..];
        }
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
