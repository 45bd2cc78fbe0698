//! `GET /status-codes/{statusCode}`: the text of a status code, for whoever has a key
//! (docs/netbackup-api.md#status-codes).

use serde_json::json;

use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::shared::Shared;

/// Path under `/netbackup`, without the code.
const PARENT: &str = "/status-codes/";

pub(crate) fn get(_: &Shared, request: &Request) -> Reply {
    let text = request.path().strip_prefix(PARENT).unwrap_or_default();
    let Ok(code) = text.parse::<i64>() else {
        return Reply::bad_request(request.served(), "the status code is not an integer");
    };
    match u16::try_from(code).ok().and_then(message) {
        Some(message) => {
            let attributes = json!({ "statusMessage": message });
            let body = json!({
                "data": {"type": "statusCode", "id": code.to_string(), "attributes": attributes}
            });
            Reply::json(200, request.served(), body.to_string().into_bytes())
        }
        None => Reply::not_found(request.served()),
    }
}

/// Returns the text of a status code, as `/status-codes/{statusCode}` has it.
fn message(status: u16) -> Option<&'static str> {
    let place = MESSAGES.binary_search_by_key(&status, |(known, _)| *known).ok()?;
    MESSAGES.get(place).map(|(_, text)| *text)
}

/// The codes that occur, in their order (general knowledge of the product).
const MESSAGES: &[(u16, &str)] = &[
    (0, "the requested operation was successfully completed"),
    (1, "the requested operation was partially successful"),
    (2, "none of the requested files were backed up"),
    (5, "the restore failed to recover the requested files"),
    (6, "the backup failed to back up the requested files"),
    (11, "system call failed"),
    (12, "file open failed"),
    (13, "file read failed"),
    (14, "file write failed"),
    (23, "socket read failed"),
    (24, "socket write failed"),
    (25, "cannot connect on socket"),
    (37, "operation requested by an invalid server"),
    (39, "client name mismatch"),
    (41, "network connection timed out"),
    (42, "network read failed"),
    (46, "server not allowed access"),
    (48, "client hostname could not be found"),
    (49, "client did not start"),
    (50, "client process aborted"),
    (52, "timed out waiting for media manager to mount volume"),
    (54, "timed out connecting to client"),
    (58, "can't connect to client"),
    (59, "access to the client was not allowed"),
    (71, "none of the files in the file list exist"),
    (82, "media manager killed by signal"),
    (83, "media open error"),
    (84, "media write error"),
    (85, "media read error"),
    (86, "media position error"),
    (87, "media close error"),
    (96, "unable to allocate new media for backup, storage unit has none available"),
    (98, "error requesting media (tpreq)"),
    (116, "VxSS authentication failed"),
    (129, "Disk storage unit is full"),
    (130, "system error occurred"),
    (131, "client is not validated to use the server"),
    (145, "daemon is already running"),
    (150, "termination requested by administrator"),
    (155, "disk is full"),
    (156, "snapshot error encountered"),
    (175, "not all requested files were restored"),
    (190, "found no images or media matching the selection criteria"),
    (191, "no images were successfully processed"),
    (196, "client backup was not attempted because backup window closed"),
    (200, "scheduler found no backups due to run"),
    (213, "no storage units available for use"),
    (219, "the required storage unit is unavailable"),
    (229, "events out of sequence - image inconsistency"),
    (230, "the specified policy does not exist in the configuration database"),
    (
        236,
        "the specified client does not exist in an active policy within the configuration database",
    ),
    (800, "resource request failed"),
    (2001, "No drives are available."),
    (2009, "All compatible drive paths are down but media is available"),
    (2074, "Disk volume is down"),
    (2106, "Disk storage server is down"),
    (
        2107,
        "Requested media server does not have credentials or is not configured for the storage server",
    ),
    (2808, "MS-Windows policy restore error"),
    (2820, "NetBackup VMware policy restore error"),
    (2850, "Restore error"),
    (4207, "Could not fetch snapshot metadata or state files"),
    (4213, "Snapshot import failed"),
    (4239, "Unable to find the virtual machine"),
    (7625, "SSL socket connection failed."),
    (7641, "Failed to find a common CA Root for secure handshake."),
    (8506, "The certificate has expired."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Cause;

    #[test]
    fn every_code_of_a_cause_has_a_text() {
        assert!(MESSAGES.is_sorted_by(|a, b| a.0 < b.0));
        for cause in Cause::ALL {
            assert!(cause.codes().iter().all(|code| message(*code).is_some()), "{cause:?}");
        }
    }
}
