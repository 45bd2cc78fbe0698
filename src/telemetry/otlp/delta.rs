//! From totals to increments, for receivers that want those (docs/adr/0017-delta.md).
//!
//! An increment is what was added since the last one of its series that was *acknowledged*. A request that
//! certainly failed leaves its series where they were, and the next increment covers both intervals. One
//! whose fate is not known (no answer, a process that was killed) stays in the *outbox* and is sent again as
//! it is, with the same start and end times, before anything else: a receiver that has it already can tell.
//!
//! [`Delta`] does no I/O. It outlives a rebuilt exporter, and, saved before each push, the process.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::SystemTime;

use prost::bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::unix_nanos;
use group::{Acknowledged, Group};
pub(super) use point::count;

pub(crate) mod convert;
mod group;
mod point;

/// The version of the saved form, its first byte. All later builds read each version that was released.
const VERSION: u8 = 1;

/// The answers with an error that a receiver may give to a request in doubt, before the points go on in new
/// increments: it may be unable to take this one, which must not keep all later ones back.
const MAX_REFUSALS: u32 = 10;

/// Metric and attributes without the action.
type Key = Box<[u8]>;

/// Totals that the receivers have acknowledged, and requests that may be on their way to them. What is not
/// skipped is saved: a change of that is another version.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delta {
    /// Time at which this memory began, nanoseconds since 1970. A total that is met for the first
    /// time but has an earlier origin was reported to the receivers before, by whatever means.
    opened: u64,
    #[serde(serialize_with = "sorted")]
    groups: HashMap<Key, Group>,
    /// Requests that wait to be sent, or to be sent again.
    pub(super) outbox: Vec<Outgoing>,
    /// Origins that were met in this process.
    #[serde(skip)]
    met: HashSet<u64>,
    /// True once increments were asked for: until then nothing is remembered.
    #[serde(skip)]
    pub(super) in_use: bool,
}

/// Effect on a series of the acknowledgement of a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    key: Vec<u8>,
    action: String,
    acknowledged: Acknowledged,
}

/// An encoded request, with what becomes of series when it is acknowledged.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outgoing {
    #[serde(serialize_with = "as_slice", deserialize_with = "from_vec")]
    pub(super) body: Bytes,
    pub(super) points: u64,
    pub(super) changes: Vec<Change>,
    /// It was sent by an earlier export, or may have been by an earlier process.
    #[serde(skip)]
    in_doubt: bool,
    #[serde(skip)]
    refusals: u32,
}

impl Outgoing {
    pub(super) fn new(body: Bytes, points: u64, changes: Vec<Change>) -> Self {
        Self { body, points, changes, in_doubt: false, refusals: 0 }
    }
}

fn sorted<S: Serializer>(groups: &HashMap<Key, Group>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(groups.iter().collect::<BTreeMap<_, _>>())
}

fn as_slice<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    body.as_ref().serialize(serializer)
}

fn from_vec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Vec::<u8>::deserialize(deserializer).map(Bytes::from)
}

/// Outcome of a request of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The receiver has it.
    Acknowledged,
    /// The receiver has it not, for a reason that has nothing to do with the request.
    Unsent,
    /// The receiver has it not, and does not want it.
    Refused,
    /// It is not known whether the receiver has it. It may have `answered`, with an error of its own.
    Unknown { answered: bool },
}

impl Default for Delta {
    fn default() -> Self {
        Self::opened_at(unix_nanos(SystemTime::now()))
    }
}

impl Delta {
    /// Makes an empty memory that began at `nanos` since 1970.
    pub(crate) fn opened_at(nanos: u64) -> Self {
        Self {
            opened: nanos,
            groups: HashMap::new(),
            outbox: Vec::new(),
            met: HashSet::new(),
            in_use: false,
        }
    }

    pub(crate) fn series(&self) -> usize {
        self.groups.values().map(|group| group.0.len()).sum()
    }

    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        postcard::to_extend(self, vec![VERSION]).ok()
    }

    /// Reads what [`Delta::encode`] wrote. All requests that were about to be sent are in doubt.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        const INVALID: &str = "its content is invalid";
        let mut delta: Self = match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| INVALID)?,
            Some((version, _)) if *version > VERSION => {
                return Err("a later version of the agent wrote it");
            }
            _ => return Err(INVALID),
        };
        delta.in_use = true;
        delta.outbox.iter_mut().for_each(|request| request.in_doubt = true);
        Ok(delta)
    }

    /// Settles the outbox of an export that ended, however it ended: `fates` has what is known of its
    /// requests, by place, of which the first `sent` were on their way. Those without an answer stay.
    pub(super) fn settle(&mut self, mut fates: HashMap<usize, Fate>, sent: usize) {
        for (place, mut request) in std::mem::take(&mut self.outbox).into_iter().enumerate() {
            let fate = match fates.remove(&place) {
                Some(fate) => fate,
                None if place < sent || request.in_doubt => Fate::Unknown { answered: false },
                None => Fate::Unsent,
            };
            match fate {
                Fate::Acknowledged => self.commit(request.changes),
                Fate::Refused | Fate::Unsent if !request.in_doubt => {}
                Fate::Unsent => self.outbox.push(request),
                Fate::Refused | Fate::Unknown { .. } => {
                    request.in_doubt = true;
                    let answered = !matches!(fate, Fate::Unknown { answered: false });
                    request.refusals += u32::from(answered);
                    if request.refusals < MAX_REFUSALS {
                        self.outbox.push(request);
                    } else {
                        tracing::warn!(
                            points = request.points,
                            "OTLP metrics push: the receiver keeps failing a request whose first \
                             response was lost; its points move to later increments and may be \
                             counted twice"
                        );
                    }
                }
            }
        }
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>) {
        for Change { key, action, acknowledged } in changes {
            self.groups.entry(key.into_boxed_slice()).or_default().set(&action, acknowledged);
        }
    }

    /// Notes that totals up to `time` were told as such, while no increments were asked for.
    pub(super) fn told_totals(&mut self, time: u64) {
        if !self.in_use {
            self.opened = self.opened.max(time);
        }
    }
}

#[cfg(test)]
mod tests;
