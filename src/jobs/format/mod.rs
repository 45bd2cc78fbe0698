//! Records on disk. Each has a kind, a version of that kind, and a length, so that one that is not known is told
//! from one that is damaged (docs/adr/0011-state.md).

mod details;
mod v1;

use serde::{Deserialize, Serialize};

pub(super) use details::{
    CatalogueBackupV1, CounterV1, DetailsV1, FailureV1, RootJobV1, SizesV1, StallV1, StatusTextV1,
};
pub(super) use v1::{
    DurationsV1, JobDetailV1, JobV1, LabelsV1, LastV1, NameV1, ProgressV1, RuleTotalV1, SpanV1,
    TotalV1, UnfinishedV1,
};

/// The reason why the records of a state file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("its records are inconsistent")]
    CorruptState,
    #[error("it has a record of kind {kind}, version {version}, which this agent does not support")]
    Newer { kind: u8, version: u8 },
}

/// A reader that does not know a kind from here on, or its version, may pass it over.
const OPTIONAL: u8 = 128;

/// A record of the present versions: older ones are converted when they are read.
#[derive(Debug)]
pub(super) enum Record<'a> {
    Progress(ProgressV1),
    Name(NameV1<'a>),
    Labels(LabelsV1),
    Job(JobV1),
    /// A job that is no longer remembered.
    JobGone(i64),
    Unfinished(UnfinishedV1),
    /// A job that is no longer known as unfinished.
    UnfinishedGone(i64),
    Total(TotalV1),
    Durations(DurationsV1<'a>),
    Last(LastV1<'a>),
    /// More of a job whose record is before it.
    JobDetail(JobDetailV1),
    /// More of a total whose record is before it.
    RuleTotal(RuleTotalV1),
    Details(DetailsV1),
    Counter(CounterV1<'a>),
    Failure(FailureV1<'a>),
    Sizes(SizesV1<'a>),
    Stall(StallV1),
    StatusText(StatusTextV1<'a>),
    Catalogue(CatalogueBackupV1),
    /// More of the last results of a policy whose record is before it, and those of a workload.
    Classes(LastV1<'a>),
}

impl<'a> Record<'a> {
    /// Adds the record to a transaction. The numbers of kinds are never used again.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Progress(body) => put(out, 1, 1, body),
            Self::Name(body) => put(out, 2, 1, body),
            Self::Labels(body) => put(out, 3, 1, body),
            Self::Job(body) => put(out, 4, 1, body),
            Self::JobGone(id) => put(out, 5, 1, id),
            Self::Unfinished(body) => put(out, 6, 1, body),
            Self::UnfinishedGone(id) => put(out, 7, 1, id),
            Self::Total(body) => put(out, 8, 1, body),
            Self::Durations(body) => put(out, 9, 1, body),
            Self::Last(body) => put(out, 10, 1, body),
            Self::JobDetail(body) => put(out, 128, 1, body),
            Self::RuleTotal(body) => put(out, 129, 1, body),
            Self::Details(body) => put(out, 130, 1, body),
            Self::Counter(body) => put(out, 131, 1, body),
            Self::Failure(body) => put(out, 132, 1, body),
            Self::Sizes(body) => put(out, 133, 1, body),
            Self::Stall(body) => put(out, 134, 1, body),
            Self::StatusText(body) => put(out, 135, 1, body),
            Self::Catalogue(body) => put(out, 136, 1, body),
            Self::Classes(body) => put(out, 137, 1, body),
        }
    }

    /// Returns whether a build that does not know the record passes it over.
    #[cfg(test)]
    pub(super) fn is_optional(&self) -> bool {
        let mut out = Vec::new();
        self.put(&mut out);
        out.first().is_some_and(|kind| *kind >= OPTIONAL)
    }

    /// Takes the next record off `bytes`; `None` if it may be passed over. Fails if it is no record, or one
    /// that must be understood and is not known.
    pub(super) fn next(bytes: &mut &'a [u8]) -> Result<Option<Self>, RestoreError> {
        let ((kind, version, length), rest) = postcard::take_from_bytes::<(u8, u8, u32)>(bytes)
            .map_err(|_| RestoreError::CorruptState)?;
        let length = usize::try_from(length).map_err(|_| RestoreError::CorruptState)?;
        let (body, rest) = rest.split_at_checked(length).ok_or(RestoreError::CorruptState)?;
        *bytes = rest;
        Ok(Some(match (kind, version) {
            (1, 1) => Self::Progress(decode(body)?),
            (2, 1) => Self::Name(decode(body)?),
            (3, 1) => Self::Labels(decode(body)?),
            (4, 1) => Self::Job(decode(body)?),
            (5, 1) => Self::JobGone(decode(body)?),
            (6, 1) => Self::Unfinished(decode(body)?),
            (7, 1) => Self::UnfinishedGone(decode(body)?),
            (8, 1) => Self::Total(decode(body)?),
            (9, 1) => Self::Durations(decode(body)?),
            (10, 1) => Self::Last(decode(body)?),
            (128, 1) => Self::JobDetail(decode(body)?),
            (129, 1) => Self::RuleTotal(decode(body)?),
            (130, 1) => Self::Details(decode(body)?),
            (131, 1) => Self::Counter(decode(body)?),
            (132, 1) => Self::Failure(decode(body)?),
            (133, 1) => Self::Sizes(decode(body)?),
            (134, 1) => Self::Stall(decode(body)?),
            (135, 1) => Self::StatusText(decode(body)?),
            (136, 1) => Self::Catalogue(decode(body)?),
            (137, 1) => Self::Classes(decode(body)?),
            (OPTIONAL.., _) => return Ok(None),
            _ => return Err(RestoreError::Newer { kind, version }),
        }))
    }
}

fn put<T: Serialize>(out: &mut Vec<u8>, kind: u8, version: u8, body: &T) {
    // Extending a vector cannot fail, and every record can be written.
    if let Ok(body) = postcard::to_stdvec(body)
        && let Ok(length) = u32::try_from(body.len())
        && let Ok(head) = postcard::to_stdvec(&(kind, version, length))
    {
        out.extend(head);
        out.extend(body);
    }
}

fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, RestoreError> {
    let (body, rest) = postcard::take_from_bytes(body).map_err(|_| RestoreError::CorruptState)?;
    if rest.is_empty() { Ok(body) } else { Err(RestoreError::CorruptState) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Vec<i64>, RestoreError> {
        let mut ids = Vec::new();
        while !bytes.is_empty() {
            if let Some(Record::JobGone(id)) = Record::next(&mut bytes)? {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    #[test]
    fn unknown_kind_is_refused_unless_it_is_optional() {
        let mut bytes = Vec::new();
        Record::JobGone(7).put(&mut bytes);
        put(&mut bytes, OPTIONAL, 3, &"news");
        put(&mut bytes, u8::MAX, 1, &[1_u64, 2]);
        Record::JobGone(8).put(&mut bytes);
        assert_eq!(read(&bytes), Ok(vec![7, 8]));
        for (kind, version) in [(11, 1), (127, 1), (0, 1), (1, 2), (5, 0)] {
            let mut newer = bytes.clone();
            put(&mut newer, kind, version, &1_i64);
            assert_eq!(read(&newer), Err(RestoreError::Newer { kind, version }));
        }
    }

    #[test]
    fn record_cut_or_with_more_bytes_is_damaged() {
        let mut bytes = Vec::new();
        Record::JobGone(7_000_000).put(&mut bytes);
        for length in 1..bytes.len() {
            assert_eq!(read(&bytes[..length]), Err(RestoreError::CorruptState), "{length}");
        }
        let mut longer = Vec::new();
        put(&mut longer, 5, 1, &(7_i64, 8_i64));
        assert_eq!(read(&longer), Err(RestoreError::CorruptState));
    }
}
