//! `/status-codes/{statusCode}` (docs/netbackup-api.md#status-codes): the text of a status.

use serde::Deserialize;

use super::lenient::{self, Text};
use super::page::Record;
use crate::netbackup::resource::Resource;

/// The text of one status code. It needs no permission; releases 10.3 and 11.2 do not document it.
pub static STATUS_CODES: Resource =
    Resource { name: "status_codes", path: "/status-codes", permission: None, max_limit: 0 };

#[derive(Debug, Deserialize)]
pub(crate) struct StatusCode<'a> {
    #[serde(borrow, deserialize_with = "lenient::required_object")]
    data: Record<'a, Attributes<'a>>,
}

impl StatusCode<'_> {
    /// Returns the text; `None` where there is none.
    pub(crate) fn message(&self) -> Option<&str> {
        self.data.status_message.as_deref()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    status_message: Text<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_read_and_may_be_missing() {
        let read = |attributes: &str| {
            let text = format!(
                r#"{{"data":{{"type":"statusCode","id":"156","attributes":{attributes}}}}}"#
            );
            serde_json::from_str::<StatusCode<'_>>(&text).unwrap().message().map(str::to_owned)
        };
        assert_eq!(
            read(r#"{"statusMessage":"snapshot error"}"#).as_deref(),
            Some("snapshot error")
        );
        assert_eq!((read("{}"), read(r#"{"statusMessage":null}"#)), (None, None));
    }
}
