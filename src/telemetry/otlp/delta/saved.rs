//! Format of the file in which the push of increments keeps its state. The first byte is the
//! version of the rest; all later builds read each version that was released.

use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::group::Group;
use super::{Change, Delta, Outgoing};

const VERSION: u8 = 1;

/// Version 1.
#[derive(Serialize, Deserialize)]
struct Saved {
    opened: u64,
    groups: Vec<(Vec<u8>, Group)>,
    outbox: Vec<SavedRequest>,
}

#[derive(Serialize, Deserialize)]
struct SavedRequest {
    body: Vec<u8>,
    points: u64,
    changes: Vec<Change>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Unreadable {
    #[error("a later version of the agent wrote it")]
    Version,
    #[error("its content is invalid")]
    Content,
}

impl Delta {
    /// Returns everything that has to outlive the process.
    pub(in super::super) fn encode(&self) -> Option<Vec<u8>> {
        let groups = self.groups.iter().map(|(key, group)| (key.to_vec(), group.clone()));
        let outbox = self.outbox.iter().map(|request| SavedRequest {
            body: request.body.to_vec(),
            points: request.points,
            changes: request.changes.clone(),
        });
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by(|(a, _), (b, _)| a.cmp(b));
        let saved = Saved { opened: self.opened, groups, outbox: outbox.collect() };
        postcard::to_extend(&saved, vec![VERSION]).ok()
    }

    /// Reads what [`Delta::encode`] wrote. All requests that were about to be sent are in doubt.
    pub(in super::super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let saved: Saved = match bytes.split_first() {
            Some((&VERSION, rest)) => {
                postcard::from_bytes(rest).map_err(|_| Unreadable::Content)?
            }
            Some((version, _)) if *version > VERSION => return Err(Unreadable::Version),
            _ => return Err(Unreadable::Content),
        };
        let groups = saved.groups.into_iter().map(|(key, group)| (key.into_boxed_slice(), group));
        let outbox = saved.outbox.into_iter().map(|request| {
            Outgoing::new(Bytes::from(request.body), request.points, request.changes, true)
        });
        Ok(Self {
            groups: groups.collect(),
            outbox: outbox.collect(),
            opened: saved.opened,
            in_use: true,
            ..Self::opened_at(saved.opened)
        })
    }
}
