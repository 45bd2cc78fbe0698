//! Attributes of images of the catalogue, by subject.

use serde_json::{Map, Value, json};

use super::iso;
use crate::world::World;

/// A day in milliseconds.
const DAY: i64 = 24 * 3_600_000;

pub(super) fn merged(parts: [Value; 4]) -> Value {
    let mut all = Map::new();
    for part in parts {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    Value::Object(all)
}

pub(super) fn whose(world: &World, policy: usize, client: &str, slp: &str) -> Value {
    let policy = &world.names.policies[policy];
    json!({
        "policyType": policy.spelling,
        "clientName": client,
        "policyName": &*policy.name,
        "scheduleType": "FULL",
        "scheduleName": "Weekly-Full",
        "creator": "root",
        "dataClassification": "",
        "keyword": "",
        "originMasterServer": &*world.names.server,
        "providerGeneratedId": "",
        "proxyClient": "",
        "slpName": slp,
        "contentFile": format!("{}_FULL.f", policy.name),
    })
}

pub(super) fn times(made: i64) -> Value {
    let never = iso::text(0);
    json!({
        "backupTime": iso::text(made),
        "blockIncrementalFullTime": never,
        "elapsedTimeSeconds": 600,
        "expiration": iso::text(made + 30 * DAY),
        "remoteExpirationDate": never,
        "tirExpirationDate": never,
    })
}

pub(super) fn sizes(kilobytes: i64) -> Value {
    json!({
        "contentFileSize": "1024",
        "kbytes": kilobytes,
        "kbytesDataTransferred": kilobytes / 2,
        "numCopies": 1,
        "numFiles": 1000,
        "numberFragments": 0,
        "fragments": [],
        "drMediaList": [],
        "streamNumber": 0,
        "streamAggregatedKbytes": 0,
        "streamAggregatedFiles": 0,
    })
}

pub(super) fn flags() -> Value {
    json!({
        "backupCopyType": "DEFAULT",
        "backupStatus": 0,
        "clientCharset": 0,
        "compression": false,
        "contentFileCompressed": "NOT",
        "encryption": "NONE",
        "extendedSecurityInfo": false,
        "fileSystemOnly": false,
        "imageDumpLevel": 0,
        "imageType": "NORMAL",
        "jobId": 0,
        "mpx": false,
        "pfiType": 0,
        "primaryCopy": 1,
        "retentionLevel": 3,
        "slpVersion": 0,
        "slpCompleted": 0,
        "version": 14,
        "vmType": "NONE",
    })
}
