//! Images in the catalogue, counted by what is known of malware and anomalies in them
//! (docs/netbackup-api.md#images). A count is the total of a filtered page of one row.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use serde::de::IgnoredAny;

use super::collector::{Cadence, Collected, Collector, Part, Row};
use crate::metric::{Metric, Samples, UNKNOWN};
use crate::netbackup::wire::Id;
use crate::netbackup::{
    ApiVersion, Error, ErrorKind, OffsetPager, Permission, Query, Resource, Session,
};

pub(super) const ROW: Row = Row {
    name: "catalog",
    resource: &IMAGES,
    also: &[],
    cadence: Cadence::Slow,
    requests: "up to 42, of one row each",
    core: false,
    metrics: || vec![IMAGES_COUNT.definition()],
    switch: Some("catalog"),
    build: |_| Box::new(Catalog::default()),
    same: |_, _| true,
};

static IMAGES: Resource = Resource {
    name: "images",
    path: "/catalog/images",
    permission: Some(Permission::view("|MANAGE|IMAGES|")),
    max_limit: 100,
};

static IMAGES_COUNT: Metric<2> = Metric::gauge(
    "nbu.catalog.images.count",
    "{image}",
    &["malware_status", "anomaly_status"],
    "Images of the last 24 hours (the API's default) by malware and anomaly status. Before NetBackup 10.5, anomaly_status is UNKNOWN.",
);

/// Requests at once: other collectors want their turn too.
const CONCURRENCY: usize = 2;

/// A status of an image: its label, and the value that the filter wants.
type Status = (&'static str, &'static str);

/// The filters that a release supports.
#[derive(Debug)]
struct Dialect {
    malware_attribute: &'static str,
    malware: &'static [Status],
    /// Empty where images tell nothing of anomalies.
    anomalies: &'static [Status],
}

/// malwareStatus, from 11.0 on.
const MALWARE_STATUS: [Status; 6] = [
    ("CLEAN", "CLEAN"),
    ("INFECTION_DETECTED_BY_MALWARE_SCAN", "INFECTION_DETECTED_BY_MALWARE_SCAN"),
    ("INFECTION_DETECTED_BY_FILE_HASH_SEARCH", "INFECTION_DETECTED_BY_FILE_HASH_SEARCH"),
    ("NOT_SCANNED", "NOT_SCANNED"),
    ("NOT_SUPPORTED", "NOT_SUPPORTED"),
    ("UNKNOWN_TYPE", "UNKNOWN_TYPE"),
];

/// malwareScanResult, before: under the labels of what came after.
const MALWARE_SCAN_RESULT: [Status; 4] = [
    ("CLEAN", "CLEAN"),
    ("INFECTION_DETECTED_BY_MALWARE_SCAN", "IMPACTED"),
    ("NOT_SCANNED", "NOT_SCANNED"),
    ("NOT_SUPPORTED", "NOT_SUPPORTED"),
];

/// anomalyStatus, from 10.5 on. UNDEFINED cannot be asked for.
const ANOMALY_STATUS: [Status; 6] = [
    ("ANOMALOUS", "ANOMALOUS"),
    ("NOT_ANOMALOUS", "NOT_ANOMALOUS"),
    ("NOT_PROCESSED", "NOT_PROCESSED"),
    ("NOT_REVIEWED", "NOT_REVIEWED"),
    ("FALSE_POSITIVE", "FALSE_POSITIVE"),
    ("IGNORED", "IGNORED"),
];

impl Dialect {
    fn of(version: ApiVersion) -> Self {
        let (malware_attribute, malware): (_, &[Status]) = if version >= ApiVersion::new(13, 0) {
            ("malwareStatus", &MALWARE_STATUS)
        } else {
            ("malwareScanResult", &MALWARE_SCAN_RESULT)
        };
        // Nothing is known of 10.4, which speaks 11.0: it is asked what 10.3 can tell.
        let anomalies: &[Status] =
            if version >= ApiVersion::new(12, 0) { &ANOMALY_STATUS } else { &[] };
        Self { malware_attribute, malware, anomalies }
    }

    fn filter(&self, malware: Status, anomaly: Option<Status>) -> String {
        let malware = format!("{} eq '{}'", self.malware_attribute, malware.1);
        match anomaly {
            None => malware,
            Some(anomaly) => format!("{malware} and anomalyStatus eq '{}'", anomaly.1),
        }
    }
}

/// A series: malware status, anomaly status, and the count, if the server answered it.
type Cell = (&'static str, &'static str, Option<i64>);

#[derive(Default)]
struct Catalog {
    /// Filters that the server does not take, each logged once.
    refused: BTreeSet<String>,
}

/// The counts of one malware status, and those that were refused.
#[derive(Default)]
struct Told {
    cells: Vec<Cell>,
    refusals: Vec<(String, Error)>,
}

