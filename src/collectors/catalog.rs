//! Images in the catalogue, counted by what is known of malware and anomalies in them (contract,
//! sections 2.4 and 8). A count is the total of a filtered page of one row.

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::IgnoredAny;

use super::{Cadence, Collected, Collector, Row};
use crate::metric::{Definition, Metric, Samples, UNKNOWN};
use crate::netbackup::{ApiVersion, Error, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "catalog",
    resource: &IMAGES,
    cadence: Cadence::Slow,
    core: false,
    metrics,
    enabled: |config| config.catalog,
    build: |_| Box::new(Catalog),
    same: |_, _| true,
};

static IMAGES: Resource = Resource {
    name: "images",
    path: "/catalog/images",
    permission: "|MANAGE|IMAGES|",
    max_limit: 100,
};

static IMAGES_COUNT: Metric<2> = Metric::gauge(
    "nbu.catalog.images.count",
    "{image}",
    &["malware_status", "anomaly_status"],
    "Images of the last 24 hours (the API's own span) by malware and anomaly status. Before NetBackup 10.5 anomaly_status is UNKNOWN.",
);

/// Requests at once: other collectors want their turn too.
const CONCURRENCY: usize = 2;

fn metrics() -> Vec<&'static Definition> {
    vec![IMAGES_COUNT.definition()]
}

/// A status of an image: its label, and the value that the filter wants.
type Status = (&'static str, &'static str);

/// What a release can be asked for.
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

/// A series to be: malware status, anomaly status, and the count, if the server told it.
type Cell = (&'static str, &'static str, Option<i64>);

struct Catalog;

#[async_trait]
impl Collector for Catalog {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let dialect = Dialect::of(session.version().await?);
        let statuses: Vec<_> =
            dialect.malware.iter().map(|status| of_malware(session, &dialect, *status)).collect();
        let cells: Vec<Vec<Cell>> =
            stream::iter(statuses).buffered(CONCURRENCY).try_collect().await?;
        let (mut samples, mut untold) = (Samples::new(), 0);
        for (malware, anomaly, count) in cells.into_iter().flatten() {
            match count {
                Some(count) => samples.record(&IMAGES_COUNT, [malware, anomaly], count as f64),
                None => untold += 1,
            }
        }
        Ok(Collected::whole(samples, untold))
    }
}

/// The counts of one malware status. Where it has no image at all, no anomaly status is asked for.
async fn of_malware(
    session: &Session,
    dialect: &Dialect,
    malware: Status,
) -> Result<Vec<Cell>, Error> {
    let total = count(session, dialect.filter(malware, None)).await?;
    if dialect.anomalies.is_empty() {
        return Ok(vec![(malware.0, UNKNOWN, total)]);
    }
    let mut cells = Vec::with_capacity(dialect.anomalies.len());
    for anomaly in dialect.anomalies {
        let found = match total {
            Some(0) => total,
            _ => count(session, dialect.filter(malware, Some(*anomaly))).await?,
        };
        cells.push((malware.0, anomaly.0, found));
    }
    Ok(cells)
}

/// How many images a filter selects; `None` where the answer does not say.
async fn count(session: &Session, filter: String) -> Result<Option<i64>, Error> {
    let mut walk = session.offset_walk(&IMAGES, &Query::filtered(filter).limited(1));
    let page = walk.next_page::<IgnoredAny>().await?;
    Ok(page.and_then(|page| page.total).filter(|total| *total >= 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_asked_for_what_it_has() {
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
