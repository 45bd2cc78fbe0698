//! Hints for responses that are not usable.

use std::borrow::Cow;

use crate::netbackup::error::ErrorKind;
use crate::netbackup::resource::{PING, Resource};

/// Returns what to check after a response that is not usable.
pub(super) fn response_hint(
    kind: ErrorKind,
    redirect: Option<&str>,
    resource: &Resource,
) -> Cow<'static, str> {
    let permission = || match resource.permission {
        "" => String::new(),
        permission => format!(", or lack the permission {permission}"),
    };
    let fixed = match kind {
        ErrorKind::Unauthorized => {
            return format!("check apiKey: it may be expired or deleted{}", permission()).into();
        }
        ErrorKind::Forbidden => {
            return format!("the key's role may be too narrow{}", permission()).into();
        }
        ErrorKind::Redirect => match redirect {
            Some(origin) => {
                return format!(
                    "the redirect to {origin} is not followed, because that would send the API \
                     key there: check scheme, host, port and uri"
                )
                .into();
            }
            None => "redirects are not followed: check scheme, host, port and uri",
        },
        ErrorKind::NotFound if *resource == PING => {
            "check uri, host and port: every release has /ping"
        }
        ErrorKind::NotFound => "this NetBackup release may not have this resource; check uri, too",
        ErrorKind::Version => {
            "the server, or a proxy in front of it, does not accept this API version or method: \
             check apiVersion and uri"
        }
        ErrorKind::BadRequest if *resource == PING => {
            "a ping needs no API key, so something in front of the server requires a login: check \
             host, port, uri and proxyUrl"
        }
        ErrorKind::BadRequest => {
            "this NetBackup release may not support the request: the agent needs NetBackup 10.3 \
             or later"
        }
        ErrorKind::RateLimited | ErrorKind::Busy => {
            "the server is busy: increase collectionInterval, or lower maxConcurrentRequests"
        }
        ErrorKind::Body => "a proxy or another service may have answered: check host, port and uri",
        // Status 500 and the like; the other kinds have no response.
        _ => {
            "check the log of the NetBackup web service on the primary server; the next poll \
             retries"
        }
    };
    fixed.into()
}