#[async_trait]
impl Collector for Catalog {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let dialect = Dialect::of(session.version().await?);
        let statuses: Vec<_> = dialect
            .malware
            .iter()
            .map(|status| async { (status.0, of_malware(session, &dialect, *status).await) })
            .collect();
        let mut answers = stream::iter(statuses).buffered(CONCURRENCY);
        let (mut parts, mut refusals) = (Vec::new(), Vec::new());
        while let Some((malware, told)) = answers.next().await {
            match told {
                Ok(told) => {
                    refusals.extend(told.refusals);
                    parts.push((malware, Part::Fresh(samples(session, told.cells))));
                }
                Err(error) if concerns_all(error.kind()) => return Err(error),
                Err(error) => parts.push((malware, Part::Failed(error))),
            }
        }
        drop(answers);
        let is_told = |(_, part): &(_, Part)| matches!(part, Part::Fresh(all) if !all.is_empty());
        if !parts.iter().any(is_told) {
            // Nothing at all: the first reason is the reason.
            let failed = parts.into_iter().find_map(|(_, part)| match part {
                Part::Failed(error) => Some(error),
                _ => None,
            });
            let refused = refusals.into_iter().next().map(|(_, error)| error);
            return failed.or(refused).map_or_else(|| Ok(Collected::default()), Err);
        }
        let site = session.client().site();
        for (filter, error) in refusals {
            if self.refused.insert(filter.clone()) {
                tracing::warn!(site, filter, %error, "the server does not count images by this status; skipping its series");
            }
        }
        Ok(Collected { parts, permitted: Some(true), unfinished: false })
    }
}

/// Returns true if other counts would fare no better.
const fn concerns_all(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::BadRequest
            | ErrorKind::ServerError
            | ErrorKind::Busy
            | ErrorKind::RateLimited
            | ErrorKind::Gateway
            | ErrorKind::Timeout
            | ErrorKind::Body
            | ErrorKind::Paging
    )
}

fn samples(session: &Session, cells: Vec<Cell>) -> Samples {
    let mut samples = Samples::new();
    for (malware, anomaly, count) in cells {
        match count {
            Some(count) => samples.record(&IMAGES_COUNT, [malware, anomaly], count as f64),
            None => session.note_unreadable(
                &IMAGES,
                &Id::Text(format!("{malware} {anomaly}").into()),
                "meta.pagination.count: missing",
            ),
        }
    }
    samples
}

/// Returns the counts of one malware status. Where it has no image at all, no anomaly status is asked
/// for; one that the server does not know costs itself only.
async fn of_malware(session: &Session, dialect: &Dialect, malware: Status) -> Result<Told, Error> {
    let mut told = Told::default();
    let Some(total) = told.ask(session, dialect.filter(malware, None)).await? else {
        return Ok(told);
    };
    if dialect.anomalies.is_empty() {
        told.cells.push((malware.0, UNKNOWN, total));
        return Ok(told);
    }
    for anomaly in dialect.anomalies {
        let found = match total {
            Some(0) => Some(total),
            _ => told.ask(session, dialect.filter(malware, Some(*anomaly))).await?,
        };
        told.cells.extend(found.map(|count| (malware.0, anomaly.0, count)));
    }
    Ok(told)
}

impl Told {
    /// Returns the number of images that a filter selects, if the answer tells; `None` where the server
    /// does not take the filter.
    async fn ask(
        &mut self,
        session: &Session,
        filter: String,
    ) -> Result<Option<Option<i64>>, Error> {
        let query = Query::filtered(filter.clone()).limited(1);
        match OffsetPager::new(session, &IMAGES, &query).next_page::<IgnoredAny>().await {
            Ok(page) => Ok(Some(page.and_then(|page| page.total).filter(|total| *total >= 0))),
            Err(error) if error.kind() == ErrorKind::BadRequest => {
                self.refusals.push((filter, error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_is_queried_only_for_supported_values() {
        let asked = |version: ApiVersion| {
            let dialect = Dialect::of(version);
            let anomalies = dialect.anomalies.len();
            (dialect.filter(dialect.malware[1], dialect.anomalies.first().copied()), anomalies)
        };
        let old = ("malwareScanResult eq 'IMPACTED'".to_owned(), 0);
        assert_eq!(asked(ApiVersion::new(10, 0)), old);
        assert_eq!(asked(ApiVersion::new(11, 0)), old);
        let middle = "malwareScanResult eq 'IMPACTED' and anomalyStatus eq 'ANOMALOUS'";
        assert_eq!(asked(ApiVersion::new(12, 0)), (middle.to_owned(), 6));
        let new = "malwareStatus eq 'INFECTION_DETECTED_BY_MALWARE_SCAN' and anomalyStatus eq 'ANOMALOUS'";
        assert_eq!(asked(ApiVersion::new(13, 0)), (new.to_owned(), 6));
    }
}
