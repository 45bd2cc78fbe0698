//! The vendor's error document (docs/netbackup-api.md#errors).

use serde::Deserialize;

use super::lenient;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorResponse {
    #[serde(deserialize_with = "lenient::integer")]
    error_code: Option<i64>,
    #[serde(deserialize_with = "lenient::owned_text")]
    error_message: Option<String>,
}

/// Returns the server's own error message and code, if the body has one.
pub(crate) fn server_message(body: &[u8]) -> Option<String> {
    let response = serde_json::from_slice::<ErrorResponse>(body).ok()?;
    let text = response.error_message.filter(|text| !text.trim().is_empty());
    match (text, response.error_code) {
        (Some(text), Some(code)) => Some(format!("{text}, errorCode {code}")),
        (Some(text), None) => Some(text),
        (None, Some(code)) => Some(format!("errorCode {code}")),
        (None, None) => None,
    }
}
