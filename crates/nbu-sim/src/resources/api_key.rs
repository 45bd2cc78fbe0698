//! `GET /security/api-keys/{apiKeyTag}`: the key that a client uses, for whoever has it
//! (docs/netbackup-api.md#api-keys). The simulator knows no other key: other tags are answered with 404.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::iso;
use crate::http::reply::Reply;
use crate::http::request::{Request, encode};
use crate::shared::{KEY_VALIDITY_MS, Shared};

/// Path under `/netbackup`, without the tag.
const PARENT: &str = "/security/api-keys/";

/// Bytes of a key, and of its tag.
const KEY_BYTES: usize = 48;
const TAG_BYTES: usize = 8;

/// Returns the tag of a key; `None` if it has not the form of one.
pub(crate) fn tag(key: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(key).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
    Some(STANDARD.encode(&bytes[..TAG_BYTES]))
}

pub(crate) fn get(server: &Shared, request: &Request) -> Reply {
    let path = request.decoded_path();
    let (key, expiry) = server.api_key();
    let Some(tag) = tag(&key).filter(|tag| path.strip_prefix(PARENT) == Some(tag)) else {
        return Reply::not_found(request.served());
    };
    let created = expiry - KEY_VALIDITY_MS;
    let body = json!({ "data": {
        "type": "apiKeyDetails",
        "id": tag,
        "links": {"self": {"href": format!("{PARENT}{}", encode(&tag))}},
        "attributes": {
            "userName": "nbu-otel-agent",
            "userDomain": "primary.example.com",
            "userDomainType": "unixpwd",
            "createdDateTime": iso::text(created),
            "expiryDateTime": iso::text(expiry),
            "lastModifiedDateTime": iso::text(created),
            "description": "An API key of the simulator.",
            "samlSessionValidated": false,
        },
    }});
    Reply::json(200, request.served(), body.to_string().into_bytes())
}
