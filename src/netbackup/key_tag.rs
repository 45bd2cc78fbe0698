//! The tag of an API key, by which the server knows it (docs/netbackup-api.md#api-keys, ADR 25). It is a part of the key, and
//! so a secret: whatever is shown of a request has [`KEY_TAG`] in its place.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

/// Stand-in for the tag of the key in force, in the path of a resource.
pub(super) const KEY_TAG: &str = "{apiKeyTag}";

/// Bytes of an API key, which is their base64url: 64 characters.
const KEY_BYTES: usize = 48;

/// Bytes at the beginning of a key that make its tag.
const TAG_BYTES: usize = 8;

/// Returns the tag of a key; `None` for what has none, such as a JSON Web Token.
pub(super) fn key_tag(key: &SecretString) -> Option<SecretString> {
    let bytes = URL_SAFE_NO_PAD.decode(key.expose_secret().trim()).ok()?;
    let tag = bytes.get(..TAG_BYTES).filter(|_| bytes.len() == KEY_BYTES)?;
    Some(STANDARD.encode(tag).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_is_of_the_first_bytes_of_an_api_key() {
        let tag = |key: &str| key_tag(&key.into()).map(|tag| tag.expose_secret().to_owned());
        let key = |beginning: &str| format!("{beginning:x<64}");
        assert_eq!(tag(&key("A1uMjmj93mrpsW9q")).as_deref(), Some("A1uMjmj93mo="));
        assert_eq!(tag(&format!(" {}\n", key("A1uMjmj93mrpsW9q"))), tag(&key("A1uMjmj93mrpsW9q")));
        assert_eq!(tag(&key("-_-_-_-_-_-_")).as_deref(), Some("+/+/+/+/+/8="));
        for other in [
            "",
            "nbu-sim-key",
            &key("A1uMjmj93mrpsW9q")[1..],
            &format!("{}xxxx", key("A")),
            &key("eyJhbGciOi.eyJzdWIi"),
            &key("A1uM+mj93mrpsW9q"),
        ] {
            assert_eq!(tag(other), None, "{other}");
        }
    }
}
