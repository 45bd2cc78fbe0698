//! An answer before it becomes HTTP: faults may still change it.

use serde_json::json;

use super::negotiate::{NOT_ACCEPTABLE, media_type};

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Send only this many bytes of the body, then close the connection.
    pub(crate) cut: Option<usize>,
}

impl Reply {
    /// JSON in the media type of an API version.
    pub(crate) fn json(status: u16, version: &str, body: Vec<u8>) -> Self {
        Self::raw(status, media_type(version), body)
    }

    pub(crate) fn text(status: u16, content_type: &str, body: String) -> Self {
        Self::raw(status, content_type.to_owned(), body.into_bytes())
    }

    fn raw(status: u16, content_type: String, body: Vec<u8>) -> Self {
        Self { status, content_type, headers: Vec::new(), body, cut: None }
    }

    /// Adds a header; names in lower case.
    pub(crate) fn header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
    }

    /// An ErrorResponse (docs/netbackup-api.md#errors).
    pub(crate) fn error(
        status: u16,
        version: &str,
        code: i64,
        message: &str,
        details: &[&str],
    ) -> Self {
        let mut body = json!({ "errorCode": code, "errorMessage": message });
        if !details.is_empty() {
            body["errorDetails"] = json!(details);
        }
        Self::json(status, version, body.to_string().into_bytes())
    }

    pub(crate) fn bad_request(version: &str, detail: &str) -> Self {
        Self::error(400, version, 9400, "The request is invalid.", &[detail])
    }

    /// The code and message of a real server (docs/netbackup-api.md#filters).
    pub(crate) fn bad_filter(version: &str, detail: &str) -> Self {
        Self::error(400, version, 9401, "The OData filter criteria is invalid", &[detail])
    }

    pub(crate) fn unauthorized(version: &str) -> Self {
        let message = "The Authorization header is missing, the token is invalid, or you do not have \
                       permission for this action.";
        Self::error(401, version, 8000, message, &[])
    }

    pub(crate) fn not_found(version: &str) -> Self {
        Self::error(404, version, 9404, "The resource was not found.", &[])
    }

    pub(crate) fn method_not_allowed(version: &str) -> Self {
        Self::error(405, version, 9405, "The HTTP method is not allowed.", &[])
    }

    pub(crate) fn not_acceptable(version: &str) -> Self {
        Self::error(406, version, 9406, NOT_ACCEPTABLE, &[])
    }

    pub(crate) fn unsupported_type(version: &str) -> Self {
        Self::error(415, version, 9415, "The Content-Type is not supported.", &[])
    }
}
